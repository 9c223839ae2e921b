/** Names in certificates beside those that clients ask for: RFC 9525, and RFC 5280, 4.2.1.6. */
import { bytes } from "../../kit.ts";
import {
  altNames,
  attribute,
  EMPTY_NAME,
  ext,
  extension,
  general,
  HOST_NAME,
  latin1,
  leaf,
  name,
} from "../certificate.ts";
import { type Chain, chain, type Expected, root } from "../chain.ts";
import { context, type Der, implicit, indefinite, longLength, oid, raw, seq, set, string, tlv, TRUE } from "../der.ts";

const LOOPBACK = [127, 0, 0, 1];
const LOOPBACK_6 = [...Array(15).fill(0), 1] as number[];
const MAPPED = [...Array(10).fill(0), 255, 255, ...LOOPBACK] as number[];

/** dNSNames, the host that is asked for, and whether it is one of them. */
const DNS: [names: string[], host: string, expected: Expected][] = [
  [[HOST_NAME], HOST_NAME, "good"],
  [["other.test", HOST_NAME], HOST_NAME, "good"],
  [["LEAF.test"], HOST_NAME, "good"],
  [[HOST_NAME], "leaf.TEST", "good"],
  [["localhost"], "localhost", "good"],
  [["*.leaf.test"], "a.leaf.test", "good"],
  [["*.leaf.test"], "A.LEAF.test", "good"],
  [["*.LEAF.test"], "a.leaf.test", "good"],
  [["*.leaf.test"], "xn--bcher-kva.leaf.test", "good"],
  [["xn--bcher-kva.test"], "xn--bcher-kva.test", "good"],
  [["1.leaf.test"], "1.leaf.test", "good"],
  [[`${"a".repeat(63)}.test`], `${"a".repeat(63)}.test`, "good"],
  [[...Array(300).keys()].map((i) => `a${i}.test`).concat(HOST_NAME), HOST_NAME, "good"],
  [["a_b.leaf.test"], "a_b.leaf.test", "open"],
  [["*.leaf.test"], "a_b.leaf.test", "open"],
  [[HOST_NAME], "leaf.test.", "open"],
  [["leaf.test."], HOST_NAME, "open"],
  [["leaf.test."], "leaf.test.", "open"],
  [["*.leaf.test"], "a.leaf.test.", "open"],
  [["*.test"], HOST_NAME, "open"],
  [["*.test."], HOST_NAME, "open"],
  [["LOCALHOST", "*"], "localhost", "open"],
  [["127.1"], "127.1", "open"],
  [["other.test"], HOST_NAME, "bad"],
  [["leaf.test.evil.test"], HOST_NAME, "bad"],
  [["evilleaf.test"], HOST_NAME, "bad"],
  [["eaf.test"], HOST_NAME, "bad"],
  [["leaf.tes"], HOST_NAME, "bad"],
  [["test"], HOST_NAME, "bad"],
  [["leaf"], HOST_NAME, "bad"],
  [[""], HOST_NAME, "bad"],
  [["."], HOST_NAME, "bad"],
  [["*"], HOST_NAME, "bad"],
  [["*"], "localhost", "bad"],
  [["*."], "localhost", "bad"],
  [["*."], HOST_NAME, "bad"],
  [["*.*"], HOST_NAME, "bad"],
  [["*.localhost"], "localhost", "bad"],
  [["l*.test"], HOST_NAME, "bad"],
  [["*f.test"], HOST_NAME, "bad"],
  [["le*f.test"], HOST_NAME, "bad"],
  [["*eaf.test"], HOST_NAME, "bad"],
  [["leaf.*"], HOST_NAME, "bad"],
  [["l*.leaf.test"], "leaf.leaf.test", "bad"],
  [["le*f.leaf.test"], "leaf.leaf.test", "bad"],
  [["*f.leaf.test"], "leaf.leaf.test", "bad"],
  [["le*.leaf.test"], "leaf.leaf.test", "bad"],
  [["**.leaf.test"], "a.leaf.test", "bad"],
  [["*.*.test"], "a.leaf.test", "bad"],
  [["a.*.test"], "a.leaf.test", "bad"],
  [["*.leaf.test"], "leaf.test", "bad"],
  [["*.leaf.test"], ".leaf.test", "bad"],
  [["*.leaf.test"], "a.b.leaf.test", "bad"],
  [["*.*.leaf.test"], "a.b.leaf.test", "bad"],
  [["xn--*.leaf.test"], "xn--leaf.leaf.test", "bad"],
  [["xn--l*.leaf.test"], "xn--leaf.leaf.test", "bad"],
  [["*--leaf.leaf.test"], "xn--leaf.leaf.test", "bad"],
  [[".leaf.test"], "a.leaf.test", "bad"],
  [[".leaf.test"], HOST_NAME, "bad"],
  [["leaf..test"], HOST_NAME, "bad"],
  [[" leaf.test"], HOST_NAME, "bad"],
  [["leaf.test "], HOST_NAME, "bad"],
  [["\tleaf.test"], HOST_NAME, "bad"],
  [["leaf.test\n"], HOST_NAME, "bad"],
  [["leaf.test\0"], HOST_NAME, "bad"],
  [["leaf.test\0.evil.test"], HOST_NAME, "bad"],
  [["\0leaf.test"], HOST_NAME, "bad"],
  [["le\0af.test"], HOST_NAME, "bad"],
  [["leaf.test,"], HOST_NAME, "bad"],
  [["leaf.test:443"], HOST_NAME, "bad"],
  [["leaf.test/"], HOST_NAME, "bad"],
  [["https://leaf.test"], HOST_NAME, "bad"],
  [["DNS:leaf.test"], HOST_NAME, "bad"],
  [["evil.test, DNS:leaf.test"], HOST_NAME, "bad"],
  [["evil.test,DNS:leaf.test"], HOST_NAME, "bad"],
  [["evil.test\nDNS:leaf.test"], HOST_NAME, "bad"],
  [['evil.test", DNS:leaf.test, "DNS:a'], HOST_NAME, "bad"],
  [['", DNS:leaf.test, DNS:"'], HOST_NAME, "bad"],
  [["\\u002c DNS:leaf.test"], HOST_NAME, "bad"],
  [["evil.test, IP Address:127.0.0.1"], "127.0.0.1", "bad"],
  // The KELVIN SIGN's lower case is k; the LONG S's upper case is S.
  [["\u212a.test"], "k.test", "bad"],
  [["te\u017ft.test"], "test.test", "bad"],
  [["\uff4ceaf.test"], HOST_NAME, "bad"],
  [["\ufeffleaf.test"], HOST_NAME, "bad"],
  [["leaf\u3002test"], HOST_NAME, "bad"],
  [["bücher.test"], "xn--bcher-kva.test", "bad"],
  [[`${"a".repeat(64)}.leaf.test`], HOST_NAME, "bad"],
  // Addresses are compared to addresses alone.
  [["127.0.0.1"], "127.0.0.1", "bad"],
  [["*.0.0.1"], "127.0.0.1", "bad"],
  [["127.0.0.*"], "127.0.0.1", "bad"],
  [["*"], "127.0.0.1", "bad"],
  [["::1"], "::1", "bad"],
  [["*"], "::1", "bad"],
  [["[::1]"], "::1", "bad"],
];

