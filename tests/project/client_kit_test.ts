/** The client's kit of the examples: the program, and its parts on a network and a clock of the test's own. */
import { InvalidStateError, TimeoutError } from "../../mod.ts";
import { MemoryLoop } from "../../testing/mod.ts";
import { withBackoff } from "../../examples/client_kit/backoff.ts";
import { Pipeline } from "../../examples/client_kit/pipeline.ts";
import { Pool } from "../../examples/client_kit/pool.ts";
import { Reconnecting } from "../../examples/client_kit/reconnecting.ts";
import { EchoServer } from "../../examples/client_kit/server.ts";
import { assertEquals, assertRejects, assertThrows } from "../std.ts";
import { captureExceptions, turn } from "../kit.ts";
import { run } from "./kit.ts";

/** A server in memory, and what connects to it. */
async function serve() {
  const loop = new MemoryLoop();
  const server = new EchoServer(loop);
  await server.start();
  const connect = async (signal?: AbortSignal) => {
    const options = { hostname: "127.0.0.1", port: server.port, signal };
    const [, client] = await loop.createConnection(() => new Pipeline(loop), options);
    return client;
  };
  return { loop, server, connect };
}

/** What a promise has come to, by now or later. */
function outcome(promise: Promise<unknown>): { is: unknown } {
  const seen: { is: unknown } = { is: "pending" };
  promise.then((value) => seen.is = value, (error) => seen.is = `${error.name}: ${error.message}`);
  return seen;
}

Deno.test("client_kit.ts checks its parts against a server of its own, and ends", async () => {
  const { code, stdout, stderr } = await run("client_kit.ts");
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(stdout.trimEnd().split("\n"), [
    'pipelined: [ "Ada", "Grace", "Edsger" ]',
    "deadline: true",
    "after a late answer: second",
    "a request after close(): ConnectionReset",
    "a request before close(): last",
    "connected: one",
    "interrupted: ConnectionReset",
    "no server: TimeoutError",
    "connected again: four",
    "closed: ConnectionReset",
    "pooled: 0,1,2,3,4,5,6,7,8,9",
    "connections: 2",
    "died: ConnectionReset",
    "replaced: alive",
    "gave up: TimeoutError",
    "turned away: InvalidStateError",
    "still in use: hello",
    "all closed",
  ]);
});

Deno.test("client_kit: a late answer goes to no other request, and a deadline is exact", async () => {
  const { loop, server, connect } = await serve();
  const client = await connect();
  server.hold();
  const stop = new AbortController();
  const outcomes = [
    outcome(client.request("a", { timeout: 100 })),
    outcome(client.request("b", { signal: stop.signal })),
    outcome(client.request("c")),
  ];
  await loop.clock.advance(99);
  assertEquals(outcomes.map(({ is }) => is), ["pending", "pending", "pending"]);
  stop.abort(new EvalError("enough"));
  await loop.clock.advance(1);
  assertEquals(outcomes.map(({ is }) => is), [
    "TimeoutError: no answer to a within 100 ms",
    "EvalError: enough",
    "pending",
  ]);
  assertEquals([client.isOpen, client.isIdle], [true, false]);
  server.resume();
  await loop.clock.advance(0);
  assertEquals(outcomes[2]!.is, "c");
  assertEquals(client.isIdle, true);
  await assertRejects(() => client.request("two\nlines"), TypeError, "sendFrame(): line must not contain a delimiter");
  // A server that never answers cannot hold close() for longer than the deadlines.
  server.hold();
  const left = outcome(client.request("d", { timeout: 300 }));
  const closing = outcome(client.close().then(() => "closed"));
  await loop.clock.advance(299);
  assertEquals([left.is, closing.is], ["pending", "pending"]);
  await loop.clock.advance(1);
  assertEquals([left.is, closing.is], ["TimeoutError: no answer to d within 300 ms", "closed"]);
  await server.stop();
});

Deno.test("client_kit: an answer to no request closes the connection", async () => {
  const { loop, server, connect } = await serve();
  using exceptions = captureExceptions(loop);
  const client = await connect();
  await loop.clock.advance(0);
  for (const connection of server.connections) connection.sendFrame("surprise");
  await client.lost;
  assertEquals(exceptions.contexts.map(({ error }) => error!.message), ["an answer to no request: surprise"]);
  await server.stop();
});

