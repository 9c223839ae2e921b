/** TLS from the first byte: what is agreed upon, what is known of it, and every way to ask for it. */
import {
  type PeerCertificate,
  Protocol,
  TlsContext,
  TlsError,
  type TlsOptions,
  type TlsVersion,
  type Transport,
} from "../mod.ts";
import { assertEquals, assertInstanceOf, assertMatch, assertRejects, assertStrictEquals, assertThrows } from "./std.ts";
import { bytes, captureExceptions, loop, pattern, portOf, Recorder, tempPath, turn } from "./kit.ts";
import { readBytes, writeAll } from "./stream_kit.ts";
import {
  CA,
  CLIENT,
  clientTls,
  connectTls,
  ENGINES,
  EXPIRED,
  SECOND,
  SERVER,
  serverTls,
  STRANGER,
  type TlsPairOptions,
  tlsRecorders,
  WAYS,
} from "./tls_kit.ts";

/** Sends back what it gets. */
class Echo extends Recorder {
  override dataReceived(data: Uint8Array): void {
    this.transport.write(data);
    super.dataReceived(data);
  }
}

/** Notes what is known at the time of `connectionMade`. */
class KnowsAtOnce extends Recorder {
  known: unknown[] = [];
  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    const sslObject = transport.getExtraInfo("sslObject");
    this.known = [transport.getExtraInfo("alpnProtocol"), typeof sslObject];
  }
}

/** The subject's common name in what the other side has shown, or `null`. */
function peerName(transport: Transport): unknown {
  return transport.getExtraInfo("peercert")?.subject["CN"] ?? null;
}

/** Connects, asks both sides, and leaves. */
async function agreed<T>(options: TlsPairOptions, ask: (transport: Transport) => T): Promise<{ server: T; client: T }> {
  await using pair = await tlsRecorders(options);
  return { server: ask(pair.serverSide.transport), client: ask(pair.clientSide.transport) };
}

for (const way of WAYS) {
  Deno.test(`createConnection() with tls calls connectionMade after the handshake over ${way.name}`, async () => {
    const tls = { alpnProtocols: ["echo"] };
    const make = () => new KnowsAtOnce();
    await using pair = await connectTls(make, make, { ...way, serverTls: tls, clientTls: tls });
    for (const side of [pair.serverSide, pair.clientSide]) {
      assertEquals(side.known, ["echo", "object"]);
      assertEquals(side.log.entries, ["connectionMade"]);
    }
  });

  Deno.test(`write() carries 3 MB both ways at once over ${way.name}`, async () => {
    const size = 3_000_000;
    const make = () => new Echo();
    await using pair = await connectTls(make, () => new Recorder(), way);
    const data = pattern(size);
    pair.clientSide.transport.write(data);
    await pair.clientSide.untilReceived(size);
    assertEquals(pair.serverSide.data, data);
    assertEquals(pair.clientSide.data, data);
  });

  Deno.test(`getExtraInfo() gives the addresses of both ends over ${way.name}`, async () => {
    await using pair = await tlsRecorders(way);
    const { serverSide, clientSide, server } = pair;
    const kind = way.medium === "tcp" ? "tcp" : "unix";
    for (const { transport } of [serverSide, clientSide]) {
      assertEquals(transport.getExtraInfo("peername")?.transport, kind);
      assertEquals(transport.getExtraInfo("sockname")?.transport, kind);
    }
    assertEquals(serverSide.transport.getExtraInfo("peername"), clientSide.transport.getExtraInfo("sockname"));
    assertEquals(serverSide.transport.getExtraInfo("sockname"), clientSide.transport.getExtraInfo("peername"));
    if (server !== null) assertEquals(serverSide.transport.getExtraInfo("sockname"), server.addresses[0]);
  });

  Deno.test(`getExtraInfo() knows every key, also after the end, over ${way.name}`, async () => {
    const options = { alpnProtocols: ["a"] };
    const serverContext = new TlsContext({ ...SERVER, ...options });
    const clientContext = new TlsContext({ caCerts: [CA], ...options });
    await using pair = await tlsRecorders({
      ...way,
      serverTls: { context: serverContext },
      clientTls: { context: clientContext },
    });
    const sides = [
      { side: pair.serverSide, context: serverContext, peercert: null },
      { side: pair.clientSide, context: clientContext, peercert: await expectedCertificate() },
    ];
    const check = ({ side: { transport }, context, peercert }: typeof sides[number]) => {
      const socket = transport.getExtraInfo("socket") as Deno.Conn;
      assertEquals("handshake" in socket, way.native);
      const cipher = { name: "TLS_AES_256_GCM_SHA384", version: "TLSv1.3", bits: 256 };
      assertEquals(transport.getExtraInfo("cipher"), way.native ? null : cipher);
      assertEquals(transport.getExtraInfo("compression", "none"), null);
      assertStrictEquals(transport.getExtraInfo("sslcontext"), context);
      assertEquals(transport.getExtraInfo("alpnProtocol"), "a");
      assertEquals(transport.getExtraInfo("peercert"), peercert);
      const sslObject = transport.getExtraInfo("sslObject");
      if (way.native) assertStrictEquals<unknown>(sslObject, socket);
      else assertEquals(sslObject?.constructor.name, "TLSSocket");
    };
    const ends = () =>
      sides.map((
        { side: { transport } },
      ) => [transport.getExtraInfo("peername"), transport.getExtraInfo("sockname"), transport.getExtraInfo("socket")]);
    const before = ends();
    sides.forEach(check);
    pair.clientSide.transport.close();
    for (const { side } of sides) await side.untilLost();
    await turn();
    sides.forEach(check);
    assertEquals(ends(), before);
  });
}

