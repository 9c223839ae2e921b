/**
 * The memory that all UDP sockets of an engine receive into. It is in use only until the datagrams of one batch were
 * delivered, so an idle socket has none.
 */
import { copyBytes } from "../../memory/buffer_pool.ts";
import { MSG_DONTWAIT, MSG_TRUNC } from "./constants.ts";
import type { Libc } from "./libc.ts";
import type { Sender, Senders } from "./datagram_senders.ts";

/** The memory for one datagram, in bytes. The largest payload is 65527 bytes (RFC 768); what is longer is cut. */
export const UDP_MEMORY: number = 64 * 1024;
const SIZE = BigInt(UDP_MEMORY);
/** The most datagrams that one event receives, so that a flood of them does not starve other descriptors. */
export const MAX_BATCH = 128;
/** The most datagrams of one call. */
const CAPACITY = 32;

/** The room of an address, in words of 32 bits; `struct sockaddr_in6` has 7. */
const NAME_WORDS = 8;
const NAME_BYTES = 4 * NAME_WORDS;

/** Receives datagrams. What it has received is valid until the next call of `receive()`. */
export interface Receiver {
  /** The most datagrams of one call. */
  readonly capacity: number;
  /** Receives what is there. Returns the number of datagrams; -1 if the system call has failed. */
  receive(libc: Libc, fd: number): number;
  /** Returns the length that a datagram was sent with. */
  lengthOf(index: number): number;
  /** Hands over a datagram that was not cut, in memory of its own. Called once for each. */
  take(index: number): Uint8Array;
  senderOf(index: number): Sender;
}

/** Makes the fastest receiver that the permissions allow. */
export function makeReceiver(senders: Senders): Receiver {
  try {
    return new BatchReceiver(senders);
  } catch (error) {
    // With --allow-ffi=PATH there are no pointers.
    if (error instanceof Deno.errors.NotCapable) return new SingleReceiver(senders);
    throw error;
  }
}

/** The 32-bit words of `struct mmsghdr`, and the places of what is used of it. The same on x86-64 and arm64. */
const HEADER_WORDS = 16;
const NAME_LENGTH = 2;
const LENGTH = 14;
/** The distance between the memory of two datagrams: multiples of 64 KiB would share few lines of the processor's cache. */
const STRIDE = UDP_MEMORY + 17 * 64;

/** Receives by recvmmsg, many datagrams in a call. Needs `--allow-ffi` without a path, for pointers. */
class BatchReceiver implements Receiver {
  readonly capacity = CAPACITY;
  #senders: Senders;
  #memory = new Uint8Array(CAPACITY * STRIDE);
  #names = new Int32Array(CAPACITY * NAME_WORDS);
  #vectors = new BigUint64Array(CAPACITY * 2);
  #headers = new Int32Array(CAPACITY * HEADER_WORDS);
  /** The last datagram of each place: datagrams often have the same size, and a view takes 40 ns. */
  #views: Uint8Array[] = new Array(CAPACITY).fill(this.#memory);
  /** The datagrams of this call; `null` if one was cut or handed over. */
  #copies: (Uint8Array | null)[] = new Array(CAPACITY).fill(null);
  /** The number of headers whose address length the kernel has changed. */
  #used = CAPACITY;

  constructor(senders: Senders) {
    this.#senders = senders;
    const [memory, names, vectors] = [this.#memory, this.#names, this.#vectors].map((array) =>
      Deno.UnsafePointer.value(Deno.UnsafePointer.of(array))
    ) as [bigint, bigint, bigint];
    const pointers = new BigUint64Array(this.#headers.buffer);
    for (let i = 0; i < CAPACITY; i++) {
      this.#vectors[2 * i] = memory + BigInt(i * STRIDE);
      this.#vectors[2 * i + 1] = SIZE;
      const at = i * HEADER_WORDS / 2;
      pointers[at] = names + BigInt(i * NAME_BYTES);
      pointers[at + 2] = vectors + BigInt(16 * i);
      pointers[at + 3] = 1n;
    }
  }

  receive(libc: Libc, fd: number): number {
    const headers = this.#headers;
    for (let i = 0; i < this.#used; i++) headers[i * HEADER_WORDS + NAME_LENGTH] = NAME_BYTES;
    const count = libc.recvmmsg(fd, headers, CAPACITY, MSG_TRUNC | MSG_DONTWAIT, null);
    this.#used = count === -1 ? 0 : count;
    // All at once, although a callback may close the socket: copies and system calls in turn would take the processor's cache
    // from each other, which is 4 % of an echo.
    for (let i = 0; i < count; i++) this.#copies[i] = this.#copy(i);
    return count;
  }

  lengthOf(index: number): number {
    return this.#headers[index * HEADER_WORDS + LENGTH]!;
  }

  take(index: number): Uint8Array {
    const copy = this.#copies[index]!;
    this.#copies[index] = null;
    return copy;
  }

  #copy(index: number): Uint8Array | null {
    const length = this.lengthOf(index);
    if (length > UDP_MEMORY) return null;
    let view = this.#views[index]!;
    if (view.length !== length) {
      this.#views[index] = view = this.#memory.subarray(index * STRIDE, index * STRIDE + length);
    }
    return copyBytes(view);
  }

  senderOf(index: number): Sender {
    return this.#senders.find(this.#names, index * NAME_WORDS);
  }
}

/** Receives by recvfrom, one datagram in a call. */
class SingleReceiver implements Receiver {
  readonly capacity = 1;
  #senders: Senders;
  #memory = new Uint8Array(UDP_MEMORY);
  #name = new Int32Array(NAME_WORDS);
  #nameLength = new Int32Array(1);
  #length = 0;

  constructor(senders: Senders) {
    this.#senders = senders;
  }

  receive(libc: Libc, fd: number): number {
    this.#nameLength[0] = NAME_BYTES;
    const flags = MSG_TRUNC | MSG_DONTWAIT;
    this.#length = libc.recvfrom(fd, this.#memory, SIZE, flags, this.#name, this.#nameLength);
    return this.#length === -1 ? -1 : 1;
  }

  lengthOf(): number {
    return this.#length;
  }

  take(): Uint8Array {
    return copyBytes(this.#memory.subarray(0, this.#length));
  }

  senderOf(): Sender {
    return this.#senders.find(this.#name, 0);
  }
}
