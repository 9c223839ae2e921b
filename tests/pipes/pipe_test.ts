import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "../std.ts";
import { BaseProtocol, InvalidStateError, type Transport } from "../../mod.ts";
import { BufferedRecorder, bytes, captureExceptions, loop, pattern, Recorder, text, turn } from "../kit.ts";
import { program } from "../program.ts";
import { fifo, RecordingSink } from "./kit.ts";

Deno.test("connectReadPipe() and connectWritePipe() carry bytes through a FIFO to its end", async () => {
  const { reader, writer } = await fifo();
  const [readTransport, readSide] = await loop.connectReadPipe(() => new Recorder(), reader);
  const [writeTransport, writeSide] = await loop.connectWritePipe(() => new Recorder(), writer);
  assertEquals(readTransport.isReading(), true);
  writeTransport.write(bytes("hello "));
  writeTransport.writelines([bytes("wor"), bytes("ld")]);
  await readSide.untilReceived(11);
  writeTransport.close();
  assert(writeTransport.isClosing());
  await readSide.untilLost();
  await writeSide.untilLost();
  await turn();
  assertEquals(readSide.log.entries, ["connectionMade", "dataReceived 11", "eofReceived", "connectionLost null"]);
  assertEquals(writeSide.log.entries, ["connectionMade", "connectionLost null"]);
  assertEquals(readSide.text, "hello world");
  assertStrictEquals(readTransport.getExtraInfo("pipe"), reader);
  assertStrictEquals(writeTransport.getExtraInfo("pipe"), writer);
  assertEquals(readTransport.getExtraInfo("peername"), null);
  // The transports have closed their ends.
  assertThrows(() => reader.close(), Deno.errors.BadResource);
  assertThrows(() => writer.close(), Deno.errors.BadResource);
});

Deno.test("connectWritePipe() on a FIFO pauses and resumes the writer at its reader's pace, and loses nothing", async () => {
  const { reader, writer } = await fifo();
  const [readTransport, readSide] = await loop.connectReadPipe(() => new Recorder(), reader);
  readTransport.pauseReading();
  const [writeTransport, writeSide] = await loop.connectWritePipe(() => new Recorder(), writer);
  const data = pattern(1024 * 1024);
  writeTransport.write(data);
  assertEquals(writeSide.log.entries, ["connectionMade", "pauseWriting"]);
  readTransport.resumeReading();
  await readSide.untilReceived(data.length);
  await writeSide.log.has("resumeWriting");
  writeTransport.close();
  await readSide.untilLost();
  await turn();
  assertEquals(writeSide.log.entries, ["connectionMade", "pauseWriting", "resumeWriting", "connectionLost null"]);
  assertEquals(readSide.data, data);
});

Deno.test("writeEof() on a write pipe closes it behind what is buffered", async () => {
  const { reader, writer } = await fifo();
  const [, readSide] = await loop.connectReadPipe(() => new Recorder(), reader);
  const [transport, writeSide] = await loop.connectWritePipe(() => new Recorder(), writer);
  assert(transport.canWriteEof());
  transport.write(bytes("last"));
  transport.writeEof();
  transport.writeEof();
  assert(transport.isClosing());
  assertThrows(() => transport.write(bytes("more")), InvalidStateError, "writeEof");
  await readSide.untilLost();
  await writeSide.untilLost();
  await turn();
  assertEquals(readSide.text, "last");
  assertEquals(writeSide.log.entries, ["connectionMade", "connectionLost null"]);
});

Deno.test("closeTimeout turns close() of a FIFO whose reader never reads into an abort with a TimeoutError", async () => {
  const { reader, writer } = await fifo();
  const writes: Promise<number>[] = [];
  const write = writer.write.bind(writer);
  writer.write = (data) => (writes.push(write(data)), writes.at(-1)!);
  const [transport, protocol] = await loop.connectWritePipe(() => new Recorder(), writer, { closeTimeout: 20 });
  transport.write(new Uint8Array(1024 * 1024));
  const closedAt = performance.now();
  transport.close();
  await protocol.untilLost();
  assert(performance.now() - closedAt >= 15);
  assertEquals(protocol.log.entries, ["connectionMade", "pauseWriting", "connectionLost TimeoutError"]);
  assertEquals(transport.getWriteBufferSize(), 0);
  assert(protocol.error!.message.startsWith("closeTimeout: "));
  // A write of a FIFO cannot be called off: it ends when the reader goes.
  reader.close();
  await Promise.allSettled(writes);
});

