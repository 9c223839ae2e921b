/** Who is accepted as a TLS peer: names, what a certificate says, and what holds if Deno falls silent. */
import tls from "node:tls";
import { Protocol, TlsError } from "../../mod.ts";
import type { Certificate } from "../../tls/certificate.ts";
import { NO_STREAM } from "../../tls/node/node_tls.ts";
import { isForServer } from "../../tls/server_name.ts";
import { authority, ext, general, leaf, toPem } from "../certificates/certificate.ts";
import { rogue } from "../certificates/chain.ts";
import { captureExceptions, loop, portOf, Recorder } from "../kit.ts";
import { onNodeTlsOnly } from "../engine.ts";
import { assertEquals, assertInstanceOf } from "../std.ts";
import { CA, clientTls, HOST, serverTls } from "./kit.ts";

const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const dns = (...names: string[]) => ({ names: names.map((name) => ({ kind: 2, value: latin1(name) })) });
const addresses = (...values: number[][]) => ({
  names: values.map((value) => ({ kind: 7, value: new Uint8Array(value) })),
});

const LOOPBACK_6 = [...new Array<number>(15).fill(0), 1];

/** RFC 9525, 6.3 and 6.5; what Tandem does not accept though some do is refused by OpenSSL or rustls, too. */
const NAMES: [presented: { names: { kind: number; value: Uint8Array }[] }, hostname: string, isForIt: boolean][] = [
  [dns("example.test"), "example.test", true],
  [dns("EXAMPLE.test"), "example.TEST", true],
  [dns("example.test"), "example.test.", true],
  [dns("example.test."), "example.test", false],
  [dns("other.test", "example.test"), "example.test", true],
  [dns("*.example.test"), "a.example.test", true],
  [dns("*.example.test"), "a.b.example.test", false],
  [dns("*.example.test"), "example.test", false],
  [dns("*.example.test"), ".example.test", false],
  [dns("f*.example.test"), "foo.example.test", false],
  [dns("*o.example.test"), "foo.example.test", false],
  [dns("f*o.example.test"), "foo.example.test", false],
  [dns("a.*.test"), "a.b.test", false],
  [dns("*.*.test"), "a.b.test", false],
  [dns("*.test"), "example.test", false],
  [dns("*"), "test", false],
  [dns("*."), "test", false],
  [dns("*.example.test"), "a_b.example.test", false],
  [dns("example.test\0.evil.test"), "example.test", false],
  [dns("example.test, DNS:other.test"), "other.test", false],
  [dns("ex\u00e4mple.test"), "ex\u00e4mple.test", false],
  [dns("-example.test"), "-example.test", false],
  [dns(""), "", false],
  [dns(`${"a".repeat(64)}.test`), `${"a".repeat(64)}.test`, false],
  [dns("127.0.0.1"), "127.0.0.1", false],
  [dns("127.1"), "127.1", false],
  [dns("*.0.0.1"), "127.0.0.1", false],
  [addresses([127, 0, 0, 1]), "127.0.0.1", true],
  [addresses([127, 0, 0, 1]), "127.0.0.2", false],
  [addresses([127, 0, 0, 1]), "127.1", false],
  [addresses([127, 0, 0, 1]), "0x7f.0.0.1", false],
  [addresses([127, 0, 0, 1]), "127.0.0.01", false],
  [addresses([127, 0, 0, 1]), "::ffff:127.0.0.1", false],
  [addresses(LOOPBACK_6), "::1", true],
  [addresses(LOOPBACK_6), "[::1]", true],
  [addresses(LOOPBACK_6), "0:0:0:0:0:0:0:1", true],
  [addresses(LOOPBACK_6), "::2", false],
  [{ names: [{ kind: 6, value: latin1("DNS:example.test") }] }, "example.test", false],
  [{ names: [{ kind: 1, value: latin1("example.test") }] }, "example.test", false],
  [{ names: [] }, "example.test", false],
];

Deno.test("isForServer() compares names as RFC 9525 says", () => {
  const wrong = NAMES.filter(([presented, hostname, isForIt]) => {
    return isForServer(presented as Certificate, hostname) !== isForIt;
  });
  assertEquals(wrong, []);
});

/** What a client learns of a server that it does not verify. */
async function peercert(cert: string, key: string) {
  const server = tls.createServer({ cert, key }, (socket) => socket.on("error", () => {}));
  await new Promise<void>((resolve) => void server.listen(0, HOST, resolve));
  const { port } = server.address() as { port: number };
  const [transport, protocol] = await loop.createConnection(() => new Recorder(), {
    hostname: HOST,
    port,
    tls: { rejectUnauthorized: false },
  });
  const certificate = transport.getExtraInfo("peercert")!;
  transport.abort();
  await protocol.untilLost();
  await new Promise<void>((resolve) => void server.close(() => resolve()));
  return certificate;
}

Deno.test("getExtraInfo('peercert') has the names of the certificate one by one, as they stand in it", async () => {
  const odd = "http://evil.test/, DNS:localhost";
  const names = [general.uri(odd), general.dns("a.test, DNS:b.test"), general.ip(10, 0, 0, 1)];
  const certificate = leaf(rogue(), { extensions: [ext.subjectAltName(names)] });
  const { privateKey } = certificate.keys;
  const key = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
  const { subjectAltName } = await peercert(toPem(certificate.der), key);
  assertEquals(subjectAltName, [["URI", odd], ["DNS", "a.test, DNS:b.test"], ["IP Address", "10.0.0.1"]]);
});

const onNode = onNodeTlsOnly("it is about node:tls");
Deno.test(
  "requestCert refuses a stranger though Deno does not tell what is wrong with the certificate",
  onNode,
  async () => {
    using captured = captureExceptions();
    const socket = new tls.TLSSocket(NO_STREAM, { isServer: false });
    socket.on("error", () => {});
    const inside = Object.getPrototypeOf((socket as unknown as { _handle: object })._handle);
    socket.destroy();
    const { verifyError } = inside;
    const stranger = leaf(authority({ subject: rogue().name }));
    const key = stranger.keys.privateKey.export({ type: "pkcs8", format: "pem" }) as string;
    const server = await loop.createServer(() => new Recorder(), {
      hostname: HOST,
      port: 0,
      tls: serverTls({ requestCert: true, caCerts: [CA] }) as object,
    });
    try {
      const where = { hostname: HOST, port: portOf(server) };
      const identity = { cert: toPem(stranger.der), key };
      // The client looks first whether Deno tells; only then it falls silent.
      await loop.createConnection(() => new Protocol(), { ...where, tls: clientTls() as object }).then(([transport]) =>
        transport.abort()
      );
      await captured.log.until(() => captured.contexts.length === 1);
      inside.verifyError = () => "";
      const [transport] = await loop.createConnection(() => new Protocol(), {
        ...where,
        tls: { ...identity, rejectUnauthorized: false },
      });
      await captured.log.until(() => captured.contexts.length === 2);
      const { error } = captured.contexts[1]!;
      assertInstanceOf(error, TlsError);
      assertEquals([error.code, error.message], [
        "UNKNOWN_ISSUER",
        "TLS: the certificate is not signed by a CA in caCerts",
      ]);
      transport.abort();
    } finally {
      inside.verifyError = verifyError;
      server.close();
      server.abortClients();
      await server.waitClosed();
    }
  },
);
