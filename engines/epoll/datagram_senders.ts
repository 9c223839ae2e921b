import { AF_INET6 } from "./constants.ts";
import { decodeIp } from "./sockaddr.ts";

/** The words of the largest IP address, `struct sockaddr_in6`. */
const IPV6_WORDS = 7;
const IPV4_WORDS = 4;
/** A power of two. */
const ENTRIES = 1024;
const HASH_BITS = 10;

/** A sender, or another IP address, as protocols and as the kernel have it. */
export interface Sender {
  /** Frozen, because it is given to protocols again and again, and stands for `bytes`. */
  readonly addr: Deno.NetAddr;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
}

/**
 * The latest senders of an engine. Decoding an address takes 0.5 µs, a sixth of an echo; so does encoding it for the reply.
 * A table of a fixed size, so that a flood of senders takes no memory.
 */
export class Senders {
  #entries: (Sender | undefined)[] = new Array(ENTRIES);
  #byAddr = new WeakMap<object, Sender>();

  /** Returns the sender whose address the kernel has written to `names`, at a word. */
  find(names: Int32Array, at: number): Sender {
    const first = names[at]!;
    const isIpv6 = (first & 0xffff) === AF_INET6;
    const mixed = first ^ Math.imul(names[at + (isIpv6 ? 5 : 1)]!, 0x85ebca6b);
    const index = Math.imul(mixed, 0x9e3779b1) >>> (32 - HASH_BITS);
    const entries = this.#entries;
    const known = entries[index];
    if (known !== undefined && isSame(known.words, names, at, isIpv6)) return known;
    // Two places, because two busy senders with one place would take it from each other with each datagram.
    const other = entries[index ^ 1];
    if (other !== undefined && isSame(other.words, names, at, isIpv6)) return other;
    const words = names.slice(at, at + (isIpv6 ? IPV6_WORDS : IPV4_WORDS));
    const bytes = new Uint8Array(words.buffer);
    const sender = { addr: Object.freeze(decodeIp("udp", bytes)), bytes, words };
    this.#byAddr.set(sender.addr, sender);
    entries[index ^ 1] = known;
    return entries[index] = sender;
  }

  /** Returns the sender that an address object stands for. */
  of(addr: Deno.Addr): Sender | undefined {
    return this.#byAddr.get(addr);
  }
}

function isSame(words: Int32Array, names: Int32Array, at: number, isIpv6: boolean): boolean {
  if (words[0] !== names[at] || words[1] !== names[at + 1]) return false;
  if (!isIpv6) return true;
  for (let i = 2; i < IPV6_WORDS; i++) {
    if (words[i] !== names[at + i]) return false;
  }
  return true;
}