Deno.test("closeTimeout leaves a pipe alone that is flushed in time, or only read", async () => {
  const { reader, writer } = await fifo();
  const options = { closeTimeout: 3_600_000 };
  const [, readSide] = await loop.connectReadPipe(() => new Recorder(), reader, options);
  const [transport, writeSide] = await loop.connectWritePipe(() => new Recorder(), writer, options);
  transport.write(pattern(1024 * 1024));
  transport.close();
  await readSide.untilLost();
  await writeSide.untilLost();
  await turn();
  assertEquals(readSide.received, 1024 * 1024);
  assertEquals([readSide.error, writeSide.error], [null, null]);
});

Deno.test("connectReadPipe() and connectWritePipe() refuse bad options with an error that names them, and leave the pipe", async () => {
  const { reader, writer } = await fifo();
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  for (const pipe of [reader, readable]) {
    const read = (options: unknown) => loop.connectReadPipe(() => new Recorder(), pipe, options as object);
    for (const closeTimeout of [-1, NaN, "1", 2 ** 31, null]) {
      const ErrorClass = typeof closeTimeout === "number" ? RangeError : TypeError;
      await assertRejects(() => read({ closeTimeout }), ErrorClass, "closeTimeout must be a number of milliseconds");
    }
    await assertRejects(() => read(null), TypeError, "options must be a plain object, got null");
  }
  for (const pipe of [writer, writable]) {
    const write = (options: unknown) => loop.connectWritePipe(() => new Recorder(), pipe, options as object);
    for (const closeTimeout of [-1, NaN, "1", 2 ** 31, null]) {
      const ErrorClass = typeof closeTimeout === "number" ? RangeError : TypeError;
      await assertRejects(() => write({ closeTimeout }), ErrorClass, "closeTimeout must be a number of milliseconds");
    }
    await assertRejects(() => write(5), TypeError, "options must be a plain object, got number 5");
  }
  assertEquals([readable.locked, writable.locked], [false, false]);
  reader.close();
  writer.close();
});

Deno.test("write() on a pipe whose reader has gone gives connectionLost(BrokenPipe) and nothing else", async () => {
  using exceptions = captureExceptions();
  const { reader, writer } = await fifo();
  const [transport, protocol] = await loop.connectWritePipe(() => new Recorder(), writer);
  reader.close();
  // Again and again, because a child that another test starts has the reader, too, until it has begun.
  while (protocol.error === undefined) {
    transport.write(bytes("into the void"));
    await turn();
  }
  transport.write(bytes("dropped"));
  await turn();
  assertEquals(protocol.log.entries, ["connectionMade", "connectionLost BrokenPipe"]);
  assert(protocol.error instanceof Deno.errors.BrokenPipe);
  assertEquals((protocol.error as Error & { code?: string }).code, "EPIPE");
  assertEquals(exceptions.contexts, []);
});

Deno.test("pauseReading() on a pipe holds what is in flight, and resumeReading() delivers it in order", async () => {
  const { reader, writer } = await fifo();
  const [transport, protocol] = await loop.connectReadPipe(() => new Recorder(), reader);
  await writer.write(bytes("one"));
  await protocol.untilReceived(3);
  // A read is in flight now.
  transport.pauseReading();
  transport.pauseReading();
  assertEquals(transport.isReading(), false);
  await writer.write(bytes("two"));
  await writer.write(bytes("three"));
  await turn();
  await turn();
  assertEquals(protocol.text, "one");
  transport.resumeReading();
  transport.resumeReading();
  assertEquals(transport.isReading(), true);
  writer.close();
  await protocol.untilLost();
  await turn();
  assertEquals(protocol.text, "onetwothree");
  assertEquals(protocol.log.entries.slice(-2), ["eofReceived", "connectionLost null"]);
});

Deno.test("connectReadPipe() serves a BufferedProtocol", async () => {
  const { reader, writer } = await fifo();
  const [transport, protocol] = await loop.connectReadPipe(() => new BufferedRecorder(4), reader);
  await writer.write(bytes("hello world"));
  await protocol.untilReceived(11);
  writer.close();
  await protocol.untilLost();
  await turn();
  assertEquals(text(protocol.data), "hello world");
  assertEquals(protocol.log.entries, [
    "connectionMade",
    "bufferUpdated 4",
    "bufferUpdated 4",
    "bufferUpdated 3",
    "eofReceived",
    "connectionLost null",
  ]);
  assert(transport.isClosing());
});

