import { type BufferedProtocol, socketPair } from "../../mod.ts";
import { assert, assertEquals, assertStrictEquals } from "../std.ts";
import { BufferedRecorder, bytes, loop, Recorder, text, turn } from "../kit.ts";
import { FakeHandle, makeTransport } from "./kit.ts";

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
