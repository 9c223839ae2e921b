/** Parses and encodes headers of the PROXY protocol, without a connection. */
import { checkBytes } from "../checks.ts";
import type { ProxyHeader } from "../transports/proxy_header.ts";
import { parseBinary, shortestBinary } from "./binary_header.ts";
import { encodeHeader, type ProxyHeaderOptions } from "./encode_header.ts";
import { ProxyHeaderError } from "./proxy_header_error.ts";
import { parseLine, shortestLine } from "./text_header.ts";

/** The length of the shortest header. */
export const SHORTEST_HEADER = "PROXY UNKNOWN\r\n".length;

/**
 * Returns the length of the shortest header that begins with these bytes. More bytes than these: so many can be read without
 * reading what follows the header. As many or fewer: the header is complete, and this is its length.
 *
 * @throws {ProxyHeaderError} If no header begins so.
 */
export function shortestHeader(bytes: Uint8Array): number {
  if (bytes.length === 0) return SHORTEST_HEADER;
  if (bytes[0] === 0x50) return shortestLine(bytes);
  if (bytes[0] === 0x0d) return shortestBinary(bytes);
  throw new ProxyHeaderError("there is no PROXY header: the first byte is neither P nor CR");
}

/** Parses a complete header. */
export function parseComplete(bytes: Uint8Array): ProxyHeader {
  return bytes[0] === 0x50 ? parseLine(bytes) : parseBinary(bytes);
}

/**
 * Parses the header of the PROXY protocol, version 1 or 2, at the start of bytes. A checksum is verified. The longest header
 * has 107 bytes in version 1 and 16 KiB in version 2.
 *
 * @param bytes The bytes that have arrived so far. Nothing of them is kept.
 * @returns The header, and its length in bytes: what follows belongs to the client of the proxy. `null` if the header is not
 * complete.
 * @throws {TypeError} If `bytes` is not a `Uint8Array`.
 * @throws {ProxyHeaderError} If the bytes do not begin with a header, or it is malformed, too long, or of an unknown version.
 *
 * @example Usage
 * ```ts
 * import { parseProxyHeader } from "@tandem/io";
 *
 * const bytes = new TextEncoder().encode("PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\nGET / HTTP/1.1\r\n");
 * const { header, length } = parseProxyHeader(bytes)!;
 * console.log(header.source, new TextDecoder().decode(bytes.subarray(length)).trim());
 *
 * // Output:
 * // { transport: "tcp", hostname: "203.0.113.7", port: 56324 } GET / HTTP/1.1
 * ```
 */
export function parseProxyHeader(bytes: Uint8Array): { header: ProxyHeader; length: number } | null {
  checkBytes("parseProxyHeader()", "bytes", bytes);
  const length = shortestHeader(bytes);
  return length > bytes.length ? null : { header: parseComplete(bytes.subarray(0, length)), length };
}

/**
 * Encodes a header of the PROXY protocol. The option `proxyProtocol` of `createConnection()` does this for a connection.
 *
 * @param header What the header says. What {@linkcode parseProxyHeader} returns can be passed on.
 * @returns The header, to be sent before everything else, as one write.
 * @throws {TypeError} If an option is of the wrong type, an address is not an IP address or a path, or version 1 cannot say it.
 * @throws {RangeError} If a port is out of range, or the header has more than 16 KiB.
 *
 * @example Usage
 * ```ts
 * import { encodeProxyHeader } from "@tandem/io";
 *
 * const source = { hostname: "203.0.113.7", port: 56324 };
 * const destination = { hostname: "192.0.2.1", port: 443 };
 * console.log(new TextDecoder().decode(encodeProxyHeader({ version: 1, source, destination })).trim());
 * console.log(encodeProxyHeader({ version: 2, source, destination, authority: "example.com" }).length);
 *
 * // Output:
 * // PROXY TCP4 203.0.113.7 192.0.2.1 56324 443
 * // 42
 * ```
 */
export function encodeProxyHeader(header: ProxyHeaderOptions): Uint8Array<ArrayBuffer> {
  return encodeHeader("encodeProxyHeader()", "", header);
}
