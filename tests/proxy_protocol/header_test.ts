/** Parsing and encoding of PROXY headers, by the examples of the specification and by their neighbours that are wrong. */
import { encodeProxyHeader, parseProxyHeader, type ProxyHeader, ProxyHeaderError } from "../../mod.ts";
import { crc32c } from "../../proxy_protocol/crc32c.ts";
import { assertEquals, assertThrows } from "../std.ts";
import { bytes, concat, text } from "../kit.ts";
import { binary, SIGNATURE } from "./kit.ts";

const CLIENT = { transport: "tcp", hostname: "192.168.0.1", port: 56324 } as const;
const SERVER = { transport: "tcp", hostname: "192.168.0.11", port: 443 } as const;

/** Parses a header that is complete. */
function parse(header: Uint8Array): ProxyHeader {
  const parsed = parseProxyHeader(header)!;
  assertEquals(parsed.length, header.length);
  return parsed.header;
}

function assertMalformed(header: Uint8Array | string, message: string): void {
  const data = typeof header === "string" ? bytes(header) : header;
  assertThrows(() => parseProxyHeader(data), ProxyHeaderError, message);
}

Deno.test("parseProxyHeader() reads version 1, and where it ends", () => {
  const line = "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";
  const parsed = parseProxyHeader(bytes(`${line}GET / HTTP/1.1\r\n\r\n`))!;
  assertEquals(parsed.length, line.length);
  assertEquals(parsed.header, { version: 1, command: "proxy", source: CLIENT, destination: SERVER, tlvs: [] });
});

Deno.test("parseProxyHeader() spells the addresses of version 1 as the system does", () => {
  const cases = [
    ["PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::1 1 65535\r\n", "2001:db8::1", "::1"],
    ["PROXY TCP6 ::ffff:192.0.2.1 ::FFFF:C000:202 1 65535\r\n", "::ffff:192.0.2.1", "::ffff:192.0.2.2"],
    ["PROXY TCP6 1:2:3:4:5:6:7:8 1::8 1 65535\r\n", "1:2:3:4:5:6:7:8", "1::8"],
    ["PROXY TCP4 0.0.0.0 255.255.255.255 1 65535\r\n", "0.0.0.0", "255.255.255.255"],
  ] as const;
  for (const [line, source, destination] of cases) {
    const header = parse(bytes(line));
    assertEquals(header.source, { transport: "tcp", hostname: source, port: 1 });
    assertEquals(header.destination, { transport: "tcp", hostname: destination, port: 65535 });
  }
});

Deno.test("parseProxyHeader() reads UNKNOWN of version 1, whatever follows it on the line", () => {
  const most =
    "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
  assertEquals(most.length, 107);
  for (const line of ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN \r\n", "PROXY UNKNOWN a\rb\nc  d\r\n", most]) {
    assertEquals(parse(bytes(line)), { version: 1, command: "proxy", source: null, destination: null, tlvs: [] });
  }
});

