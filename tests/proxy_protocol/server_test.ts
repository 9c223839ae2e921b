/** Servers behind a proxy: what `getExtraInfo` answers, and which bytes the protocol gets. */
import { encodeProxyHeader, EventLoop, ProxyHeaderError, type ProxyHeaderOptions, TimeoutError } from "../../mod.ts";
import { MemoryEngine } from "../../testing/mod.ts";
import { makeLoop } from "../engine.ts";
import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "../std.ts";
import {
  BufferedRecorder,
  bytes,
  captureExceptions,
  concat,
  hasIpv6,
  loop,
  ManualClock,
  pattern,
  portOf,
  Recorder,
  tempPath,
  text,
  turn,
  withLoop,
} from "../kit.ts";
import { readAll, writeAll } from "../streams/kit.ts";
import { SERVER } from "../tls/kit.ts";
import { binary, serveProxied, serveUnixProxied, SIGNATURE } from "./kit.ts";

const SOURCE = { transport: "tcp", hostname: "203.0.113.7", port: 56324 } as const;
const DESTINATION = { transport: "tcp", hostname: "2001:db8::1", port: 443 } as const;

function dial(port: number): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port });
}

/** A header of each kind. */
const HEADERS: [name: string, header: ProxyHeaderOptions][] = [
  ["version 1", { version: 1, source: SOURCE, destination: { ...DESTINATION, hostname: "192.0.2.1" } }],
  ["version 1 over IPv6", { version: 1, source: { ...SOURCE, hostname: "::2" }, destination: DESTINATION }],
  ["version 2", { source: SOURCE, destination: { ...DESTINATION, hostname: "192.0.2.1" } }],
  ["version 2 with fields", {
    source: { ...SOURCE, hostname: "::2" },
    destination: DESTINATION,
    authority: "example.com",
    tlvs: [{ type: 224, value: pattern(3000) }],
    checksum: true,
  }],
];

for (const [name, header] of HEADERS) {
  Deno.test(`createServer() with proxyProtocol has the client's addresses of a header of ${name} in connectionMade`, async () => {
    await using served = await serveProxied();
    using conn = await dial(served.port);
    await writeAll(conn, encodeProxyHeader(header));
    // Nothing but the header has arrived.
    const { transport } = await served.next();
    assertEquals(transport.getExtraInfo("peername"), header.source as Deno.NetAddr);
    assertEquals(transport.getExtraInfo("sockname"), header.destination as Deno.NetAddr);
    assertEquals(transport.getExtraInfo("proxyPeername"), conn.localAddr);
    assertEquals(transport.getExtraInfo("proxySockname"), conn.remoteAddr);
    const said = transport.getExtraInfo("proxyProtocol")!;
    assertEquals([said.version, said.authority, said.tlvs], [header.version ?? 2, header.authority, [
      ...header.tlvs ?? [],
    ]]);
    transport.write(bytes("hello"));
    transport.close();
    assertEquals(text(await readAll(conn)), "hello");
  });

  Deno.test(`createServer() with proxyProtocol passes on what follows a header of ${name} in one segment, once`, async () => {
    await using served = await serveProxied();
    using conn = await dial(served.port);
    await writeAll(conn, concat([encodeProxyHeader(header), pattern(5000)]));
    await conn.closeWrite();
    const protocol = await served.next();
    await protocol.untilLost();
    assertEquals(protocol.data, pattern(5000));
    assertEquals(protocol.log.entries.slice(-2), ["eofReceived", "connectionLost null"]);
  });

  Deno.test(`createServer() with proxyProtocol reads a header of ${name} that comes byte by byte`, async () => {
    await using served = await serveProxied();
    using conn = await dial(served.port);
    conn.setNoDelay();
    const encoded = encodeProxyHeader(header).subarray(0, 3100);
    const data = concat([encoded, bytes("GET")]);
    // All but the last ones of a long header together.
    const start = Math.max(0, data.length - 200);
    await writeAll(conn, data.subarray(0, start));
    for (let i = start; i < data.length; i++) {
      assertEquals(served.protocols.length > 0 && i < encoded.length, false);
      await writeAll(conn, data.subarray(i, i + 1));
      await turn();
    }
    const protocol = await served.next();
    await protocol.untilReceived(3);
    assertEquals(protocol.text, "GET");
  });
}

