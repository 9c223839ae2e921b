/**
 * Parses a certificate (RFC 5280, 4.1) as strictly as rustls does, and as OpenSSL does where that is stricter.
 *
 * Security depends on this: if rustls cannot parse a certificate, Deno's `node:tls` compares only names (`is_v1_error` in
 * its ext/node/ops/tls_wrap.rs), and requires no proof of the private key. rustls parses every certificate that
 * {@linkcode readCertificate} accepts, whatever path it tries; all others must be rejected. The code mirrors cert.rs,
 * verify_cert.rs and subject_name/ of rustls-webpki 0.103: what is BadDer, BadDerTime, TrailingData or
 * UnsupportedCertVersion there is an error here.
 */
import { DerError, DerReader, TAG, toOid } from "./der.ts";

/** A name of a certificate: RFC 5280, 4.2.1.6. */
export interface GeneralName {
  /** The number of its kind; 2 is a DNS name, 7 an address. */
  kind: number;
  /** The contents. */
  value: Uint8Array;
}

/** A parsed certificate. */
export interface Certificate {
  /** The certificate as DER. */
  der: Uint8Array;
  /** 1 to 3. rustls verifies only version 3. */
  version: number;
  /** The serial number, big-endian. */
  serialNumber: Uint8Array;
  /** The contents of the issuer's Name. */
  issuer: Uint8Array;
  /** The contents of the subject's Name. */
  subject: Uint8Array;
  /** When it becomes valid. */
  notBefore: Date;
  /** When it expires. */
  notAfter: Date;
  /** The names that it is for (subjectAltName). */
  names: GeneralName[];
  /** Whether it is a CA certificate (basicConstraints). */
  isCa: boolean;
  /** How many CAs may be between it and a peer's own certificate (pathLenConstraint); `null` if any number may. */
  pathLength: number | null;
  /** The bits of keyUsage, the first one lowest; `null` if it has none. */
  keyUsage: number | null;
  /** The bits of Netscape's certificate type, which OpenSSL checks; `null` if it has none. */
  netscapeType: number | null;
  /** Whether it constrains the email addresses of the certificates below it (nameConstraints). */
  limitsEmail: boolean;
  /** A critical extension that is not supported; `null` if there is none. */
  unknownCritical: string | null;
  /** The object identifiers of its purposes (extKeyUsage); `null` if it has none. */
  purposes: string[] | null;
}

/** Object identifiers of extensions that rustls reads: RFC 5280, 4.2.1. */
const KEY_USAGE = "2.5.29.15";
const SUBJECT_ALT_NAME = "2.5.29.17";
const BASIC_CONSTRAINTS = "2.5.29.19";
const NAME_CONSTRAINTS = "2.5.29.30";
const CRL_DISTRIBUTION_POINTS = "2.5.29.31";
const EXT_KEY_USAGE = "2.5.29.37";
const SCT_LIST = "1.3.6.1.4.1.11129.2.4.2";
/** netscape-cert-type, which is older than extKeyUsage. */
const NETSCAPE_CERT_TYPE = "2.16.840.1.113730.1.1";

/** The tags of the nine kinds of general names: RFC 5280, 4.2.1.6. */
const NAME_TAGS: readonly number[] = [0xa0, 0x81, 0x82, 0xa3, 0xa4, 0xa5, 0x86, 0x87, 0x88];
/** The kinds that are used. */
const EMAIL = 1;
export const DNS_NAME = 2;
export const IP_ADDRESS = 7;

/** Parses a certificate. */
export function readCertificate(der: Uint8Array): Certificate {
  const whole = new DerReader(der);
  const signed = whole.open(TAG.SEQUENCE);
  whole.end();
  const body = signed.open(TAG.SEQUENCE);
  signed.read(TAG.SEQUENCE);
  signed.bits();
  signed.end();

  const version = readVersion(body);
  const serialNumber = body.read(TAG.INTEGER);
  checkInteger(serialNumber);
  body.read(TAG.SEQUENCE); // The algorithm of the signature. rustls checks that it is the same outside.
  const issuer = body.read(TAG.SEQUENCE);
  readName(issuer);
  const validity = body.open(TAG.SEQUENCE);
  const notBefore = readTime(validity);
  const notAfter = readTime(validity);
  validity.end();
  const subject = body.read(TAG.SEQUENCE);
  readName(subject);
  const publicKey = body.open(TAG.SEQUENCE);
  publicKey.read(TAG.SEQUENCE);
  publicKey.bits();
  publicKey.end();
  const certificate: Certificate = {
    ...{ der, version, serialNumber, issuer, subject, notBefore, notAfter },
    ...{ names: [], isCa: false, pathLength: null, keyUsage: null, purposes: null },
    ...{ netscapeType: null, limitsEmail: false, unknownCritical: null },
  };
  if (!body.atEnd) readExtensions(body.open(TAG.CONTEXT_3), certificate);
  body.end();
  return certificate;
}

