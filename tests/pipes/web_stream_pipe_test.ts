import { assert, assertEquals, assertStrictEquals } from "../std.ts";
import type { ReadTransport } from "../../mod.ts";
import {
  BufferedRecorder,
  bytes,
  captureExceptions,
  closed,
  concat,
  loop,
  pattern,
  Recorder,
  text,
  turn,
} from "../kit.ts";
import { RecordingSink, RecordingSource } from "./kit.ts";

Deno.test("connectReadPipe() reads a ReadableStream to its end", async () => {
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of ["one", "", "two"]) controller.enqueue(bytes(chunk));
      controller.close();
    },
  });
  const [transport, protocol] = await loop.connectReadPipe(() => new Recorder(), stream);
  await protocol.untilLost();
  assertEquals(protocol.log.entries, [
    "connectionMade",
    "dataReceived 3",
    "dataReceived 3",
    "eofReceived",
    "connectionLost null",
  ]);
  assertEquals(protocol.text, "onetwo");
  assertStrictEquals(transport.getExtraInfo("pipe"), stream);
});

Deno.test("connectReadPipe() gives the error of a ReadableStream to connectionLost()", async () => {
  using exceptions = captureExceptions();
  const source = new RecordingSource();
  const [, protocol] = await loop.connectReadPipe(() => new Recorder(), new ReadableStream(source));
  source.controller.enqueue(bytes("one"));
  await protocol.untilReceived(3);
  const error = new EvalError("the source failed");
  source.controller.error(error);
  await protocol.untilLost();
  assertStrictEquals(protocol.error, error);
  assertEquals(exceptions.contexts, []);
});

Deno.test("connectReadPipe() cancels a ReadableStream that yields something else than bytes", async () => {
  const source = new RecordingSource();
  const [, protocol] = await loop.connectReadPipe(() => new Recorder(), new ReadableStream(source));
  source.controller.enqueue("text" as unknown as Uint8Array);
  await protocol.untilLost();
  await source.log.has("cancel");
  assert(protocol.error instanceof TypeError);
  assertEquals(protocol.log.entries, ["connectionMade", "connectionLost TypeError"]);
});

Deno.test("close() on a ReadableStream's transport cancels the stream, with a read in flight", async () => {
  const source = new RecordingSource();
  const [transport, protocol] = await loop.connectReadPipe(() => new Recorder(), new ReadableStream(source));
  source.controller.enqueue(bytes("one"));
  await protocol.untilReceived(3);
  transport.close();
  await protocol.untilLost();
  await source.log.has("cancel");
  assertEquals(protocol.log.entries, ["connectionMade", "dataReceived 3", "connectionLost null"]);
});

Deno.test("pauseReading() stops pulling a ReadableStream", async () => {
  const source = new RecordingSource();
  const stream = new ReadableStream(source, { highWaterMark: 0 });
  const [transport, protocol] = await loop.connectReadPipe(() => new Recorder(), stream);
  await source.log.has("pull");
  transport.pauseReading();
  source.controller.enqueue(bytes("held"));
  await turn();
  await turn();
  assertEquals([protocol.text, source.log.entries], ["", ["pull"]]);
  transport.resumeReading();
  await source.log.until(() => source.log.entries.length === 2);
  assertEquals([protocol.text, source.log.entries], ["held", ["pull", "pull"]]);
  source.controller.close();
  await protocol.untilLost();
});

Deno.test("connectReadPipe() fills a BufferedProtocol from a ReadableStream's chunks, also while it pauses midway", async () => {
  const source = new RecordingSource();
  class Pauser extends BufferedRecorder {
    override bufferUpdated(nbytes: number): void {
      super.bufferUpdated(nbytes);
      (this.transport as ReadTransport).pauseReading();
    }
  }
  const [transport, protocol] = await loop.connectReadPipe(() => new Pauser(4), new ReadableStream(source));
  protocol.transport = transport as typeof protocol.transport;
  source.controller.enqueue(bytes("0123456789"));
  source.controller.close();
  for (const received of [4, 8, 10]) {
    await protocol.untilReceived(received);
    await turn();
    assertEquals(protocol.received, received);
    transport.resumeReading();
  }
  await protocol.untilLost();
  assertEquals(text(protocol.data), "0123456789");
  assertEquals(protocol.log.entries.slice(-2), ["eofReceived", "connectionLost null"]);
});

Deno.test("connectWritePipe() writes a WritableStream, which keeps what it was given, and closes it behind the last byte", async () => {
  const sink = new RecordingSink();
  const stream = new WritableStream(sink);
  const [transport, protocol] = await loop.connectWritePipe(() => new Recorder(), stream);
  const data = bytes("0");
  for (let i = 0; i < 5; i++) {
    data[0] = 48 + i;
    transport.write(data);
    await sink.log.until(() => sink.chunks.length === i + 1);
    await turn();
  }
  transport.write(bytes("last"));
  transport.close();
  await sink.log.has("close");
  await protocol.untilLost();
  assertEquals(sink.texts, ["0", "1", "2", "3", "4", "last"]);
  assertEquals(sink.log.entries.slice(-2), ["write 4", "close"]);
  assertEquals(protocol.log.entries, ["connectionMade", "connectionLost null"]);
  assertStrictEquals(transport.getExtraInfo("pipe"), stream);
});