Deno.test("createServer() with proxyProtocol reads straight into the memory of a BufferedProtocol behind the header", async () => {
  const made = Promise.withResolvers<BufferedRecorder>();
  const factory = () => {
    const protocol = new BufferedRecorder(1000);
    made.resolve(protocol);
    return protocol;
  };
  await using server = await loop.createServer(factory, {
    hostname: "127.0.0.1",
    port: 0,
    proxyProtocol: { trusted: ["127.0.0.1"] },
  });
  using conn = await dial(portOf(server));
  await writeAll(conn, concat([encodeProxyHeader(HEADERS[0]![1]), pattern(2500)]));
  const protocol = await made.promise;
  await protocol.untilReceived(2500);
  assertEquals(protocol.data, pattern(2500));
  assertEquals(protocol.log.entries, [
    "connectionMade",
    "bufferUpdated 1000",
    "bufferUpdated 1000",
    "bufferUpdated 500",
  ]);
});

Deno.test("createServer() with proxyProtocol keeps the socket's addresses for LOCAL, UNKNOWN and datagrams", async () => {
  await using served = await serveProxied();
  const udp = { transport: "udp", hostname: "192.0.2.1", port: 53 } as const;
  const headers: ProxyHeaderOptions[] = [{ command: "local" }, { version: 1 }, {}, { source: udp, destination: udp }];
  for (const [i, header] of headers.entries()) {
    using conn = await dial(served.port);
    await writeAll(conn, encodeProxyHeader(header));
    const { transport } = await served.next(i + 1);
    assertEquals(transport.getExtraInfo("peername"), conn.localAddr);
    assertEquals(transport.getExtraInfo("sockname"), conn.remoteAddr);
    assertEquals(transport.getExtraInfo("proxyPeername"), conn.localAddr);
    const { command, source } = transport.getExtraInfo("proxyProtocol")!;
    assertEquals([command, source], [header.command ?? "proxy", header.source as Deno.NetAddr ?? null]);
  }
});

Deno.test("createServer() with proxyProtocol has the paths of a header over Unix sockets as addresses", async () => {
  await using served = await serveProxied();
  using conn = await dial(served.port);
  await writeAll(conn, encodeProxyHeader({ source: { path: "" }, destination: { path: "/run/a.sock" } }));
  const { transport } = await served.next();
  assertEquals(transport.getExtraInfo("peername"), { transport: "unix", path: "" });
  assertEquals(transport.getExtraInfo("sockname"), { transport: "unix", path: "/run/a.sock" });
});

Deno.test("createServer() without proxyProtocol takes a header for data", async () => {
  await using served = await serveProxied({ proxyProtocol: undefined });
  using conn = await dial(served.port);
  await writeAll(conn, encodeProxyHeader(HEADERS[0]![1]));
  await conn.closeWrite();
  const protocol = await served.next();
  await protocol.untilLost();
  assertEquals(protocol.data, encodeProxyHeader(HEADERS[0]![1]));
  assertEquals(protocol.transport.getExtraInfo("peername"), conn.localAddr);
});

Deno.test("createServer() with proxyProtocol serves a peer that is not trusted at once, and takes its header for data", async () => {
  await using served = await serveProxied({ proxyProtocol: { trusted: ["192.0.2.0/24", "127.0.0.2", "::1", "unix"] } });
  using conn = await dial(served.port);
  const { transport, ...protocol } = await served.next(); // before it has sent anything
  assertEquals(transport.getExtraInfo("peername"), conn.localAddr);
  for (const key of ["proxyProtocol", "proxyPeername", "proxySockname"] as const) {
    assertEquals(transport.getExtraInfo(key), null);
  }
  const header = encodeProxyHeader(HEADERS[0]![1]);
  await writeAll(conn, header);
  const recorder = served.protocols[0]!;
  await recorder.untilReceived(header.length);
  assertEquals(recorder.data, header);
  assert(protocol.log !== undefined);
});