Deno.test("client_kit: withBackoff() waits longer each time, up to a maximum, by its share of chance", async () => {
  const loop = new MemoryLoop();
  const times: number[] = [];
  const connect = () => {
    times.push(loop.time());
    return times.length < 7 ? Promise.reject(new Deno.errors.ConnectionRefused("no")) : Promise.resolve("connected");
  };
  const result = withBackoff(connect, { loop, first: 100, max: 1000, random: () => 0.5 });
  await loop.clock.runUntilIdle();
  assertEquals(await result, "connected");
  assertEquals(times, [0, 50, 150, 350, 750, 1250, 1750]);

  const wrong = new TypeError("port");
  await assertRejects(() => withBackoff(() => Promise.reject(wrong), { loop }), TypeError, "port");
  const stop = new AbortController();
  const stopped = withBackoff(() => Promise.reject(new Error("down")), { loop, signal: stop.signal });
  await turn(loop);
  stop.abort(new EvalError("enough"));
  await assertRejects(() => stopped, EvalError, "enough");
  assertEquals(loop.clock.due, null);
});

Deno.test("client_kit: a request waits for the next connection within its deadline, and is sent once", async () => {
  const { loop, server, connect } = await serve();
  const client = new Reconnecting(connect, { loop, first: 100, random: () => 0.99 });
  assertEquals(await client.request("one"), "one");
  await server.stop();
  await loop.clock.advance(0);
  const late = outcome(client.request("two", { timeout: 200 }));
  const waits = outcome(client.request("three"));
  await loop.clock.advance(200);
  assertEquals([late.is, waits.is], ["TimeoutError: no connection within 200 ms", "pending"]);
  await server.start();
  await loop.clock.advance(400);
  assertEquals(waits.is, "three");
  assertEquals(server.accepted, 2);
  server.hold();
  const sent = outcome(client.request("four"));
  await loop.clock.advance(0);
  assertEquals([...server.connections].map(({ waiting }) => waiting), [1]);
  await server.stop();
  await loop.clock.advance(0);
  assertEquals(sent.is, "ConnectionReset: the connection was closed before the answer");
  await server.start();
  await client.close();
  await loop.clock.runUntilIdle();
  assertEquals(server.accepted, 2);
  await assertRejects(() => client.request("five"), Deno.errors.ConnectionReset, "the client is closed");
  await server.stop();
});

/** A pool of numbers. */
function numbers(maxSize: number) {
  const closed: number[] = [];
  const sick = new Set<number>();
  let opened = 0;
  const state = { fails: false };
  const pool = new Pool<number>({
    connect: () => state.fails ? Promise.reject(new EvalError("no server")) : Promise.resolve(++opened),
    check: (n) => !sick.has(n),
    close: (n) => Promise.resolve(void closed.push(n)),
    maxSize,
  });
  return { pool, closed, sick, state };
}

Deno.test("client_kit: a pool lends what it has, in order, and replaces what is not healthy", async () => {
  const { pool, closed, sick } = numbers(2);
  const [a, b] = [await pool.acquire(), await pool.acquire()];
  assertEquals([a, b], [1, 2]);
  const stop = new AbortController();
  const gaveUp = pool.acquire({ signal: stop.signal });
  const next = [pool.acquire(), pool.acquire()];
  stop.abort(new EvalError("enough"));
  await assertRejects(() => gaveUp, EvalError, "enough");
  pool.release(b);
  assertEquals(await next[0], 2);
  pool.release(a);
  assertEquals(await next[1], 1);
  sick.add(1);
  pool.release(1);
  assertEquals(await pool.use((n) => n), 3);
  assertEquals(closed, [1]);
  assertThrows(() => pool.release(1), InvalidStateError, "the connection is not in use");
});

Deno.test("client_kit: a pool's connection that cannot be made leaves its place to the next caller", async () => {
  const { pool, state } = numbers(1);
  state.fails = true;
  const [first, second] = [pool.acquire(), pool.acquire()];
  await assertRejects(() => first, EvalError);
  await assertRejects(() => second, EvalError);
  state.fails = false;
  await assertRejects(() => pool.use(() => Promise.reject(new EvalError("of the caller"))), EvalError);
  assertEquals(await pool.use((n) => n), 1);
});

Deno.test("client_kit: a pool closes idle connections at once, and those in use when they come back", async () => {
  const { pool, closed } = numbers(3);
  const [a, b] = await Promise.all([pool.acquire(), pool.acquire(), pool.use((n) => n)]);
  const third = await pool.acquire();
  const stop = new AbortController();
  // The turn of this caller comes as it gives up, and the pool closes before the caller can know.
  const gaveUp = pool.acquire({ signal: stop.signal });
  const turnedAway = pool.acquire();
  stop.abort(new TimeoutError("enough"));
  pool.release(third);
  const closing = outcome(pool.close().then(() => "closed"));
  await assertRejects(() => gaveUp, TimeoutError);
  await assertRejects(() => turnedAway, InvalidStateError, "the pool is closed");
  await assertRejects(() => pool.acquire(), InvalidStateError, "the pool is closed");
  pool.release(a);
  await turn();
  assertEquals([closing.is, closed], ["pending", [third, a]]);
  pool.release(b);
  await turn();
  assertEquals([closing.is, closed], ["closed", [third, a, b]]);
});
