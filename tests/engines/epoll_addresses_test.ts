/** The addresses of the epoll engine: local ones, those of names, paths. */
import { constants } from "node:os";
import type { EventLoop } from "../../mod.ts";
import { resolve } from "../../engines/epoll/resolve.ts";
import { assert, assertEquals, assertRejects, assertStrictEquals } from "../std.ts";
import { closed, freePort, hasIpv6, ManualClock, tempPath, turn } from "../kit.ts";
import {
  epollLoop,
  epollTest,
  factory,
  failCalls,
  fakeNames,
  ipv6Test,
  namesOf,
  replaceCall,
  serve,
  type SystemError,
  watchSockets,
} from "./epoll_kit.ts";

const { EINVAL, ENOTCONN } = constants.errno;

// Local addresses

epollTest("createConnection() binds localAddr", async () => {
  const loop = epollLoop(new ManualClock());
  await using served = await serve(loop);
  const { port, clients } = served;
  const [local, peer] = await namesOf(loop, { port, localAddr: { hostname: "127.0.0.5" } });
  assertEquals([local.hostname, peer], ["127.0.0.5", { transport: "tcp", hostname: "127.0.0.1", port }]);
  assertEquals(clients[0]!.transport.getExtraInfo("peername"), local);
  const chosen = freePort();
  assertEquals((await namesOf(loop, { port, localAddr: { port: chosen } }))[0].port, chosen);
  assertEquals((await namesOf(loop, { port, localAddr: {} }))[0].hostname, "127.0.0.1");
  assertEquals((await namesOf(loop, { port, localAddr: { hostname: "localhost", port: 0 } }))[0].hostname, "127.0.0.1");
});

epollTest("createConnection() whose localAddr cannot be bound names it and leaves nothing open", async () => {
  const loop = epollLoop(new ManualClock());
  await using served = await serve(loop);
  const { port } = served;
  using sockets = watchSockets();
  const rows = [
    [{ hostname: "192.0.2.99", port: 5 }, Deno.errors.AddrNotAvailable, "EADDRNOTAVAIL", "localAddr 192.0.2.99:5: "],
    [{ hostname: "127.0.0.1", port }, Deno.errors.AddrInUse, "EADDRINUSE", `localAddr 127.0.0.1:${port}: `],
    [{ port }, Deno.errors.AddrInUse, "EADDRINUSE", `localAddr port ${port}: `],
    [{ hostname: "::1" }, Deno.errors.AddrNotAvailable, "EADDRNOTAVAIL", "localAddr [::1]:0 is not IPv4"],
  ] as const;
  for (const [localAddr, Class, code, text] of rows) {
    const error: SystemError = await assertRejects(() => loop.createConnection(factory, { port, localAddr }), Class);
    assertEquals(error.code, code);
    assert(error.message.startsWith(`createConnection(): cannot connect to 127.0.0.1:${port}: ${text}`), error.message);
  }
  assertEquals(sockets.open, 0);
});

ipv6Test("createConnection() takes the address of localAddr that has the family of the remote one", async () => {
  const loop = epollLoop(new ManualClock());
  using _names = fakeNames({ both: ["::1", "127.0.0.6"] });
  await using served = await serve(loop, { hostname: ["127.0.0.1"] });
  const [local] = await namesOf(loop, { port: served.port, localAddr: { hostname: "both" } });
  assertEquals(local.hostname, "127.0.0.6");
});

epollTest("createConnection() with a localAddr that has no address says so", async () => {
  const loop = epollLoop(new ManualClock());
  using _names = fakeNames({});
  const error = await assertRejects(
    () => loop.createConnection(factory, { port: 1, localAddr: { hostname: "nowhere.test" } }),
    Error,
  );
  assertEquals(
    error.message,
    "createConnection(): cannot resolve nowhere.test: localAddr: failed to lookup address information: Name or service not known",
  );
});

// Names

epollTest("createConnection() and createServer() name a host that has no address", async () => {
  const loop = epollLoop(new ManualClock());
  using _names = fakeNames({ empty: [] });
  const rows = [["nowhere.test", "Name or service not known"], [
    "empty",
    "No address associated with hostname",
  ]] as const;
  for (const [hostname, why] of rows) {
    for (
      const [method, call] of [
        ["createConnection()", () => loop.createConnection(factory, { hostname, port: 1 })],
        ["createServer()", () => loop.createServer(factory, { hostname: ["127.0.0.1", hostname], port: 0 })],
      ] as const
    ) {
      const error: SystemError = await assertRejects(call, Error);
      assertEquals(error.code, "ENOTFOUND");
      assertEquals(
        error.message,
        `${method}: cannot resolve ${hostname}: failed to lookup address information: ${why}`,
      );
    }
  }
});

epollTest("createConnection() with the zone of an interface that is missing says so", async () => {
  const error = await assertRejects(
    () => epollLoop(new ManualClock()).createConnection(factory, { hostname: "fe80::1%nope0", port: 1 }),
    Error,
  );
  assertEquals(
    error.message,
    'createConnection(): cannot resolve fe80::1%nope0: failed to lookup address information: there is no network interface "nope0"',
  );
});

ipv6Test("createConnection() takes the zone of an IPv6 address by name and by number", async () => {
  const loop = epollLoop(new ManualClock());
  const zones: number[] = [];
  using _connect = replaceCall("connect", (real, fd, bytes, length) => {
    zones.push((bytes as Uint8Array)[24]!);
    return real(fd, bytes, length);
  });
  for (const hostname of ["::1%lo", "[::1%lo]", "::1%1"]) {
    await assertRejects(() => loop.createConnection(factory, { hostname, port: freePort() }), Error);
  }
  assertEquals(zones, [1, 1, 1]);
});