/** What `SERVER` says of itself. */
async function expectedCertificate(): Promise<PeerCertificate> {
  const raw = Uint8Array.from(atob(SERVER.cert.replace(/-----[^-]+-----|\s/g, "")), (c) => c.charCodeAt(0));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", raw));
  return {
    subject: { CN: "localhost" },
    issuer: { CN: "Tandem test authority" },
    subjectAltName: ["DNS:localhost", "DNS:*.example.test", "IP Address:127.0.0.1", "IP Address:::1"],
    serialNumber: "1000",
    notBefore: new Date("2020-01-01T00:00:00Z"),
    notAfter: new Date("2086-01-01T00:00:00Z"),
    fingerprint256: [...digest].map((byte) => byte.toString(16).padStart(2, "0").toUpperCase()).join(":"),
    raw,
  };
}

for (const { name, native } of ENGINES) {
  Deno.test(`createServer() with tls makes no protocol before the handshake (${name})`, async () => {
    let made = 0;
    const accepted = Promise.withResolvers<void>();
    const server = await loop.createServer(() => {
      made++;
      accepted.resolve();
      return new Protocol();
    }, { hostname: "127.0.0.1", port: 0, tls: serverTls({ native }) });
    await using _closing = server;
    const first = await Deno.connect({ hostname: "127.0.0.1", port: portOf(server) });
    // The second one is accepted behind the first one, which says nothing.
    const second = await Deno.connectTls({ hostname: "127.0.0.1", port: portOf(server), caCerts: [CA] });
    await second.handshake();
    await accepted.promise;
    assertEquals(made, 1);
    using secured = await Deno.startTls(first, { hostname: "localhost", caCerts: [CA] });
    await secured.handshake();
    await writeAll(second, bytes("x"));
    second.close();
  });

  const alpn: [server: string[] | undefined, client: string[] | undefined, agreed: string | null][] = [
    [["a", "b"], ["b", "a"], "a"],
    [["a"], ["x", "a"], "a"],
    [["a"], undefined, null],
    [undefined, ["a"], null],
    [["é", "a".repeat(255)], ["a".repeat(255)], "a".repeat(255)],
  ];
  for (const [server, client, expected] of alpn) {
    const names = `${JSON.stringify(server)?.slice(0, 20)} and ${JSON.stringify(client)?.slice(0, 20)}`;
    Deno.test(`alpnProtocols ${names} agree on what the server likes best (${name})`, async () => {
      const options = {
        native,
        serverTls: server ? { alpnProtocols: server } : {},
        clientTls: client ? { alpnProtocols: client } : {},
      };
      const both = await agreed(options, (transport) => transport.getExtraInfo("alpnProtocol"));
      assertEquals(both, { server: expected, client: expected });
    });
  }

  for (const serverHostname of ["localhost", "LOCALHOST", "a.example.test", "127.0.0.1", "::1"]) {
    Deno.test(`serverHostname ${serverHostname} is what the certificate is for (${name})`, async () => {
      const both = await agreed({ native, clientTls: { serverHostname } }, peerName);
      assertEquals(both.client, "localhost");
    });
  }

  Deno.test(`hostname is the name that the certificate must be for where serverHostname is not given (${name})`, async () => {
    const server = await loop.createServer(() => new Protocol(), {
      hostname: "127.0.0.1",
      port: 0,
      tls: serverTls({ native }),
    });
    await using _closing = server;
    const tls = { caCerts: [CA], native };
    const [transport, client] = await loop.createConnection(() => new Recorder(), { port: portOf(server), tls });
    assertEquals(peerName(transport), "localhost");
    transport.close();
    await client.untilLost();
    assertEquals(client.error, null);
    await turn();
  });

  Deno.test(`caCerts trusts every authority, in a text of its own or not (${name})`, async () => {
    for (const caCerts of [[STRANGER, CA], [CA + STRANGER], [STRANGER + CA]]) {
      const both = await agreed({ native, clientTls: { caCerts } }, peerName);
      assertEquals(both.client, "localhost");
    }
  });

  Deno.test(`cert and key of a client are shown to a server that asks (${name})`, async () => {
    const { server } = await agreed({
      serverTls: { requestCert: true, caCerts: [CA] },
      clientTls: { ...CLIENT, native, serverHostname: "127.0.0.1" },
    }, peerName);
    assertEquals(server, "client");
  });
}

