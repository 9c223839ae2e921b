import type { Transport } from "../../mod.ts";
import { assert, assertEquals, assertLess } from "../std.ts";
import { BufferedRecorder, bytes, connect, loop, pattern, Recorder, turn } from "../kit.ts";
import { FakeHandle, makeTransport, microtasks, readAll, serveRaw } from "./kit.ts";

const MIB = 1024 * 1024;
/** More than the kernel's buffers of a loopback connection take. */
const MUCH = 32 * MIB;

Deno.test("close() flushes what is buffered, then connectionLost(null) in a later turn", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const { serverSide, clientSide } = pair;
  clientSide.transport.write(bytes("last words"));
  clientSide.transport.close();
  assertEquals(clientSide.log.entries, ["connectionMade"]);
  await clientSide.untilLost();
  await serverSide.untilLost();
  assertEquals(clientSide.log.entries, ["connectionMade", "connectionLost null"]);
  assertEquals(serverSide.log.entries, ["connectionMade", "dataReceived 10", "eofReceived", "connectionLost null"]);
  assertEquals(serverSide.text, "last words");
});

Deno.test("close() flushes megabytes to a reader that is late, and only then connectionLost(null) runs", async () => {
  await using peer = await serveRaw(() => new Recorder());
  const { transport, log } = peer.protocol;
  transport.write(pattern(MUCH));
  transport.close();
  await roundTrip();
  assertEquals(log.entries, ["connectionMade", "pauseWriting"]);
  assertEquals(await readAll(peer.conn), pattern(MUCH));
  await peer.protocol.untilLost();
  assertEquals(log.entries, ["connectionMade", "pauseWriting", "resumeWriting", "connectionLost null"]);
});

Deno.test("close() flushes byte after byte where the system takes no more, then connectionLost(null)", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.write(bytes("abc"));
  transport.close();
  await microtasks();
  await handle.take(1);
  await turn();
  await handle.take(1);
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade"]);
  assertEquals(transport.getWriteBufferSize(), 1);
  await handle.take(1);
  assertEquals(recorder.log.entries, ["connectionMade"]);
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"]);
  assertEquals(handle.writes, [bytes("abc"), bytes("bc"), bytes("c")]);
});

Deno.test("close() ends once on a handle that completes one write later and the rest at once", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.write(bytes("abc"));
  await microtasks();
  transport.write(bytes("def"));
  transport.writeEof();
  transport.close();
  handle.takesAtOnce = 2;
  await handle.take(1);
  await turn();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"]);
  assertEquals(handle.writes.map((data) => data.length), [3, 2, 3, 1]);
});

Deno.test("close() stops reading at once, even with a read in flight", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  handle.deliver(bytes("before"));
  assert(handle.reading);
  transport.close();
  handle.deliver(bytes("after"));
  assertEquals(handle.reading, false);
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "dataReceived 6", "connectionLost null"]);
});

Deno.test("close() drops the end of the stream and the error of a read that was in flight", async () => {
  for (const how of ["end", "failRead"] as const) {
    const handle = new FakeHandle();
    const recorder = new Recorder();
    const transport = makeTransport(recorder, handle);
    transport.write(bytes("still to flush"));
    transport.close();
    handle[how](new Deno.errors.ConnectionReset("late"));
    await microtasks();
    await handle.take(14);
    await turn();
    assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"], how);
  }
});

Deno.test("close() inside dataReceived() lets no further data through while more keeps coming", async () => {
  class Enough extends Recorder {
    override dataReceived(data: Uint8Array): void {
      super.dataReceived(data);
      this.transport.write(pattern(MIB));
      this.transport.close();
    }
  }
  await using pair = await connect(() => new Enough(), () => new Recorder());
  pair.clientTransport.write(pattern(8 * MIB));
  await pair.serverSide.untilLost();
  const names = pair.serverSide.log.entries.map((entry) => entry.split(" ")[0]);
  assertEquals(names.filter((name) => name === "dataReceived").length, 1);
  assertEquals(names.at(-1), "connectionLost");
});

