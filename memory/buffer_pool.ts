/**
 * A pool of write buffers and receive windows, last in, first out, so that memory is recycled while it is in the
 * processor's cache. Allocation is the largest cost of moving bytes: a new array for each message halves the rate of a
 * 16 KiB echo, an array from the pool costs a tenth (bench/, `write` against `writeOwned`).
 */
import { markAsUntransferable } from "node:worker_threads";

/** The smallest pooled size, and the window of a new or quiet connection. 1 KiB makes an idle connection 5 % larger. */
export const MIN_BUFFER = 512;
/** The largest pooled size, and the limit of one read or joined write; CPython's `max_size` of a read. */
export const MAX_BUFFER = 256 * 1024;
/** The most bytes that the pool keeps. */
const MAX_POOLED = 4 * 1024 * 1024;

/** One stack for each power of two, from MIN_BUFFER to MAX_BUFFER. */
const stacks: Uint8Array[][] = Array.from({ length: 10 }, () => []);
let pooled = 0;

/** Copies of at most this size share a slab, in bytes; an array of its own costs twice as much (bench/, 16 KiB by `write`). */
const SLAB_LIMIT = 32 * 1024;
/** Copies of at most this size share a smaller slab. */
const SMALL_COPY = 8 * 1024;
/** A slab is this much larger than the largest copy in it. So a copy keeps at most 64 KiB alive, or 32 times its size. */
const COPIES = 8;

/** Memory that several copies share. */
class Slab {
  #size: number;
  #memory = new Uint8Array(0);
  #used = 0;

  constructor(limit: number) {
    this.#size = limit * COPIES;
  }

  copy(data: Uint8Array): Uint8Array {
    const start = this.#used;
    const end = start + data.length;
    if (end > this.#memory.length) {
      this.#memory = new Uint8Array(this.#size);
      // Transferring the buffer of one copy would detach all copies in the slab. Now it is a DataCloneError.
      markAsUntransferable(this.#memory.buffer);
      this.#used = 0;
      return this.copy(data);
    }
    this.#used = end;
    const copy = this.#memory.subarray(start, end);
    copy.set(data);
    return copy;
  }
}

const smallSlab = new Slab(SMALL_COPY);
const largeSlab = new Slab(SLAB_LIMIT);

/** Returns the index of the stack for a size, rounded up to a power of two. */
function stackIndex(size: number): number {
  return size <= MIN_BUFFER ? 0 : 23 - Math.clz32(size - 1);
}

/** Takes an array of at least `size` bytes out of the pool. Its contents are arbitrary. */
export function takeBuffer(size: number): Uint8Array {
  const index = stackIndex(size);
  const buffer = stacks[index]!.pop();
  if (buffer === undefined) return new Uint8Array(MIN_BUFFER << index);
  pooled -= buffer.length;
  return buffer;
}

/** Returns an array to the pool. Nothing may use the array any more, the kernel included. */
export function giveBuffer(buffer: Uint8Array): void {
  // An empty array was detached by a former owner.
  if (buffer.length === 0 || pooled + buffer.length > MAX_POOLED) return;
  pooled += buffer.length;
  stacks[stackIndex(buffer.length)]!.push(buffer);
}

/**
 * Returns an array to the pool that a protocol has seen. Views that the protocol has kept, against the rules, are detached,
 * so that they never show bytes of other connections. This takes 8 % of a 1 KiB echo by `writeOwned` if done for each
 * message, so a window is recycled for its own connection if possible.
 */
export function giveSeenBuffer(buffer: Uint8Array): void {
  if (buffer.length > 0) giveBuffer(new Uint8Array((buffer.buffer as ArrayBuffer).transfer()));
}

/**
 * Copies bytes into memory that is never written again. Small copies share a slab, as those of Node's `Buffer` do: one
 * allocation for many messages instead of one for each (12 % of a 1 KiB echo).
 */
export function copyBytes(data: Uint8Array): Uint8Array {
  const { length } = data;
  if (length <= SMALL_COPY) return smallSlab.copy(data);
  if (length <= SLAB_LIMIT) return largeSlab.copy(data);
  const copy = new Uint8Array(length);
  copy.set(data);
  return copy;
}
