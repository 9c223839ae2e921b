/** Upgrades over everything that can be upgraded, what is told of them, and how a server ends them. */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertStrictEquals, assertThrows } from "../std.ts";
import { bytes, captureExceptions, closed, loop, Recorder, tempPath, text, turn } from "../kit.ts";
import { countWrites, readAll } from "../streams/kit.ts";
import { ANSWERING, exchange, PLAIN_WAYS, plainPair, upgrade } from "./kit.ts";
import { CA, CLIENT, clientTls, ENGINES, SERVER, tlsRecorders } from "../tls/kit.ts";

/** What happened to a recorder, with the data left out, and flow control: a kernel may take all at once. */
function events({ log }: Recorder): string[] {
  return log.entries.filter((entry) => !/^(dataReceived|pauseWriting|resumeWriting)/.test(entry));
}

for (const way of PLAIN_WAYS) {
  for (const dialler of ["client", "server"] as const) {
    Deno.test(`startTls() upgrades ${way}, the dialler as ${dialler}`, async () => {
      await using pair = await plainPair(way);
      const old = [pair.clientSide.transport, pair.serverSide.transport];
      await exchange(pair, 1000);
      await upgrade(pair, dialler === "client" ? {} : { reversed: true });
      await exchange(pair, 300_000);
      pair.clientSide.transport.close();
      await Promise.all([pair.clientSide.untilLost(), pair.serverSide.untilLost()]);
      assertEquals(events(pair.clientSide), ["connectionMade", "connectionLost null"]);
      for (const { log } of [pair.clientSide, pair.serverSide]) {
        const flow = log.entries.filter((entry) => /^(pause|resume)Writing/.test(entry));
        assertEquals(flow, Array(flow.length / 2).fill(["pauseWriting", "resumeWriting"]).flat());
      }
      assertEquals(events(pair.serverSide), ["connectionMade", "eofReceived", "connectionLost null"]);
      assertEquals(old.map((transport) => transport.isClosing()), [true, true]);
    });
  }
}

Deno.test("startTls() goes over TLS over TLS over TLS", async () => {
  await using pair = await plainPair("TCP");
  const ciphers: unknown[] = [];
  for (let depth = 0; depth < 3; depth++) {
    await upgrade(pair);
    await exchange(pair, 200_000);
    ciphers.push(pair.clientSide.transport.getExtraInfo("sslObject"));
  }
  assertEquals(new Set(ciphers).size, 3);
  pair.serverSide.transport.close();
  await Promise.all([pair.clientSide.untilLost(), pair.serverSide.untilLost()]);
  assertEquals([pair.clientSide.error, pair.serverSide.error], [null, null]);
  assertEquals(pair.clientSide.log.entries.filter((entry) => entry === "connectionMade").length, 1);
});

Deno.test("startTls() keeps what is known of the socket and adds what is known of TLS", async () => {
  await using pair = await plainPair("TCP");
  const old = pair.clientSide.transport;
  const known = (["peername", "sockname", "socket"] as const).map((name) => old.getExtraInfo(name));
  assertEquals(old.getExtraInfo("cipher"), null);
  await upgrade(pair, {
    client: { ...CLIENT, alpnProtocols: ["smtp"] },
    server: { requestCert: true, caCerts: [CA], alpnProtocols: ["imap", "smtp"] },
  });
  for (const { transport } of [pair.clientSide, pair.serverSide]) {
    assertEquals(transport.getExtraInfo("cipher")?.version, "TLSv1.3");
    assertEquals(transport.getExtraInfo("alpnProtocol"), "smtp");
    assert(transport.getExtraInfo("sslcontext") !== null);
    assert(transport.getExtraInfo("sslObject") !== null);
    assertEquals(transport.getExtraInfo("compression", "missing"), null);
    assertEquals(transport.canWriteEof(), false);
    assertThrows(() => transport.writeEof(), Deno.errors.NotSupported, "TLS");
  }
  assertEquals(pair.clientSide.transport.getExtraInfo("peercert")?.subject, { CN: "localhost" });
  assertEquals(pair.serverSide.transport.getExtraInfo("peercert")?.subject, { CN: "client" });
  const { transport } = pair.clientSide;
  assertEquals((["peername", "sockname", "socket"] as const).map((name) => transport.getExtraInfo(name)), known);
  // The old one knows what it knew, and no more.
  assertEquals(old.getExtraInfo("cipher"), null);
  assertStrictEquals(old.getExtraInfo("socket"), known[2]);
  await closed(transport, pair.clientSide);
  assertEquals(transport.getExtraInfo("alpnProtocol"), "smtp");
});

