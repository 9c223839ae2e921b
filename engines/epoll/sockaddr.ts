/** Socket addresses as the kernel has them: `struct sockaddr_in`, `sockaddr_in6` and `sockaddr_un`. */
import { formatIp, parseIp } from "../../ip_address.ts";
import { AF_INET, AF_INET6, AF_UNIX } from "./constants.ts";

/** The size of the largest address, `struct sockaddr_un`. */
export const MAX_SOCKADDR = 110;

/** An address for the kernel. */
export interface SockAddr {
  family: number;
  bytes: Uint8Array;
}

/** Encodes an IP address. An IPv6 address can have a zone, such as `%2`, which is the number of an interface. */
export function encodeIp(address: string, port: number): SockAddr {
  const isIpv6 = address.includes(":");
  const bytes = new Uint8Array(isIpv6 ? 28 : 16);
  const view = new DataView(bytes.buffer);
  const family = isIpv6 ? AF_INET6 : AF_INET;
  view.setUint16(0, family, true);
  view.setUint16(2, port);
  if (isIpv6) {
    const [literal, zone] = address.split("%", 2) as [string, string?];
    bytes.set(parseIp(literal)!, 8);
    if (zone !== undefined) view.setUint32(24, Number(zone), true);
  } else {
    bytes.set(parseIp(address)!, 4);
  }
  return { family, bytes };
}

/** Returns an IP address in the spelling that the kernel's addresses are given. */
export function normalizeIp(address: string): string {
  return decodeIp("tcp", encodeIp(address, 0).bytes).hostname;
}

/** Encodes the path of a Unix socket. One that begins with a zero byte is an abstract name. */
export function encodePath(path: string): SockAddr {
  const name = new TextEncoder().encode(path);
  // A path ends with a zero byte, an abstract name with its length.
  const bytes = new Uint8Array(2 + name.length + (name[0] === 0 ? 0 : 1));
  bytes[0] = AF_UNIX;
  bytes.set(name, 2);
  return { family: AF_UNIX, bytes };
}

/** Decodes an IP address of `bytes`, which the kernel has filled. */
export function decodeIp<T extends "tcp" | "udp">(transport: T, bytes: Uint8Array): Deno.NetAddr & { transport: T } {
  const port = portOf(bytes);
  if (bytes[0] === AF_INET) {
    return { transport, hostname: formatIpv4(ipv4Of(bytes)), port };
  }
  const zone = bytes[24]! | bytes[25]! << 8 | bytes[26]! << 16 | bytes[27]! << 24;
  const hostname = formatIp(bytes.subarray(8, 24));
  return { transport, hostname: zone === 0 ? hostname : `${hostname}%${zone >>> 0}`, port };
}

/** The last IPv4 address: connections often come from one host, and then share the text. */
let lastIpv4 = 0;
let lastHostname = "0.0.0.0";

/** Returns the four bytes of an IPv4 address. */
export function ipv4Of(bytes: Uint8Array): number {
  return bytes[4]! << 24 | bytes[5]! << 16 | bytes[6]! << 8 | bytes[7]!;
}

/** Returns the port of an IP address. */
export function portOf(bytes: Uint8Array): number {
  return bytes[2]! << 8 | bytes[3]!;
}

/** Formats the four bytes of an IPv4 address. */
export function formatIpv4(ip: number): string {
  if (ip === lastIpv4) return lastHostname;
  lastIpv4 = ip;
  return lastHostname = `${ip >>> 24}.${ip >>> 16 & 255}.${ip >>> 8 & 255}.${ip & 255}`;
}

/** Decodes the path of a Unix socket of `length` bytes; empty if the socket has none. */
export function decodePath(bytes: Uint8Array, length: number): string {
  if (length <= 2) return "";
  const end = bytes[2] === 0 ? length : bytes.indexOf(0, 2);
  // With a leading U+FEFF, which is a part of the name: without it, a reply would go to another socket.
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(
    bytes.subarray(2, end === -1 ? length : Math.min(end, length)),
  );
}
