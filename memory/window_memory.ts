/**
 * A window for each connection: what a handle reads into that must give memory before bytes are there.
 *
 * @module
 */
import { giveSeenBuffer, MAX_BUFFER, MIN_BUFFER, takeBuffer } from "./buffer_pool.ts";
import type { ReadMemory } from "./read_memory.ts";

/** After this many reads in a row that fill less than an eighth of it, the window shrinks to what they need. */
const SMALL_READS = 16;
/** A connection that is not busy waits with at most this many bytes, and reads the rest when something has come. */
const QUIET = 4 * 1024;
/** A connection is busy after so many reads in a row with nothing left behind, */
const BUSY_READS = 64;
/** each within so many milliseconds of the one before. */
const BUSY_GAP = 1000;

/**
 * A window whose size follows what arrives, so that a message comes in one read and a quiet connection is small: memory
 * that a pending read was given cannot be taken back. 8,000 connections that have each sent 100 KiB once hold 18 KiB each;
 * with no regard to how busy they are, 68 KiB.
 */
export class WindowMemory implements ReadMemory {
  #window: Uint8Array | null = null;
  /** How many bytes the next read should have room for. */
  #size = MIN_BUFFER;
  /** How many it would have on a busy connection. */
  #needed = MIN_BUFFER;
  /** How many bytes it waits with on a quiet one. */
  #quiet: number;
  #smallReads = 0;
  #busyReads = 0;
  #emptiedAt = 0;

  /**
   * @param alwaysBusy Whether to read at once what comes at once, whatever it costs. It should where small writes wait for
   * the peer's acknowledgement of the one before, as Nagle's algorithm has it: an answer would leave in two.
   */
  constructor(alwaysBusy = false) {
    this.#quiet = alwaysBusy ? MAX_BUFFER : QUIET;
  }

  /** How many bytes the next window has. */
  get size(): number {
    return this.#size;
  }

  take(): Uint8Array {
    // Of another size now and then. A protocol has seen the old one, so no other connection may use it.
    if (this.#window !== null && this.#window.length !== this.#size) this.#window = null;
    return this.#window ??= takeBuffer(this.#size);
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
      // There may be more: it is read at once.
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

  /** Nothing is left to read for now, and only a busy connection will have something soon. */
  #isBusy(): boolean {
    const now = Date.now();
    this.#busyReads = now - this.#emptiedAt < BUSY_GAP ? this.#busyReads + 1 : 0;
    this.#emptiedAt = now;
    return this.#busyReads >= BUSY_READS;
  }
}
