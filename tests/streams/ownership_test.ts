import { isOverEpoll } from "../engine.ts";
import { assert, assertEquals, assertNotEquals } from "../std.ts";
import { bytes, concat, connect, pattern, Recorder, turn } from "../kit.ts";
import { FakeHandle, makeTransport, microtasks } from "./kit.ts";

Deno.test("writeOwned() memory that the kernel still reads after abort() is not recycled", async () => {
  class Gives extends Recorder {
    override dataReceived(data: Uint8Array): void {
      this.transport.writeOwned(data);
    }
  }
  const handle = new FakeHandle();
  const transport = makeTransport(new Gives(), handle);
  const sent = pattern(handle.target!.length);
  handle.deliver(sent);
  await microtasks();
  const posted = handle.posted!;
  transport.abort();
  await turn();
  const handles = Array.from({ length: 10 }, () => new FakeHandle());
  const transports = handles.map((handle) => makeTransport(new Recorder(), handle));
  for (const transport of transports) transport.write(new Uint8Array(1000).fill(255));
  await microtasks();
  for (const { target, posted: other } of handles) {
    assert(target!.buffer !== posted.buffer);
    assert(other!.buffer !== posted.buffer);
  }
  assertEquals(posted, sent);
  for (const transport of transports) transport.abort();
  await turn();
});

Deno.test("write() memory that the kernel still reads is not recycled", async () => {
  const handle = new FakeHandle();
  const transport = makeTransport(new Recorder(), handle);
  transport.write(bytes("in the kernel's hands"));
  await microtasks();
  const posted = handle.posted!;
  for (let i = 0; i < 100; i++) transport.write(pattern(3000, i));
  const other = new FakeHandle();
  const another = makeTransport(new Recorder(), other);
  assertNotEquals(other.target!.buffer, posted.buffer);
  assertEquals(posted, bytes("in the kernel's hands"));
  transport.abort();
  another.abort();
  await turn();
});

Deno.test("dataReceived() bytes can be transferred only if that detaches no other bytes", async () => {
  class Transfers extends Recorder {
    transferred = 0;
    refused = 0;
    override dataReceived(data: Uint8Array): void {
      this.received += data.length;
      try {
        this.pieces.push(structuredClone(data, { transfer: [data.buffer as ArrayBuffer] }));
        this.transferred++;
      } catch {
        // Small pieces share a slab, as those of Node's Buffer do: that one stays, and a copy may go.
        this.refused++;
        this.pieces.push(structuredClone(data.slice()));
      }
      this.log.changed();
    }
  }
  await using keeps = await connect(() => new Recorder(), () => new Recorder());
  await using gives = await connect(() => new Transfers(), () => new Recorder());
  const sizes = [50, 3000, 100_000, 100, 100_000];
  for (const [i, size] of sizes.entries()) {
    const before = keeps.serverSide.received;
    keeps.clientTransport.write(pattern(100, i));
    await keeps.serverSide.untilReceived(before + 100);
    const given = gives.serverSide.received;
    gives.clientTransport.write(pattern(size, i));
    await gives.serverSide.untilReceived(given + size);
  }
  assertEquals(keeps.serverSide.data, concat(sizes.map((_, i) => pattern(100, i))));
  assertEquals(gives.serverSide.data, concat(sizes.map((size, i) => pattern(size, i))));
  // Over epoll, large pieces share a slab as well, so that none goes.
  assertEquals(gives.serverSide.transferred > 0, !isOverEpoll());
  assert(gives.serverSide.refused > 0);
});
