import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "./std.ts";
import { BaseProtocol, InvalidStateError, type ReadTransport } from "../mod.ts";
import { BufferedRecorder, bytes, captureExceptions, concat, loop, pattern, Recorder, text, turn } from "./kit.ts";
import { fifo, RecordingSink, RecordingSource } from "./pipe_kit.ts";

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

Deno.test("write() on a pipe whose reader has gone gives connectionLost(BrokenPipe) and nothing else", async () => {
  using exceptions = captureExceptions();
  const { reader, writer } = await fifo();
  const [transport, protocol] = await loop.connectWritePipe(() => new Recorder(), writer);
  reader.close();
  transport.write(bytes("into the void"));
  await protocol.untilLost();
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

Deno.test("abort() on a WritableStream does not pretend that it has seen everything: it aborts the stream", async () => {
  const sink = new RecordingSink();
  const [transport, protocol] = await loop.connectWritePipe(() => new Recorder(), new WritableStream(sink));
  transport.write(bytes("dropped"));
  transport.abort();
  await protocol.untilLost();
  await sink.log.until(() => sink.log.entries.length > 0);
  assertEquals(sink.log.entries, ["abort undefined"]);
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

Deno.test("connectReadPipe() whose factory fails leaves the pipe to its owner", async () => {
  const stream = new ReadableStream<Uint8Array>();
  const factory = () => {
    throw new EvalError("factory");
  };
  await assertRejects(() => loop.connectReadPipe(factory, stream), EvalError, "factory");
  await assertRejects(() => loop.connectReadPipe(() => 5 as unknown as object, stream), TypeError, "number 5");
  assertEquals(stream.locked, false);
});