Deno.test('createServer() with untrusted: "refuse" closes a connection of another peer, and reports it once', async () => {
  using captured = captureExceptions();
  await using served = await serveProxied({ proxyProtocol: { trusted: ["192.0.2.1"], untrusted: "refuse" } });
  using conn = await dial(served.port);
  assertEquals(await conn.read(new Uint8Array(1)), null);
  await captured.log.has("Connection from 127.0.0.1 port ");
  assertEquals(captured.contexts.map(({ message }) => message), [
    `Connection from 127.0.0.1 port ${(conn.localAddr as Deno.NetAddr).port} refused by the PROXY protocol`,
  ]);
  const { error, peername } = captured.contexts[0]!;
  assertInstanceOf(error, ProxyHeaderError);
  assertEquals(error.message, "its address is not in proxyProtocol.trusted");
  assertEquals(peername, conn.localAddr);
  assertEquals(served.protocols.length, 0);
});

const TRUST: [trusted: string, hostname: string, isTrusted: boolean][] = [
  ["127.0.0.1", "127.0.0.1", true],
  ["127.0.0.2", "127.0.0.1", false],
  ["127.0.0.0/8", "127.0.0.1", true],
  ["127.0.0.0/31", "127.0.0.1", true],
  ["127.0.0.2/31", "127.0.0.1", false],
  ["0.0.0.0/0", "127.0.0.1", true],
  ["::/0", "127.0.0.1", false],
  ["::ffff:127.0.0.1", "127.0.0.1", true],
  ["::ffff:127.0.0.0/104", "127.0.0.1", true],
  ["::1", "::1", true],
  ["::/0", "::1", true],
  ["::/127", "::1", true],
  ["::2/127", "::1", false],
  ["0.0.0.0/0", "::1", false],
];

Deno.test("createServer() trusts a peer by the address of its socket: addresses and networks of both families", async () => {
  for (const [trusted, hostname, isTrusted] of TRUST) {
    if (hostname === "::1" && !hasIpv6()) continue;
    await using served = await serveProxied({ hostname, proxyProtocol: { trusted: [trusted] } });
    using conn = await Deno.connect({ hostname, port: served.port });
    await writeAll(conn, bytes("PROXY UNKNOWN\r\nhello"));
    const protocol = await served.next();
    await protocol.untilReceived(5);
    assertEquals([trusted, protocol.text.endsWith("hello"), protocol.text.length === 5], [trusted, true, isTrusted]);
  }
});

Deno.test("createServer() trusts an IPv4 peer of an IPv6 socket by its IPv4 address", async () => {
  if (!hasIpv6()) return;
  await using served = await serveProxied({ hostname: "::", proxyProtocol: { trusted: ["127.0.0.0/8"] } });
  using conn = await dial(served.port);
  await writeAll(conn, encodeProxyHeader(HEADERS[0]![1]));
  const { transport } = await served.next();
  assertEquals(transport.getExtraInfo("peername"), SOURCE);
  assertEquals(
    transport.getExtraInfo("proxyPeername"),
    { ...conn.localAddr, hostname: "::ffff:127.0.0.1" } as Deno.NetAddr,
  );
});