Deno.test("parseProxyHeader() throws ProxyHeaderError for lines that are no header of version 1", () => {
  const endless = "the PROXY header of version 1 is malformed: no CRLF in the first 107 bytes";
  assertMalformed(`PROXY UNKNOWN ${"a".repeat(200)}`, endless);
  assertMalformed(`PROXY UNKNOWN ${"a".repeat(92)}\r\n`, endless);
  assertMalformed("PROXY TCP5 ", "it does not begin with PROXY TCP4, PROXY TCP6 or PROXY UNKNOWN");
  assertMalformed("POST / HTTP/1.1\r\n", "it does not begin with PROXY TCP4");
  assertMalformed("PROXY  TCP4 ", "it does not begin with PROXY TCP4");
  assertMalformed("PROXY UNKNOWNS", "its family is not TCP4, TCP6 or UNKNOWN");
  assertMalformed("PROXY UNKNOWNS\r\n", "it is not PROXY, a family,");
  assertMalformed("PROXY TCP4\r\n", "it does not begin with PROXY TCP4");
  assertMalformed("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", "it is not PROXY, a family,");
  assertMalformed("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n", "it is not PROXY, a family,");
  assertMalformed("PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n", "it is not PROXY, a family,");
  assertMalformed("PROXY TCP4 ::1 ::1 1 2\r\n", '"::1" is no IPv4 address');
  assertMalformed("PROXY TCP6 1.1.1.1 ::1 1 2\r\n", '"1.1.1.1" is no IPv6 address');
  assertMalformed("PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n", '"01.1.1.1" is no IPv4 address');
  assertMalformed("PROXY TCP4 256.1.1.1 2.2.2.2 1 2\r\n", '"256.1.1.1" is no IPv4 address');
  assertMalformed("PROXY TCP6 1::2::3 ::1 1 2\r\n", '"1::2::3" is no IPv6 address');
  assertMalformed("PROXY TCP6 1:2:3:4:5:6:7::8:9 ::1 1 2\r\n", "is no IPv6 address");
  assertMalformed("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", '"01" is no port');
  assertMalformed("PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n", '"65536" is no port');
  assertMalformed("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n\r\n", "it is not PROXY, a family,");
  // As soon as it is clear, without the end of the line.
  assertMalformed("PROXY TCP4 1.1.1.x", '"1.1.1.x" is no address');
  assertMalformed("PROXY TCP4 1.1.1.1.", '"1.1.1.1." is no address');
  assertMalformed("PROXY TCP4 1.1.1.1 2.2.2.2 a", '"a" is no port');
  assertMalformed("PROXY TCP4 1.1.1.1 2.2.2.2 1\r", '"1\\r" is no port');
  assertMalformed("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 ", "it has more than two addresses and two ports");
});

Deno.test("parseProxyHeader() throws for bytes that begin no header, and returns null while one may come", () => {
  assertMalformed("GET / HTTP/1.1\r\n", "there is no PROXY header: the first byte is neither P nor CR");
  assertMalformed(new Uint8Array([0x16, 3, 1]), "there is no PROXY header");
  assertMalformed("\r\n\r\nGET", "the PROXY header of version 2 is malformed: it does not begin with the signature");
  assertEquals(parseProxyHeader(new Uint8Array(0)), null);
  assertEquals(parseProxyHeader(bytes("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r")), null);
  assertEquals(parseProxyHeader(SIGNATURE), null);
  assertThrows(() => parseProxyHeader("PROXY" as never), TypeError, "parseProxyHeader(): bytes must be a Uint8Array");
});

const IPV4 = [192, 168, 0, 1, 192, 168, 0, 11, 56324 >> 8, 56324 & 255, 443 >> 8, 443 & 255];

Deno.test("parseProxyHeader() reads TCP and UDP over IPv4 and IPv6 of version 2", () => {
  const expected: ProxyHeader = { version: 2, command: "proxy", source: CLIENT, destination: SERVER, tlvs: [] };
  const header = binary(0x21, 0x11, IPV4);
  assertEquals(header.length, 28);
  assertEquals(parse(header), expected);
  assertEquals(parseProxyHeader(concat([header, bytes("rest")])), { header: expected, length: 28 });
  assertEquals(parse(binary(0x21, 0x12, IPV4)).source, { ...CLIENT, transport: "udp" });
  const ipv6 = [0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 1, ...new Array(15).fill(0), 2, 0, 80, 1, 187];
  const { source, destination } = parse(binary(0x21, 0x21, ipv6));
  assertEquals(source, { transport: "tcp", hostname: "2001:db8::1", port: 80 });
  assertEquals(destination, { transport: "tcp", hostname: "::2", port: 443 });
});

