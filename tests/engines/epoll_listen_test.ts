/** What the epoll engine listens on: every interface, all addresses of a name, both families. */
import { constants } from "node:os";
import type { Server, ServerOptions } from "../../mod.ts";
import { AF_INET6 } from "../../engines/epoll/constants.ts";
import { assertEquals, assertNotEquals, assertRejects } from "../std.ts";
import { freePort, tempPath, turn } from "../kit.ts";
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

const { EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT } = constants.errno;

/** The hosts and the ports of a server. */
function hostsOf(server: Server): [hosts: string[], ports: Set<number>] {
  const addresses = server.addresses as Deno.NetAddr[];
  return [addresses.map(({ hostname }) => hostname), new Set(addresses.map(({ port }) => port))];
}

ipv6Test("createServer() with hostname: null listens on every interface over IPv4 and IPv6, at one port", async () => {
  const loop = epollLoop();
  for (const port of [0, freePort()]) {
    await using served = await serve(loop, { hostname: null, port });
    const [hosts, ports] = hostsOf(served.server);
    assertEquals([hosts, ports.size], [["0.0.0.0", "::"], 1]);
    if (port !== 0) assertEquals([...ports], [port]);
    for (const hostname of ["127.0.0.1", "127.0.0.9", "::1"]) {
      assertEquals((await namesOf(loop, { hostname, port: served.port }))[1].hostname, hostname);
    }
    assertEquals(
      served.clients.map(({ transport }) => (transport.getExtraInfo("peername") as Deno.NetAddr).hostname),
      ["127.0.0.1", "127.0.0.1", "::1"],
    );
  }
});

epollTest("createServer() with hostname: null listens over IPv4 where there is no IPv6", async () => {
  const loop = epollLoop();
  for (
    const missing of [
      () =>
        replaceCall("socket", (real, family, ...args) => family === AF_INET6 ? -EAFNOSUPPORT : real(family, ...args)),
      () =>
        replaceCall("bind", (real, fd, bytes, length) => {
          return (bytes as Uint8Array)[0] === AF_INET6 ? -EADDRNOTAVAIL : real(fd, bytes, length);
        }),
    ]
  ) {
    using _no = missing();
    for (const dualStack of [undefined, false, true]) {
      await using served = await serve(loop, { hostname: null, dualStack });
      assertEquals(hostsOf(served.server)[0], ["0.0.0.0"]);
    }
  }
});

ipv6Test(
  "createServer() with hostname: null and dualStack listens on one socket, and spells IPv4 as Deno does",
  async () => {
    const loop = epollLoop();
    await using served = await serve(loop, { hostname: null, dualStack: true });
    assertEquals(hostsOf(served.server)[0], ["::"]);
    await namesOf(loop, { port: served.port });
    const { transport } = served.clients[0]!;
    const mine = ["peername", "sockname"].map((name) => (transport.getExtraInfo(name) as Deno.NetAddr).hostname);
    using listener = Deno.listen({ hostname: "::", port: 0 });
    using _near = await Deno.connect({ port: listener.addr.port });
    using far = await listener.accept();
    assertEquals(mine, [far.remoteAddr.hostname, far.localAddr.hostname]);
    assertEquals(mine, ["::ffff:127.0.0.1", "::ffff:127.0.0.1"]);
  },
);

ipv6Test("createServer() on :: accepts IPv4 unless dualStack is false", async () => {
  const loop = epollLoop();
  for (const [dualStack, accepts] of [[true, true], [false, false]] as const) {
    await using served = await serve(loop, { hostname: "::", dualStack });
    const { port } = served;
    const result = await namesOf(loop, { port }).then(() => true, () => false);
    assertEquals(result, accepts);
    assertEquals((await namesOf(loop, { hostname: "::1", port }))[1].hostname, "::1");
  }
  await using both = await serve(loop, { hostname: ["0.0.0.0", "::"], port: freePort(), dualStack: false });
  assertEquals(hostsOf(both.server)[0], ["0.0.0.0", "::"]);
});

epollTest("createServer() binds all addresses of a name, each once", async () => {
  const loop = epollLoop();
  using _names = fakeNames({ "two.test": ["127.0.0.1", "127.0.0.2"], "more.test": ["127.0.0.2", "127.0.0.3"] });
  const rows: [hostname: string | string[], hosts: string[]][] = [
    ["two.test", ["127.0.0.1", "127.0.0.2"]],
    [["two.test", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]],
    [["127.0.0.2", "two.test", "more.test"], ["127.0.0.2", "127.0.0.1", "127.0.0.3"]],
  ];
  for (const [hostname, hosts] of rows) {
    for (const port of [0, freePort()]) {
      for (const reusePort of [false, true]) {
        await using served = await serve(loop, { hostname, port, reusePort });
        const [bound, ports] = hostsOf(served.server);
        assertEquals(bound, hosts);
        assertEquals(ports.has(0), false);
        if (port !== 0 || hostname === "two.test") assertEquals(ports.size, 1);
      }
    }
  }
});

