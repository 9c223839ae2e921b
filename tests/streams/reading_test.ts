import { type BufferedProtocol, Protocol, socketPair, type Transport } from "../../mod.ts";
import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertStrictEquals,
  assertStringIncludes,
} from "../std.ts";
import {
  BufferedRecorder,
  bytes,
  captureExceptions,
  concat,
  connect,
  loop,
  pattern,
  Recorder,
  text,
  turn,
} from "../kit.ts";
import { FakeHandle, makeTransport, microtasks, readBytes, serveRaw, writeAll } from "./kit.ts";

const MIB = 1024 * 1024;

Deno.test("dataReceived() is given every byte in order, however they were cut", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const sent: Uint8Array[] = [];
  for (let size = 1; size < 300_000; size = Math.ceil(size * 1.7)) sent.push(pattern(size, size));
  for (const piece of sent) pair.clientTransport.write(piece);
  pair.clientTransport.close();
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.data, concat(sent));
  assert(pair.serverSide.pieces.every((piece) => piece.length > 0));
});

Deno.test("bufferUpdated() is given every byte in order, in buffers of any size", async () => {
  for (const size of [1, 3, 1000, 65536, MIB]) {
    const total = size < 10 ? 5000 : 3 * MIB;
    await using pair = await connect(() => new BufferedRecorder(size), () => new Recorder());
    pair.clientTransport.write(pattern(total));
    pair.clientTransport.close();
    await pair.serverSide.untilLost();
    assertEquals(pair.serverSide.data, pattern(total), `a buffer of ${size}`);
  }
});

Deno.test("bytes are read straight into the memory that getBuffer() gave, without a copy", async () => {
  const [near, far] = await socketPair();
  using conn = far;
  const targets: Uint8Array[] = [];
  const read = near.read.bind(near);
  near.read = (target) => {
    targets.push(target);
    return read(target);
  };
  const protocol = new BufferedRecorder(100);
  const [transport] = await loop.createConnection(() => protocol, { conn: near });
  await conn.write(bytes("straight"));
  await protocol.untilReceived(8);
  assertStrictEquals(targets[0], protocol.buffer);
  assertEquals(text(protocol.buffer.subarray(0, 8)), "straight");
  assertEquals(protocol.buffer.subarray(8), new Uint8Array(92));
  transport.abort();
  await turn();
});

Deno.test("the handle reads into the very array that getBuffer() returned", async () => {
  const handle = new FakeHandle();
  const whole = new Uint8Array(64);
  const buffer = whole.subarray(16, 48);
  const counts: number[] = [];
  const protocol = { getBuffer: () => buffer, bufferUpdated: (nbytes: number) => counts.push(nbytes) };
  const transport = makeTransport(protocol as unknown as BufferedProtocol, handle);
  assertStrictEquals(handle.target, buffer);
  handle.deliver(bytes("here"));
  assertStrictEquals(handle.target, buffer);
  assertEquals(text(whole.subarray(16, 20)), "here");
  assertEquals(counts, [4]);
  transport.abort();
  await turn();
});

Deno.test("getBuffer() is asked once for each bufferUpdated(), with a positive size hint", async () => {
  const events: string[] = [];
  class Watches extends BufferedRecorder {
    override getBuffer(sizeHint: number): Uint8Array {
      assertGreater(sizeHint, 0);
      events.push("getBuffer");
      return super.getBuffer(sizeHint);
    }
    override bufferUpdated(nbytes: number): void {
      events.push(`bufferUpdated ${nbytes}`);
      super.bufferUpdated(nbytes);
    }
  }
  await using peer = await serveRaw(() => new Watches(4));
  for (const word of ["one", "four", "5five"]) {
    const before = peer.protocol.received;
    await peer.conn.write(bytes(word));
    await peer.protocol.untilReceived(before + word.length);
  }
  await turn();
  assertEquals(events, [
    "getBuffer",
    "bufferUpdated 3",
    "getBuffer",
    "bufferUpdated 4",
    "getBuffer",
    "bufferUpdated 4",
    "getBuffer",
    "bufferUpdated 1",
    "getBuffer",
  ]);
});

