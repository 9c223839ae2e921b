/** FIFOs, each with a transport at one end and a bare file at the other. */
import { bytes, concat, loop, pattern, text } from "../../kit.ts";
import { boom } from "../log.ts";
import type { Recorder } from "../recorders.ts";
import type { Scenarios, Stage } from "../stage.ts";

async function makeFifo(t: Stage): Promise<[reading: Deno.FsFile, writing: Deno.FsFile]> {
  const path = t.tempPath("fifo");
  await new Deno.Command("mkfifo", { args: [path] }).output();
  // Each waits for the other.
  return await Promise.all([Deno.open(path, { read: true }), Deno.open(path, { write: true })]);
}

/** Connects a protocol that reads; gives the file to write to. */
async function readPipe(t: Stage, protocol: Recorder): Promise<Deno.FsFile> {
  const [reading, writing] = await makeFifo(t);
  await loop.connectReadPipe(() => protocol, reading);
  return writing;
}

/** Connects a protocol that writes; gives the bare file to read from. */
async function writePipe(t: Stage, protocol: Recorder): Promise<Deno.FsFile> {
  const [reading, writing] = await makeFifo(t);
  await loop.connectWritePipe(() => protocol, writing);
  return reading;
}

async function readAll(reading: Deno.FsFile): Promise<Uint8Array> {
  return concat(await Array.fromAsync(reading.readable));
}

export const scenarios: Scenarios = {
  "data, then the end": async (t) => {
    const reader = t.recorder("reader");
    const writing = await readPipe(t, reader);
    await writing.write(bytes("hello"));
    await reader.received(5);
    await writing.write(bytes(" and goodbye"));
    writing.close();
    await reader.untilLost();
    t.attempt("reader", "is_closing", () => reader.transport.isClosing());
  },

  "eof_received that returns true cannot keep a pipe open": async (t) => {
    const reader = t.recorder("reader", { eofReceived: () => true });
    const writing = await readPipe(t, reader);
    writing.close();
    await reader.untilLost();
  },

  "pausing and resuming": async (t) => {
    const reader = t.recorder("reader", { connectionMade: (p) => p.transport.pauseReading() });
    const writing = await readPipe(t, reader);
    t.attempt("reader", "is_reading", () => reader.transport.isReading());
    await writing.write(bytes("hello"));
    writing.close();
    await t.settle();
    reader.log("resuming");
    reader.transport.resumeReading();
    await reader.untilLost();
  },

  "close() inside data_received": async (t) => {
    const reader = t.recorder("reader", { dataReceived: (p) => p.transport.close() });
    const writing = await readPipe(t, reader);
    await writing.write(bytes("hello"));
    await reader.untilLost();
    writing.close();
  },

  "an exception in data_received of a pipe": async (t) => {
    t.exceptionsTo("reader");
    const reader = t.recorder("reader", { dataReceived: boom });
    const writing = await readPipe(t, reader);
    await writing.write(bytes("hello"));
    await reader.until("exception handler");
    await t.settle();
    writing.close();
    await reader.untilLost();
  },

  "extra info of a pipe outlives the transport": async (t) => {
    const reader = t.recorder("reader");
    const writing = await readPipe(t, reader);
    writing.close();
    await reader.untilLost();
    reader.log(`pipe is there: ${reader.transport.getExtraInfo("pipe") !== null}`);
    reader.log(`peername: ${reader.transport.getExtraInfo("peername")}`);
  },

  "writes, then close()": async (t) => {
    const writer = t.recorder("writer");
    const reading = await writePipe(t, writer);
    t.attempt("writer", "can_write_eof", () => writer.transport.canWriteEof());
    writer.transport.write(bytes("one "));
    writer.transport.writelines([bytes("two "), bytes("three")]);
    writer.transport.close();
    t.attempt("writer", "is_closing", () => writer.transport.isClosing());
    t.attempt("writer", "write after close()", () => writer.transport.write(bytes("too late")));
    await writer.untilLost();
    t.log("peer", text(await readAll(reading)));
  },

  "write_eof() closes a pipe": async (t) => {
    const writer = t.recorder("writer");
    const reading = await writePipe(t, writer);
    writer.transport.write(bytes("last words"));
    t.attempt("writer", "write_eof", () => writer.transport.writeEof());
    t.attempt("writer", "is_closing", () => writer.transport.isClosing());
    t.attempt("writer", "write_eof again", () => writer.transport.writeEof());
    await writer.untilLost();
    t.log("peer", text(await readAll(reading)));
  },

  "a write after write_eof() of a pipe": async (t) => {
    const writer = t.recorder("writer");
    const reading = await writePipe(t, writer);
    writer.transport.writeEof();
    t.attempt("writer", "write", () => writer.transport.write(bytes("too late")));
    await writer.untilLost();
    reading.close();
  },

  "flow control of a pipe": async (t) => {
    const writer = t.recorder("writer");
    const reading = await writePipe(t, writer);
    writer.log("writing");
    writer.transport.write(pattern(1_000_000));
    writer.log("written");
    writer.transport.close();
    const whole = await readAll(reading);
    t.log("peer", `received all: ${text(whole) === text(pattern(1_000_000))}`);
    await writer.untilLost();
  },

  "abort() drops what is buffered": async (t) => {
    const writer = t.recorder("writer");
    const reading = await writePipe(t, writer);
    writer.transport.write(pattern(1_000_000));
    writer.transport.abort();
    t.attempt("writer", "get_write_buffer_size", () => writer.transport.getWriteBufferSize());
    await writer.untilLost();
    t.log("peer", `received all: ${(await readAll(reading)).length === 1_000_000}`);
  },

  "a reader that goes while bytes wait is a broken pipe": async (t) => {
    const writer = t.recorder("writer");
    const reading = await writePipe(t, writer);
    writer.transport.write(pattern(1_000_000));
    await t.settle();
    reading.close();
    await writer.untilLost();
    t.attempt("writer", "write", () => writer.transport.write(bytes("dropped")));
  },

  "a reader that goes while nothing waits": async (t) => {
    const writer = t.recorder("writer");
    const reading = await writePipe(t, writer);
    reading.close();
    await t.settle();
    writer.transport.write(bytes("anybody there?"));
    await writer.untilLost();
  },
};