/** What becomes of a client's certificate: the name that the server learns, or the code of the client's error. */
const mutual: [what: string, server: TlsOptions, client: TlsOptions, seen: string | null][] = [
  ["nothing of a client that has none, if rejectUnauthorized is false", { rejectUnauthorized: false }, {}, null],
  [
    "a certificate that it cannot verify, if rejectUnauthorized is false",
    {
      caCerts: [STRANGER],
      rejectUnauthorized: false,
    },
    CLIENT,
    "client",
  ],
  ["an expired one, if rejectUnauthorized is false", { rejectUnauthorized: false }, EXPIRED, "localhost"],
  ["a good one, if rejectUnauthorized is false", { rejectUnauthorized: false }, CLIENT, "client"],
  ["a good one", {}, CLIENT, "client"],
];
for (const [what, server, client, seen] of mutual) {
  Deno.test(`requestCert lets a server see ${what}`, async () => {
    const serverTls = { requestCert: true, caCerts: [CA], ...server };
    const both = await agreed({ serverTls, clientTls: client }, peerName);
    assertEquals(both, { server: seen, client: "localhost" });
  });
}

Deno.test("requestCert that is not given leaves a client's certificate unseen", async () => {
  assertEquals(await agreed({ clientTls: CLIENT }, peerName), { server: null, client: "localhost" });
});

Deno.test("rejectUnauthorized false lets a client see a certificate that it does not trust", async () => {
  for (const clientTls of [{ caCerts: [STRANGER] }, { serverHostname: "other.test" }]) {
    const both = await agreed({ clientTls: { ...clientTls, rejectUnauthorized: false } }, peerName);
    assertEquals(both.client, "localhost");
  }
});

Deno.test("rejectUnauthorized false lets a client do without a serverHostname", async () => {
  const clientTls = { rejectUnauthorized: false, serverHostname: undefined };
  for (const medium of ["tcp", "unix", "socketPair"] as const) {
    assertEquals((await agreed({ medium, clientTls }, peerName)).client, "localhost");
  }
});