Deno.test("close() inside bufferUpdated() asks for no further buffer", async () => {
  class Enough extends BufferedRecorder {
    asked = 0;
    override getBuffer(sizeHint: number): Uint8Array {
      this.asked++;
      return super.getBuffer(sizeHint);
    }
    override bufferUpdated(nbytes: number): void {
      super.bufferUpdated(nbytes);
      this.transport.close();
    }
  }
  await using pair = await connect(() => new Enough(3), () => new Recorder());
  pair.clientTransport.write(pattern(100));
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.log.entries, ["connectionMade", "bufferUpdated 3", "connectionLost null"]);
  assertEquals(pair.serverSide.asked, 1);
});

Deno.test("close() while paused drops what was held", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.pauseReading();
  handle.deliver(bytes("held"));
  transport.close();
  transport.resumeReading();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"]);
});

Deno.test("abort() drops what is buffered, then connectionLost(null)", async () => {
  await using peer = await serveRaw(() => new Recorder());
  const { transport, log } = peer.protocol;
  transport.write(pattern(MUCH));
  await roundTrip();
  transport.abort();
  assertEquals(transport.getWriteBufferSize(), 0);
  await peer.protocol.untilLost();
  assertEquals(log.entries, ["connectionMade", "pauseWriting", "connectionLost null"]);
  const received = await readAll(peer.conn);
  assertLess(received.length, MUCH);
  assertEquals(received, pattern(MUCH).subarray(0, received.length));
});

Deno.test("abort() in the same turn as write() sends nothing", async () => {
  await using peer = await serveRaw(() => new Recorder());
  peer.protocol.transport.write(bytes("never"));
  peer.protocol.transport.abort();
  assertEquals((await readAll(peer.conn)).length, 0);
});

Deno.test("close() and abort() are idempotent, in any order", async () => {
  for (const calls of ["cc", "aa", "ca", "ac", "cacaca"]) {
    const recorder = new Recorder();
    const transport = makeTransport(recorder, new FakeHandle());
    for (const call of calls) call === "c" ? transport.close() : transport.abort();
    await turn();
    transport.close();
    transport.abort();
    await turn();
    assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"], calls);
  }
});

Deno.test("abort() after close() ends a flush that is stuck", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.write(bytes("stuck"));
  transport.close();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade"]);
  transport.abort();
  assertEquals(recorder.log.entries, ["connectionMade"]);
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"]);
  await turn();
  assertEquals([handle.writes.length, handle.writing], [1, false]);
  assertEquals(recorder.log.entries.length, 2);
});

Deno.test("a reset during the flush of close() is what connectionLost() is given", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.write(bytes("stuck"));
  transport.close();
  await microtasks();
  await handle.failWrite(new Deno.errors.ConnectionReset("reset"));
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost ConnectionReset"]);
});

Deno.test("closeTimeout turns a stuck flush into an abort with a TimeoutError", async () => {
  await using peer = await serveRaw(() => new Recorder(), { closeTimeout: 50 });
  const { transport, log } = peer.protocol;
  transport.write(pattern(MUCH));
  const closedAt = performance.now();
  transport.close();
  await peer.protocol.untilLost();
  assert(performance.now() - closedAt >= 45);
  assertEquals(log.entries, ["connectionMade", "pauseWriting", "connectionLost TimeoutError"]);
  assertEquals(transport.getWriteBufferSize(), 0);
  assertEquals(peer.protocol.error!.name, "TimeoutError");
  assertLess((await readAll(peer.conn)).length, MUCH);
});

Deno.test("closeTimeout holds for a connection that this side dialled, too", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder(), { client: { closeTimeout: 20 } });
  pair.serverSide.transport.pauseReading();
  pair.clientTransport.write(pattern(MUCH));
  pair.clientTransport.close();
  await pair.clientSide.untilLost();
  assertEquals(pair.clientSide.log.entries, ["connectionMade", "pauseWriting", "connectionLost TimeoutError"]);
});