Deno.test("parseProxyHeader() reads Unix sockets of version 2, paths and abstract names", () => {
  const path = (name: string) => [...bytes(name), ...new Array(108 - bytes(name).length).fill(0)];
  const full = "x".repeat(108);
  for (const [name, other] of [["/run/a.sock", ""], ["\0abstract", "/é"], [full, "\0x"]] as const) {
    const { source, destination } = parse(binary(0x21, 0x31, [...path(name), ...path(other)]));
    assertEquals([source, destination], [{ transport: "unix", path: name }, { transport: "unix", path: other }]);
  }
  const { source } = parse(binary(0x21, 0x32, [...path("/a"), ...path("/b")]));
  assertEquals(source, { transport: "unixpacket", path: "/a" });
});

Deno.test("parseProxyHeader() reads no addresses of LOCAL, and of a family or protocol that is not specified", () => {
  const local: ProxyHeader = { version: 2, command: "local", source: null, destination: null, tlvs: [] };
  for (const family of [0x00, 0x11, 0xff]) {
    for (const block of [[], IPV4, [1, 2, 3]]) assertEquals(parse(binary(0x20, family, block)), local);
  }
  const unspecified: ProxyHeader = { ...local, command: "proxy" };
  assertEquals(parse(binary(0x21, 0x00, [])), unspecified);
  assertEquals(parse(binary(0x21, 0x00, [9, 9, 9, 9])), unspecified);
  assertEquals(parse(binary(0x21, 0x10, IPV4)), unspecified);
  assertEquals(parse(binary(0x21, 0x01, [5, 0, 1, 7])), { ...unspecified, uniqueId: new Uint8Array([7]) });
});

Deno.test("parseProxyHeader() throws ProxyHeaderError for headers of version 2 that are malformed or too long", () => {
  assertMalformed(binary(0x11, 0x11, IPV4), "the PROXY header of version 2 is malformed: its version is 1");
  assertMalformed(binary(0x22, 0x11, IPV4), "its command is 2");
  assertMalformed(binary(0x21, 0x41, IPV4), "its address family is 4");
  assertMalformed(binary(0x21, 0x13, IPV4), "its transport protocol is 3");
  assertMalformed(binary(0x21, 0x11, IPV4.slice(1)), "11 bytes are too short for its addresses of 12 bytes");
  assertMalformed(binary(0x21, 0x21, IPV4), "12 bytes are too short for its addresses of 36 bytes");
  assertMalformed(binary(0x21, 0x31, IPV4), "12 bytes are too short for its addresses of 216 bytes");
  assertMalformed(binary(0x21, 0x11, [...IPV4, 1, 0]), "its last field is cut off");
  assertMalformed(binary(0x21, 0x11, [...IPV4, 1, 0, 2, 0]), "its last field is cut off");
  assertMalformed(binary(0x21, 0x11, [...IPV4, 0x20, 0, 4, 0, 0, 0, 0]), "its field of TLS is cut off");
  assertMalformed(binary(0x21, 0x11, [...IPV4, 0x20, 0, 7, 0, 0, 0, 0, 0, 0x21, 0]), "its field of TLS is cut off");
  assertMalformed(binary(0x21, 0x11, [...IPV4, 3, 0, 1, 0]), "its checksum has 1 bytes");
  // Before any of them is computed.
  const checksums = new Array(2000).fill([3, 0, 4, 0, 0, 0, 0]).flat();
  assertMalformed(binary(0x21, 0x11, [...IPV4, ...checksums]), "it has 2000 checksums");
  assertMalformed(
    binary(0x21, 0x11, [...IPV4, 5, 0, 129, ...new Array(129).fill(0)]),
    "unique id has more than 128 bytes",
  );
  // By its 16 bytes alone: what they announce never comes.
  const tooLong = "the PROXY header is too long: 65551 bytes, and at most 16384 are read";
  assertMalformed(new Uint8Array([...SIGNATURE, 0x21, 0x11, 0xff, 0xff]), tooLong);
  assertMalformed(new Uint8Array([...SIGNATURE, 0x20, 0x00, 0xff, 0xff]), tooLong);
});

