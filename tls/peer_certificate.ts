/** The values of `peercert` and `cipher` of `getExtraInfo`. */
import { type Certificate, type GeneralName, latin1, readCertificate, readName } from "./certificate.ts";
import { toOid } from "./der.ts";
import type { PeerCertificate, TlsCipher } from "../transports/transport.ts";

/** The short names of attributes: RFC 4519, and RFC 2985 for the last. Others have their object identifier as name. */
const ATTRIBUTES: Record<string, string> = {
  "2.5.4.3": "CN",
  "2.5.4.4": "SN",
  "2.5.4.5": "serialNumber",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.9": "street",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "2.5.4.12": "title",
  "2.5.4.42": "GN",
  "0.9.2342.19200300.100.1.1": "UID",
  "0.9.2342.19200300.100.1.25": "DC",
  "1.2.840.113549.1.9.1": "emailAddress",
};

/** The kinds of general names (RFC 5280, 4.2.1.6), named as in Python. */
const NAME_TYPES = [
  "othername",
  "email",
  "DNS",
  "X400 Name",
  "DirName",
  "EdiPartyName",
  "URI",
  "IP Address",
  "Registered ID",
];

/** Returns the value of `peercert`. */
export function toPeerCertificate(der: Uint8Array, sha256: (data: Uint8Array) => string): PeerCertificate {
  const fingerprint256 = sha256(der).toUpperCase().match(/../g)!.join(":");
  let certificate: Certificate;
  try {
    certificate = readCertificate(der);
  } catch {
    const unknown = { subject: {}, issuer: {}, subjectAltName: [], serialNumber: "" };
    const never = { notBefore: new Date(NaN), notAfter: new Date(NaN) };
    return { ...unknown, ...never, fingerprint256, raw: der };
  }
  const { subject, issuer, names, serialNumber, notBefore, notAfter } = certificate;
  return {
    subject: spellSubject(subject),
    issuer: spellSubject(issuer),
    subjectAltName: names.map((name) => [NAME_TYPES[name.kind]!, spellName(name)]),
    serialNumber: serialNumber.toHex().toUpperCase(),
    notBefore,
    notAfter,
    fingerprint256,
    raw: der,
  };
}

function spellName({ kind, value }: GeneralName): string {
  switch (NAME_TYPES[kind]) {
    case "IP Address":
      return spellAddress(value);
    case "Registered ID":
      return toOid(value);
    case "email":
    case "DNS":
    case "URI":
      return latin1(value);
    default:
      return "<unsupported>";
  }
}

function spellAddress(value: Uint8Array): string {
  if (value.length === 4) return value.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => (value[2 * i]! << 8 | value[2 * i + 1]!).toString(16));
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

function spellSubject(name: Uint8Array): Record<string, string | string[]> {
  const spelled = new Map<string, string | string[]>();
  for (const [oid, text] of readName(name)) {
    const key = ATTRIBUTES[oid] ?? oid;
    const before = spelled.get(key);
    spelled.set(key, before === undefined ? text : [before, text].flat());
  }
  return Object.fromEntries(spelled);
}

/** Returns the value of `cipher`. */
export function toCipher(name: string, version: string): TlsCipher {
  // All cipher suites of Deno are AES with 128 or 256 bits, or ChaCha20, which has 256 (RFC 8439).
  return { name, version, bits: /AES_?128/.test(name) ? 128 : 256 };
}