epollTest(
  "createServer() at any port takes another one if the first is taken at another address of the name",
  async () => {
    const loop = epollLoop();
    using _names = fakeNames({ "two.test": ["127.0.0.1", "127.0.0.2"] });
    for (const [times, resolves] of [[15, true], [16, false]] as const) {
      using sockets = watchSockets();
      let left = times;
      using _bind = replaceCall("bind", (real, fd, bytes, length) => {
        return (bytes as Uint8Array)[7] === 2 && left-- > 0 ? -EADDRINUSE : real(fd, bytes, length);
      });
      if (resolves) {
        await using served = await serve(loop, { hostname: "two.test" });
        assertEquals([hostsOf(served.server)[1].size, sockets.open], [1, 2]);
      } else await assertRejects(() => serve(loop, { hostname: "two.test" }), Deno.errors.AddrInUse);
      assertEquals(sockets.open, 0);
    }
  },
);

/** Listens at a port of 127.0.0.2 that is free at 127.0.0.1. */
function takenAtOneOfTwo(): Deno.TcpListener {
  for (;;) {
    const listener = Deno.listen({ hostname: "127.0.0.2", port: 0 });
    try {
      Deno.listen({ hostname: "127.0.0.1", port: listener.addr.port }).close();
      return listener;
    } catch {
      listener.close();
    }
  }
}

epollTest("createServer() that cannot bind one of several addresses names it and leaves nothing open", async () => {
  const loop = epollLoop();
  using taken = takenAtOneOfTwo();
  const { port } = taken.addr;
  using _names = fakeNames({ "two.test": ["127.0.0.1", "127.0.0.2"], "away.test": ["192.0.2.98", "192.0.2.99"] });
  using sockets = watchSockets();
  const inUse = "Address already in use (os error 98)";
  const away = "Cannot assign requested address (os error 99)";
  const rows: [options: Partial<ServerOptions>, Class: new () => Error, code: string, message: string][] = [
    [{ hostname: "127.0.0.2", port }, Deno.errors.AddrInUse, "EADDRINUSE", `cannot bind 127.0.0.2:${port}: ${inUse}`],
    [
      { hostname: ["127.0.0.1", "127.0.0.2"], port },
      Deno.errors.AddrInUse,
      "EADDRINUSE",
      `cannot bind 127.0.0.2:${port}: ${inUse}`,
    ],
    [
      { hostname: "two.test", port },
      Deno.errors.AddrInUse,
      "EADDRINUSE",
      `cannot bind two.test:${port}: 127.0.0.2: ${inUse}`,
    ],
    [
      { hostname: null, port },
      Deno.errors.AddrInUse,
      "EADDRINUSE",
      `cannot bind port ${port} of every interface: 0.0.0.0: ${inUse}`,
    ],
    [{ hostname: "192.0.2.99" }, Deno.errors.AddrNotAvailable, "EADDRNOTAVAIL", `cannot bind 192.0.2.99:0: ${away}`],
    [
      { hostname: "away.test" },
      Deno.errors.AddrNotAvailable,
      "EADDRNOTAVAIL",
      `cannot bind away.test:0: 192.0.2.98: ${away}; 192.0.2.99: ${away}`,
    ],
  ];
  for (const [options, Class, code, message] of rows) {
    const error: SystemError = await assertRejects(() => serve(loop, options), Class);
    assertEquals([error.code, error.message], [code, `createServer(): ${message}`]);
  }
  assertEquals(sockets.open, 0);
});

epollTest("createServer() leaves out addresses of a name that this system does not have", async () => {
  const loop = epollLoop();
  using _names = fakeNames({ "some.test": ["192.0.2.99", "127.0.0.1"] });
  await using served = await serve(loop, { hostname: "some.test" });
  assertEquals(hostsOf(served.server)[0], ["127.0.0.1"]);
});

epollTest("createServer() gives backlog to the system, 511 by default", async () => {
  const loop = epollLoop();
  const backlogs: number[] = [];
  using _listen = replaceCall("listen", (real, fd, backlog) => {
    backlogs.push(backlog);
    return real(fd, backlog);
  });
  for (const options of [{}, { backlog: 7 }]) (await loop.createServer(factory, { port: 0, ...options })).close();
  using temp = tempPath();
  for (const options of [{}, { backlog: 8 }]) {
    (await loop.createUnixServer(factory, { path: temp.path, ...options })).close();
  }
  assertEquals(backlogs, [511, 7, 511, 8]);
});

ipv6Test("getExtraInfo() spells the addresses of a connection as Deno does", async () => {
  const loop = epollLoop();
  for (const hostname of ["127.0.0.1", "::1", "::ffff:127.0.0.1"]) {
    await using served = await serve(loop, { hostname });
    using conn = await Deno.connect({ hostname, port: served.port });
    while (served.clients.length === 0) await turn(loop);
    const { transport } = served.clients[0]!;
    assertEquals(transport.getExtraInfo("peername"), { ...conn.localAddr });
    assertEquals(transport.getExtraInfo("sockname"), { ...conn.remoteAddr });
    assertNotEquals((transport.getExtraInfo("peername") as Deno.NetAddr).port, 0);
  }
});