Deno.test('createUnixServer() trusts its peers if "unix" is trusted', async () => {
  using socket = tempPath();
  for (const trusted of [["unix"], ["0.0.0.0/0", "::/0"]]) {
    await using served = await serveUnixProxied(socket.path, trusted);
    using conn = await Deno.connect({ transport: "unix", path: socket.path });
    await writeAll(conn, concat([encodeProxyHeader(HEADERS[2]![1]), bytes("hello")]));
    await conn.closeWrite();
    const protocol = await served.next();
    await protocol.untilLost();
    const isTrusted = trusted[0] === "unix";
    assertEquals(protocol.text.length === 5, isTrusted);
    assertEquals(protocol.transport.getExtraInfo("peername"), isTrusted ? SOURCE : { transport: "unix", path: "" });
    assertEquals(protocol.transport.getExtraInfo("proxyPeername"), isTrusted ? { transport: "unix", path: "" } : null);
  }
});

Deno.test("createServer() with proxyProtocol and listener reads headers, too", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const recorder = new Recorder();
  const proxyProtocol = { trusted: ["127.0.0.1"] };
  await using server = await loop.createServer(() => recorder, { listener, proxyProtocol });
  using conn = await dial(portOf(server));
  await writeAll(conn, concat([encodeProxyHeader(HEADERS[0]![1]), bytes("hello")]));
  await recorder.untilReceived(5);
  assertEquals([recorder.text, recorder.transport.getExtraInfo("peername")], ["hello", SOURCE]);
});

const HOSTILE: [name: string, data: Uint8Array, message: RegExp][] = [
  ["no header", bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), /^there is no PROXY header/],
  ["an endless line", bytes(`PROXY UNKNOWN ${"a".repeat(10_000)}`), /no CRLF in the first 107 bytes/],
  [
    "a length of 64 KiB with nothing after",
    new Uint8Array([...SIGNATURE, 0x21, 0x11, 255, 255]),
    /too long: 65551 bytes/,
  ],
  ["addresses of another family", bytes("PROXY TCP4 ::1 ::1 80 80\r\n"), /"::1" is no address/],
  ["a block that is too short", binary(0x21, 0x21, new Uint8Array(12)), /too short for its addresses/],
  ["an unknown family", binary(0x21, 0x71, new Uint8Array(12)), /its address family is 7/],
  ["an unknown version", binary(0x31, 0x11, new Uint8Array(12)), /its version is 3/],
  ["a wrong checksum", binary(0x21, 0x11, [...new Uint8Array(12), 3, 0, 4, 1, 2, 3, 4]), /its checksum is wrong/],
];

for (const [name, data, message] of HOSTILE) {
  Deno.test(`createServer() with proxyProtocol closes a connection with ${name}, reports it once, and serves the next`, async () => {
    using captured = captureExceptions();
    await using served = await serveProxied();
    using conn = await dial(served.port);
    await writeAll(conn, data);
    // Unread bytes make the system reset the connection.
    await conn.read(new Uint8Array(1)).then((count) => assertEquals(count, null), (error) => {
      assertInstanceOf(error, Deno.errors.ConnectionReset);
    });
    await captured.log.has("Connection from 127.0.0.1 port ");
    const { error, peername } = captured.contexts[0]!;
    assertInstanceOf(error, ProxyHeaderError);
    assertMatch(error.message, message);
    assertEquals(peername, conn.localAddr);
    using next = await dial(served.port);
    await writeAll(next, bytes("PROXY UNKNOWN\r\n"));
    await served.next();
    assertEquals([captured.contexts.length, served.protocols.length], [1, 1]);
  });
}

Deno.test("createServer() with proxyProtocol reports a connection that ends in its header", async () => {
  using captured = captureExceptions();
  await using served = await serveProxied();
  for (const [i, start] of ["", "PROXY TCP4 1.1.1.1 "].entries()) {
    using conn = await dial(served.port);
    await writeAll(conn, bytes(start));
    await conn.closeWrite();
    assertEquals(await conn.read(new Uint8Array(1)), null);
    await captured.log.until(() => captured.contexts.length > i);
    assertEquals(
      captured.contexts[i]!.error!.message,
      `the connection ended in its PROXY header, after ${start.length} bytes`,
    );
  }
  assertEquals(served.protocols.length, 0);
});

