/** What holds for all headers and all bytes: drawn at random by fast-check, which prints a counterexample. */
import fc from "fast-check";
import { encodeProxyHeader, parseProxyHeader, ProxyHeaderError, type ProxyHeaderOptions } from "../../mod.ts";
import { shortestHeader } from "../../proxy_protocol/proxy_header.ts";
import { assert, assertEquals } from "../std.ts";
import { bytes, concat } from "../kit.ts";
import { SIGNATURE } from "./kit.ts";

// By default, fast-check prefers arrays of ten elements and fewer.
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true });

const port = fc.oneof(fc.constantFrom(0, 1, 9, 10, 65535), fc.integer({ min: 0, max: 65535 }));
const ipv4 = fc.oneof(fc.constantFrom("1.1.1.1", "255.255.255.255", "10.0.0.1"), fc.ipV4());
const ipv6 = fc.oneof(
  fc.constantFrom("::", "::1", "1::", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8", "1::3:0:0:8"),
  fc.ipV6(),
);
const socket = (hostname: fc.Arbitrary<string>) => fc.record({ hostname, port });
const path = fc.record({ path: fc.string({ maxLength: 30 }).filter((path) => !path.includes("\0")) });
const ends = fc.oneof(
  fc.record({ source: socket(ipv4), destination: socket(ipv4) }),
  fc.record({ source: socket(ipv6), destination: socket(ipv6) }),
  fc.record({ source: socket(ipv4), destination: socket(ipv6) }),
  fc.constant({ source: null, destination: null }),
);
const value = fc.uint8Array({ maxLength: 40 });
const tlvs = fc.array(fc.record({ type: fc.integer({ min: 0x80, max: 255 }), value }), { maxLength: 4 });
const texts = fc.string({ maxLength: 40, unit: "grapheme" });
const ssl = fc.record({
  client: fc.integer({ min: 0, max: 255 }),
  verify: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  version: texts,
  commonName: texts,
  cipher: texts,
  signatureAlgorithm: texts,
  keyAlgorithm: texts,
  tlvs,
}, { requiredKeys: ["client", "verify"] });
const fields = fc.record({
  alpn: texts,
  authority: texts,
  uniqueId: value,
  ssl,
  netns: texts,
  tlvs,
  checksum: fc.boolean(),
}, {
  requiredKeys: [],
});

const version1 = ends.map((ends): ProxyHeaderOptions => ({ version: 1, ...ends }));
const version2 = fc.oneof(
  fc.tuple(fc.oneof(ends, fc.record({ source: path, destination: path })), fields)
    .map(([ends, fields]): ProxyHeaderOptions => ({ version: 2, ...ends, ...fields })),
  fc.constant<ProxyHeaderOptions>({ command: "local" }),
);
const headers = fc.oneof(version1, version2).map((options) => encodeProxyHeader(options));

Deno.test("parseProxyHeader() reads what encodeProxyHeader() writes, and what follows stays out of it", () => {
  fc.assert(fc.property(fc.oneof(version1, version2), fc.uint8Array({ maxLength: 40 }), (options, rest) => {
    const encoded = encodeProxyHeader(options);
    const { header, length } = parseProxyHeader(concat([encoded, rest]))!;
    assertEquals(length, encoded.length);
    assertEquals([header.version, header.command], [options.version ?? 2, options.command ?? "proxy"]);
    const { checksum: _, ssl, tlvs = [], alpn, authority, netns, uniqueId } = options;
    // Empty lists are left out.
    const { tlvs: inner, ...sslRest } = ssl ?? {};
    const expectedSsl = ssl && { ...sslRest, ...inner && inner.length > 0 && { tlvs: inner } };
    const plain = { alpn, authority, netns, uniqueId, ssl: expectedSsl };
    const expected = Object.fromEntries(Object.entries(plain).filter(([, value]) => value !== undefined));
    const { version: _version, command: _command, source, destination, ...actual } = header;
    assertEquals(actual, { ...expected, tlvs: [...tlvs] });
    // The same again: a header can be passed on.
    const { checksum = false } = options;
    assertEquals(encodeProxyHeader({ ...header, checksum }), encoded);
    assertEquals(source === null, (options.source ?? null) === null);
    assertEquals(destination === null, source === null);
  }));
});

Deno.test("a header is never complete before its last byte, and no reader is asked for a byte behind it", () => {
  fc.assert(fc.property(headers, (header) => {
    for (let i = 0; i < header.length; i++) {
      const start = header.subarray(0, i);
      const shortest = shortestHeader(start);
      assert(shortest > i && shortest <= header.length, `${shortest} of ${header.length} after ${i}`);
      assertEquals(parseProxyHeader(start), null);
    }
    assertEquals(shortestHeader(header), header.length);
  }));
});

Deno.test("a reader of the least that is missing needs few reads", () => {
  fc.assert(fc.property(headers, (header) => {
    let [count, reads] = [0, 0];
    for (; count < header.length; reads++) count = shortestHeader(header.subarray(0, count));
    assert(reads <= 16, `${reads} reads`);
  }));
});

const junk = fc.array(
  fc.oneof(
    fc.constantFrom("PROXY ", "TCP4 ", "TCP6 ", "UNKNOWN", "1.1.1.1 ", "::1 ", "80 ", "1", "\r\n", "\r", "\n", " ", ".")
      .map(bytes),
    fc.constantFrom(
      SIGNATURE,
      SIGNATURE.subarray(0, 5),
      new Uint8Array([0x21, 0x11, 0, 12]),
      new Uint8Array([0x20, 0, 0, 0]),
    ),
    fc.uint8Array({ maxLength: 20 }),
  ),
  { maxLength: 12 },
).map((pieces) => concat(pieces));

/** What parsing bytes comes to. */
function outcome(data: Uint8Array): unknown {
  try {
    return parseProxyHeader(data);
  } catch (error) {
    if (!(error instanceof ProxyHeaderError)) throw error;
    return "malformed";
  }
}

Deno.test("parseProxyHeader() throws nothing but ProxyHeaderError, and the bytes behind a header change nothing", () => {
  fc.assert(
    fc.property(junk, (data) => {
      const whole = outcome(data);
      if (whole === null || whole === "malformed") return;
      const { length } = whole as { length: number };
      assertEquals(outcome(data.subarray(0, length)), whole);
      assertEquals(outcome(data.subarray(0, length - 1)), null);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("parseProxyHeader() never accepts what it has rejected, whatever follows", () => {
  fc.assert(
    fc.property(junk, fc.nat(), (data, at) => {
      const start = data.subarray(0, at % (data.length + 1));
      if (outcome(start) === "malformed") assertEquals(outcome(data), "malformed");
    }),
    { numRuns: 2000 },
  );
});

Deno.test("parseProxyHeader() with any byte of a header damaged throws ProxyHeaderError, or reads a header", () => {
  fc.assert(
    fc.property(headers, fc.nat(), fc.integer({ min: 1, max: 255 }), (header, at, change) => {
      const damaged = header.slice();
      damaged[at % header.length]! ^= change;
      outcome(damaged);
    }),
    { numRuns: 2000 },
  );
});
