/**
 * What a client needs around a protocol: pipelined requests with deadlines, reconnecting with backoff, and a pool.
 *
 *     deno run --allow-net examples/client_kit.ts
 *
 * The parts are in `client_kit/`, to copy and to change: `pipeline.ts`, `backoff.ts`, `reconnecting.ts` and `pool.ts`. This
 * program runs them against a server of its own, which is made to be slow, to crash and to come back, and checks the outcome.
 */
import { getRunningLoop, TimeoutError } from "../mod.ts";
import { Pipeline } from "./client_kit/pipeline.ts";
import { Pool } from "./client_kit/pool.ts";
import { Reconnecting } from "./client_kit/reconnecting.ts";
import { EchoServer } from "./client_kit/server.ts";

const loop = getRunningLoop();
const server = new EchoServer(loop);
await server.start();

/** Makes one connection. */
async function connect(signal?: AbortSignal): Promise<Pipeline> {
  const options = { hostname: "127.0.0.1", port: server.port, closeTimeout: 5000, signal };
  const [, client] = await loop.createConnection(() => new Pipeline(loop), options);
  return client;
}

/** Returns the name of the error that a promise rejects with. */
function failure(promise: Promise<unknown>): Promise<string> {
  return promise.then(() => "no error", (error) => error.name);
}

/** Prints a result, and ends the program unless it is the expected one. */
function check(what: string, actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) throw new Error(`${what}: ${actual} instead of ${expected}`);
  console.log(what, actual);
}

// Requests are sent at once, in one write, and each promise gets its own answer.
const client = await connect();
const names = ["Ada", "Grace", "Edsger"];
check("pipelined:", await Promise.all(names.map((name) => client.request(name))), names);

// The answer to "first" comes after its deadline. It is dropped, and "second" gets its own.
server.hold();
const first = client.request("first", { timeout: 20 });
const second = client.request("second");
check("deadline:", await first.catch((error) => error instanceof TimeoutError), true);
server.resume();
check("after a late answer:", await second, "second");

// An orderly end: what was sent is still answered, and nothing more is sent.
const last = client.request("last");
const closing = client.close();
check("a request after close():", await failure(client.request("too late")), "ConnectionReset");
check("a request before close():", await last, "last");
await closing;

// The server crashes and comes back. The request that was sent fails, because the server may have done what it says. The
// others wait for the next connection.
const steady = new Reconnecting(connect, { first: 10, max: 100 });
check("connected:", await steady.request("one"), "one");
server.hold();
const interrupted = failure(steady.request("two"));
await server.stop();
check("interrupted:", await interrupted, "ConnectionReset");
check("no server:", await failure(steady.request("three", { timeout: 50 })), "TimeoutError");
const waiting = steady.request("four");
server.resume();
await server.start();
check("connected again:", await waiting, "four");
await steady.close();
check("closed:", await failure(steady.request("five")), "ConnectionReset");

// Ten callers share two connections.
const before = server.accepted;
const pool = new Pool<Pipeline>({
  connect,
  check: async (client) => client.isIdle && await client.request("PING", { timeout: 1000 }) === "PONG",
  close: (client) => client.close(),
  maxSize: 2,
});
const numbers = Array.from({ length: 10 }, (_, i) => `${i}`);
const answers = await Promise.all(numbers.map((number) => pool.use((client) => client.request(number))));
check("pooled:", answers.join(), numbers.join());
check("connections:", server.accepted - before, 2);

// A connection that has died is found at the next checkout, and replaced.
check("died:", await failure(pool.use((client) => client.request("DIE"))), "ConnectionReset");
check("replaced:", await pool.use((client) => client.request("alive")), "alive");

// A caller that waits for its turn can give up. The pool closes when its connections have come back.
const [one, two] = await Promise.all([pool.acquire(), pool.acquire()]);
check("gave up:", await failure(pool.acquire({ signal: AbortSignal.timeout(10) })), "TimeoutError");
const turned = failure(pool.acquire());
const closed = pool.close();
check("turned away:", await turned, "InvalidStateError");
check("still in use:", await one.request("hello"), "hello");
pool.release(one);
pool.release(two);
await closed;
await Promise.all([one.lost, two.lost]);
await server.stop();
console.log("all closed");