Deno.test("parseProxyHeader() reads the fields of version 2", () => {
  const field = (type: number, value: Uint8Array | string) => {
    const data = typeof value === "string" ? bytes(value) : value;
    return [type, data.length >> 8, data.length & 255, ...data];
  };
  const ssl = new Uint8Array([7, 0, 0, 0, 1, ...field(0x21, "TLSv1.3"), ...field(0x22, "é"), ...field(0x7f, "x")]);
  const block = [
    ...IPV4,
    ...field(4, "padding"),
    ...field(1, "h2"),
    ...field(2, "example.com"),
    ...field(2, "again.example.com"),
    ...field(5, new Uint8Array([0, 255])),
    ...field(0x20, ssl),
    ...field(0x30, new Uint8Array([0xff])),
    ...field(0xea, "aws"),
  ];
  assertEquals(parse(binary(0x21, 0x11, block)), {
    version: 2,
    command: "proxy",
    source: CLIENT,
    destination: SERVER,
    alpn: "h2",
    authority: "example.com",
    uniqueId: new Uint8Array([0, 255]),
    ssl: { client: 7, verify: 1, version: "TLSv1.3", commonName: "é", tlvs: [{ type: 0x7f, value: bytes("x") }] },
    tlvs: [
      { type: 2, value: bytes("again.example.com") },
      { type: 0x30, value: new Uint8Array([0xff]) },
      { type: 0xea, value: bytes("aws") },
    ],
  });
});

Deno.test("parseProxyHeader() verifies a CRC-32C, wherever the bytes are in their memory", () => {
  assertEquals(crc32c(bytes("123456789")), 0xe3069283); // the check value of the algorithm
  const header = encodeProxyHeader({ source: CLIENT, destination: SERVER, checksum: true });
  const zeroed = header.slice();
  zeroed.fill(0, header.length - 4);
  assertEquals(new DataView(header.buffer).getUint32(header.length - 4), crc32c(zeroed));
  const inside = concat([new Uint8Array(5), header]).subarray(5);
  assertEquals(parse(inside).source, CLIENT);
  for (let i = 16; i < header.length; i++) {
    const damaged = header.slice();
    damaged[i]! ^= 1;
    const isLength = i >= 28 && i < 31;
    if (!isLength) assertMalformed(damaged, "the PROXY header of version 2 is malformed: its checksum is wrong");
  }
});

Deno.test("encodeProxyHeader() writes what the specification shows", () => {
  const addresses = { source: CLIENT, destination: SERVER };
  assertEquals(
    text(encodeProxyHeader({ version: 1, ...addresses })),
    "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
  );
  assertEquals(encodeProxyHeader(addresses), binary(0x21, 0x11, IPV4));
  assertEquals(encodeProxyHeader({ version: 1, source: null, destination: null }), bytes("PROXY UNKNOWN\r\n"));
  assertEquals(encodeProxyHeader({}), binary(0x21, 0, []));
  assertEquals(encodeProxyHeader({ command: "local" }), binary(0x20, 0, []));
});

Deno.test("encodeProxyHeader() writes IPv4 as IPv6 beside an IPv6 address, and what version 1 cannot name as unknown", () => {
  const ipv6 = { hostname: "2001:db8::1%eth0", port: 2 };
  assertEquals(
    text(encodeProxyHeader({ version: 1, source: CLIENT, destination: ipv6 })),
    "PROXY TCP6 ::ffff:192.168.0.1 2001:db8::1 56324 2\r\n",
  );
  assertEquals(parse(encodeProxyHeader({ source: ipv6, destination: SERVER })).destination, {
    ...SERVER,
    hostname: "::ffff:192.168.0.11",
  });
  const unix = { source: { path: "/a" }, destination: { path: "/b" } };
  const udp = { source: { ...CLIENT, transport: "udp" }, destination: { ...SERVER, transport: "udp" } } as const;
  for (const ends of [unix, udp]) assertEquals(text(encodeProxyHeader({ version: 1, ...ends })), "PROXY UNKNOWN\r\n");
});

