/** What becomes of a view that a protocol keeps, against the rules, of bytes that it has given to writeOwned(). */
import { takeBuffer } from "../../memory/buffer_pool.ts";
import { isOverEpoll } from "../engine.ts";
import { assert, assertEquals, assertNotStrictEquals, assertStrictEquals } from "../std.ts";
import { connect, loop, pattern, portOf, Recorder, turn } from "../kit.ts";
import { FakeHandle, makeTransport, microtasks } from "./kit.ts";
import type { Transport } from "../../mod.ts";

/** Gives away all that it is given, and keeps views of it. */
class Keeps extends Recorder {
  views: Uint8Array[] = [];
  /** Where to; back, if not set. */
  target: Transport | null = null;

  override dataReceived(data: Uint8Array): void {
    this.views.push(data, data.subarray(), new Uint8Array(data.buffer));
    (this.target ?? this.transport).writeOwned(data);
  }
}

/** A protocol that gives all to another transport, whose handle has taken nothing yet. */
async function lend() {
  const [source, sink] = [new FakeHandle(), new FakeHandle()];
  const protocol = new Keeps();
  const second = makeTransport(new Recorder(), sink);
  protocol.target = second;
  const first = makeTransport(protocol, source);
  const window = source.target!;
  const { length } = window;
  source.deliver(pattern(length));
  await microtasks();
  assertStrictEquals(sink.posted!.buffer, window.buffer);
  return { source, sink, protocol, first, second, window, length };
}

Deno.test("dataReceived() is given no buffer that another connection's protocol has seen", async () => {
  // Smaller pieces share memory that is used once only.
  const shares = isOverEpoll() ? 36 * 1024 : 2048;
  const owners = new Map<ArrayBufferLike, Recorder>();
  let shared = 0;
  let again = 0;
  class Notes extends Recorder {
    override dataReceived(data: Uint8Array): void {
      const owner = owners.get(data.buffer);
      if (data.length > shares) owners.set(data.buffer, this);
      if (owner === this) again++;
      else if (owner !== undefined) shared++;
      this.transport.writeOwned(data);
    }
  }
  await using pair = await connect(() => new Notes(), () => new Recorder());
  const clients = [pair.clientSide];
  while (clients.length < 10) {
    const [, client] = await loop.createConnection(() => new Recorder(), { port: portOf(pair.server) });
    clients.push(client);
  }
  const message = pattern(shares + 1000);
  for (let round = 1; round <= 30; round++) {
    for (const client of clients) client.transport.write(message);
    for (const client of clients) await client.untilReceived(round * message.length);
  }
  assertEquals(shared, 0);
  assert(again > 0);
  for (const client of clients) client.transport.abort();
});

Deno.test("writeOwned() leaves no view of memory that goes to other connections", async () => {
  for (const how of ["reads on", "paused", "closed", "aborted"] as const) {
    const { source, sink, protocol, first, second, window, length } = await lend();
    assertNotStrictEquals(source.target?.buffer, window.buffer);
    if (how === "paused") first.pauseReading();
    if (how === "closed") first.close();
    if (how === "aborted") first.abort();
    await turn();
    assertEquals(protocol.views.map((view) => view.length), [length, length, length], how);
    await sink.take(length);
    assertEquals(protocol.views.map((view) => view.length), [0, 0, 0], how);
    // What they gave away before was sent nevertheless.
    assertEquals(sink.written, pattern(sink.written.length), how);
    for (const transport of [first, second]) transport.abort();
    await turn();
  }
});

Deno.test("writeOwned() of a view that was kept of bytes sent before sends nothing of another connection", async () => {
  const { sink, protocol, first, second, length } = await lend();
  const third = new FakeHandle();
  const late = makeTransport(new Recorder(), third);
  // One waits in a queue when the memory goes, the other comes later.
  late.write(pattern(10_000, 1));
  await microtasks();
  late.writeOwned(protocol.views[1]!);
  await sink.take(length);
  late.writeOwned(protocol.views[1]!);
  for (let i = 0; i < 100; i++) takeBuffer(length).fill(255);
  await third.take(10_000);
  await turn();
  // It is lost, with an error, rather than send what it was not given.
  assertEquals(third.written, pattern(10_000, 1));
  assert((late.getProtocol() as Recorder).error instanceof TypeError);
  for (const transport of [first, second, late]) transport.abort();
  await turn();
});

Deno.test("detaching bytes that were given to writeOwned() harms no other connection", async () => {
  for (const when of ["before they are sent", "afterwards"] as const) {
    const { sink, protocol, first, second, length } = await lend();
    const detach = () => {
      for (const { buffer } of protocol.views) {
        if (!(buffer as ArrayBuffer).detached) (buffer as ArrayBuffer).transfer();
      }
    };
    if (when === "before they are sent") detach();
    await sink.take(length);
    if (when === "afterwards") detach();
    for (let i = 0; i < 100; i++) assertEquals(takeBuffer(length).length, length, when);
    for (const transport of [first, second]) transport.abort();
    await turn();
  }
});