Deno.test("eofReceived() that returns true does not keep a read pipe open: it has no other half", async () => {
  const { reader, writer } = await fifo();
  const [, protocol] = await loop.connectReadPipe(() => new Recorder({ keepOpen: true }), reader);
  writer.close();
  await protocol.untilLost();
  await turn();
  assertEquals(protocol.log.entries, ["connectionMade", "eofReceived", "connectionLost null"]);
});

Deno.test("close() on a read pipe ends it at once, with a read in flight", async () => {
  const { reader, writer } = await fifo();
  const [transport, protocol] = await loop.connectReadPipe(() => new Recorder(), reader);
  await writer.write(bytes("one"));
  await protocol.untilReceived(3);
  transport.close();
  transport.close();
  assertEquals(protocol.log.entries.length, 2);
  assertEquals(transport.isReading(), false);
  await protocol.untilLost();
  await turn();
  assertEquals(protocol.log.entries, ["connectionMade", "dataReceived 3", "connectionLost null"]);
  writer.close();
});

Deno.test("abort() on a write pipe whose reader does not read drops what is buffered", async () => {
  const { reader, writer } = await fifo();
  const [transport, protocol] = await loop.connectWritePipe(() => new Recorder(), writer);
  transport.write(pattern(1024 * 1024));
  transport.abort();
  assertEquals(transport.getWriteBufferSize(), 0);
  await protocol.untilLost();
  await turn();
  assertEquals(protocol.log.entries, ["connectionMade", "pauseWriting", "connectionLost null"]);
  reader.close();
});

Deno.test("dataReceived() that throws on a pipe is fatal: the handler is told, then connectionLost() with the error", async () => {
  using exceptions = captureExceptions();
  const { reader, writer } = await fifo();
  const error = new EvalError("bad bytes");
  class Thrower extends Recorder {
    override dataReceived(): void {
      throw error;
    }
  }
  const [transport, protocol] = await loop.connectReadPipe(() => new Thrower(), reader);
  await writer.write(bytes("x"));
  await protocol.untilLost();
  await turn();
  writer.close();
  assertStrictEquals(protocol.error, error);
  assertEquals(exceptions.contexts, [{
    message: "Fatal error: protocol.dataReceived() call failed.",
    error,
    transport,
    protocol,
  }]);
});

Deno.test("write() on a write pipe keeps the rules: bytes only, nothing while closing", async () => {
  const sink = new RecordingSink();
  const [transport, protocol] = await loop.connectWritePipe(() => new BaseProtocol(), new WritableStream(sink));
  assertThrows(() => transport.write("text" as unknown as Uint8Array), TypeError, 'got string "text"');
  assertThrows(
    () => transport.writelines([bytes("a"), null as unknown as Uint8Array]),
    TypeError,
    "writelines(): pieces[1] must be a Uint8Array, got null",
  );
  transport.write(new Uint8Array(0));
  assertEquals(transport.getWriteBufferSize(), 0);
  transport.write(bytes("kept"));
  transport.close();
  transport.write(bytes("dropped"));
  await sink.log.has("close");
  assertEquals(sink.texts, ["kept"]);
  assertStrictEquals(transport.getProtocol(), protocol);
});

Deno.test("connectReadPipe() and connectWritePipe() reject arguments of the wrong kind", async () => {
  const read = (pipe: unknown) => loop.connectReadPipe(() => ({}), pipe as ReadableStream<Uint8Array>);
  const write = (pipe: unknown) => loop.connectWritePipe(() => ({}), pipe as WritableStream<Uint8Array>);
  for (const call of [read, write]) {
    for (const pipe of [null, undefined, 0, "fifo", {}]) {
      await assertRejects(() => call(pipe), TypeError, "pipe must be");
    }
  }
  await assertRejects(() => read(new WritableStream()), TypeError, "WritableStream");
  await assertRejects(() => write(new ReadableStream()), TypeError, "ReadableStream");
  const locked = new ReadableStream<Uint8Array>();
  locked.getReader();
  await assertRejects(() => read(locked), TypeError, "locked");
});