Deno.test("closeTimeout holds when it is the peer's EOF that closes", async () => {
  await using peer = await serveRaw(() => new Recorder(), { closeTimeout: 20 });
  peer.protocol.transport.write(pattern(MUCH));
  await peer.conn.closeWrite();
  await peer.protocol.untilLost();
  assertEquals(peer.protocol.log.entries, [
    "connectionMade",
    "pauseWriting",
    "eofReceived",
    "connectionLost TimeoutError",
  ]);
});

Deno.test("closeTimeout leaves no timer behind when the flush ends in time, fails, or is aborted", async () => {
  for (const ending of ["flushed", "failed", "aborted"] as const) {
    const handle = new FakeHandle();
    const recorder = new Recorder();
    // The sanitizer would find a timer of an hour.
    const transport = makeTransport(recorder, handle, { closeTimeout: 3_600_000 });
    transport.write(bytes("abc"));
    transport.close();
    await microtasks();
    if (ending === "flushed") await handle.take(3);
    else if (ending === "failed") await handle.failWrite(new Deno.errors.BrokenPipe("gone"));
    else transport.abort();
    await turn();
    assertEquals(recorder.log.entries, [
      "connectionMade",
      `connectionLost ${ending === "failed" ? "BrokenPipe" : "null"}`,
    ]);
  }
});

Deno.test("using closes the transport at the end of its scope", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const client = new Recorder();
  {
    const { port } = pair.server.addresses[0] as Deno.NetAddr;
    const [transport] = await loop.createConnection(() => client, { hostname: "127.0.0.1", port });
    using scoped: Transport = transport;
    scoped.write(bytes("scoped"));
    assertEquals(scoped.isClosing(), false);
  }
  assertEquals(client.transport.isClosing(), true);
  await client.untilLost();
  assertEquals(client.log.entries, ["connectionMade", "connectionLost null"]);
});

Deno.test("isClosing() tells from the first close(), abort(), EOF or failure on", async () => {
  const closing = new FakeHandle();
  for (const end of ["close", "abort"] as const) {
    const transport = makeTransport(new Recorder(), new FakeHandle());
    assertEquals(transport.isClosing(), false);
    transport[end]();
    assertEquals(transport.isClosing(), true);
    assertEquals(transport.isReading(), false);
    await turn();
    assertEquals(transport.isClosing(), true);
  }
  const ended = makeTransport(new Recorder(), closing);
  closing.end();
  assertEquals(ended.isClosing(), true);
  const failing = new FakeHandle();
  const failed = makeTransport(new Recorder(), failing);
  failing.failRead(new Deno.errors.ConnectionReset("gone"));
  assertEquals(failed.isClosing(), true);
  await turn();
});

Deno.test("close() inside pauseWriting() still flushes what that write() brought", async () => {
  class Leaves extends Recorder {
    override pauseWriting(): void {
      super.pauseWriting();
      this.transport.close();
    }
  }
  await using pair = await connect(() => new Recorder(), () => new Leaves());
  pair.clientTransport.write(pattern(MIB));
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.data, pattern(MIB));
  assertEquals(pair.clientSide.log.entries, [
    "connectionMade",
    "pauseWriting",
    "resumeWriting",
    "connectionLost null",
  ]);
});

Deno.test("abort() inside pauseWriting() drops what that write() brought", async () => {
  class Leaves extends Recorder {
    override pauseWriting(): void {
      super.pauseWriting();
      this.transport.abort();
    }
  }
  await using pair = await connect(() => new Recorder(), () => new Leaves());
  pair.clientTransport.write(pattern(MIB));
  await pair.serverSide.untilLost();
  assertEquals(pair.serverSide.received, 0);
  assertEquals(pair.clientSide.log.entries, ["connectionMade", "pauseWriting", "connectionLost null"]);
});

/** Lets the loop and the kernel do all they can: several turns, with a connection made and closed among them. */
async function roundTrip(): Promise<void> {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  pair.clientTransport.close();
  await pair.serverSide.untilLost();
}
