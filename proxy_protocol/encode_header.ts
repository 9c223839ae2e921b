import { checkOptions, namesOf } from "../check_options.ts";
import { checkBoolean, checkBytes, checkInteger, checkOneOf } from "../checks.ts";
import { describe } from "../errors.ts";
import { mapIpv4, parseIp } from "../ip_address.ts";
import type { ProxyHeader, ProxySsl, ProxyTlv } from "../transports/proxy_header.ts";
import { encodeBinary, type Ends, MAX_HEADER, UNIX_SIZE } from "./binary_header.ts";
import { encodeLine } from "./text_header.ts";
import { CRC32C, makeFields, MAX_UNIQUE_ID } from "./tlvs.ts";

/** An address of a PROXY header: an IP address with a port, or the path of a Unix socket. */
export type ProxyAddress = Deno.Addr | { hostname: string; port: number } | { path: string };

/** What a header of the PROXY protocol says. The options from `alpn` on need version 2. */
export interface ProxyHeaderOptions {
  /**
   * 1 for a line of text, 2 for the binary form.
   *
   * @default {2}
   */
  version?: 1 | 2 | undefined;
  /**
   * `"proxy"` for the connection of a client, `"local"` for one of the proxy's own, such as a health check, which has no
   * addresses. `"local"` needs version 2.
   *
   * @default {"proxy"}
   */
  command?: "proxy" | "local" | undefined;
  /**
   * The address of the client; `null` if it is unknown. For an IPv4 and an IPv6 address together, both are written as IPv6.
   * Version 1 has TCP addresses only, and writes all others as unknown.
   *
   * @default {undefined} unknown; for `createConnection()`, the local address of the connection
   */
  source?: ProxyAddress | null | undefined;
  /**
   * The address that the client has connected to; `null` if it is unknown.
   *
   * @default {undefined} unknown; for `createConnection()`, the remote address of the connection
   */
  destination?: ProxyAddress | null | undefined;
  /**
   * The application protocol that the client has negotiated, such as `"h2"`.
   *
   * @default {undefined}
   */
  alpn?: string | undefined;
  /**
   * The host name that the client has asked for.
   *
   * @default {undefined}
   */
  authority?: string | undefined;
  /**
   * An identifier of the connection, at most 128 bytes.
   *
   * @default {undefined}
   */
  uniqueId?: Uint8Array | undefined;
  /**
   * How the client uses TLS.
   *
   * @default {undefined}
   */
  ssl?: ProxySsl | undefined;
  /**
   * The name of the network namespace.
   *
   * @default {undefined}
   */
  netns?: string | undefined;
  /**
   * More fields, in order.
   *
   * @default {[]}
   */
  tlvs?: readonly ProxyTlv[] | undefined;
  /**
   * Add a CRC-32C of the header.
   *
   * @default {false}
   */
  checksum?: boolean | undefined;
}

const FIELDS = namesOf<Omit<ProxyHeaderOptions, "version" | "command" | "source" | "destination">>({
  alpn: true,
  authority: true,
  uniqueId: true,
  ssl: true,
  netns: true,
  tlvs: true,
  checksum: true,
});
export const PROXY_HEADER_OPTIONS: ReadonlySet<string> = new Set([
  "version",
  "command",
  "source",
  "destination",
  ...FIELDS,
]);
const SSL = namesOf<ProxySsl>({
  client: true,
  verify: true,
  version: true,
  commonName: true,
  cipher: true,
  signatureAlgorithm: true,
  keyAlgorithm: true,
  tlvs: true,
});

/** Checks and encodes a header. `prefix` begins the names of options in messages: `"proxyProtocol."`. */
export function encodeHeader(method: string, prefix: string, options: ProxyHeaderOptions): Uint8Array<ArrayBuffer> {
  checkOptions(method, options, PROXY_HEADER_OPTIONS, { prefix, ...prefix !== "" && { name: prefix.slice(0, -1) } });
  // Read once, because a getter may return another value the next time.
  const header = { ...options };
  const { version = 2, command = "proxy", source = null, destination = null, checksum = false } = header;
  const refuse = (what: string): TypeError => new TypeError(`${method}: ${prefix}${what}`);
  if (version !== 1 && version !== 2) throw refuse(`version must be 1 or 2, got ${describe(version)}`);
  checkOneOf(method, `${prefix}command`, command, ["proxy", "local"]);
  checkBoolean(method, `${prefix}checksum`, checksum);
  checkFields(method, prefix, header);
  const ends = takeEnds(method, prefix, source, destination);
  if (command === "local" && ends !== null) {
    throw refuse('source and destination cannot be given with command: "local"');
  }
  if (version === 2) {
    const bytes = encodeBinary(command, ends, makeFields(definedOf(header)), checksum);
    if (bytes === null) throw new RangeError(`${method}: the PROXY header would have more than ${MAX_HEADER} bytes`);
    return bytes;
  }
  if (command === "local") throw refuse('command: "local" needs version: 2');
  for (const [name, value] of Object.entries(header)) {
    const isGiven = FIELDS.has(name) && value !== undefined && value !== false &&
      !(name === "tlvs" && header.tlvs!.length === 0);
    if (isGiven) throw refuse(`${name} needs version: 2`);
  }
  const isTcp = ends !== null && ends.ports !== null && !ends.isDatagram;
  return encodeLine(isTcp ? { ...ends, ports: ends.ports! } : null);
}