const versions: [server: TlsOptions, client: TlsOptions, version: TlsVersion][] = [
  [{}, {}, "TLSv1.3"],
  [{ maxVersion: "TLSv1.2" }, {}, "TLSv1.2"],
  [{}, { maxVersion: "TLSv1.2" }, "TLSv1.2"],
  [{ minVersion: "TLSv1.3" }, {}, "TLSv1.3"],
  [{ minVersion: "TLSv1.2", maxVersion: "TLSv1.2" }, { minVersion: "TLSv1.2" }, "TLSv1.2"],
];
for (const [serverTls, clientTls, version] of versions) {
  const what = `server ${JSON.stringify(serverTls)}, client ${JSON.stringify(clientTls)}`;
  Deno.test(`minVersion and maxVersion are kept to by ${what}`, async () => {
    const both = await agreed({ serverTls, clientTls }, (transport) => transport.getExtraInfo("cipher")?.version);
    assertEquals(both, { server: version, client: version });
  });
}

Deno.test("getExtraInfo() tells a cipher of TLS 1.2 by its name and bits", async () => {
  const ask = (transport: Transport) => transport.getExtraInfo("cipher");
  const { server, client } = await agreed({ clientTls: { maxVersion: "TLSv1.2" } }, ask);
  assertEquals(client, { name: "ECDHE-ECDSA-AES256-GCM-SHA384", version: "TLSv1.2", bits: 256 });
  assertEquals(server, client);
});

Deno.test("ciphers lets in what it names", async () => {
  const ciphers = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
  const ask = (transport: Transport) => transport.getExtraInfo("cipher")?.name;
  const both = await agreed({ serverTls: { ciphers }, clientTls: { ciphers } }, ask);
  assertEquals(both, { server: "TLS_AES_256_GCM_SHA384", client: "TLS_AES_256_GCM_SHA384" });
});

const second = new TlsContext(SECOND);
const chooseSni: [how: string, sni: TlsOptions["sni"], name: string, shown: string, heard: string[]][] = [
  ["by name", (name) => name === "second.test" ? second : null, "second.test", "second.test", ["second.test"]],
  ["null for its own", () => null, "a.example.test", "localhost", ["a.example.test"]],
  ["later", async (name) => (await turn(), name === "second.test" ? second : null), "second.test", "second.test", [
    "second.test",
  ]],
  ["null later", async () => (await turn(), null), "localhost", "localhost", ["localhost"]],
  ["for a client that names none", () => null, "127.0.0.1", "localhost", [""]],
];
for (const [how, sni, serverHostname, shown, heard] of chooseSni) {
  Deno.test(`sni chooses the certificate ${how}`, async () => {
    const names: string[] = [];
    const serverTls: TlsOptions = { sni: (name) => (names.push(name), sni!(name)) };
    assertEquals((await agreed({ serverTls, clientTls: { serverHostname } }, peerName)).client, shown);
    assertEquals(names, heard);
  });
}

Deno.test("sni alone makes a server, and a context of its choice brings its versions", async () => {
  const old = new TlsContext({ ...SECOND, maxVersion: "TLSv1.2" });
  const tls = { sni: () => old };
  const server = await loop.createServer(() => new Protocol(), { hostname: "127.0.0.1", port: 0, tls });
  await using _closing = server;
  const options = { port: portOf(server), tls: clientTls({ serverHostname: "second.test" }) };
  const [transport, client] = await loop.createConnection(() => new Recorder(), options);
  assertEquals(peerName(transport), "second.test");
  assertEquals(transport.getExtraInfo("cipher")?.version, "TLSv1.2");
  transport.abort();
  await client.untilLost();
  await turn();
});