epollTest("createConnection() while its name is being resolved rejects when its signal aborts", async () => {
  const loop = epollLoop(new ManualClock());
  const never = Promise.withResolvers<number>();
  using _names = replaceCall("getaddrinfo", () => never.promise);
  using sockets = watchSockets();
  const controller = new AbortController();
  const attempt = loop.createConnection(factory, { hostname: "slow.test", port: 1, signal: controller.signal });
  await turn(loop);
  const reason = new Error("too slow");
  controller.abort(reason);
  assertStrictEquals(await assertRejects(() => attempt, Error), reason);
  never.resolve(-3);
  await turn(loop);
  assertEquals(sockets.open, 0);
});

epollTest("resolve() with a signal that has aborted rejects with its reason, and with nothing else later", async () => {
  using _names = fakeNames({});
  const reason = new Error("enough");
  const error = await assertRejects(() => resolve("nowhere.test", AbortSignal.abort(reason)), Error);
  assertStrictEquals(error, reason);
  // An unhandled rejection of the look-up would fail the test.
  await turn();
});

epollTest("createConnection() to an address that refuses rejects with the system's error", async () => {
  const loop = epollLoop(new ManualClock());
  const port = freePort();
  for (const [hostname, shown] of [["127.0.0.1", "127.0.0.1"], ["::1", "[::1]"], ["[::1]", "[::1]"]] as const) {
    if (hostname !== "127.0.0.1" && !hasIpv6()) continue;
    const error: SystemError = await assertRejects(
      () => loop.createConnection(factory, { hostname, port }),
      Deno.errors.ConnectionRefused,
    );
    assertEquals(error.code, "ECONNREFUSED");
    assertEquals(
      error.message,
      `createConnection(): cannot connect to ${shown}:${port}: Connection refused (os error 111)`,
    );
  }
});

epollTest("createConnection() to an address that the system refuses names the address", async () => {
  using _connect = failCalls("connect", EINVAL);
  const error: SystemError = await assertRejects(
    () => epollLoop(new ManualClock()).createConnection(factory, { port: 7 }),
    TypeError,
  );
  assertEquals(error.code, "EINVAL");
  assertEquals(error.message, "createConnection(): cannot connect to 127.0.0.1:7: Invalid argument (os error 22)");
});

epollTest("createConnection() to a peer that has reset at once still has a peername", async () => {
  const loop = epollLoop(new ManualClock());
  await using served = await serve(loop);
  const { port } = served;
  using _peername = failCalls("getpeername", ENOTCONN);
  assertEquals((await namesOf(loop, { port }))[1], { transport: "tcp", hostname: "127.0.0.1", port });
});

// Unix sockets

/** A server that does not accept, whose backlog two connections fill. */
async function fullServer(loop: EventLoop, path: string) {
  const server = await loop.createUnixServer(factory, { path, backlog: 1, startServing: false });
  const waiting = [
    await loop.createUnixConnection(factory, { path }),
    await loop.createUnixConnection(factory, { path }),
  ];
  return {
    server,
    async [Symbol.asyncDispose]() {
      for (const [transport, protocol] of waiting) await closed(transport, protocol);
      server.close();
      server.abortClients();
      await server.waitClosed();
      await turn(loop);
    },
  };
}

epollTest("createUnixConnection() to a socket whose backlog is full waits for room", async () => {
  using temp = tempPath();
  const { path } = temp;
  const clock = new ManualClock();
  const loop = epollLoop(clock);
  await using full = await fullServer(loop, path);
  const attempt = loop.createUnixConnection(factory, { path });
  const pauses: number[] = [];
  for (let i = 0; i < 9; i++) {
    await clock.untilSet(loop);
    pauses.push(clock.due! - clock.now());
    await clock.advance(pauses.at(-1)!, loop);
  }
  assertEquals(pauses, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
  full.server.startServing();
  let made: Awaited<typeof attempt> | undefined;
  attempt.then((result) => made = result);
  while (made === undefined) await clock.advance(64, loop);
  await closed(...made);
});

epollTest(
  "createUnixConnection() that waits for room rejects when its signal aborts, and leaves nothing open",
  async () => {
    using temp = tempPath();
    const { path } = temp;
    const clock = new ManualClock();
    const loop = epollLoop(clock);
    await using _full = await fullServer(loop, path);
    using sockets = watchSockets();
    const controller = new AbortController();
    const attempt = loop.createUnixConnection(factory, { path, signal: controller.signal });
    await clock.untilSet(loop);
    controller.abort("enough");
    assertEquals(await attempt.catch((error) => error), "enough");
    assertEquals([sockets.open, clock.due], [0, null]);
  },
);

epollTest("createUnixConnection() takes .. as Deno's permissions do: without following symbolic links", async () => {
  using temp = tempPath();
  const { path, directory } = temp;
  const loop = epollLoop(new ManualClock());
  Deno.mkdirSync(`${directory}/deep/er`, { recursive: true });
  Deno.symlinkSync(`${directory}/deep/er`, `${directory}/link`);
  const server = await loop.createUnixServer(factory, { path });
  const [transport, protocol] = await loop.createUnixConnection(factory, { path: `${directory}/link/../socket` });
  await closed(transport, protocol);
  server.close();
  server.abortClients();
  await server.waitClosed();
  await turn(loop);
});
