/**
 * Memory that is used again while it is still in the processor's cache.
 *
 * Fresh memory is what costs most in a byte mover under a garbage collector: on a 16 KiB echo a new array
 * for every message halves the rate, one from here costs a tenth of it (bench/, `write` against `writeOwned`).
 * So write buffers and receive windows come from here and go back, last in, first out.
 *
 * @module
 */
import { markAsUntransferable } from "node:worker_threads";

/** The smallest size kept, and what a new or quiet connection reads into; with 1 KiB an idle one is 5 % larger. */
export const MIN_BUFFER = 512;
/** The largest size kept, and the most that is read or joined at once: CPython's `max_size` of a read. */
export const MAX_BUFFER = 256 * 1024;
/** How many bytes may lie here unused. */
const MAX_POOLED = 4 * 1024 * 1024;

/** One stack for each power of two, from MIN_BUFFER to MAX_BUFFER. */
const stacks: Uint8Array[][] = Array.from({ length: 10 }, () => []);
let pooled = 0;

/** How large the slabs are that small copies share. */
const SLAB_SIZE = 16 * 1024;
let slab = new Uint8Array(0);
let slabUsed = 0;

/** The stack that holds arrays of this many bytes or the next power of two. */
function stackIndex(size: number): number {
  return size <= MIN_BUFFER ? 0 : 23 - Math.clz32(size - 1);
}

/** Takes an array whose contents are arbitrary. */
export function takeBuffer(size: number): Uint8Array {
  const index = stackIndex(size);
  const buffer = stacks[index]!.pop();
  if (buffer === undefined) return new Uint8Array(MIN_BUFFER << index);
  pooled -= buffer.length;
  return buffer;
}

/** Gives an array back. Nobody may use it afterwards, the kernel included. */
export function giveBuffer(buffer: Uint8Array): void {
  // One of no length has been detached by somebody who no longer owned it.
  if (buffer.length === 0 || pooled + buffer.length > MAX_POOLED) return;
  pooled += buffer.length;
  stacks[stackIndex(buffer.length)]!.push(buffer);
}

/**
 * Gives an array back that a protocol has seen. It may have kept views of it, against the rules: they are empty from now
 * on, and what others put there is none of theirs. For each message that would take 8 % of an echo of 1 KiB by
 * `writeOwned`, so a window goes back to its own connection where it can.
 */
export function giveSeenBuffer(buffer: Uint8Array): void {
  if (buffer.length > 0) giveBuffer(new Uint8Array((buffer.buffer as ArrayBuffer).transfer()));
}

/**
 * Copies bytes into memory that nobody else will ever write to.
 *
 * Small ones share a slab, as those of Node's `Buffer` do, so that an array a message becomes one in sixteen
 * (12 % of a 1 KiB echo). Whoever keeps a small one keeps 16 KiB at most.
 */
export function copyBytes(data: Uint8Array): Uint8Array {
  const length = data.length;
  // The constructor, unlike slice(), does not zero the copy first.
  if (length > SLAB_SIZE / 8) return new Uint8Array(data);
  if (slabUsed + length > slab.length) {
    slab = new Uint8Array(SLAB_SIZE);
    // Whoever posted his piece away with its buffer would take everybody's; now that is a DataCloneError.
    markAsUntransferable(slab.buffer);
    slabUsed = 0;
  }
  const copy = slab.subarray(slabUsed, slabUsed + length);
  copy.set(data);
  slabUsed += length;
  return copy;
}