const TRICK = "evil.test, DNS:leaf.test";

/** subjectAltName with other kinds of names, or badly encoded. */
function others(): [what: string, names: Der[] | Der | null, host: string, expected: Expected][] {
  const both = [general.ip(...LOOPBACK), general.ip(...LOOPBACK_6)];
  const san = (...names: Der[]) => extension("2.5.29.17", seq(...names));
  const dns = general.dns(HOST_NAME);
  return [
    ["IP of 4 bytes", both, "127.0.0.1", "good"],
    ["IP of 16 bytes", both, "::1", "good"],
    ["IP beside a dNSName", [dns, ...both], HOST_NAME, "good"],
    [
      "all kinds beside it",
      [
        general.email("a@b.test"),
        general.uri("http://b.test/"),
        general.directory(name("b")),
        general.registered("1.2.3"),
        dns,
      ],
      HOST_NAME,
      "good",
    ],
    ["otherName beside it", [general.other("1.2.3.4", string("x")), dns], HOST_NAME, "good"],
    ["a URI with a comma beside it", [general.uri("http://b.test/a, b"), dns], HOST_NAME, "good"],
    ["IP written out in full", both, "0:0:0:0:0:0:0:1", "open"],
    ["IPv4 mapped", [general.ip(...MAPPED)], "::ffff:127.0.0.1", "open"],
    ["IPv4 mapped for IPv4", [general.ip(...MAPPED)], "127.0.0.1", "bad"],
    ["IPv4 for IPv4 mapped", both.slice(0, 1), "::ffff:127.0.0.1", "bad"],
    ["another IP", [general.ip(127, 0, 0, 2)], "127.0.0.1", "bad"],
    ["IP for a name", [general.ip(...LOOPBACK)], "localhost", "bad"],
    ...[[], [127], [127, 0, 0], [...LOOPBACK, 0], [...LOOPBACK, 255, 255, 255, 255], LOOPBACK_6.slice(1), [
      ...LOOPBACK_6,
      0,
    ], [...LOOPBACK_6, ...Array(16).fill(255)]].map((address): [string, Der[], string, Expected] => [
      `IP of ${address.length} bytes`,
      [general.ip(...address)],
      address.length > 8 ? "::1" : "127.0.0.1",
      "bad",
    ]),
    ["an IP of 5 bytes beside a dNSName", [general.ip(1, 2, 3, 4, 5), dns], HOST_NAME, "open"],
    ["IP as text", [general.ip(...latin1("127.0.0.1"))], "127.0.0.1", "bad"],
    ["IP that is a name", [general.ip(...latin1(HOST_NAME))], HOST_NAME, "bad"],
    ["IP that is a name with its kind", [general.ip(...latin1(TRICK))], HOST_NAME, "bad"],
    ["a URI of an IP", [general.uri("http://127.0.0.1/")], "127.0.0.1", "bad"],
    ["a URI with a comma", [general.uri("http://evil.test/, DNS:leaf.test")], HOST_NAME, "bad"],
    ["a URI with a comma and an IP", [general.uri("http://evil.test/, IP Address:127.0.0.1")], "127.0.0.1", "bad"],
    ["a URI with a quote", [general.uri('", DNS:leaf.test, URI:"')], HOST_NAME, "bad"],
    ["a URI with a line", [general.uri("http://evil.test/\nDNS:leaf.test")], HOST_NAME, "bad"],
    ["a URI of the host", [general.uri("https://leaf.test/")], HOST_NAME, "bad"],
    ["a URI that is the host", [general.uri(HOST_NAME)], HOST_NAME, "bad"],
    ["an email address with a comma", [general.email(`a@${TRICK}`)], HOST_NAME, "bad"],
    ["an email address at the host", [general.email("a@leaf.test")], HOST_NAME, "bad"],
    ["an email address that is the host", [general.email(HOST_NAME)], HOST_NAME, "bad"],
    ["otherName with a comma", [general.other("1.2.3.4", string(TRICK))], HOST_NAME, "bad"],
    [
      "otherName of a service",
      [general.other("1.3.6.1.5.5.7.8.7", string("_https.leaf.test", "ia5"))],
      HOST_NAME,
      "bad",
    ],
    ["otherName of XMPP", [general.other("1.3.6.1.5.5.7.8.5", string(HOST_NAME))], HOST_NAME, "bad"],
    ["otherName of SMTP", [general.other("1.3.6.1.5.5.7.8.9", string(`a@${TRICK}`))], HOST_NAME, "bad"],
    ["directoryName with a comma", [general.directory(name(TRICK))], HOST_NAME, "bad"],
    ["directoryName of the host", [general.directory(name(HOST_NAME))], HOST_NAME, "bad"],
    ["registeredID that is the host", [implicit(8, bytes(HOST_NAME))], HOST_NAME, "bad"],
    ["x400Address that is the host", [context(3, string(HOST_NAME))], HOST_NAME, "bad"],
    ["ediPartyName that is the host", [context(5, context(1, string(HOST_NAME)))], HOST_NAME, "bad"],
    ["a kind that is none", [implicit(9, bytes(HOST_NAME))], HOST_NAME, "bad"],
    ["a kind that is none beside the host", [implicit(9, bytes("a")), dns], HOST_NAME, "open"],
    ["a plain string", [string(HOST_NAME, "ia5")], HOST_NAME, "bad"],
    ["a constructed dNSName", [context(2, string(HOST_NAME, "ia5"))], HOST_NAME, "bad"],
    ["a constructed dNSName of bytes", [tlv(0xa2, bytes(HOST_NAME))], HOST_NAME, "bad"],
    ["an application's tag", [tlv(0x42, bytes(HOST_NAME))], HOST_NAME, "bad"],
    ["a high tag number", [raw(0x9f, 2, HOST_NAME.length, ...bytes(HOST_NAME))], HOST_NAME, "bad"],
    ["dNSName in a dNSName", [tlv(0xa2, general.dns(HOST_NAME))], HOST_NAME, "bad"],
    [
      "dNSName of BMPString's bytes",
      [general.dns(new Uint8Array(string(HOST_NAME, "bmp").slice(2)))],
      HOST_NAME,
      "bad",
    ],
    ["dNSName in Latin-1", [general.dns(latin1("b\xfccher.test"))], "xn--bcher-kva.test", "bad"],
    ["dNSName with a broken UTF-8 in front", [general.dns(raw(0xc3, ...bytes(HOST_NAME)))], HOST_NAME, "bad"],
    ["no names", [], HOST_NAME, "bad"],
    ["no subjectAltName", null, HOST_NAME, "bad"],
    ["no subjectAltName for an address", null, "127.0.0.1", "bad"],
    ["a set", extension("2.5.29.17", set(dns)), HOST_NAME, "bad"],
    ["only a name", extension("2.5.29.17", dns), HOST_NAME, "bad"],
    ["a list in a list", extension("2.5.29.17", seq(seq(dns))), HOST_NAME, "bad"],
    ["issuerAltName", extension("2.5.29.18", seq(dns)), HOST_NAME, "bad"],
    ["Netscape's server name", extension("2.16.840.1.113730.1.12", string(HOST_NAME, "ia5")), HOST_NAME, "bad"],
    ["two extensions, the second with it", concatDer(san(general.dns("a.test")), san(dns)), HOST_NAME, "bad"],
    ["two extensions, the first with it", concatDer(san(dns), san(general.dns("a.test"))), HOST_NAME, "bad"],
    ["bytes behind the list", extension("2.5.29.17", concatDer(seq(dns), raw(5, 0))), HOST_NAME, "bad"],
    [
      "bytes behind a list without it",
      extension("2.5.29.17", concatDer(seq(general.dns("a")), seq(dns))),
      HOST_NAME,
      "bad",
    ],
    ["a list of an indefinite length", extension("2.5.29.17", indefinite(seq(dns))), HOST_NAME, "open"],
    ["a list with a long length", extension("2.5.29.17", longLength(seq(dns))), HOST_NAME, "open"],
    ["a name with a long length", extension("2.5.29.17", seq(longLength(dns))), HOST_NAME, "open"],
    ["a critical one", ext.subjectAltName([dns], TRUE), HOST_NAME, "good"],
    ["nothing at all", extension("2.5.29.17", raw()), HOST_NAME, "bad"],
    ["a name that is cut short", extension("2.5.29.17", seq(raw(0x82, 20, ...bytes(HOST_NAME)))), HOST_NAME, "bad"],
    ["an OID with a further byte", seq(raw(...oid("2.5.29.17.0")), tlv(4, seq(dns))), HOST_NAME, "bad"],
  ];
}

