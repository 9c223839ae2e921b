/** Clients that send a PROXY header, and TLS behind one. */
import { parseProxyHeader, type ProxyHeaderOptions, socketPair } from "../../mod.ts";
import { assertEquals, assertRejects, assertStrictEquals } from "../std.ts";
import { bytes, captureExceptions, concat, loop, pattern, Recorder, tempPath, text, turn } from "../kit.ts";
import { readAll, readBytes, writeAll } from "../streams/kit.ts";
import { openConnection, startServer } from "../../streams/mod.ts";
import { CA, Echo, SERVER, TRUSTING } from "../tls/kit.ts";
import { encodeProxyHeader } from "../../mod.ts";
import { serveProxied, serveUnixProxied } from "./kit.ts";

const SOURCE = { transport: "tcp", hostname: "203.0.113.7", port: 56324 } as const;
const DESTINATION = { transport: "tcp", hostname: "192.0.2.1", port: 443 } as const;

/** Takes one connection with Deno's own sockets, and returns what a client sends until it closes. */
async function received(connect: (port: number) => Promise<void>): Promise<Uint8Array> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [conn] = await Promise.all([listener.accept(), connect(listener.addr.port)]);
  using _ = conn;
  return await readAll(conn);
}

/** Connects, writes and closes. */
async function say(port: number, proxyProtocol: ProxyHeaderOptions | undefined, message: string): Promise<Recorder> {
  const [transport, recorder] = await loop.createConnection(() => new Recorder(), { port, proxyProtocol });
  transport.write(bytes(message));
  transport.close();
  await recorder.untilLost();
  await turn();
  return recorder;
}

for (const version of [1, 2] as const) {
  Deno.test(`createConnection() with proxyProtocol sends a header of version ${version} before all else`, async () => {
    const proxyProtocol = { version, source: SOURCE, destination: DESTINATION };
    const data = await received(async (port) => void await say(port, proxyProtocol, "hello"));
    assertEquals(data, concat([encodeProxyHeader(proxyProtocol), bytes("hello")]));
  });

  Deno.test(`createConnection() with proxyProtocol sends its own addresses by default (version ${version})`, async () => {
    let client!: Recorder;
    const data = await received(async (port) => void (client = await say(port, { version }, "")));
    const { header, length } = parseProxyHeader(data)!;
    assertEquals(length, data.length);
    assertEquals(header.source, client.transport.getExtraInfo("sockname"));
    assertEquals(header.destination, client.transport.getExtraInfo("peername"));
  });
}

Deno.test("createConnection() without proxyProtocol sends no header", async () => {
  assertEquals(text(await received(async (port) => void await say(port, undefined, "hello"))), "hello");
});

Deno.test('createConnection() with command: "local" sends a header without addresses', async () => {
  const data = await received(async (port) => void await say(port, { command: "local" }, ""));
  assertEquals(data, encodeProxyHeader({ command: "local" }));
});

Deno.test("createConnection() passes on the header and the addresses of a server's connection", async () => {
  await using last = await serveProxied();
  await using served = await serveProxied();
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: served.port });
  const header = { source: SOURCE, destination: DESTINATION, authority: "example.com" } as const;
  await writeAll(conn, encodeProxyHeader(header));
  const { transport } = await served.next();
  await say(last.port, transport.getExtraInfo("proxyProtocol")!, "one");
  const [source, destination] = [transport.getExtraInfo("peername"), transport.getExtraInfo("sockname")];
  await say(last.port, { version: 1, source, destination }, "two");
  for (const count of [1, 2]) {
    const { transport } = await last.next(count);
    assertEquals([transport.getExtraInfo("peername"), transport.getExtraInfo("sockname")], [SOURCE, DESTINATION]);
    assertEquals(transport.getExtraInfo("proxyProtocol")!.authority, count === 1 ? "example.com" : undefined);
  }
});

Deno.test("createUnixConnection() with proxyProtocol sends a header, with the socket's paths by default", async () => {
  using socket = tempPath();
  const { path } = socket;
  await using served = await serveUnixProxied(path, ["unix"]);
  for (const [i, proxyProtocol] of [{ source: SOURCE, destination: DESTINATION }, {}, { version: 1 }].entries()) {
    const options = { path, proxyProtocol: proxyProtocol as ProxyHeaderOptions };
    const [transport] = await loop.createUnixConnection(() => new Recorder(), options);
    const protocol = await served.next(i + 1);
    const { source, destination } = protocol.transport.getExtraInfo("proxyProtocol")!;
    const own = [{ transport: "unix" as const, path: "" }, { transport: "unix" as const, path }];
    assertEquals([source, destination], [[SOURCE, DESTINATION], own, [null, null]][i]);
    transport.write(bytes("hello"));
    await protocol.untilReceived(5);
    assertEquals(protocol.text, "hello");
    transport.abort();
    await turn();
  }
});

