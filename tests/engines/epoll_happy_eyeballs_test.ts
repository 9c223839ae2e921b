/** The epoll engine tries the addresses of a name as RFC 8305 says: Happy Eyeballs. */
import { constants } from "node:os";
import type { ConnectionOptions, EventLoop, Server } from "../../mod.ts";
import { connectToOne } from "../../engines/epoll/happy_eyeballs.ts";
import { decodeIp } from "../../engines/epoll/sockaddr.ts";
import { assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "../std.ts";
import { closed, freePort, ManualClock, portOf, turn } from "../kit.ts";
import {
  epollLoop,
  epollTest,
  factory,
  fakeNames,
  ipv6Test,
  namesOf,
  replaceCall,
  serve,
  type SystemError,
  watchSockets,
} from "./epoll_kit.ts";

const { ENETUNREACH } = constants.errno;

/** Has a full backlog at 127.0.0.2: a connection to it does not end. The same port is free at other addresses. */
async function blackHole(loop: EventLoop) {
  const server = await listenAnywhere(loop, "127.0.0.2");
  const port = portOf(server);
  const waiting = [
    await Deno.connect({ hostname: "127.0.0.2", port }),
    await Deno.connect({ hostname: "127.0.0.2", port }),
  ];
  return {
    port,
    [Symbol.dispose]() {
      for (const conn of waiting) conn.close();
      server.close();
    },
  };
}

/** Listens on a free port. A test of another file can take it first: then on another one. */
async function listenAnywhere(loop: EventLoop, hostname: string): Promise<Server> {
  for (;;) {
    try {
      return await loop.createServer(factory, { hostname, port: freePort(), backlog: 1, startServing: false });
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** The addresses that are connected to, in order. */
function recordAttempts(): Disposable & { attempts: string[] } {
  const attempts: string[] = [];
  const replaced = replaceCall("connect", (real, fd, bytes, length) => {
    attempts.push(decodeIp("tcp", bytes as Uint8Array).hostname);
    return real(fd, bytes, length);
  });
  return { attempts, [Symbol.dispose]: () => replaced[Symbol.dispose]() };
}

const DELAYS: [options: Partial<ConnectionOptions>, delay: number][] = [
  [{}, 250],
  [{ happyEyeballsDelay: 40 }, 40],
  [{ autoSelectFamilyAttemptDelay: 50 }, 50],
  [{ autoSelectFamily: true, happyEyeballsDelay: 0 }, 0],
];

for (const [options, delay] of DELAYS) {
  epollTest(`createConnection() with ${JSON.stringify(options)} tries the next address after ${delay} ms`, async () => {
    const clock = new ManualClock();
    const loop = epollLoop(clock);
    using hole = await blackHole(loop);
    const { port } = hole;
    using _names = fakeNames({ "two.test": ["127.0.0.2", "127.0.0.1"] });
    await using served = await serve(loop, { port });
    using sockets = watchSockets();
    const attempt = loop.createConnection(factory, { hostname: "two.test", port, ...options });
    await clock.untilSet(loop);
    assertEquals(clock.due, delay);
    if (delay > 0) await clock.advance(delay - 1, loop);
    assertEquals(sockets.open, 1);
    await clock.advance(delay === 0 ? 0 : 1, loop);
    const [transport, protocol] = await attempt;
    assertEquals(transport.getExtraInfo("peername"), { transport: "tcp", hostname: "127.0.0.1", port });
    while (served.clients.length === 0) await turn(loop);
    // Both ends of the connection, and nothing else.
    assertEquals([sockets.open, clock.due], [2, null]);
    await closed(transport, protocol);
  });
}

epollTest("createConnection() tries the next address at once when an attempt fails", async () => {
  const clock = new ManualClock();
  const loop = epollLoop(clock);
  using _names = fakeNames({ "three.test": ["127.0.0.3", "127.0.0.4", "127.0.0.1"] });
  await using served = await serve(loop);
  const { port } = served;
  const [, peer] = await namesOf(loop, { hostname: "three.test", port });
  assertEquals(peer, { transport: "tcp", hostname: "127.0.0.1", port });
  assertEquals(clock.now(), 0);
});

epollTest("createConnection() with autoSelectFamily: false tries one address after the other", async () => {
  const clock = new ManualClock();
  const loop = epollLoop(clock);
  using hole = await blackHole(loop);
  const { port } = hole;
  using _names = fakeNames({ "two.test": ["127.0.0.2", "127.0.0.1"], "other.test": ["127.0.0.3", "127.0.0.1"] });
  await using _served = await serve(loop, { port });
  const options = { port, autoSelectFamily: false, happyEyeballsDelay: 1 };
  assertEquals((await namesOf(loop, { ...options, hostname: "other.test" }))[1].hostname, "127.0.0.1");
  const controller = new AbortController();
  const attempt = loop.createConnection(factory, { ...options, hostname: "two.test", signal: controller.signal });
  for (let i = 0; i < 5; i++) await turn(loop);
  assertEquals(clock.due, null);
  controller.abort("enough");
  assertEquals(await attempt.catch((error) => error), "enough");
});

epollTest("createConnection() whose signal aborts while several addresses are tried leaves nothing open", async () => {
  const clock = new ManualClock();
  const loop = epollLoop(clock);
  using hole = await blackHole(loop);
  const { port } = hole;
  using _names = fakeNames({ "three.test": ["127.0.0.2", "::ffff:127.0.0.2", "127.0.0.3"] });
  for (const attempts of [1, 2]) {
    using sockets = watchSockets();
    const controller = new AbortController();
    const { signal } = controller;
    const attempt = loop.createConnection(factory, { hostname: "three.test", port, signal });
    await clock.untilSet(loop);
    if (attempts === 2) await clock.advance(250, loop);
    assertEquals(sockets.open, attempts);
    const reason = new Error("too slow");
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => attempt, Error), reason);
    assertEquals([sockets.open, clock.due], [0, null]);
  }
});

const ORDERS: [options: Partial<ConnectionOptions>, order: string[]][] = [
  [{}, ["127.0.0.1", "::1", "127.0.0.2", "::ffff:127.0.0.4", "127.0.0.3"]],
  [{ interleave: 1 }, ["127.0.0.1", "::1", "127.0.0.2", "::ffff:127.0.0.4", "127.0.0.3"]],
  [{ interleave: 2 }, ["127.0.0.1", "127.0.0.2", "::1", "127.0.0.3", "::ffff:127.0.0.4"]],
  [{ interleave: 9 }, ["127.0.0.1", "127.0.0.2", "127.0.0.3", "::1", "::ffff:127.0.0.4"]],
  [{ interleave: 0 }, ["127.0.0.1", "127.0.0.2", "127.0.0.3", "::1", "::ffff:127.0.0.4"]],
  [{ autoSelectFamily: false }, ["127.0.0.1", "127.0.0.2", "127.0.0.3", "::1", "::ffff:127.0.0.4"]],
  [{ autoSelectFamily: false, interleave: 1 }, ["127.0.0.1", "::1", "127.0.0.2", "::ffff:127.0.0.4", "127.0.0.3"]],
];

for (const [options, order] of ORDERS) {
  ipv6Test(
    `createConnection() with ${JSON.stringify(options)} tries the addresses in the order ${order.join(", ")}`,
    async () => {
      const loop = epollLoop(new ManualClock());
      using _names = fakeNames({ "five.test": ["127.0.0.1", "127.0.0.2", "127.0.0.3", "::1", "::ffff:127.0.0.4"] });
      using record = recordAttempts();
      await assertRejects(
        () => loop.createConnection(factory, { hostname: "five.test", port: freePort(), ...options }),
        Error,
      );
      assertEquals(record.attempts, order);
    },
  );
}

epollTest("createConnection() that no address accepts rejects with one error that lists all of them", async () => {
  const loop = epollLoop(new ManualClock());
  using _names = fakeNames({
    "refusing.test": ["127.0.0.1", "127.0.0.2"],
    "mixed.test": ["127.0.0.1", "192.0.2.77"],
    "one.test": ["127.0.0.1"],
  });
  using sockets = watchSockets();
  const port = freePort();
  using _unreachable = replaceCall("connect", (real, fd, bytes, length) => {
    return (bytes as Uint8Array)[4] === 192 ? -ENETUNREACH : real(fd, bytes, length);
  });
  const refused = "Connection refused (os error 111)";
  const rows = [
    ["refusing.test", `127.0.0.1: ${refused}; 127.0.0.2: ${refused}`, 2],
    ["mixed.test", `127.0.0.1: ${refused}; 192.0.2.77: Network is unreachable (os error 101)`, 2],
    ["one.test", `127.0.0.1: ${refused}`, 1],
  ] as const;
  for (const [hostname, reasons, count] of rows) {
    for (const options of [{}, { autoSelectFamily: false }]) {
      const error: SystemError = await assertRejects(
        () => loop.createConnection(factory, { hostname, port, ...options }),
        Deno.errors.ConnectionRefused,
      );
      assertEquals([error.code, error.name], ["ECONNREFUSED", "ConnectionRefused"]);
      const sorted = (text: string) => text.split("; ").sort().join("; ");
      const prefix = `createConnection(): cannot connect to ${hostname}:${port}: `;
      assertEquals(error.message.slice(0, prefix.length), prefix);
      assertEquals(sorted(error.message.slice(prefix.length)), sorted(reasons));
      assertInstanceOf(error.cause, AggregateError);
      assertEquals(error.cause.errors.length, count);
    }
  }
  assertEquals(sockets.open, 0);
});

/** Attempts that a test settles, with a timer that it fires. */
function controlledRace(addresses: string[]) {
  const attempts = addresses.map(() => Promise.withResolvers<string>());
  const discarded: string[] = [];
  const signals: (AbortSignal | undefined)[] = [];
  let fire = () => {};
  let isSettled = false;
  const result = connectToOne(addresses, {
    delay: 1,
    callLater: (_delay, callback) => {
      fire = callback;
      return { cancel: () => void (fire = () => {}) };
    },
    signal: undefined,
    attempt: (address, signal) => {
      signals.push(signal);
      return attempts[addresses.indexOf(address)]!.promise;
    },
    discard: (connection) => void discarded.push(connection),
  }).finally(() => isSettled = true);
  return { attempts, discarded, signals, result, fire: () => fire(), isSettled: () => isSettled };
}

Deno.test("connectToOne() closes a connection that was made too late, and settles after that", async () => {
  const race = controlledRace(["a", "b", "c"]);
  race.fire();
  race.attempts[1]!.resolve("to b");
  await turn();
  // The attempt at a has been cancelled, and has not ended.
  assertEquals([race.signals.map((signal) => signal!.aborted), race.isSettled()], [[true, true], false]);
  race.attempts[0]!.resolve("to a");
  assertEquals([await race.result, race.discarded], ["to b", ["to a"]]);
  race.fire();
  assertEquals(race.signals.length, 2);
});

Deno.test("connectToOne() stops at an address that may not be used", async () => {
  const race = controlledRace(["a", "b"]);
  race.attempts[0]!.reject(new Deno.errors.NotCapable("no"));
  await assertRejects(() => race.result, Deno.errors.NotCapable, "no");
  assertEquals(race.signals.length, 1);
});