const badSni: [how: string, sni: () => unknown, ErrorClass: new (...args: never[]) => Error, message: RegExp][] = [
  [
    "throws",
    () => {
      throw new RangeError("no such name");
    },
    RangeError,
    /no such name/,
  ],
  ["rejects", () => Promise.reject(new RangeError("no such name")), RangeError, /no such name/],
  [
    "returns a string",
    () => "second",
    TypeError,
    /sni must return a TlsContext with cert and key, or null, got string "second"/,
  ],
  ["returns nothing", () => {}, TypeError, /sni must return a TlsContext with cert and key, or null, got undefined/],
  ["returns options", () => SECOND, TypeError, /sni must return a TlsContext with cert and key, or null, got Object/],
  ["returns a context without a certificate", () => new TlsContext(), TypeError, /sni/],
  ["returns a context that cannot be read", () => new TlsContext({ cert: "x", key: "y" }), TypeError, /cert/],
];
for (const [how, sni, ErrorClass, message] of badSni) {
  Deno.test(`sni that ${how} fails the handshake, tells the exception handler, and the server goes on`, async () => {
    using captured = captureExceptions();
    let broken = true;
    const tls = { ...SERVER, sni: (() => broken ? sni() : null) as () => null };
    const server = await loop.createServer(() => new Protocol(), { hostname: "127.0.0.1", port: 0, tls });
    await using _closing = server;
    const options = { port: portOf(server), tls: clientTls() };
    await assertRejects(() => loop.createConnection(() => new Protocol(), options), Error);
    await captured.log.has("TLS handshake");
    assertEquals(captured.contexts.length, 1);
    const { error } = captured.contexts[0]!;
    assertInstanceOf(error, ErrorClass);
    assertMatch(error.message, message);
    broken = false;
    const [transport, client] = await loop.createConnection(() => new Recorder(), options);
    transport.close();
    await client.untilLost();
    await turn();
  });
}

Deno.test("reload() changes the certificate of connections to come and drops nobody", async () => {
  const context = new TlsContext(SERVER);
  await using old = await tlsRecorders({ serverTls: { context } });
  await context.reload(SECOND);
  const tls = clientTls({ serverHostname: "second.test" });
  const [transport, client] = await loop.createConnection(() => new Recorder(), { port: portOf(old.server!), tls });
  assertEquals([peerName(old.clientSide.transport), peerName(transport)], ["localhost", "second.test"]);
  old.clientSide.transport.write(bytes("still here"));
  await old.serverSide.untilReceived(10);
  transport.close();
  await client.untilLost();
  await turn();
});

Deno.test("reload() that fails leaves the context as it was", async () => {
  const context = new TlsContext(SERVER);
  await using pair = await tlsRecorders({ serverTls: { context } });
  await assertRejects(() => context.reload({ key: SECOND.key }), TypeError, "key must be the private key of cert");
  await assertRejects(() => context.reload({ minVersion: "TLSv1.4" as "TLSv1.3" }), TypeError, "minVersion must be");
  const options = { port: portOf(pair.server!), tls: clientTls() };
  const [transport, client] = await loop.createConnection(() => new Recorder(), options);
  assertEquals(peerName(transport), "localhost");
  transport.close();
  await client.untilLost();
  await turn();
});

Deno.test("reload() changes whom a client trusts, for connections to come", async () => {
  const context = new TlsContext({ caCerts: [STRANGER] });
  await using pair = await tlsRecorders();
  const options = { port: portOf(pair.server!), tls: { context, serverHostname: "localhost" } };
  using captured = captureExceptions();
  await assertRejects(() => loop.createConnection(() => new Recorder(), options), TlsError);
  await captured.log.has("TLS handshake");
  await context.reload({ caCerts: [CA] });
  const [transport, client] = await loop.createConnection(() => new Recorder(), options);
  assertStrictEquals(transport.getExtraInfo("sslcontext"), context);
  transport.close();
  await client.untilLost();
  await turn();
});

Deno.test("a TlsContext serves many connections of both sides at once", async () => {
  const context = new TlsContext({ ...SERVER, caCerts: [CA] });
  const options = { serverTls: { context }, clientTls: { context } };
  const names = await Promise.all(Array.from({ length: 10 }, () => agreed(options, peerName)));
  assertEquals(names, Array(10).fill({ server: null, client: "localhost" }));
});

