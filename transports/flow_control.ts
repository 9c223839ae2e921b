/**
 * When to tell a protocol to stop writing and to go on: one small part, shared by every transport that writes.
 *
 * @module
 */
import { describe } from "../errors.ts";
import type { WriteBufferLimits } from "./transport.ts";

/** The default high-water mark in bytes, as in CPython's `_FlowControlMixin`. */
const DEFAULT_HIGH = 64 * 1024;

/** Watches a buffer's size against two marks. */
export class FlowControl {
  #high = DEFAULT_HIGH;
  #low = DEFAULT_HIGH / 4;
  #paused = false;

  /** Whether the protocol has been paused. */
  get paused(): boolean {
    return this.#paused;
  }

  /** `[low, high]`, in bytes. */
  get limits(): [low: number, high: number] {
    return [this.#low, this.#high];
  }

  /**
   * Sets the marks.
   *
   * @param limits One of them, both, or none for the defaults.
   * @throws {RangeError} If `high >= low >= 0` does not hold.
   */
  setLimits({ high, low }: WriteBufferLimits): void {
    const newHigh = high ?? (low === undefined ? DEFAULT_HIGH : 4 * low);
    const newLow = low ?? Math.floor(newHigh / 4);
    if (typeof newHigh !== "number" || typeof newLow !== "number") {
      throw new TypeError(`high and low must be numbers of bytes, got ${describe(newHigh)} and ${describe(newLow)}`);
    }
    if (!(newHigh >= newLow && newLow >= 0)) {
      throw new RangeError(`high (${newHigh}) must be at least low (${newLow}), and low at least 0`);
    }
    this.#high = newHigh;
    this.#low = newLow;
  }

  /**
   * Takes note of a buffer that may have grown.
   *
   * @param size Its size in bytes.
   * @returns Whether the protocol must be paused now.
   */
  mustPause(size: number): boolean {
    if (this.#paused || size <= this.#high) return false;
    this.#paused = true;
    return true;
  }

  /**
   * Takes note of a buffer that may have shrunk.
   *
   * @param size Its size in bytes.
   * @returns Whether the protocol must be resumed now.
   */
  mustResume(size: number): boolean {
    if (!this.#paused || size > this.#low) return false;
    this.#paused = false;
    return true;
  }
}
