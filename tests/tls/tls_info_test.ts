/** What `getExtraInfo()` knows of a TLS connection. */
import { type PeerCertificate, TlsContext, type Transport } from "../../mod.ts";
import { assertEquals, assertStrictEquals } from "../std.ts";
import { turn } from "../kit.ts";
import { isOverOpenssl } from "../engine.ts";
import { agreed, CA, SERVER, tlsRecorders, WAYS } from "./kit.ts";

for (const way of WAYS) {
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
      serverTls: way.native ? options : { context: serverContext },
      clientTls: way.native ? options : { context: clientContext },
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
      assertStrictEquals(transport.getExtraInfo("sslcontext"), way.native ? null : context);
      assertEquals(transport.getExtraInfo("alpnProtocol"), "a");
      assertEquals(transport.getExtraInfo("peercert"), peercert);
      const sslObject = transport.getExtraInfo("sslObject");
      if (way.native) assertStrictEquals<unknown>(sslObject, socket);
      else assertEquals(sslObject?.constructor.name, isOverOpenssl() ? "OpensslObject" : "TLSSocket");
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
    subjectAltName: [["DNS", "localhost"], ["DNS", "*.example.test"], ["IP Address", "127.0.0.1"], [
      "IP Address",
      "::1",
    ]],
    serialNumber: "1000",
    notBefore: new Date("2020-01-01T00:00:00Z"),
    notAfter: new Date("2086-01-01T00:00:00Z"),
    fingerprint256: [...digest].map((byte) => byte.toString(16).padStart(2, "0").toUpperCase()).join(":"),
    raw,
  };
}

Deno.test("getExtraInfo() tells a cipher of TLS 1.2 by its name and bits", async () => {
  const ask = (transport: Transport) => transport.getExtraInfo("cipher");
  const { server, client } = await agreed({ clientTls: { maxVersion: "TLSv1.2" } }, ask);
  assertEquals(client, { name: "ECDHE-ECDSA-AES256-GCM-SHA384", version: "TLSv1.2", bits: 256 });
  assertEquals(server, client);
});