for (const kind of ["TCP", "Unix"] as const) {
  Deno.test(`createServer() and createConnection() speak TLS over a listener and a conn that are given (${kind})`, async () => {
    using file = tempPath();
    const where = { transport: "unix", path: file.path } as const;
    const listener = kind === "TCP" ? Deno.listen({ hostname: "127.0.0.1", port: 0 }) : Deno.listen(where);
    const conn = kind === "TCP"
      ? await Deno.connect({ port: (listener.addr as Deno.NetAddr).port })
      : await Deno.connect(where);
    const [serve, dial] = kind === "TCP"
      ? [loop.createServer.bind(loop), loop.createConnection.bind(loop)]
      : [loop.createUnixServer.bind(loop), loop.createUnixConnection.bind(loop)];
    await using _server = await serve(() => new Echo(), { listener, tls: serverTls() });
    const [transport, client] = await dial(() => new Recorder(), { conn, tls: clientTls() });
    transport.write(bytes("hello"));
    await client.untilReceived(5);
    assertStrictEquals(transport.getExtraInfo("socket"), conn);
    assertEquals(peerName(transport), "localhost");
    transport.close();
    await client.untilLost();
    assertEquals(client.error, null);
    await turn();
  });
}

Deno.test("createServer() and createConnection() take a Deno.TlsListener and a Deno.TlsConn", async () => {
  const alpnProtocols = ["a"];
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...SERVER, alpnProtocols });
  const conn = await Deno.connectTls({ ...listener.addr as Deno.NetAddr, caCerts: [CA], alpnProtocols });
  let serverSide!: Echo;
  await using _server = await loop.createServer(() => serverSide = new Echo(), { listener });
  const [transport, client] = await loop.createConnection(() => new Recorder(), { conn });
  transport.write(bytes("hello"));
  await client.untilReceived(5);
  for (const side of [transport, serverSide.transport]) {
    assertEquals(side.getExtraInfo("alpnProtocol"), "a");
    assertEquals(side.getExtraInfo("sslcontext"), null);
    assertEquals(side.canWriteEof(), false);
  }
  assertEquals(peerName(transport), "localhost");
  transport.close();
  await client.untilLost();
  await serverSide.untilLost();
  assertEquals([client.error, serverSide.error], [null, null]);
  await turn();
});

Deno.test("connectAcceptedSocket() takes a Deno.TlsConn, and does its handshake", async () => {
  using listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...SERVER });
  using conn = await Deno.connectTls({ ...listener.addr as Deno.NetAddr, caCerts: [CA] });
  const [transport, server] = await loop.connectAcceptedSocket(() => new Echo(), await listener.accept());
  await writeAll(conn, bytes("hello"));
  assertEquals(await readBytes(conn, 5), bytes("hello"));
  transport.abort();
  await server.untilLost();
  await turn();
});

Deno.test("createConnection() without tls takes a Deno.TlsConn whose handshake fails for what it is", async () => {
  using listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...SERVER });
  const conn = await Deno.connectTls({ ...listener.addr as Deno.NetAddr, caCerts: [STRANGER] });
  using accepted = await listener.accept();
  accepted.handshake().catch(() => {});
  const error = await assertRejects(() => loop.createConnection(() => new Protocol(), { conn }), TlsError);
  assertEquals(error.code, "UNKNOWN_ISSUER");
});

for (const way of WAYS) {
  Deno.test(`writeEof() is NotSupported, and canWriteEof() false, over ${way.name}`, async () => {
    await using pair = await tlsRecorders(way);
    for (const { transport } of [pair.serverSide, pair.clientSide]) {
      assertEquals(transport.canWriteEof(), false);
      assertThrows(() => transport.writeEof(), Deno.errors.NotSupported, "writeEof()");
    }
    pair.clientSide.transport.write(bytes("goes on"));
    await pair.serverSide.untilReceived(7);
  });

  Deno.test(`sendfile() sends a file over ${way.name}`, async () => {
    using temporary = tempPath("file");
    const content = pattern(1_000_000);
    await Deno.writeFile(temporary.path, content);
    await using pair = await tlsRecorders(way);
    using file = await Deno.open(temporary.path);
    pair.serverSide.transport.write(bytes("<"));
    assertEquals(await loop.sendfile(pair.serverSide.transport, file, { offset: 10 }), content.length - 10);
    pair.serverSide.transport.write(bytes(">"));
    await pair.clientSide.untilReceived(content.length - 8);
    assertEquals(pair.clientSide.data.subarray(1, -1), content.subarray(10));
    assertEquals(String.fromCharCode(pair.clientSide.data[0]!, pair.clientSide.data.at(-1)!), "<>");
  });
}