Deno.test("createServer() with proxyProtocol closes a connection whose header is late, also one that comes slowly", async () => {
  const clock = new ManualClock();
  const own = makeLoop({ clock });
  using captured = captureExceptions(own);
  await withLoop(own, async () => {
    for (const timeout of [undefined, 250]) {
      await using served = await serveProxied({ proxyProtocol: { trusted: ["127.0.0.1"], timeout } }, own);
      using conn = await dial(served.port);
      await writeAll(conn, bytes("PROXY TCP4 "));
      await clock.untilSet(own);
      await clock.advance((timeout ?? 5000) - 1, own);
      await writeAll(conn, bytes("1"));
      assertEquals(captured.contexts, []);
      await clock.advance(1, own);
      await captured.log.has("Connection from 127.0.0.1 port ");
      const { error } = captured.contexts.splice(0)[0]!;
      captured.log.entries.length = 0;
      assertInstanceOf(error, TimeoutError);
      assertEquals(error.message, `the PROXY header did not arrive within ${timeout ?? 5000} ms`);
      await conn.read(new Uint8Array(1)).catch((error) => assertInstanceOf(error, Deno.errors.ConnectionReset));
      assertEquals([served.protocols.length, clock.due], [0, null]);
    }
  });
});

Deno.test("createServer() with proxyProtocol leaves no timer behind a header that has arrived", async () => {
  const clock = new ManualClock();
  const own = makeLoop({ clock });
  await withLoop(own, async () => {
    await using served = await serveProxied({}, own);
    using conn = await dial(served.port);
    await clock.untilSet(own);
    await writeAll(conn, bytes("PROXY UNKNOWN\r\n"));
    await served.next();
    await turn(own);
    assertEquals(clock.due, null);
  });
});

for (const method of ["closeClients", "abortClients"] as const) {
  Deno.test(`Server.${method}() ends connections whose header is pending, and reports nothing`, async () => {
    const clock = new ManualClock();
    const own = makeLoop({ clock });
    using captured = captureExceptions(own);
    await withLoop(own, async () => {
      const served = await serveProxied({}, own);
      using conn = await dial(served.port);
      await clock.untilSet(own);
      served.server.close();
      let isClosed = false;
      const closed = served.server.waitClosed().then(() => isClosed = true);
      // Until the listener has let go, too.
      await assertRejects(() => dial(served.port), Error, "Connection");
      for (let i = 0; i < 5; i++) await turn(own);
      assertEquals(isClosed, false);
      served.server[method]();
      await closed;
      await conn.read(new Uint8Array(1)).catch((error) => assertInstanceOf(error, Deno.errors.ConnectionReset));
      assertEquals([captured.contexts, clock.due], [[], null]);
    });
  });
}

Deno.test("Server.close() lets a connection whose header is pending go on", async () => {
  const clock = new ManualClock();
  const own = makeLoop({ clock });
  await withLoop(own, async () => {
    await using served = await serveProxied({}, own);
    using conn = await dial(served.port);
    await clock.untilSet(own);
    served.server.close();
    const pending = () => own.inspect().servers.map(({ proxyHeaders }) => proxyHeaders);
    assertEquals(pending(), [1]);
    await writeAll(conn, bytes("PROXY UNKNOWN\r\nhello"));
    const protocol = await served.next();
    assertEquals(pending(), [0]);
    await protocol.untilReceived(5);
    assertEquals(protocol.text, "hello");
  });
});