Deno.test("connectReadPipe() and connectWritePipe() whose factory fails close the pipe", async () => {
  const failing = () => {
    throw new EvalError("factory");
  };
  for (const factory of [failing, () => 5 as unknown as object]) {
    const ends: string[] = [];
    const source = new ReadableStream<Uint8Array>({ cancel: () => void ends.push("cancelled") });
    await assertRejects(() => loop.connectReadPipe(factory, source), Error);
    const sink = new WritableStream({ abort: () => void ends.push("aborted"), close: () => void ends.push("closed") });
    await assertRejects(() => loop.connectWritePipe(factory, sink), Error);
    await turn();
    assertEquals(ends, ["cancelled", "aborted"]);
  }
});

Deno.test("connectReadPipe() on Deno.stdin and connectWritePipe() on Deno.stdout make a filter", async () => {
  using made = program(`
    import { getRunningLoop } from "@tandem/io";
    const loop = getRunningLoop();
    const [output] = await loop.connectWritePipe(() => ({}), Deno.stdout);
    await loop.connectReadPipe(() => ({
      dataReceived(data) {
        output.write(new TextEncoder().encode(new TextDecoder().decode(data).toUpperCase()));
      },
      eofReceived() {
        output.writeEof();
      },
    }), Deno.stdin);
  `);
  const child = made.command({ stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn();
  const data = "hello ".repeat(50_000);
  const [output] = await Promise.all([child.stdout.text(), ReadableStream.from([bytes(data)]).pipeTo(child.stdin)]);
  assertEquals((await child.status).code, 0);
  assertEquals(output.length, data.length);
  assertEquals(output, data.toUpperCase());
});

Deno.test("connectWritePipe() on Deno.stdout tells of a reader that has gone, and the process goes on", async () => {
  using made = program(`
    import { getRunningLoop } from "@tandem/io";
    await Deno.stdin.read(new Uint8Array(1));
    const [transport] = await getRunningLoop().connectWritePipe(() => ({
      connectionLost(error) {
        console.error(error.name, error.code);
      },
    }), Deno.stdout);
    transport.write(new Uint8Array(10));
  `);
  const child = made.command({ stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  await child.stdout.cancel();
  await child.stdin.close();
  assertEquals([await child.stderr.text(), (await child.status).code], ["BrokenPipe EPIPE\n", 0]);
});

Deno.test("close() on a read pipe with a read in flight does not keep the process alive", async () => {
  using made = program(`
    import { getRunningLoop } from "@tandem/io";
    const [transport] = await getRunningLoop().connectReadPipe(() => ({
      dataReceived() {
        transport.close();
      },
      connectionLost(error) {
        console.log("lost", error);
      },
    }), Deno.stdin);
  `);
  const child = made.command({ stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(bytes("x"));
  // The child's standard input stays open until it has ended.
  assertEquals([await child.stdout.text(), (await child.status).code], ["lost null\n", 0]);
  await writer.close().catch(() => {});
});

Deno.test("write() and the other write methods on a read-only transport throw InvalidStateError, also after it has closed", async () => {
  const [readTransport, recorder] = await loop.connectReadPipe(() => new Recorder(), new ReadableStream());
  // As JavaScript sees it.
  const transport = readTransport as Transport;
  for (let i = 0; i < 2; i++) {
    for (
      const [name, call] of [
        ["write()", () => transport.write(bytes("x"))],
        ["writeOwned()", () => transport.writeOwned(bytes("x"))],
        ["writelines()", () => transport.writelines([bytes("x")])],
        ["writeEof()", () => transport.writeEof()],
      ] as const
    ) {
      const error = assertThrows(call, InvalidStateError);
      assertEquals(error.message, `${name} cannot be called on a read-only transport`);
    }
    assertThrows(() => transport.write("x" as unknown as Uint8Array), TypeError, "write(): data must be a Uint8Array");
    assertEquals(transport.canWriteEof(), false);
    transport.close();
    await recorder.untilLost();
  }
});

Deno.test("dataReceived() is given memory of its own where a stream has bytes of a SharedArrayBuffer", async () => {
  const shared = new Uint8Array(new SharedArrayBuffer(8)).fill(65);
  const recorder = new Recorder();
  const stream = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(shared) });
  const [transport] = await loop.connectReadPipe(() => recorder, stream);
  await recorder.untilReceived(8);
  shared.fill(66);
  assertEquals(recorder.text, "AAAAAAAA");
  assertEquals(recorder.pieces[0]!.buffer instanceof ArrayBuffer, true);
  transport.close();
  await recorder.untilLost();
});