for (const { name, native } of ENGINES) {
  Deno.test(`startTls() leaves the outer TLS of the ${name} engine in place`, async () => {
    await using pair = await tlsRecorders({ native });
    const outer = pair.clientSide.transport.getExtraInfo("sslObject");
    await upgrade(pair);
    assert(pair.clientSide.transport.getExtraInfo("sslObject") !== outer);
    // Both take their leave, the inner one first.
    await closed(pair.clientSide.transport, pair.clientSide);
    await pair.serverSide.untilLost();
    assertEquals([pair.clientSide.error, pair.serverSide.error], [null, null]);
  });
}

Deno.test("close() of TLS in TLS says close_notify twice, the inner one first", async () => {
  await using pair = await plainPair("TCP");
  await upgrade(pair);
  await upgrade(pair);
  const writes = countWrites(pair.clientSide.transport.getExtraInfo("socket"));
  await closed(pair.clientSide.transport, pair.clientSide);
  await pair.serverSide.untilLost();
  // RFC 8446, 5.2: a record adds 22 bytes to an alert of 2, and 22 again to that.
  assertEquals(writes, [46, 24]);
});

Deno.test("closeClients() closes upgraded connections, and waitClosed() waits for them", async () => {
  await using pair = await plainPair("TCP");
  await upgrade(pair);
  await upgrade(pair);
  const { server, serverSide, clientSide } = pair;
  server!.close();
  let over = false;
  const waiting = server!.waitClosed().then(() => {
    over = true;
  });
  await exchange(pair, 1000);
  assertEquals(over, false);
  server!.closeClients();
  assertEquals(serverSide.transport.isClosing(), true);
  await Promise.all([serverSide.untilLost(), clientSide.untilLost()]);
  await waiting;
  assertEquals([serverSide.error, clientSide.error], [null, null]);
});

Deno.test("abortClients() aborts upgraded connections", async () => {
  await using pair = await plainPair("a Unix socket");
  await upgrade(pair);
  pair.server!.close();
  pair.server!.abortClients();
  await pair.server!.waitClosed();
  assertEquals(pair.serverSide.error, null);
  await pair.clientSide.untilLost();
  assertInstanceOf(pair.clientSide.error, Deno.errors.UnexpectedEof);
});

Deno.test("closeClients() ends an upgrade that is running", async () => {
  await using pair = await plainPair("TCP");
  const { server, serverSide } = pair;
  const upgrading = loop.startTls(serverSide.transport, serverSide, ANSWERING);
  const failed = assertRejects(() => upgrading, Deno.errors.ConnectionAborted);
  // The server's half of the handshake waits for a ClientHello that nobody sends.
  for (let i = 0; i < 20; i++) await turn();
  server!.close();
  server!.closeClients();
  await failed;
  await server!.waitClosed();
  assertEquals(serverSide.log.entries, ["connectionMade", "connectionLost null"]);
});

Deno.test("startTls() in debug mode reports nothing, and no transport that is still open", async () => {
  using exceptions = captureExceptions();
  loop.setDebug(true);
  try {
    await using pair = await plainPair("TCP");
    await upgrade(pair);
    await exchange(pair, 100_000);
    await upgrade(pair);
    await exchange(pair, 100_000);
    await closed(pair.clientSide.transport, pair.clientSide);
    await pair.serverSide.untilLost();
  } finally {
    loop.setDebug(false);
  }
  const fast = exceptions.contexts.filter(({ message }) => !message.startsWith("Executing"));
  assertEquals(fast, []);
});

Deno.test("startTls() over a Unix socket keeps the names of the socket", async () => {
  using directory = tempPath();
  const { path } = directory;
  await using server = await loop.createUnixServer(() => new Recorder(), { path });
  const [old, client] = await loop.createUnixConnection(() => new Recorder(), { path });
  assertEquals(server.addresses, [{ transport: "unix", path }]);
  const peername = old.getExtraInfo("peername");
  const failed = assertRejects(() => loop.startTls(old, client, clientTls()), Deno.errors.ConnectionAborted);
  old.close();
  await failed;
  await client.untilLost();
  await turn();
  assertEquals(peername, { transport: "unix", path });
});

Deno.test("a connection upgraded on one side alone is TLS for anybody's client", async () => {
  await using pair = await plainPair("TCP");
  await closed(pair.clientSide.transport, pair.clientSide);
  await pair.serverSide.untilLost();
  const port = (pair.server!.addresses[0] as Deno.NetAddr).port;
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const later = await pair.next();
  const [tls, transport] = await Promise.all([
    Deno.startTls(conn, { hostname: "localhost", caCerts: [CA] }),
    loop.startTls(later.transport, later, { ...SERVER, serverSide: true }),
  ]);
  transport.write(bytes("hello"));
  transport.close();
  assertEquals(text(await readAll(tls)), "hello");
  tls.close();
  await later.untilLost();
  assertEquals(later.error, null);
});
