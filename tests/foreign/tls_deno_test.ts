/** TLS with Deno's own clients and servers: `Deno.connectTls` and its kin, and `node:tls`. */
import type { AddressInfo } from "node:net";
import { connect as connectNode, createServer as createNodeServer } from "node:tls";
import { assertEquals } from "../std.ts";
import { bytes, concat, text, turn } from "../kit.ts";
import { readAll, readBytes, writeAll } from "../streams/kit.ts";
import { assertClean, CA, dial, Echo, ENGINES, HOST, serve, SERVER, TRUSTING } from "../tls/kit.ts";
import { BIG, Smtp } from "./kit.ts";

const ALPN = { alpnProtocols: ["echo"] };

for (const { name, native } of ENGINES) {
  Deno.test(`createServer() exchanges megabytes with Deno.connectTls (${name} engine)`, async () => {
    await using served = await serve(() => new Echo(), { ...SERVER, ...ALPN, native });
    using conn = await Deno.connectTls({ hostname: "localhost", port: served.port, caCerts: [CA], ...ALPN });
    const [, data] = await Promise.all([writeAll(conn, BIG), readBytes(conn, BIG.length)]);
    assertEquals(data, BIG);
    assertEquals((await conn.handshake()).alpnProtocol, "echo");
    await conn.closeWrite();
    assertEquals(await readAll(conn), new Uint8Array());
    const protocol = await served.first();
    await protocol.untilLost();
    assertClean(protocol);
    assertEquals(protocol.data, BIG);
  });

  Deno.test(`createConnection() exchanges megabytes with Deno.listenTls (${name} engine)`, async () => {
    using listener = Deno.listenTls({ hostname: HOST, port: 0, ...SERVER, ...ALPN });
    const [conn, [transport, protocol]] = await Promise.all([
      // The handshake is made by whoever reads.
      listener.accept().then(async (conn) => (await conn.handshake(), conn)),
      dial(listener.addr.port, { ...TRUSTING, ...ALPN, native }),
    ]);
    using _ = conn;
    transport.write(BIG);
    assertEquals(await readBytes(conn, BIG.length), BIG);
    await writeAll(conn, BIG);
    await protocol.untilReceived(BIG.length);
    assertEquals(protocol.data, BIG);
    assertEquals(transport.getExtraInfo("alpnProtocol"), "echo");
    transport.close();
    assertEquals(await readAll(conn), new Uint8Array());
    await conn.closeWrite();
    await protocol.untilLost();
    await turn();
    assertEquals(protocol.error, null);
  });

  Deno.test(`createServer() exchanges megabytes with connect() of node:tls (${name} engine)`, async () => {
    await using served = await serve(() => new Echo(), { ...SERVER, native });
    const socket = connectNode({ host: HOST, port: served.port, servername: "localhost", ca: [CA] });
    const data = await new Promise<Uint8Array>((resolve, reject) => {
      const pieces: Uint8Array[] = [];
      let received = 0;
      socket.on("data", (piece: Uint8Array) => {
        pieces.push(piece);
        received += piece.length;
        if (received === BIG.length) socket.end();
      });
      socket.on("end", () => resolve(concat(pieces)));
      socket.on("error", reject);
      socket.write(BIG);
    });
    assertEquals(data, BIG);
    const protocol = await served.first();
    await protocol.untilLost();
    assertClean(protocol);
    assertEquals(protocol.data, BIG);
  });

  Deno.test(`createConnection() exchanges megabytes with createServer() of node:tls (${name} engine)`, async () => {
    const ended = Promise.withResolvers<void>();
    const listener = createNodeServer(SERVER, (socket) => {
      socket.pipe(socket);
      socket.on("end", () => ended.resolve());
      socket.on("error", ended.reject);
    });
    await new Promise<void>((resolve) => listener.listen(0, HOST, resolve));
    const [transport, protocol] = await dial((listener.address() as AddressInfo).port, { ...TRUSTING, native });
    transport.write(BIG);
    await protocol.untilReceived(BIG.length);
    assertEquals(protocol.data, BIG);
    transport.close();
    await protocol.untilLost();
    assertEquals(protocol.error, null);
    await ended.promise;
    await new Promise((resolve) => listener.close(resolve));
  });
}

Deno.test("startTls() on the server's side exchanges megabytes with Deno.startTls", async () => {
  await using served = await serve(() => new Smtp());
  const plain = await Deno.connect({ hostname: HOST, port: served.port });
  await readBytes(plain, 18);
  await writeAll(plain, bytes("STARTTLS\r\n"));
  assertEquals(text(await readBytes(plain, 14)), "220 go ahead\r\n");
  using conn = await Deno.startTls(plain, { hostname: "localhost", caCerts: [CA] });
  const [, data] = await Promise.all([writeAll(conn, BIG), readBytes(conn, BIG.length)]);
  assertEquals(data, BIG);
  await conn.closeWrite();
  assertEquals(await readAll(conn), new Uint8Array());
  const { secured } = await served.first();
  await secured.untilLost();
  assertClean(secured);
  assertEquals(secured.data, BIG);
});