Deno.test("createConnection() with conn and proxyProtocol sends a header", async () => {
  const [ours, theirs] = await socketPair();
  using _ = theirs;
  const proxyProtocol = { source: SOURCE, destination: DESTINATION };
  const [transport, recorder] = await loop.createConnection(() => new Recorder(), { conn: ours, proxyProtocol });
  transport.close();
  assertEquals(await readAll(theirs), encodeProxyHeader(proxyProtocol));
  await recorder.untilLost();
});

Deno.test("createConnection() with TLS sends its header unencrypted, and a server does TLS behind it", async () => {
  const proxyProtocol = { source: SOURCE, destination: DESTINATION };
  await using served = await serveProxied({ tls: { ...SERVER, alpnProtocols: ["echo"] } });
  const [transport, client] = await loop.createConnection(() => new Echo(), {
    port: served.port,
    proxyProtocol,
    tls: { ...TRUSTING, alpnProtocols: ["echo"] },
  });
  const { transport: theirs } = await served.next();
  theirs.write(pattern(100_000));
  await client.untilReceived(100_000);
  assertEquals(theirs.getExtraInfo("peername"), SOURCE);
  assertEquals(theirs.getExtraInfo("proxyPeername"), transport.getExtraInfo("sockname"));
  assertEquals([theirs.getExtraInfo("alpnProtocol"), transport.getExtraInfo("alpnProtocol")], ["echo", "echo"]);
  transport.abort();
  await client.untilLost();
});

/** A proxy of bytes: sends `start(first)` for the first bytes of its client, in these pieces, and passes on the rest. */
function relay(port: number, start: (first: Uint8Array) => Uint8Array[]) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const running = (async () => {
    using client = await listener.accept();
    using server = await Deno.connect({ hostname: "127.0.0.1", port });
    server.setNoDelay();
    const first = new Uint8Array(64 * 1024);
    const count = (await client.read(first))!;
    for (const piece of start(first.subarray(0, count))) await writeAll(server, piece);
    const pass = async (from: Deno.Conn, to: Deno.Conn) => {
      const buffer = new Uint8Array(64 * 1024);
      for (let count; (count = await from.read(buffer)) !== null;) await writeAll(to, buffer.subarray(0, count));
      await to.closeWrite();
    };
    await Promise.all([pass(client, server), pass(server, client)]).catch(() => {});
  })();
  return {
    port: listener.addr.port,
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await running;
    },
  };
}

const header = encodeProxyHeader({ version: 1, source: SOURCE, destination: DESTINATION });
const PIECES: [name: string, start: (hello: Uint8Array) => Uint8Array[]][] = [
  ["one segment", (hello) => [concat([header, hello])]],
  ["two segments", (hello) => [header, hello]],
  ["segments that are cut inside both", (hello) => {
    const whole = concat([header, hello]);
    return [whole.subarray(0, 10), whole.subarray(10, header.length + 3), whole.subarray(header.length + 3)];
  }],
  ["segments of a byte", (hello) => Array.from(concat([header, hello]), (byte) => new Uint8Array([byte]))],
];

for (const [name, start] of PIECES) {
  Deno.test(`createServer() with proxyProtocol and TLS takes a header and a ClientHello in ${name}`, async () => {
    await using served = await serveProxied({ tls: SERVER });
    await using proxy = relay(served.port, start);
    using client = await Deno.connectTls({ hostname: "localhost", port: proxy.port, caCerts: [CA] });
    await client.handshake();
    const { transport } = await served.next();
    assertEquals(transport.getExtraInfo("peername"), SOURCE);
    assertEquals(transport.getExtraInfo("sockname"), DESTINATION);
    assertEquals(transport.getExtraInfo("cipher")?.version, "TLSv1.3");
    transport.write(pattern(70_000));
    assertEquals(await readBytes(client, 70_000), pattern(70_000));
  });
}

Deno.test("createServer() with proxyProtocol and TLS reports a failed handshake with the client's address", async () => {
  using captured = captureExceptions();
  await using served = await serveProxied({ tls: SERVER });
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: served.port });
  await writeAll(conn, concat([header, bytes("GET / HTTP/1.1\r\n\r\n")]));
  await captured.log.has("TLS handshake with 203.0.113.7 port 56324 failed");
  assertEquals(captured.contexts.map(({ peername }) => peername), [SOURCE]);
  await conn.read(new Uint8Array(100)).catch(() => {});
});