Deno.test("createServer() with proxyProtocol reads at most 1000 headers at once, and gives the oldest up", async () => {
  // In memory: a process may not be allowed so many sockets.
  const own = new EventLoop({ engine: new MemoryEngine() });
  using captured = captureExceptions(own);
  await using served = await serveProxied({}, own);
  const clients: Recorder[] = [];
  for (let i = 0; i < 1001; i++) {
    const [, client] = await own.createConnection(() => new Recorder(), { port: served.port });
    clients.push(client);
  }
  await clients[0]!.untilLost();
  await captured.log.has("Connection from 127.0.0.1 port ");
  const { error, peername } = captured.contexts[0]!;
  assertInstanceOf(error, ProxyHeaderError);
  assertEquals(error.message, "its PROXY header had to make room for newer ones: at most 1000 are read");
  assertEquals(peername, clients[0]!.transport.getExtraInfo("sockname")!);
  clients[1]!.transport.write(bytes("PROXY UNKNOWN\r\n"));
  await served.next();
  assertEquals(captured.contexts.length, 1);
  served.server.abortClients();
  await Promise.all(clients.map((client) => client.untilLost()));
});

Deno.test("createServer() rejects options of proxyProtocol that are wrong, and listens to nothing", async () => {
  const cases: [proxyProtocol: unknown, Class: typeof TypeError | typeof RangeError, message: string][] = [
    [true, TypeError, "proxyProtocol must be a plain object, got boolean true"],
    [
      {},
      TypeError,
      'proxyProtocol.trusted must be an array, each item an IP address, a network such as "10.0.0.0/8", or "unix", got undefined',
    ],
    [{ trusted: "10.0.0.0/8" }, TypeError, "proxyProtocol.trusted must be an array"],
    [{ trusted: [] }, RangeError, "proxyProtocol.trusted must name at least one peer, got an empty array"],
    [
      { trusted: ["10.0.0.0/33"] },
      TypeError,
      'proxyProtocol.trusted[0] must be an IP address, a network such as "10.0.0.0/8", or "unix", got string "10.0.0.0/33"',
    ],
    [
      { trusted: ["::1", "example.com"] },
      TypeError,
      'proxyProtocol.trusted[1] must be an IP address, a network such as "10.0.0.0/8", or "unix", got string "example.com"',
    ],
    [{ trusted: ["::/129"] }, TypeError, 'got string "::/129"'],
    [{ trusted: ["10.0.0.0/"] }, TypeError, 'got string "10.0.0.0/"'],
    [{ trusted: ["10.0.0/8"] }, TypeError, 'got string "10.0.0/8"'],
    [{ trusted: [1] }, TypeError, "got number 1"],
    [
      { trusted: ["10.1.2.3/8"] },
      TypeError,
      'proxyProtocol.trusted[0] has bits after its prefix, got string "10.1.2.3/8"; did you mean "10.0.0.0/8"?',
    ],
    [{ trusted: ["fd00::1/8"] }, TypeError, 'did you mean "fd00::/8"?'],
    [{ trusted: ["::1"], trust: [] }, TypeError, "proxyProtocol.trust is not an option"],
    [{ trusted: ["::1"], timeout: 0 }, RangeError, "proxyProtocol.timeout must be a number of milliseconds from 1"],
    [
      { trusted: ["::1"], untrusted: "close" },
      TypeError,
      'proxyProtocol.untrusted must be "serve" or "refuse", got string "close"',
    ],
  ];
  for (const [proxyProtocol, Class, message] of cases) {
    const options = { hostname: "127.0.0.1", port: 0, proxyProtocol: proxyProtocol as never };
    const error = await assertRejects(() => loop.createServer(() => new Recorder(), options), Class, message);
    assertEquals([error.name, error.message.startsWith("createServer(): ")], [Class.name, true]);
  }
});

Deno.test("createServer() rejects proxyProtocol with a Deno.TlsListener, which stays open", async () => {
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...SERVER });
  const options = { listener, proxyProtocol: { trusted: ["127.0.0.1"] } };
  await assertRejects(
    () => loop.createServer(() => new Recorder(), options),
    TypeError,
    "createServer(): proxyProtocol cannot be given with a Deno.TlsListener; give tls with a plain listener",
  );
  listener.close(); // throws if it is closed
});
