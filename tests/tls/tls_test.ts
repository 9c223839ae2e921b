/** TLS from the first byte, over every kind of socket, those that somebody else has made among them. */
import { Protocol, TlsError, type Transport } from "../../mod.ts";
import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "../std.ts";
import { bytes, loop, pattern, portOf, Recorder, tempPath, turn } from "../kit.ts";
import { readBytes, writeAll } from "../streams/kit.ts";
import {
  CA,
  clientTls,
  connectTls,
  createServer,
  Echo,
  ENGINES,
  hangUp,
  peerName,
  SECOND,
  SERVER,
  serverTls,
  STRANGER,
  tlsRecorders,
  WAYS,
} from "./kit.ts";

/** Notes what is known at the time of `connectionMade`. */
class KnowsAtOnce extends Recorder {
  known: unknown[] = [];
  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    const sslObject = transport.getExtraInfo("sslObject");
    this.known = [transport.getExtraInfo("alpnProtocol"), typeof sslObject];
  }
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
}

for (const { name, native } of ENGINES) {
  Deno.test(`createServer() with tls makes no protocol before the handshake (${name})`, async () => {
    let made = 0;
    const accepted = Promise.withResolvers<void>();
    const server = await createServer(() => {
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
}

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
    await hangUp([transport, client]);
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

Deno.test("createServer() and createConnection() with tls speak TLS inside a Deno.TlsListener's and a Deno.TlsConn's", async () => {
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...SERVER });
  const conn = await Deno.connectTls({ ...listener.addr as Deno.NetAddr, caCerts: [CA] });
  await using _server = await loop.createServer(() => new Echo(), { listener, tls: serverTls(SECOND) });
  const tls = clientTls({ serverHostname: "second.test" });
  const [transport, client] = await loop.createConnection(() => new Recorder(), { conn, tls });
  transport.write(bytes("hello"));
  await client.untilReceived(5);
  assertStrictEquals(transport.getExtraInfo("socket"), conn);
  assertEquals(transport.getExtraInfo("cipher")?.version, "TLSv1.3");
  assertEquals(peerName(transport), "second.test");
  await hangUp([transport, client]);
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