Deno.test("createConnection() rejects wrong options of proxyProtocol before it connects", async () => {
  const cases: [proxyProtocol: unknown, message: string][] = [
    [1, "createConnection(): proxyProtocol must be a plain object, got number 1"],
    [{ version: 3 }, "createConnection(): proxyProtocol.version must be 1 or 2, got number 3"],
    [{ trusted: [] }, "createConnection(): proxyProtocol.trusted is not an option"],
    [
      { source: SOURCE },
      "createConnection(): proxyProtocol.source and proxyProtocol.destination must be given together",
    ],
    [{ version: 1, alpn: "h2" }, "createConnection(): proxyProtocol.alpn needs version: 2"],
  ];
  for (const [proxyProtocol, message] of cases) {
    // Port 1: connecting would be an error of another class.
    const options = { port: 1, proxyProtocol: proxyProtocol as ProxyHeaderOptions };
    await assertRejects(() => loop.createConnection(() => new Recorder(), options), TypeError, message);
  }
});

Deno.test("createConnection() rejects proxyProtocol with a Deno.TlsConn, which stays open", async () => {
  using listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...SERVER });
  const connecting = Deno.connectTls({ hostname: "localhost", port: listener.addr.port, caCerts: [CA] });
  using accepted = await listener.accept();
  const conn = await connecting;
  await Promise.all([accepted.handshake(), conn.handshake()]);
  await assertRejects(
    () => loop.createConnection(() => new Recorder(), { conn, proxyProtocol: {} }),
    TypeError,
    "createConnection(): proxyProtocol cannot be given with a Deno.TlsConn, which sends nothing before its TLS",
  );
  await writeAll(conn, bytes("still mine"));
  assertEquals(text(await readBytes(accepted, 10)), "still mine");
  conn.close();
});

Deno.test("createConnection() with proxyProtocol and a signal that has aborted rejects with its reason", async () => {
  await using served = await serveProxied();
  const reason = new Error("enough");
  const signal = AbortSignal.abort(reason);
  const options = { port: served.port, proxyProtocol: {}, signal };
  const error = await assertRejects(() => loop.createConnection(() => new Recorder(), options), Error, "enough");
  assertStrictEquals(error, reason);
});

Deno.test("createConnection() with proxyProtocol and a signal that aborts while the header is sent closes the connection", async () => {
  const [ours, theirs] = await socketPair();
  using _ = theirs;
  const controller = new AbortController();
  const { write } = ours;
  ours.write = (data) => {
    controller.abort(new Error("enough"));
    return write.call(ours, data);
  };
  await assertRejects(
    () => loop.createConnection(() => new Recorder(), { conn: ours, proxyProtocol: {}, signal: controller.signal }),
    Error,
    "enough",
  );
  await readAll(theirs);
});

Deno.test("createConnection() with proxyProtocol closes the connection if the header cannot be sent", async () => {
  const [ours, theirs] = await socketPair();
  using _ = theirs;
  const failure = new Deno.errors.BrokenPipe("no way");
  ours.write = () => Promise.reject(failure);
  const connecting = loop.createConnection(() => new Recorder(), { conn: ours, proxyProtocol: {} });
  assertStrictEquals(await assertRejects(() => connecting, Deno.errors.BrokenPipe, "no way"), failure);
  assertEquals(await readAll(theirs), new Uint8Array(0));
});

Deno.test("createConnection() with proxyProtocol sends the rest of a header that the system has taken in part", async () => {
  const [ours, theirs] = await socketPair();
  using _ = theirs;
  const { write } = ours;
  ours.write = (data) => write.call(ours, data.subarray(0, 5));
  const [transport] = await loop.createConnection(() => new Recorder(), { conn: ours, proxyProtocol: { version: 1 } });
  transport.close();
  assertEquals(parseProxyHeader(await readAll(theirs))!.header.version, 1);
  await turn();
});

Deno.test("openConnection() and startServer() take proxyProtocol", async () => {
  const met = Promise.withResolvers<unknown>();
  await using server = await startServer(async ({ reader, transport }) => {
    met.resolve([await reader.readLine(), transport.getExtraInfo("peername")]);
  }, { hostname: "127.0.0.1", port: 0, proxyProtocol: { trusted: ["127.0.0.1"] }, loop });
  const proxyProtocol = { source: SOURCE, destination: DESTINATION };
  const pair = await openConnection({ port: server.port, proxyProtocol, loop });
  pair.writer.write(bytes("hello\n"));
  assertEquals(await met.promise, [bytes("hello\n"), SOURCE]);
  pair.writer.close();
  await pair.closed;
});

Deno.test("connectAcceptedSocket() has no option proxyProtocol", async () => {
  const [ours, theirs] = await socketPair();
  const options = { proxyProtocol: {} } as object;
  await assertRejects(
    () => loop.connectAcceptedSocket(() => new Recorder(), ours, options),
    TypeError,
    "connectAcceptedSocket(): proxyProtocol is not an option",
  );
  ours.close();
  theirs.close();
});

Deno.test("createConnection() with proxyProtocol to no server rejects as without it", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const options = { port, proxyProtocol: {} };
  await assertRejects(() => loop.createConnection(() => new Recorder(), options), Deno.errors.ConnectionRefused);
});
