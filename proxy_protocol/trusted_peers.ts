import { describe } from "../errors.ts";
import { formatIp, isMappedIpv4, parseIp } from "../ip_address.ts";

/** A network: an address whose bits after the prefix are zero. */
interface Network {
  bytes: Uint8Array;
  prefix: number;
}

/** The addresses that a server trusts: IP addresses, networks, and all Unix sockets. */
export class TrustedPeers {
  #networks: Network[] = [];
  #trustsUnix = false;

  /** Parses a list of addresses, networks such as `"10.0.0.0/8"`, and `"unix"`. `name` is the option's. */
  constructor(method: string, name: string, list: unknown) {
    const accepted = 'an IP address, a network such as "10.0.0.0/8", or "unix"';
    if (!Array.isArray(list)) {
      throw new TypeError(`${method}: ${name} must be an array, each item ${accepted}, got ${describe(list)}`);
    }
    if (list.length === 0) throw new RangeError(`${method}: ${name} must name at least one peer, got an empty array`);
    // By index, because forEach() skips holes.
    for (let i = 0; i < list.length; i++) {
      const item: unknown = list[i];
      if (item === "unix") {
        this.#trustsUnix = true;
        continue;
      }
      const network = typeof item === "string" ? parseNetwork(item) : null;
      if (network === null) throw new TypeError(`${method}: ${name}[${i}] must be ${accepted}, got ${describe(item)}`);
      if (typeof network === "string") {
        throw new TypeError(
          `${method}: ${name}[${i}] has bits after its prefix, got ${describe(item)}; did you mean ${network}?`,
        );
      }
      this.#networks.push(network);
    }
  }

  /** Reports whether a peer is trusted, by the address of its socket. */
  has(peer: Deno.Addr | undefined): boolean {
    if (peer === undefined) return false;
    if ("path" in peer) return this.#trustsUnix;
    if (!("hostname" in peer)) return false;
    const bytes = parseIp(peer.hostname.replace(/%.*/, ""));
    if (bytes === null) return false;
    const plain = isMappedIpv4(bytes) ? bytes.subarray(12) : bytes;
    return this.#networks.some((network) => contains(network, plain));
  }
}

/** Returns a network, `null` if the text is none, or the text of the network that was probably meant. */
function parseNetwork(text: string): Network | string | null {
  const [, address, suffix] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  let bytes = address === undefined ? null : parseIp(address);
  if (bytes === null) return null;
  let prefix = suffix === undefined ? bytes.length * 8 : Number(suffix);
  if (prefix > bytes.length * 8) return null;
  // An IPv4 address in the form of an IPv6 address is the same peer.
  if (isMappedIpv4(bytes) && prefix >= 96) {
    bytes = bytes.slice(12);
    prefix -= 96;
  }
  const start = bytes.map((byte, i) => byte & maskOf(prefix, i));
  return start.every((byte, i) => byte === bytes[i]) ? { bytes, prefix } : `"${formatIp(start)}/${prefix}"`;
}

function contains({ bytes, prefix }: Network, address: Uint8Array): boolean {
  if (bytes.length !== address.length) return false;
  return bytes.every((byte, i) => byte === (address[i]! & maskOf(prefix, i)));
}

/** Returns the bits of byte `i` that belong to a prefix. */
function maskOf(prefix: number, i: number): number {
  const bits = Math.min(8, Math.max(0, prefix - 8 * i));
  return 255 << 8 - bits & 255;
}
