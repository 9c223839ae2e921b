import { formatIp, isMappedIpv4, parseIp } from "../ip_address.ts";

/**
 * Returns what counts as one peer: an IPv4 address, also if it is written as IPv6, or the /64 of an IPv6 address, because a
 * client can choose any address of its /64. A link-local address counts by itself. `null`: the peer has no address.
 */
export function peerKey(address: Deno.Addr | null): string | null {
  if (address === null || !("hostname" in address)) return null;
  const { hostname } = address;
  if (!hostname.includes(":")) return hostname;
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  const bytes = parseIp(bare.replace(/%.*$/, ""));
  // Not a spelling of an address, which an engine of your own may have.
  if (bytes === null) return bare;
  if (isMappedIpv4(bytes)) return formatIp(bytes.subarray(12));
  if (bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80) return bare;
  return `${formatIp(bytes.fill(0, 8))}/64`;
}