Deno.test("connectWritePipe() over a TransformStream gives its reader every byte as it was", async () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({}, {}, { highWaterMark: 100 });
  const [transport, protocol] = await loop.connectWritePipe(() => new Recorder(), writable);
  for (let i = 0; i < 10; i++) {
    transport.write(pattern(1000, i));
    await turn();
  }
  transport.close();
  await protocol.untilLost();
  const chunks = [];
  for await (const chunk of readable) chunks.push(chunk);
  assertEquals(concat(chunks), concat(Array.from({ length: 10 }, (_, i) => pattern(1000, i))));
});

Deno.test("connectWritePipe() pauses while a WritableStream does not take its bytes, and resumes when it does", async () => {
  const sink = new RecordingSink();
  sink.stuck = true;
  const [transport, protocol] = await loop.connectWritePipe(() => new Recorder(), new WritableStream(sink));
  transport.setWriteBufferLimits({ high: 10, low: 5 });
  transport.write(new Uint8Array(10));
  await sink.log.has("write 10");
  assertEquals([transport.getWriteBufferSize(), ...protocol.log.entries], [10, "connectionMade"]);
  transport.write(new Uint8Array(1));
  assertEquals([transport.getWriteBufferSize(), ...protocol.log.entries], [11, "connectionMade", "pauseWriting"]);
  sink.take();
  await protocol.log.has("resumeWriting");
  transport.close();
  await protocol.untilLost();
  await sink.log.has("close");
  assertEquals(protocol.log.entries, ["connectionMade", "pauseWriting", "resumeWriting", "connectionLost null"]);
  assertEquals(sink.log.entries, ["write 10", "write 1", "close"]);
});

Deno.test("connectWritePipe() gives the error of a WritableStream to connectionLost()", async () => {
  using exceptions = captureExceptions();
  const sink = new RecordingSink();
  sink.stuck = true;
  const [transport, protocol] = await loop.connectWritePipe(() => new Recorder(), new WritableStream(sink));
  transport.write(bytes("one"));
  transport.write(bytes("two"));
  await sink.log.has("write 6");
  const error = new EvalError("the sink failed");
  sink.fail(error);
  await protocol.untilLost();
  transport.write(bytes("dropped"));
  await turn();
  assertStrictEquals(protocol.error, error);
  assertEquals(protocol.log.entries, ["connectionMade", "connectionLost EvalError"]);
  assertEquals(exceptions.contexts, []);
});

Deno.test("abort() on a WritableStream that is stuck aborts it and drops what is buffered", async () => {
  const sink = new RecordingSink();
  sink.stuck = true;
  const [transport, protocol] = await loop.connectWritePipe(() => new Recorder(), new WritableStream(sink));
  transport.write(bytes("stuck"));
  await sink.log.has("write 5");
  transport.write(bytes("dropped"));
  transport.abort();
  await protocol.untilLost();
  await turn();
  sink.take();
  await sink.log.has("abort");
  assertEquals(sink.log.entries, ["write 5", "abort undefined"]);
  assertEquals(protocol.log.entries, ["connectionMade", "connectionLost null"]);
});

Deno.test("closeTimeout aborts a WritableStream that is stuck, with a TimeoutError", async () => {
  const sink = new RecordingSink();
  sink.stuck = true;
  const stream = new WritableStream(sink);
  const [transport, protocol] = await loop.connectWritePipe(() => new Recorder(), stream, { closeTimeout: 20 });
  transport.write(bytes("stuck"));
  transport.close();
  await protocol.untilLost();
  await turn();
  sink.take();
  await sink.log.has("abort");
  assertEquals(sink.log.entries, ["write 5", "abort undefined"]);
  assertEquals(protocol.log.entries, ["connectionMade", "connectionLost TimeoutError"]);
});

Deno.test("abort() on a WritableStream does not pretend that it has seen everything: it aborts the stream", async () => {
  const sink = new RecordingSink();
  const [transport, protocol] = await loop.connectWritePipe(() => new Recorder(), new WritableStream(sink));
  transport.write(bytes("dropped"));
  transport.abort();
  await protocol.untilLost();
  await sink.log.until(() => sink.log.entries.length > 0);
  assertEquals(sink.log.entries, ["abort undefined"]);
});

Deno.test("web streams whose own callbacks fail end in no unhandled rejection", async () => {
  using exceptions = captureExceptions();
  const fail = () => {
    throw new EvalError("of the stream");
  };
  const readable = new ReadableStream<Uint8Array>({ cancel: fail });
  const [readTransport, readSide] = await loop.connectReadPipe(() => new Recorder(), readable);
  await closed(readTransport, readSide);
  const [closing, closingSide] = await loop.connectWritePipe(() => new Recorder(), new WritableStream({ close: fail }));
  closing.write(bytes("x"));
  await closed(closing, closingSide);
  const failing = new WritableStream({ write: fail, abort: fail });
  const [writing, writingSide] = await loop.connectWritePipe(() => new Recorder(), failing);
  writing.write(bytes("x"));
  await writingSide.untilLost();
  const idle = new RecordingSource();
  const [, idleSide] = await loop.connectReadPipe(() => new Recorder(), new ReadableStream(idle));
  idle.controller.error("no error at all");
  await idleSide.untilLost();
  await turn();
  await turn();
  assertEquals(writingSide.error?.message, "of the stream");
  assertEquals(idleSide.error?.cause, "no error at all");
  assertEquals(exceptions.contexts, []);
});