function readVersion(body: DerReader): number {
  if (!body.isNext(TAG.CONTEXT_0)) return 1;
  const inner = body.open(TAG.CONTEXT_0);
  const version = smallInteger(inner);
  inner.end();
  return version + 1;
}

function readExtensions(tagged: DerReader, certificate: Certificate): void {
  const extensions = tagged.open(TAG.SEQUENCE);
  tagged.end();
  const seen = new Set<string>();
  while (!extensions.atEnd) {
    const extension = extensions.open(TAG.SEQUENCE);
    const id = toOid(extension.read(TAG.OID));
    const critical = extension.flag();
    const value = extension.open(TAG.OCTET_STRING);
    extension.end();
    if (seen.has(id)) throw new DerError(`extension ${id} is repeated`);
    seen.add(id);
    if (!readExtension(id, value, certificate) && critical) certificate.unknownCritical ??= id;
  }
}

/** Reads the extensions that rustls reads. Reports whether it is one of them. */
function readExtension(id: string, value: DerReader, certificate: Certificate): boolean {
  switch (id) {
    case KEY_USAGE:
      certificate.keyUsage = readFlags(value.read(TAG.BIT_STRING));
      break;
    case NETSCAPE_CERT_TYPE:
      certificate.netscapeType = readFlags(value.read(TAG.BIT_STRING));
      break;
    case SUBJECT_ALT_NAME:
      certificate.names = readNames(value.open(TAG.SEQUENCE), [4, 16]);
      break;
    case BASIC_CONSTRAINTS: {
      const constraints = value.open(TAG.SEQUENCE);
      certificate.isCa = constraints.flag();
      if (!constraints.atEnd) certificate.pathLength = smallInteger(constraints);
      constraints.end();
      break;
    }
    case NAME_CONSTRAINTS:
      certificate.limitsEmail = readNameConstraints(value.open(TAG.SEQUENCE));
      break;
    case EXT_KEY_USAGE: {
      const purposes = value.open(TAG.SEQUENCE);
      certificate.purposes = [];
      while (!purposes.atEnd) certificate.purposes.push(toOid(purposes.read(TAG.OID)));
      break;
    }
    case CRL_DISTRIBUTION_POINTS:
      value.read(TAG.SEQUENCE);
      break;
    case SCT_LIST:
      value.read(TAG.OCTET_STRING);
      break;
    default:
      return false;
  }
  value.end();
  return true;
}

function readNames(list: DerReader, addressLengths: readonly number[]): GeneralName[] {
  const names: GeneralName[] = [];
  while (!list.atEnd) {
    const { tag, value } = list.next();
    const kind = NAME_TAGS.indexOf(tag);
    if (kind < 0) throw new DerError(`a name has tag ${tag}`);
    if (kind === IP_ADDRESS && !addressLengths.includes(value.length)) {
      throw new DerError(`an address has ${value.length} bytes`);
    }
    names.push({ kind, value });
  }
  return names;
}

/** Reads permittedSubtrees and excludedSubtrees (RFC 5280, 4.2.1.10). Reports whether they have email addresses. */
function readNameConstraints(constraints: DerReader): boolean {
  let limitsEmail = false;
  for (const tag of [TAG.CONTEXT_0, TAG.CONTEXT_1]) {
    if (!constraints.isNext(tag)) continue;
    const subtrees = constraints.open(tag);
    while (!subtrees.atEnd) {
      // An address and its mask. Neither minimum nor maximum may be there.
      const bases = readNames(subtrees.open(TAG.SEQUENCE), [8, 32]);
      if (bases.length !== 1) throw new DerError(`a name constraint has ${bases.length} names`);
      if (bases[0]!.kind === EMAIL) limitsEmail = true;
    }
  }
  constraints.end();
  return limitsEmail;
}

