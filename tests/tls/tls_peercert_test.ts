/** What `getExtraInfo("peercert")` says of odd certificates, which only `rejectUnauthorized: false` lets in. */
import { createHash } from "node:crypto";
import type { PeerCertificate } from "../../mod.ts";
import { toPeerCertificate } from "../../tls/peer_certificate.ts";
import { useDocumentedTls } from "../../tls/node/node_tls.ts";
import {
  attribute,
  authority,
  type Entity,
  ext,
  general,
  leaf,
  type Making,
  name,
} from "../certificates/certificate.ts";
import { chain, root } from "../certificates/chain.ts";
import { raw, seq, set, string } from "../certificates/der.ts";
import { ENCODINGS } from "../certificates/chains/encodings.ts";
import { serveChains } from "../certificates/verifiers.ts";
import { bytes, loop, Recorder, turn } from "../kit.ts";
import { onNodeTlsOnly } from "../engine.ts";
import { assertEquals } from "../std.ts";

const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");
const colons = (hex: string) => hex.toUpperCase().match(/../g)!.join(":");

/** Dials a server that shows a certificate, and others, and does not verify it. */
async function shown(
  making: Making,
  ...rest: Entity[]
): Promise<{ der: Uint8Array; peercert: PeerCertificate | null }> {
  const certificate = leaf(root(), making);
  await using server = serveChains([chain("odd", "bad", certificate, { rest })]);
  const [transport, protocol] = await loop.createConnection(() => new Recorder(), {
    conn: await server.dial(0),
    tls: { rejectUnauthorized: false },
  });
  const peercert = transport.getExtraInfo("peercert");
  transport.abort();
  await protocol.untilLost();
  await turn();
  return { der: certificate.der, peercert };
}

/** Such that rustls takes the signature of the handshake all the same. */
const UNREADABLE = ["an odd true in keyUsage", "no version"];

for (const encoding of UNREADABLE) {
  Deno.test(`getExtraInfo("peercert") of a certificate with ${encoding} says what can be read`, async () => {
    const { der, peercert } = await shown(ENCODINGS[encoding]!(false));
    assertEquals([peercert?.raw, peercert?.fingerprint256], [der, colons(sha256(der))]);
  });
}

Deno.test("toPeerCertificate() says nothing of a certificate that cannot be read but raw and fingerprint256", () => {
  const { der } = leaf(root());
  const odd: Record<string, Uint8Array> = {
    "an odd true": leaf(root(), ENCODINGS["an odd true in keyUsage"]!(false)).der,
    "a byte less": der.subarray(0, -1),
    "a byte more": new Uint8Array([...der, 0]),
    "nothing": new Uint8Array(),
    "text": new TextEncoder().encode("I am none"),
  };
  for (const raw of Object.values(odd)) {
    const { notBefore, notAfter, ...rest } = toPeerCertificate(raw, sha256);
    assertEquals(rest, {
      ...{ subject: {}, issuer: {}, subjectAltName: [], serialNumber: "" },
      fingerprint256: colons(sha256(raw)),
      raw,
    });
    assertEquals([notBefore.getTime(), notAfter.getTime()], [NaN, NaN]);
  }
});

Deno.test("toPeerCertificate() gives each name by itself, with its kind, whatever it looks like", () => {
  const names = [
    general.dns("localhost"),
    general.dns("a, DNS:b"),
    general.dns("nul\0.test"),
    general.dns(raw(0xe4, 0x22)),
    general.email("x@y.test"),
    general.uri("http://evil.test/, DNS:localhost"),
    general.ip(127, 0, 0, 1),
    general.ip(...new Array<number>(15).fill(0), 1),
    general.registered("1.2.3.4"),
    general.directory(name("someone")),
    general.other("1.2.3.4", string("localhost")),
  ];
  const { der } = leaf(root(), { extensions: [ext.subjectAltName(names)] });
  assertEquals(toPeerCertificate(der, sha256).subjectAltName, [
    ["DNS", "localhost"],
    ["DNS", "a, DNS:b"],
    ["DNS", "nul\0.test"],
    ["DNS", '\u00e4"'],
    ["email", "x@y.test"],
    ["URI", "http://evil.test/, DNS:localhost"],
    ["IP Address", "127.0.0.1"],
    ["IP Address", "::1"],
    ["Registered ID", "1.2.3.4"],
    ["DirName", "<unsupported>"],
    ["othername", "<unsupported>"],
  ]);
});

Deno.test("toPeerCertificate() gives subjects by attribute, several of one kind as an array", () => {
  const subject = seq(
    set(attribute("O", "Example, Inc.")),
    set(attribute("OU", "a", "printable"), attribute("OU", "b")),
    set(attribute("CN", "a\nsubjectAltName=DNS:b")),
    set(seq(raw(6, 3, 42, 3, 4), string("odd"))),
    set(seq(raw(6, 3, 85, 4, 3), string("another", "bmp"))),
  );
  const issuer = authority({ subject: name("__proto__", "utf8", "constructor") });
  const certificate = toPeerCertificate(leaf(issuer, { subject }).der, sha256);
  assertEquals(certificate.subject, {
    O: "Example, Inc.",
    OU: ["a", "b"],
    CN: ["a\nsubjectAltName=DNS:b", "another"],
    "1.2.3.4": "odd",
  });
  assertEquals(certificate.issuer, { O: "constructor", CN: "__proto__" });
});

/** No certificate, which is shown as one. */
const nonsense = () => leaf(root(), { wrap: () => bytes("I am none") });

for (const documented of [false, true]) {
  const how = documented ? ", by the documented engine" : "";
  const options = onNodeTlsOnly("OpenSSL ends a handshake with a certificate that it cannot parse");
  Deno.test(`rejectUnauthorized false lets a server in whose certificate cannot be read${how}`, options, async () => {
    useDocumentedTls(documented);
    try {
      const { peercert, der } = await shown(ENCODINGS["an odd true in keyUsage"]!(false));
      assertEquals(peercert?.raw, der);
      // node:tls, and with it that engine, shows none of a chain then.
      const behind = await shown({}, nonsense());
      assertEquals(behind.peercert?.raw ?? null, documented ? null : behind.der);
    } finally {
      useDocumentedTls(false);
    }
  });
}