Deno.test("encodeProxyHeader() names the option that is wrong, what it got and what is accepted", () => {
  const ends = { source: CLIENT, destination: SERVER };
  const cases: [header: object, Class: typeof TypeError | typeof RangeError, message: string][] = [
    [{ version: 3 }, TypeError, "version must be 1 or 2, got number 3"],
    [{ comand: "local" }, TypeError, "comand is not an option; did you mean command?"],
    [{ command: "none" }, TypeError, 'command must be "proxy" or "local", got string "none"'],
    [{ ...ends, command: "local" }, TypeError, 'source and destination cannot be given with command: "local"'],
    [{ version: 1, command: "local" }, TypeError, 'command: "local" needs version: 2'],
    [{ version: 1, ...ends, alpn: "h2" }, TypeError, "alpn needs version: 2"],
    [{ version: 1, ...ends, checksum: true }, TypeError, "checksum needs version: 2"],
    [{ source: CLIENT }, TypeError, "source and destination must be given together, or both be null"],
    [{ source: CLIENT, destination: { path: "/a" } }, TypeError, "must be addresses of one kind"],
    [
      { ...ends, source: "1.1.1.1" },
      TypeError,
      'source must be { hostname, port }, { path } or null, got string "1.1.1.1"',
    ],
    [
      { ...ends, source: { hostname: "a.test", port: 1 } },
      TypeError,
      'source.hostname must be an IP address, got string "a.test"',
    ],
    [
      { ...ends, source: { hostname: "::1", port: -1 } },
      RangeError,
      "source.port must be a whole number from 0 to 65535, got number -1",
    ],
    [
      { source: { path: "x".repeat(109) }, destination: { path: "" } },
      RangeError,
      "source.path must have at most 108 bytes, got 109",
    ],
    [{ alpn: 1 }, TypeError, "alpn must be a string, got number 1"],
    [{ uniqueId: new Uint8Array(129) }, RangeError, "uniqueId must have at most 128 bytes, got 129"],
    [
      { ssl: { client: 256, verify: 0 } },
      RangeError,
      "ssl.client must be a whole number from 0 to 255, got number 256",
    ],
    [{ ssl: { client: 1 } }, TypeError, "ssl.verify must be a whole number from 0 to 4294967295, got undefined"],
    [
      { ssl: { client: 1, verify: 0, vesion: "" } },
      TypeError,
      "ssl.vesion is not an option; did you mean ssl.version?",
    ],
    [{ tlvs: {} }, TypeError, "tlvs must be an array, got Object"],
    [
      { tlvs: [{ type: 3, value: new Uint8Array(4) }] },
      RangeError,
      "tlvs[0].type must not be 3, the CRC-32C: use checksum: true",
    ],
    [
      { tlvs: [{ type: 300, value: new Uint8Array(0) }] },
      RangeError,
      "tlvs[0].type must be a whole number from 0 to 255",
    ],
    [{ tlvs: [{ type: 224, value: "x" }] }, TypeError, 'tlvs[0].value must be a Uint8Array, got string "x"'],
    [
      { tlvs: [{ type: 224, value: new Uint8Array(16_366) }] },
      RangeError,
      "the PROXY header would have more than 16384 bytes",
    ],
  ];
  for (const [header, Class, message] of cases) {
    const error = assertThrows(() => encodeProxyHeader(header), Class, message);
    assertEquals([error.message.startsWith("encodeProxyHeader(): "), error.name], [true, Class.name]);
  }
});

Deno.test("encodeProxyHeader() writes 16 KiB, which parseProxyHeader() reads", () => {
  const value = new Uint8Array(16_384 - 16 - 3).fill(1);
  const header = encodeProxyHeader({ tlvs: [{ type: 224, value }] });
  assertEquals(header.length, 16_384);
  assertEquals(parse(header).tlvs, [{ type: 224, value }]);
});
