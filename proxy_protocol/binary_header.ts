/** Version 2 of the PROXY protocol: binary. */
import { formatIp } from "../ip_address.ts";
import type { ProxyHeader, ProxyTlv } from "../transports/proxy_header.ts";
import { crc32c } from "./crc32c.ts";
import { ProxyHeaderError } from "./proxy_header_error.ts";
import { CRC32C, joinTlvs, malformed, readFields, splitTlvs } from "./tlvs.ts";

/** The first bytes of every header. */
const SIGNATURE = new Uint8Array([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
/** The length without addresses and fields. */
const SHORTEST = 16;
/** The longest header that is read or written, in bytes: what HAProxy reads by default. The format would permit 65,551. */
export const MAX_HEADER = 16_384;

const LOCAL = 0;
const PROXY = 1;
const INET = 1;
const INET6 = 2;
const UNIX = 3;
const STREAM = 1;
const DATAGRAM = 2;
/** The size of a Unix address, in bytes. */
export const UNIX_SIZE = 108;
/** The sizes of both addresses with their ports, by family. */
const ADDRESS_SIZES: readonly number[] = [0, 12, 36, 2 * UNIX_SIZE];

/**
 * Returns the length of the shortest header that begins with these bytes: the exact length as soon as there are 16 of them. So
 * a reader never takes a byte from behind the header.
 *
 * @throws {ProxyHeaderError} If no header begins so.
 */
export function shortestBinary(bytes: Uint8Array): number {
  const known = Math.min(bytes.length, SIGNATURE.length);
  for (let i = 0; i < known; i++) {
    if (bytes[i] !== SIGNATURE[i]) throw malformed("it does not begin with the signature");
  }
  if (bytes.length < 13) return SHORTEST;
  const [version, command] = [bytes[12]! >> 4, bytes[12]! & 15];
  if (version !== 2) throw malformed(`its version is ${version}`);
  if (command > PROXY) throw malformed(`its command is ${command}`);
  if (bytes.length < SHORTEST) return SHORTEST;
  const [family, transport] = [bytes[13]! >> 4, bytes[13]! & 15];
  const size = bytes[14]! << 8 | bytes[15]!;
  if (SHORTEST + size > MAX_HEADER) {
    throw new ProxyHeaderError(
      `the PROXY header is too long: ${SHORTEST + size} bytes, and at most ${MAX_HEADER} are read`,
    );
  }
  // The family of a local connection is to be ignored.
  if (command === LOCAL) return SHORTEST + size;
  if (family > UNIX) throw malformed(`its address family is ${family}`);
  if (transport > DATAGRAM) throw malformed(`its transport protocol is ${transport}`);
  if (transport !== 0 && size < ADDRESS_SIZES[family]!) {
    throw malformed(`${size} bytes are too short for its addresses of ${ADDRESS_SIZES[family]} bytes`);
  }
  return SHORTEST + size;
}

/** Parses a whole header, which `shortestBinary` has accepted. */
export function parseBinary(bytes: Uint8Array): ProxyHeader {
  if ((bytes[12]! & 15) === LOCAL) return { version: 2, command: "local", source: null, destination: null, tlvs: [] };
  const [family, transport] = [bytes[13]! >> 4, bytes[13]! & 15];
  const isKnown = family !== 0 && transport !== 0;
  const start = SHORTEST + ADDRESS_SIZES[family]!;
  const tlvs = splitTlvs(bytes.subarray(start));
  // Behind a family that is not specified, addresses in an unknown form may stand.
  if (tlvs === null && isKnown) throw malformed("its last field is cut off");
  const checksums = (tlvs ?? []).filter(({ type }) => type === CRC32C);
  // Each takes the time of the whole header, which has room for two thousand.
  if (checksums.length > 1) throw malformed(`it has ${checksums.length} checksums`);
  for (const checksum of checksums) verify(bytes, checksum);
  const [source, destination] = isKnown ? readAddresses(bytes, family, transport) : [null, null];
  return { version: 2, command: "proxy", source, destination, ...readFields(tlvs ?? []) };
}

/** Verifies the checksum, which was computed with zeros in its place. */
function verify(bytes: Uint8Array, { value }: ProxyTlv): void {
  if (value.length !== 4) throw malformed(`its checksum has ${value.length} bytes`);
  const copy = bytes.slice();
  const offset = value.byteOffset - bytes.byteOffset;
  copy.fill(0, offset, offset + 4);
  if (crc32c(copy) !== new DataView(bytes.buffer, value.byteOffset).getUint32(0)) {
    throw malformed("its checksum is wrong");
  }
}

function readAddresses(bytes: Uint8Array, family: number, transport: number): [Deno.Addr, Deno.Addr] {
  if (family === UNIX) {
    const kind = transport === STREAM ? "unix" : "unixpacket";
    const path = (
      start: number,
    ) => ({ transport: kind, path: readPath(bytes.subarray(start, start + UNIX_SIZE)) } as const);
    return [path(SHORTEST), path(SHORTEST + UNIX_SIZE)];
  }
  const size = family === INET ? 4 : 16;
  const ports = SHORTEST + 2 * size;
  const address = (i: number): Deno.NetAddr => ({
    transport: transport === STREAM ? "tcp" : "udp",
    hostname: formatIp(bytes.subarray(SHORTEST + i * size, SHORTEST + (i + 1) * size)),
    port: bytes[ports + 2 * i]! << 8 | bytes[ports + 2 * i + 1]!,
  });
  return [address(0), address(1)];
}

/** Reads a path, which ends with a zero byte, or an abstract name, which begins with one. */
function readPath(bytes: Uint8Array): string {
  const end = bytes.indexOf(0, bytes[0] === 0 ? 1 : 0);
  let name = end === -1 ? bytes : bytes.subarray(0, end);
  if (name.length === 1 && name[0] === 0) name = name.subarray(1);
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(name);
}

/** The addresses to encode: two IP addresses of one size, or two Unix addresses of 108 bytes. */
export interface Ends {
  source: Uint8Array;
  destination: Uint8Array;
  /** The ports of IP addresses. */
  ports: [number, number] | null;
  isDatagram: boolean;
}

/** Encodes a header. `ends` is `null` if the addresses are unknown. Returns `null` if the header is too long. */
export function encodeBinary(
  command: ProxyHeader["command"],
  ends: Ends | null,
  fields: readonly ProxyTlv[],
  checksum: boolean,
): Uint8Array<ArrayBuffer> | null {
  const checksumField = { type: CRC32C, value: new Uint8Array(4) };
  const tlvs = joinTlvs(checksum ? [...fields, checksumField] : fields);
  const { source, destination, ports } = ends ??
    { source: tlvs.subarray(0, 0), destination: tlvs.subarray(0, 0), ports: null };
  const size = source.length + destination.length + (ports === null ? 0 : 4) + tlvs.length;
  if (SHORTEST + size > MAX_HEADER) return null;
  const bytes = new Uint8Array(SHORTEST + size);
  const view = new DataView(bytes.buffer);
  bytes.set(SIGNATURE);
  bytes[12] = 0x20 | (command === "local" ? LOCAL : PROXY);
  bytes[13] = ends === null ? 0 : familyOf(ends) << 4 | (ends.isDatagram ? DATAGRAM : STREAM);
  view.setUint16(14, size);
  bytes.set(source, SHORTEST);
  bytes.set(destination, SHORTEST + source.length);
  ports?.forEach((port, i) => view.setUint16(SHORTEST + 2 * source.length + 2 * i, port));
  bytes.set(tlvs, bytes.length - tlvs.length);
  if (checksum) view.setUint32(bytes.length - 4, crc32c(bytes));
  return bytes;
}

function familyOf({ source, ports }: Ends): number {
  return ports === null ? UNIX : source.length === 4 ? INET : INET6;
}