/** Reads a BIT STRING of flags, of which the unused bits must be zero (X.690, 11.2). */
function readFlags(value: Uint8Array): number {
  const unused = value[0];
  const last = value.length > 1 ? value.at(-1)! : 0;
  if (unused === undefined || unused > (value.length > 1 ? 7 : 0) || (last & ((1 << unused) - 1)) !== 0) {
    throw new DerError("a bit string has a bad end");
  }
  let flags = 0;
  for (let bit = 0; bit < 16; bit++) if ((value[1 + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) flags |= 1 << bit;
  return flags;
}

/** The shortest form: X.690, 8.3.2. */
function checkInteger(value: Uint8Array): void {
  const [first, second] = value;
  const isLong = second !== undefined && (first === 0 && second < 0x80 || first === 0xff && second >= 0x80);
  if (first === undefined || isLong) throw new DerError("a number is not in its shortest form");
}

/** One attribute of a Name: its object identifier, and its value as text. */
export type NameAttribute = [oid: string, text: string];

/** UTF8String, UniversalString and BMPString. In the other strings of a Name, a character has one byte. */
const UTF8_STRING = 0x0c;
const UNIVERSAL_STRING = 0x1c;
const BMP_STRING = 0x1e;

/** Parses a Name (RFC 5280, 4.1.2.4), which OpenSSL does and rustls does not. */
export function readName(value: Uint8Array): NameAttribute[] {
  const name: NameAttribute[] = [];
  for (const sets = new DerReader(value); !sets.atEnd;) {
    for (const attributes = sets.open(TAG.SET); !attributes.atEnd;) {
      const attribute = attributes.open(TAG.SEQUENCE);
      const oid = toOid(attribute.read(TAG.OID));
      const { tag, value } = attribute.next();
      attribute.end();
      name.push([oid, readString(tag, value)]);
    }
  }
  return name;
}

function readString(tag: number, value: Uint8Array): string {
  const wrong = tag === UNIVERSAL_STRING && value.length % 4 !== 0 || tag === BMP_STRING && value.length % 2 !== 0;
  if (wrong) throw new DerError("a string is truncated");
  try {
    if (tag === UTF8_STRING) return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value);
    if (tag === BMP_STRING) return new TextDecoder("utf-16be", { ignoreBOM: true }).decode(value);
  } catch {
    throw new DerError("a string is not UTF-8");
  }
  return latin1(value);
}

/** Decodes bytes, one character for each byte. */
export function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/** An INTEGER from 0 to 255, in its shortest form. */
function smallInteger(reader: DerReader): number {
  const value = reader.read(TAG.INTEGER);
  if (value.length === 1 && value[0]! < 0x80) return value[0]!;
  if (value.length === 2 && value[0] === 0 && value[1]! >= 0x80) return value[1]!;
  throw new DerError("a number is not from 0 to 255");
}

/** YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ: RFC 5280, 4.1.2.5. */
function readTime(reader: DerReader): Date {
  const { tag, value } = reader.next();
  const text = String.fromCharCode(...value.subarray(0, 20));
  const isUtc = tag === TAG.UTC_TIME;
  const match = /^(\d\d|\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  const digits = match?.slice(1).map(Number) as [number, number, number, number, number, number] | undefined;
  if (digits === undefined || match![1]!.length !== (isUtc ? 2 : 4) || !isUtc && tag !== TAG.GENERALIZED_TIME) {
    throw new DerError("a time has neither of the two formats");
  }
  const [year, month, day, hours, minutes, seconds] = digits;
  const fullYear = isUtc ? year + (year >= 50 ? 1900 : 2000) : year;
  const time = new Date(0);
  time.setUTCFullYear(fullYear, month - 1, day);
  time.setUTCHours(hours, minutes, seconds);
  // A date that does not exist, such as the 30th of February, has become another. Years before 1970 are an error in rustls.
  const exists = time.getUTCMonth() === month - 1 && time.getUTCDate() === day && time.getUTCHours() === hours &&
    time.getUTCMinutes() === minutes && time.getUTCSeconds() === seconds && fullYear >= 1970;
  if (!exists) throw new DerError("a time does not exist");
  return time;
}
