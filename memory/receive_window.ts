/**
 * How much to read at once.
 *
 * @module
 */
import { MAX_BUFFER, MIN_BUFFER } from "./buffer_pool.ts";

/** After this many reads in a row that fill less than an eighth of it, the window shrinks to what they need. */
const SMALL_READS = 16;
/** A connection that is not busy waits with this many bytes at most, and reads the rest when something has come. */
const QUIET = 4 * 1024;
/** It is busy after so many reads in a row with nothing left behind, */
const BUSY_READS = 64;
/** each within so many milliseconds of the one before. */
const BUSY_GAP = 1000;

/**
 * A size that follows what arrives, so that a message comes in one read and a quiet connection is small: what a
 * pending read was given cannot be had back. 8,000 connections that have each sent 100 KiB once hold 18 KiB each; with
 * no regard to how busy they are, 68 KiB.
 */
export class ReceiveWindow {
  /** How many bytes the next read should have room for. */
  size: number = MIN_BUFFER;
  /** How many it would have on a busy connection. */
  #needed = MIN_BUFFER;
  /** How many bytes it waits with on another one. */
  #quiet: number;
  #smallReads = 0;
  #busyReads = 0;
  #emptiedAt = 0;

  /**
   * @param alwaysBusy Whether to read at once what comes at once, whatever it costs.
   */
  constructor(alwaysBusy = false) {
    this.#quiet = alwaysBusy ? MAX_BUFFER : QUIET;
  }

  /**
   * Takes note of a read.
   *
   * @param size How many bytes it had room for.
   * @param count How many came.
   */
  fit(size: number, count: number): void {
    if (count === size) {
      // There is more, perhaps: it is read at once.
      if (size >= this.#needed) {
        this.#needed = Math.min(size * 2, MAX_BUFFER);
        this.#smallReads = 0;
      }
      this.size = this.#needed;
      return;
    }
    if (count * 8 > this.#needed) {
      this.#smallReads = 0;
    } else if (++this.#smallReads === SMALL_READS) {
      this.#needed = Math.max(2 ** Math.ceil(Math.log2(2 * count)), MIN_BUFFER);
      this.#smallReads = 0;
    }
    this.size = this.#needed <= this.#quiet || this.#isBusy() ? this.#needed : this.#quiet;
  }

  /** Nothing is left to read for now, and only a busy connection will have something soon. */
  #isBusy(): boolean {
    const now = Date.now();
    this.#busyReads = now - this.#emptiedAt < BUSY_GAP ? this.#busyReads + 1 : 0;
    this.#emptiedAt = now;
    return this.#busyReads >= BUSY_READS;
  }
}