Deno.test("getBuffer() that returns an empty array is fatal", async () => {
  await expectFatalBuffer(() => new Uint8Array(0), "empty");
});

Deno.test("getBuffer() that returns something else than a Uint8Array is fatal and named", async () => {
  await expectFatalBuffer(() => new ArrayBuffer(8), "ArrayBuffer");
  await expectFatalBuffer(() => null, "null");
  await expectFatalBuffer(() => undefined, "undefined");
  await expectFatalBuffer(() => "text", "string");
  await expectFatalBuffer(() => new DataView(new ArrayBuffer(8)), "DataView");
});

async function expectFatalBuffer(getBuffer: () => unknown, included: string): Promise<void> {
  using captured = captureExceptions();
  class Bad extends Recorder {
    getBuffer(): Uint8Array {
      return getBuffer() as Uint8Array;
    }
    bufferUpdated(): void {
      this.log.add("bufferUpdated");
    }
  }
  await using peer = await serveRaw(() => new Bad());
  const { protocol } = peer;
  await protocol.untilLost();
  assertEquals(await peer.conn.read(new Uint8Array(1)), null);
  assertEquals(protocol.log.entries, ["connectionMade", `connectionLost ${protocol.error!.name}`]);
  assertEquals(captured.contexts.length, 1);
  const { message, error, transport, protocol: told } = captured.contexts[0]!;
  assertEquals(message, "Fatal error: protocol.getBuffer() call failed.");
  assertStrictEquals(error, protocol.error!);
  assertStrictEquals(transport, protocol.transport);
  assertStrictEquals(told, protocol);
  assertInstanceOf(error, Error);
  assertStringIncludes(error.message, included);
}

Deno.test("getBuffer() is never called inside resumeReading()", async () => {
  let inside = false;
  let asked = 0;
  class Watches extends BufferedRecorder {
    override getBuffer(sizeHint: number): Uint8Array {
      assertEquals(inside, false);
      asked++;
      return super.getBuffer(sizeHint);
    }
  }
  const handle = new FakeHandle();
  const protocol = new Watches(16);
  const transport = makeTransport(protocol, handle);
  assertEquals(asked, 1);
  transport.pauseReading();
  handle.deliver(bytes("held"));
  inside = true;
  transport.resumeReading();
  inside = false;
  assertEquals([asked, protocol.received], [1, 0]);
  await turn();
  assertEquals([asked, protocol.received], [2, 4]);
  transport.abort();
  await turn();
});

Deno.test("pauseReading() and resumeReading() are idempotent", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.resumeReading();
  transport.pauseReading();
  transport.pauseReading();
  assertEquals(transport.isReading(), false);
  handle.deliver(bytes("one"));
  transport.resumeReading();
  transport.resumeReading();
  assertEquals(transport.isReading(), true);
  await turn();
  transport.resumeReading();
  await turn();
  handle.deliver(bytes("four"));
  assertEquals(recorder.log.entries, ["connectionMade", "dataReceived 3", "dataReceived 4"]);
  transport.abort();
  transport.pauseReading();
  transport.resumeReading();
  assertEquals(transport.isReading(), false);
  await turn();
});

Deno.test("pauseReading() holds the bytes of a read in flight until resumeReading(), in order", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  assert(handle.reading);
  transport.pauseReading();
  handle.deliver(bytes("in flight"));
  assertEquals(handle.reading, false);
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade"]);
  transport.resumeReading();
  assertEquals(recorder.received, 0);
  await turn();
  handle.deliver(bytes(", and next"));
  assertEquals(recorder.text, "in flight, and next");
  transport.abort();
  await turn();
});

Deno.test("resumeReading() before a read in flight has ended posts no second read", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  for (let i = 0; i < 3; i++) {
    transport.pauseReading();
    transport.resumeReading();
  }
  handle.deliver(bytes("a"));
  await turn();
  handle.deliver(bytes("b"));
  assertEquals(recorder.log.entries, ["connectionMade", "dataReceived 1", "dataReceived 1"]);
  assertEquals(recorder.text, "ab");
  transport.abort();
  await turn();
});

