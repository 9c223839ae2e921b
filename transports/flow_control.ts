/**
 * When to tell a protocol to stop writing and to go on: one small part, shared by every transport that writes.
 *
 * @module
 */
import { checkOptions } from "../check_options.ts";
import { describe } from "../errors.ts";
import type { WriteBufferLimits } from "./transport.ts";

/** The default high-water mark in bytes, as in CPython's `_FlowControlMixin`. */
const DEFAULT_HIGH = 64 * 1024;

const METHOD = "setWriteBufferLimits()";
const LIMITS: ReadonlySet<string> = new Set(["high", "low"] satisfies (keyof WriteBufferLimits)[]);

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

  /** Sets the marks. */
  setLimits(limits: WriteBufferLimits): void {
    checkOptions(METHOD, limits, LIMITS, { name: "limits" });
    const { high, low } = limits;
    const newHigh = high ?? (low === undefined ? DEFAULT_HIGH : 4 * low);
    const newLow = low ?? Math.floor(newHigh / 4);
    for (const [name, size] of [["high", newHigh], ["low", newLow]] as const) {
      if (typeof size !== "number") {
        throw new TypeError(`${METHOD}: ${name} must be a number of bytes, got ${describe(size)}`);
      }
    }
    if (!(newHigh >= newLow && newLow >= 0)) {
      throw new RangeError(`${METHOD}: high (${newHigh}) must be at least low (${newLow}), and low at least 0`);
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
