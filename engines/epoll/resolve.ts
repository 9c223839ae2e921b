import { lookup } from "node:dns/promises";
import { isIP } from "node:net";

/**
 * Returns the addresses of a host, in the order of getaddrinfo.
 *
 * @throws The system's error if the name has no address.
 */
export async function resolve(hostname: string): Promise<string[]> {
  // Deno also accepts an IPv6 address in brackets, as in a URL.
  const bare = hostname.startsWith("[") && hostname.endsWith("]") ? hostname.slice(1, -1) : hostname;
  if (isIP(bare) !== 0) return [bare];
  const found = await lookup(bare, { all: true, verbatim: true });
  return [...new Set(found.map(({ address }) => address))];
}