Deno.test("pauseReading() right after resumeReading() lets nothing through", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.pauseReading();
  handle.deliver(bytes("held"));
  transport.resumeReading();
  transport.pauseReading();
  await turn();
  await turn();
  assertEquals(recorder.received, 0);
  transport.resumeReading();
  await turn();
  assertEquals(recorder.text, "held");
  transport.abort();
  await turn();
});

Deno.test("pauseReading() over a socket: nothing runs while paused, nothing is lost, the peer is slowed down", async () => {
  await using peer = await serveRaw(() => new Recorder());
  const { transport } = peer.protocol;
  transport.pauseReading();
  const sending = writeAll(peer.conn, pattern(16 * MIB));
  let sent = false;
  sending.then(() => sent = true);
  // The other direction still works, and gives time for whatever might arrive.
  for (let i = 0; i < 5; i++) {
    transport.write(bytes("ping"));
    assertEquals((await readBytes(peer.conn, 4)).length, 4);
  }
  assertEquals([peer.protocol.received, sent], [0, false]);
  transport.resumeReading();
  await sending;
  await peer.protocol.untilReceived(16 * MIB);
  assertEquals(peer.protocol.data, pattern(16 * MIB));
});

Deno.test("pauseReading() inside dataReceived() stops after that piece", async () => {
  class Sips extends Recorder {
    override dataReceived(data: Uint8Array): void {
      super.dataReceived(data);
      this.transport.pauseReading();
    }
  }
  await using peer = await serveRaw(() => new Sips());
  const sending = writeAll(peer.conn, pattern(2 * MIB));
  const { protocol } = peer;
  while (protocol.received < 2 * MIB) {
    const before = protocol.pieces.length;
    await protocol.log.until(() => protocol.pieces.length > before || protocol.received === 2 * MIB);
    await microtasks();
    await turn();
    assertEquals(protocol.pieces.length, before + 1);
    protocol.transport.resumeReading();
  }
  await sending;
  assertEquals(protocol.data, pattern(2 * MIB));
});

Deno.test("pauseReading() and resumeReading() inside one callback keep order and lose nothing", async () => {
  class Nervous extends Recorder {
    override dataReceived(data: Uint8Array): void {
      this.transport.pauseReading();
      super.dataReceived(data);
      this.transport.resumeReading();
    }
  }
  await using pair = await connect(() => new Nervous(), () => new Recorder());
  for (let i = 0; i < 64; i++) pair.clientTransport.write(pattern(64 * 1024, i));
  pair.clientTransport.close();
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.data, concat(Array.from({ length: 64 }, (_, i) => pattern(64 * 1024, i))));
});

Deno.test("pauseReading() in connectionMade() holds the first bytes", async () => {
  class Late extends Recorder {
    override connectionMade(transport: Transport): void {
      super.connectionMade(transport);
      transport.pauseReading();
    }
  }
  await using pair = await connect(() => new Late(), () => new Late());
  for (const [here, there] of [[pair.serverSide, pair.clientSide], [pair.clientSide, pair.serverSide]] as const) {
    there.transport.write(bytes("early"));
    await turn();
    await turn();
    assertEquals(here.received, 0);
    here.transport.resumeReading();
    await here.untilReceived(5);
    assertEquals(here.text, "early");
  }
});

Deno.test("pauseReading() in the turn in which createConnection() resolves is in time", async () => {
  class Greeter extends Protocol {
    override connectionMade(transport: Transport): void {
      transport.write(bytes("hello"));
    }
  }
  await using pair = await connect(() => new Greeter(), () => new Recorder());
  pair.clientTransport.pauseReading();
  await turn();
  await turn();
  assertEquals(pair.clientSide.received, 0);
  pair.clientTransport.resumeReading();
  await pair.clientSide.untilReceived(5);
  assertEquals(pair.clientSide.text, "hello");
});

Deno.test("an error while paused is held until resumeReading()", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.pauseReading();
  handle.failRead(new Deno.errors.ConnectionReset("gone"));
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade"]);
  transport.resumeReading();
  await turn();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost ConnectionReset"]);
});
