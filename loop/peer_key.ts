/**
 * Returns what counts as one peer: an IPv4 address, also if it is written as IPv6, or the /64 of an IPv6 address, because a
 * client can choose any address of its /64. A link-local address counts by itself. `null`: the peer has no address.
 */
export function peerKey(address: Deno.Addr | null): string | null {
  if (address === null || !("hostname" in address)) return null;
  const { hostname } = address;
  if (!hostname.includes(":")) return hostname;
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  const groups = toGroups(bare.replace(/%.*$/, ""));
  // Not a spelling of an address, which an engine of your own may have.
  if (groups === null) return bare;
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return groups.slice(6).flatMap((group) => [group >> 8, group & 255]).join(".");
  }
  if ((groups[0]! & 0xffc0) === 0xfe80) return bare;
  return `${groups.slice(0, 4).map((group) => group.toString(16)).join(":")}::/64`;
}

/** Returns the eight groups of an IPv6 address. */
function toGroups(text: string): number[] | null {
  const hex = text.replace(
    /(\d+)\.(\d+)\.(\d+)\.(\d+)$/,
    (_, a, b, c, d) => `${(a << 8 | b).toString(16)}:${(c << 8 | d).toString(16)}`,
  );
  const [head = "", tail] = hex.split("::");
  const parse = (part: string) => part === "" ? [] : part.split(":").map((group) => parseInt(group, 16));
  const [before, after] = [parse(head), parse(tail ?? "")];
  const missing = 8 - before.length - after.length;
  const groups = [...before, ...new Array<number>(Math.max(0, missing)).fill(0), ...after];
  return groups.length === 8 && !groups.some(Number.isNaN) ? groups : null;
}
