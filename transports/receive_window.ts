/**
 * How much to read at once.
 *
 * @module
 */
import { MAX_BUFFER, MIN_BUFFER } from "./buffer_pool.ts";

/** After this many reads in a row that fill less than an eighth of it, the window shrinks to what they need. */
const SMALL_READS = 16;

/** A size that follows what arrives, so that a message comes in one read and a quiet connection is small. */
export class ReceiveWindow {
  /** How many bytes the next read should have room for. */
  size: number = MIN_BUFFER;
  #smallReads = 0;

  /**
   * Takes note of a read.
   *
   * @param size How many bytes it had room for.
   * @param count How many came.
   */
  fit(size: number, count: number): void {
    if (count === size) {
      this.size = Math.min(size * 2, MAX_BUFFER);
      this.#smallReads = 0;
    } else if (count * 8 > size) {
      this.#smallReads = 0;
    } else if (++this.#smallReads === SMALL_READS) {
      this.size = Math.max(2 ** Math.ceil(Math.log2(2 * count)), MIN_BUFFER);
      this.#smallReads = 0;
    }
  }
}
