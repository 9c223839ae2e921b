import { isIP } from "node:net";
import { AF_INET, AF_INET6, SOCK_STREAM } from "./constants.ts";
import { type Libc, openLibc, toCString } from "./libc.ts";
import { decodeIp } from "./sockaddr.ts";
import { untilAborted } from "./until_aborted.ts";

/** `struct addrinfo`: its size, and the offsets of its members. The same in glibc and musl on 64-bit processors. */
const ADDRINFO = { size: 48n, family: 4, socktype: 8, addrlen: 16, addr: 24, next: 40 };

/** What the errors of getaddrinfo mean: glibc's text, and Node's code. The numbers are the same in musl. */
const FAILURES: Record<number, [text: string, code: string]> = {
  [-2]: ["Name or service not known", "ENOTFOUND"],
  [-3]: ["Temporary failure in name resolution", "EAI_AGAIN"],
  [-4]: ["Non-recoverable failure in name resolution", "EAI_FAIL"],
  [-5]: ["No address associated with hostname", "ENOTFOUND"],
  [-10]: ["Memory allocation failure", "EAI_MEMORY"],
  [-11]: ["System error", "EAI_SYSTEM"],
};

/**
 * Returns the addresses of a host, in the order of getaddrinfo. If `signal` aborts, rejects with its reason.
 *
 * Not `lookup` of `node:dns`, which requires the permission for all ports of the name, and changes its spelling.
 *
 * @throws An error as Deno's if the name has no address.
 */
export async function resolve(hostname: string, signal?: AbortSignal): Promise<string[]> {
  const host = withoutBrackets(hostname);
  if (isIP(host) !== 0) return [host.includes("%") ? withZoneNumber(openLibc(), host) : host];
  return await untilAborted(lookUp(openLibc(), host), signal);
}

/** Deno also accepts an IPv6 address in brackets, as in a URL. */
export function withoutBrackets(hostname: string): string {
  return hostname.startsWith("[") && hostname.endsWith("]") ? hostname.slice(1, -1) : hostname;
}

/** Replaces the name of an interface by its number: `"fe80::1%eth0"` becomes `"fe80::1%2"`. */
function withZoneNumber(libc: Libc, address: string): string {
  const [literal, zone] = address.split("%", 2) as [string, string];
  const index = /^\d+$/.test(zone) ? Number(zone) : libc.if_nametoindex(toCString(zone));
  if (index === 0) throw lookupError(address, `there is no network interface ${JSON.stringify(zone)}`, "ENOTFOUND");
  return `${literal}%${index}`;
}

async function lookUp(libc: Libc, hostname: string): Promise<string[]> {
  if (hostname.includes("\0")) throw lookupError(hostname, ...FAILURES[-2]!);
  const hints = new Int32Array(Number(ADDRINFO.size) / 4);
  hints[ADDRINFO.socktype / 4] = SOCK_STREAM;
  const list = new BigUint64Array(1);
  const failure = await libc.getaddrinfo(toCString(hostname), null, hints, list);
  if (failure !== 0) {
    throw lookupError(hostname, ...FAILURES[failure] ?? [`getaddrinfo failed with ${failure}`, "EAI_FAIL"]);
  }
  try {
    const addresses = addressesOf(libc, list[0]!);
    if (addresses.length === 0) throw lookupError(hostname, ...FAILURES[-5]!);
    return addresses;
  } finally {
    libc.freeaddrinfo(list[0]!);
  }
}

/** Copies the addresses of a list of `struct addrinfo`, each address once. */
function addressesOf(libc: Libc, list: bigint): string[] {
  const addresses = new Set<string>();
  const info = new DataView(new ArrayBuffer(Number(ADDRINFO.size)));
  for (let at = list; at !== 0n; at = info.getBigUint64(ADDRINFO.next, true)) {
    libc.copyFrom(info, at, ADDRINFO.size);
    const family = info.getInt32(ADDRINFO.family, true);
    if (family !== AF_INET && family !== AF_INET6) continue;
    const address = new Uint8Array(28);
    const length = Math.min(info.getUint32(ADDRINFO.addrlen, true), address.length);
    libc.copyFrom(address, info.getBigUint64(ADDRINFO.addr, true), BigInt(length));
    addresses.add(decodeIp("tcp", address).hostname);
  }
  return [...addresses];
}

/** Returns an error with Deno's text. The loop names its `hostname`. */
function lookupError(hostname: string, text: string, code: string): Error {
  return Object.assign(new Error(`failed to lookup address information: ${text}`), { code, hostname });
}
