/**
 * IP addresses as bytes and as text.
 *
 * @module
 */

/** Returns the 4 bytes of an IPv4 address or the 16 of an IPv6 address, without a zone; `null` for any other text. */
export function parseIp(text: string): Uint8Array<ArrayBuffer> | null {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): Uint8Array<ArrayBuffer> | null {
  const parts = text.split(".");
  // Leading zeros would be octal for some readers.
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return null;
  return Uint8Array.from(parts, Number);
}

function parseIpv6(text: string): Uint8Array<ArrayBuffer> | null {
  const dotted = /^(.*:)([\d.]+)$/.exec(text);
  if (dotted !== null && dotted[2]!.includes(".")) {
    const ipv4 = parseIpv4(dotted[2]!);
    if (ipv4 === null) return null;
    const [a, b, c, d] = ipv4 as unknown as [number, number, number, number];
    text = `${dotted[1]}${(a << 8 | b).toString(16)}:${(c << 8 | d).toString(16)}`;
  }
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const [before = [], after] = halves.map((half) => half === "" ? [] : half.split(":"));
  const count = before.length + (after?.length ?? 0);
  if (after === undefined ? count !== 8 : count > 7) return null;
  const groups = after === undefined ? before : [...before, ...new Array<string>(8 - count).fill("0"), ...after];
  if (!groups.every((group) => /^[\da-f]{1,4}$/i.test(group))) return null;
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  groups.forEach((group, i) => view.setUint16(2 * i, parseInt(group, 16)));
  return bytes;
}

/** Returns the text of an address of 4 or 16 bytes. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  // As RFC 5952 recommends, and as Deno does.
  const groups = Array.from({ length: 8 }, (_, i) => bytes[2 * i]! << 8 | bytes[2 * i + 1]!);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    const [high, low] = groups.slice(6) as [number, number];
    return `::ffff:${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  let [start, length] = [-1, 1]; // The longest run of two or more zeros.
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) [start, length] = [i, end - i];
  }
  const text = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  return start === -1 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

/** Returns an IPv4 address as the IPv6 address `::ffff:a.b.c.d`. */
export function mapIpv4(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const mapped = new Uint8Array(16);
  mapped.fill(0xff, 10, 12);
  mapped.set(bytes, 12);
  return mapped;
}

/** Reports whether an address is an IPv4 address in the form of an IPv6 address. */
export function isMappedIpv4(bytes: Uint8Array): boolean {
  return bytes.length === 16 && bytes[10] === 0xff && bytes[11] === 0xff && !bytes.subarray(0, 10).some(Boolean);
}
