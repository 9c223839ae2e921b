/** The times of `server.drain()`, on a virtual clock. */
import { Protocol } from "../../mod.ts";
import { MemoryLoop, recorder } from "../../testing/mod.ts";
import { assert, assertEquals, assertRejects } from "../std.ts";
import { Recorder } from "../kit.ts";

const WHERE = { hostname: "10.0.0.1", port: 99 };
const NONE = { ended: 0, closed: 0, aborted: 0, abortedHandshakes: 0, abortedProxyHeaders: 0 };

class Draining extends Recorder {
  drained = 0;
  override drain(): void {
    this.drained++;
  }
}

async function start() {
  const loop = new MemoryLoop();
  const sides: Draining[] = [];
  const server = await loop.createServer(() => {
    sides.push(new Draining());
    return sides.at(-1)!;
  }, WHERE);
  const connect = async () => {
    const client = new Recorder();
    await loop.createConnection(() => client, WHERE);
    await loop.clock.advance(0);
    return client;
  };
  return { loop, clock: loop.clock, server, sides, connect };
}

Deno.test("drain() serves for `delay`, then tells, and aborts `grace` later, to the millisecond", async () => {
  const { clock, server, sides, connect } = await start();
  await connect();
  const counts = server.drain({ delay: 5000, grace: 20_000 });
  await clock.advance(4999);
  assert(server.isServing());
  await connect();
  sides[0]!.transport.close();
  await clock.advance(0);
  assertEquals(sides.map(({ drained }) => drained), [0, 0]);
  await clock.advance(1);
  assert(!server.isServing());
  await assertRejects(connect, Deno.errors.ConnectionRefused);
  assertEquals(sides.map(({ drained }) => drained), [0, 1]);
  await clock.advance(19_998);
  assert(!(sides[1]!.transport.isClosing()));
  await clock.advance(2);
  // The first ended before the server stopped accepting, so it does not count.
  assertEquals(await counts, { ...NONE, aborted: 1 });
});

Deno.test("drain() called again shortens the times, but does not lengthen them", async () => {
  const { clock, server, sides, connect } = await start();
  await connect();
  const first = server.drain({ delay: 5000, grace: 5000 });
  const second = server.drain({ delay: 1000, grace: 60_000 });
  await clock.advance(1000);
  assert(!server.isServing());
  const third = server.drain({ delay: 9000, grace: 500 });
  await clock.advance(499);
  assert(!(sides[0]!.transport.isClosing()));
  await clock.advance(2);
  const expected = { ...NONE, aborted: 1 };
  assertEquals(await Promise.all([first, second, third]), [expected, expected, expected]);
  assertEquals(sides[0]!.drained, 1);
});

Deno.test("close() ends the delay of drain(), and the signal ends delay and grace", async () => {
  const one = await start();
  await one.connect();
  const counts = one.server.drain({ delay: 5000 });
  one.server.close();
  await one.clock.advance(0);
  assertEquals(one.sides[0]!.drained, 1);
  one.sides[0]!.transport.close();
  await one.clock.advance(0);
  assertEquals(await counts, { ...NONE, ended: 1 });

  const two = await start();
  await two.connect();
  const forced = new AbortController();
  const forcedCounts = two.server.drain({ delay: 5000, grace: 5000, signal: forced.signal });
  await two.clock.advance(10);
  forced.abort();
  assert(!two.server.isServing());
  await two.clock.advance(0);
  assertEquals(await forcedCounts, { ...NONE, aborted: 1 });
  assertEquals(two.sides[0]!.drained, 0);
});

Deno.test("drain() leaves no timer, and a drain that ends others does not call them", async () => {
  const { clock, server, sides, connect } = await start();
  await connect();
  await connect();
  sides[0]!.drain = () => {
    sides[0]!.drained++;
    server.closeClients();
  };
  const counts = server.drain({ grace: 3_600_000 });
  await clock.advance(0);
  assertEquals(await counts, { ...NONE, ended: 2 });
  assertEquals(sides.map(({ drained }) => drained), [1, 0]);
  const before = clock.now();
  await clock.runUntilIdle();
  assert(clock.now() - before < 3_600_000);
});

Deno.test("recorder() records drain, and a protocol without it stays without it", async () => {
  const loop = new MemoryLoop();
  const sides = [recorder(new Draining()), recorder(new Protocol())];
  let count = 0;
  const server = await loop.createServer(() => sides[count++]!.protocol, WHERE);
  for (const _ of sides) await loop.createConnection(() => new Protocol(), WHERE);
  await loop.clock.advance(0);
  const counts = server.drain({ grace: 1 });
  await loop.clock.advance(1);
  assertEquals(await counts, { ...NONE, closed: 1, aborted: 1 });
  assertEquals(sides.map(({ calls }) => calls), [
    ["connectionMade", "drain", "connectionLost null"],
    ["connectionMade", "connectionLost null"],
  ]);
});

Deno.test("drain() after close() calls drain at once, and counts what had ended before a signal as ended", async () => {
  const { clock, server, sides, connect } = await start();
  for (let i = 0; i < 3; i++) await connect();
  server.close();
  const forced = new AbortController();
  const { signal } = forced;
  let listeners = 0;
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
  signal.addEventListener = (...args: Parameters<typeof add>) => (listeners++, add(...args));
  signal.removeEventListener = (...args: Parameters<typeof remove>) => (listeners--, remove(...args));
  const counts = server.drain({ delay: 60_000, signal });
  assertEquals(sides.map(({ drained }) => drained), [0, 0, 0]);
  await clock.advance(0);
  assertEquals(sides.map(({ drained }) => drained), [1, 1, 1]);
  sides[0]!.transport.abort();
  forced.abort();
  await clock.advance(0);
  assertEquals(await counts, { ...NONE, ended: 1, aborted: 2 });
  assertEquals(listeners, 0);
});
