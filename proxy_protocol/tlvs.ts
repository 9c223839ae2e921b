/** The fields that follow the addresses in version 2 of the PROXY protocol: type, length, value. */
import type { ProxyHeader, ProxySsl, ProxyTlv } from "../transports/proxy_header.ts";
import { ProxyHeaderError } from "./proxy_header_error.ts";

const ALPN = 0x01;
const AUTHORITY = 0x02;
export const CRC32C = 0x03;
const NOOP = 0x04;
const UNIQUE_ID = 0x05;
const SSL = 0x20;
const NETNS = 0x30;
/** The fields within that of TLS. */
const SSL_TEXTS = {
  version: 0x21,
  commonName: 0x22,
  cipher: 0x23,
  signatureAlgorithm: 0x24,
  keyAlgorithm: 0x25,
} as const;
/** The longest identifier of a connection, in bytes. */
export const MAX_UNIQUE_ID = 128;

/** What the fields say. */
export type ProxyFields = Pick<ProxyHeader, "alpn" | "authority" | "uniqueId" | "ssl" | "netns" | "tlvs">;

/** Splits bytes into fields, whose values are views. Returns `null` if they do not end with a field. */
export function splitTlvs(bytes: Uint8Array): ProxyTlv[] | null {
  const tlvs: ProxyTlv[] = [];
  let offset = 0;
  while (offset + 3 <= bytes.length) {
    const end = offset + 3 + (bytes[offset + 1]! << 8 | bytes[offset + 2]!);
    if (end > bytes.length) return null;
    tlvs.push({ type: bytes[offset]!, value: bytes.subarray(offset + 3, end) });
    offset = end;
  }
  return offset === bytes.length ? tlvs : null;
}

/** Joins fields. */
export function joinTlvs(tlvs: Iterable<ProxyTlv>): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (const { type, value } of tlvs) {
    bytes.push(type, value.length >> 8, value.length & 255);
    for (const byte of value) bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** Reads the fields of a header. Values are copied. */
export function readFields(tlvs: readonly ProxyTlv[]): ProxyFields {
  const fields: ProxyFields = { tlvs: [] };
  for (const { type, value } of tlvs) {
    if (type === CRC32C || type === NOOP) continue;
    if (type === ALPN && setText(fields, "alpn", value)) continue;
    if (type === AUTHORITY && setText(fields, "authority", value)) continue;
    if (type === NETNS && setText(fields, "netns", value)) continue;
    if (type === UNIQUE_ID && fields.uniqueId === undefined) {
      if (value.length > MAX_UNIQUE_ID) throw malformed(`its unique id has more than ${MAX_UNIQUE_ID} bytes`);
      fields.uniqueId = value.slice();
    } else if (type === SSL && fields.ssl === undefined) {
      fields.ssl = readSsl(value);
    } else {
      fields.tlvs.push({ type, value: value.slice() });
    }
  }
  return fields;
}

function readSsl(value: Uint8Array): ProxySsl {
  const tlvs = value.length < 5 ? null : splitTlvs(value.subarray(5));
  if (tlvs === null) throw malformed("its field of TLS is cut off");
  const { buffer, byteOffset } = value;
  const ssl: ProxySsl = { client: value[0]!, verify: new DataView(buffer, byteOffset).getUint32(1) };
  const others: ProxyTlv[] = [];
  const names = Object.keys(SSL_TEXTS) as (keyof typeof SSL_TEXTS)[];
  for (const { type, value } of tlvs) {
    const name = names.find((name) => SSL_TEXTS[name] === type);
    if (name === undefined || !setText(ssl, name, value)) others.push({ type, value: value.slice() });
  }
  if (others.length > 0) ssl.tlvs = others;
  return ssl;
}

/** Sets a text, unless it is set or not UTF-8. Reports whether it did. */
function setText<K extends string>(target: { [name in K]?: string | undefined }, name: K, value: Uint8Array): boolean {
  if (target[name] !== undefined) return false;
  try {
    target[name] = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value);
    return true;
  } catch {
    return false;
  }
}

/** Makes the fields of a header, which have been checked. */
export function makeFields({ alpn, authority, uniqueId, ssl, netns, tlvs = [] }: Partial<ProxyFields>): ProxyTlv[] {
  return [
    ...makeText(ALPN, alpn),
    ...makeText(AUTHORITY, authority),
    ...uniqueId === undefined ? [] : [{ type: UNIQUE_ID, value: uniqueId }],
    ...ssl === undefined ? [] : [{ type: SSL, value: makeSsl(ssl) }],
    ...makeText(NETNS, netns),
    ...tlvs,
  ];
}

function makeText(type: number, text: string | undefined): ProxyTlv[] {
  return text === undefined ? [] : [{ type, value: new TextEncoder().encode(text) }];
}

function makeSsl(ssl: ProxySsl): Uint8Array {
  const names = Object.keys(SSL_TEXTS) as (keyof typeof SSL_TEXTS)[];
  const inner = joinTlvs([...names.flatMap((name) => makeText(SSL_TEXTS[name], ssl[name])), ...ssl.tlvs ?? []]);
  const value = new Uint8Array(5 + inner.length);
  value[0] = ssl.client;
  new DataView(value.buffer).setUint32(1, ssl.verify);
  value.set(inner, 5);
  return value;
}

export function malformed(why: string): ProxyHeaderError {
  return new ProxyHeaderError(`the PROXY header of version 2 is malformed: ${why}`);
}
