import { copyBytes, giveSeenBuffer, MAX_BUFFER, MIN_BUFFER, takeBuffer } from "./buffer_pool.ts";
import type { ReadMemory } from "./read_memory.ts";

/** With this many bytes or more, a window that is at least half full is handed over instead of copied. */
const LARGE = 32 * 1024;
/** The window shrinks after this many reads in a row that fill less than an eighth of it. */
const SMALL_READS = 16;
/** The largest window of a connection that is not busy, in bytes. Once bytes have arrived, the rest is read at once. */
const QUIET = 4 * 1024;
/** A connection is busy after this many reads in a row that left nothing unread, */
const BUSY_READS = 64;
/** each within this many milliseconds of the one before. */
const BUSY_GAP = 1000;

/**
 * A window for each connection, for handles that must allocate before bytes arrive. The window adapts to the traffic: a
 * message is read at once, but a quiet connection is small, because the memory of a pending read cannot be taken back.
 * 8,000 connections that have each sent 100 KiB once hold 18 KiB each; without the rule for busy connections, 68 KiB.
 */
export class WindowMemory implements ReadMemory {
  #window: Uint8Array | null = null;
  #size = MIN_BUFFER;
  /** The size for a busy connection. */
  #needed = MIN_BUFFER;
  /** The largest size for a connection that is not busy. */
  #quiet: number;
  #smallReads = 0;
  #busyReads = 0;
  #emptiedAt = 0;

  /**
   * With `alwaysBusy`, messages are always read at once, at the cost of memory. This is for sockets with Nagle's algorithm,
   * where a second small write waits for the peer's acknowledgement: the answer to half a message would delay the rest.
   */
  constructor(alwaysBusy = false) {
    this.#quiet = alwaysBusy ? MAX_BUFFER : QUIET;
  }

  /** The size of the next window, in bytes. */
  get size(): number {
    return this.#size;
  }

  take(): Uint8Array {
    // A window of another size is not pooled: a protocol has seen it, so no other connection may use it.
    if (this.#window !== null && this.#window.length !== this.#size) this.#window = null;
    return this.#window ??= takeBuffer(this.#size);
  }

  /**
   * Returns a copy, or the window itself if a copy costs more than a new window (a 100 KiB echo by `write`: 0.32 instead of
   * 0.23 of the bare loop).
   */
  keep(window: Uint8Array, count: number): Uint8Array {
    const bytes = window.subarray(0, count);
    if (count < LARGE || count * 2 < window.length) return copyBytes(bytes);
    this.giveAway();
    return bytes;
  }

  giveAway(): void {
    this.#window = null;
  }

  takeBack(memory: Uint8Array): void {
    if (this.#window === null) this.#window = memory;
    else giveSeenBuffer(memory);
  }

  reset(): void {
    this.#size = this.#needed = MIN_BUFFER;
    this.#smallReads = this.#busyReads = 0;
  }

  fit(size: number, count: number): void {
    if (count === size) {
      // More bytes may be waiting. They are read at once.
      if (size >= this.#needed) {
        this.#needed = Math.min(size * 2, MAX_BUFFER);
        this.#smallReads = 0;
      }
      this.#size = this.#needed;
      return;
    }
    if (count * 8 > this.#needed) {
      this.#smallReads = 0;
    } else if (++this.#smallReads === SMALL_READS) {
      this.#needed = Math.max(2 ** Math.ceil(Math.log2(2 * count)), MIN_BUFFER);
      this.#smallReads = 0;
    }
    this.#size = this.#needed <= this.#quiet || this.#isBusy() ? this.#needed : this.#quiet;
  }

  /** Counts a read that left nothing unread, and reports whether the connection is busy. */
  #isBusy(): boolean {
    const now = Date.now();
    this.#busyReads = now - this.#emptiedAt < BUSY_GAP ? this.#busyReads + 1 : 0;
    this.#emptiedAt = now;
    return this.#busyReads >= BUSY_READS;
  }
}