/** What may stand beside a common name that is the host: it must never count (RFC 9525, 1.2). */
function commonNames(): [what: string, names: Der | null][] {
  return [
    ["no subjectAltName", null],
    ["no names", ext.subjectAltName([])],
    ["a dNSName", altNames("a.test")],
    ["an IP", ext.subjectAltName([general.ip(...LOOPBACK)])],
    ["an email address", ext.subjectAltName([general.email("a@b.test")])],
    ["a URI", ext.subjectAltName([general.uri("http://evil.test/, DNS:leaf.test")])],
    ["a directoryName", ext.subjectAltName([general.directory(name(HOST_NAME))])],
    ["an otherName", ext.subjectAltName([general.other("1.2.3.4", string(HOST_NAME))])],
    ["a registeredID", ext.subjectAltName([general.registered("1.2.3")])],
  ];
}

function concatDer(...parts: Der[]): Der {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

/** Chains whose leaf is for some name. */
export function nameChains(): Chain[] {
  const make = (what: string, expected: Expected, host: string, changes: Parameters<typeof leaf>[1]) =>
    chain(`name: ${what}`, expected, leaf(root(), changes), { host, asClient: null });
  const cn = (text: string) => seq(set(attribute("CN", text)));
  return [
    ...DNS.map(([names, host, expected]) => {
      const shown = names.length > 3 ? `${names.length} names` : names.map((name) => JSON.stringify(name)).join(" ");
      return make(`${shown} for ${host}`, expected, host, { names: altNames(...names) });
    }),
    ...others().map(([what, names, host, expected]) => {
      const extension = names instanceof Uint8Array ? names : names && ext.subjectAltName(names);
      return make(`${what} for ${host}`, expected, host, { names: extension });
    }),
    make("an empty subject", "good", HOST_NAME, {
      subject: EMPTY_NAME,
      names: ext.subjectAltName([general.dns(HOST_NAME)], TRUE),
    }),
    ...commonNames().map(([what, names]) =>
      make(`only a common name, ${what}`, "bad", HOST_NAME, { subject: cn(HOST_NAME), names })
    ),
    make("a common name with a comma", "bad", HOST_NAME, { subject: cn(TRICK), names: altNames("a.test") }),
    make("a common name among others", "bad", HOST_NAME, {
      subject: seq(set(attribute("CN", "a.test")), set(attribute("CN", HOST_NAME))),
      names: null,
    }),
    make("only a common name for an address", "bad", "127.0.0.1", { subject: cn("127.0.0.1"), names: null }),
    make("a subject that forges a list of names", "bad", HOST_NAME, {
      subject: cn("a\nsubjectAltName=DNS:leaf.test"),
      names: altNames("a.test"),
    }),
  ];
}