/** Leaves out what is undefined. */
function definedOf(header: ProxyHeaderOptions): Partial<ProxyHeader> {
  return Object.fromEntries(Object.entries(header).filter(([, value]) => value !== undefined));
}

function checkFields(method: string, prefix: string, header: ProxyHeaderOptions): void {
  const { uniqueId, ssl, tlvs } = header;
  for (const name of ["alpn", "authority", "netns"] as const) checkText(method, prefix + name, header[name]);
  if (uniqueId !== undefined) checkValue(method, `${prefix}uniqueId`, uniqueId, MAX_UNIQUE_ID);
  checkTlvs(method, `${prefix}tlvs`, tlvs);
  const checksum = tlvs?.findIndex(({ type }) => type === CRC32C) ?? -1;
  if (checksum !== -1) {
    throw new RangeError(`${method}: ${prefix}tlvs[${checksum}].type must not be 3, the CRC-32C: use checksum: true`);
  }
  if (ssl === undefined) return;
  checkOptions(method, ssl, SSL, { prefix: `${prefix}ssl.`, name: `${prefix}ssl` });
  checkInteger(method, `${prefix}ssl.client`, ssl.client, 0, 255);
  checkInteger(method, `${prefix}ssl.verify`, ssl.verify, 0, 2 ** 32 - 1);
  for (const name of ["version", "commonName", "cipher", "signatureAlgorithm", "keyAlgorithm"] as const) {
    checkText(method, `${prefix}ssl.${name}`, ssl[name]);
  }
  checkTlvs(method, `${prefix}ssl.tlvs`, ssl.tlvs);
}

function checkText(method: string, name: string, text: unknown): void {
  if (text !== undefined && typeof text !== "string") {
    throw new TypeError(`${method}: ${name} must be a string, got ${describe(text)}`);
  }
}

function checkTlvs(method: string, name: string, tlvs: unknown): void {
  if (tlvs === undefined) return;
  if (!Array.isArray(tlvs)) throw new TypeError(`${method}: ${name} must be an array, got ${describe(tlvs)}`);
  for (let i = 0; i < tlvs.length; i++) {
    const tlv: Partial<ProxyTlv> | null | undefined = tlvs[i];
    checkInteger(method, `${name}[${i}].type`, tlv?.type, 0, 255);
    checkValue(method, `${name}[${i}].value`, tlv?.value, MAX_HEADER);
  }
}

function checkValue(method: string, name: string, value: unknown, most: number): void {
  checkBytes(method, name, value);
  if (value.length > most) {
    throw new RangeError(`${method}: ${name} must have at most ${most} bytes, got ${value.length}`);
  }
}

/** Returns both addresses as bytes; `null` if they are unknown. */
function takeEnds(method: string, prefix: string, source: unknown, destination: unknown): Ends | null {
  const ends = [
    takeEnd(method, `${prefix}source`, source),
    takeEnd(method, `${prefix}destination`, destination),
  ] as const;
  const [from, to] = ends;
  if (from === null && to === null) return null;
  if (from === null || to === null) {
    throw new TypeError(`${method}: ${prefix}source and ${prefix}destination must be given together, or both be null`);
  }
  const isDatagram = from.isDatagram;
  if ((from.port === null) !== (to.port === null) || isDatagram !== to.isDatagram) {
    throw new TypeError(`${method}: ${prefix}source and ${prefix}destination must be addresses of one kind`);
  }
  if (from.port === null || to.port === null) {
    return { source: from.bytes, destination: to.bytes, ports: null, isDatagram };
  }
  const isMixed = from.bytes.length !== to.bytes.length;
  const [a, b] = ends.map((end) => isMixed && end!.bytes.length === 4 ? mapIpv4(end!.bytes) : end!.bytes);
  return { source: a!, destination: b!, ports: [from.port, to.port], isDatagram };
}

function takeEnd(method: string, name: string, address: unknown) {
  if (address === null) return null;
  const { hostname, port, path, transport } = Object(address) as Record<string, unknown>;
  if (typeof path === "string") {
    const name8 = new TextEncoder().encode(path);
    if (name8.length > UNIX_SIZE) {
      throw new RangeError(`${method}: ${name}.path must have at most ${UNIX_SIZE} bytes, got ${name8.length}`);
    }
    const bytes = new Uint8Array(UNIX_SIZE);
    bytes.set(name8);
    return { bytes, port: null, isDatagram: transport === "unixpacket" };
  }
  if (typeof address !== "object" || hostname === undefined) {
    throw new TypeError(`${method}: ${name} must be { hostname, port }, { path } or null, got ${describe(address)}`);
  }
  // A header has no zones.
  const bytes = typeof hostname === "string" ? parseIp(hostname.replace(/%.*/, "")) : null;
  if (bytes === null) {
    throw new TypeError(`${method}: ${name}.hostname must be an IP address, got ${describe(hostname)}`);
  }
  checkInteger(method, `${name}.port`, port, 0, 65535);
  return { bytes, port, isDatagram: transport === "udp" };
}
