import { checkOptions } from "../check_options.ts";
import { describe } from "../errors.ts";
import type { WriteBufferLimits } from "./transport.ts";

/** The default high-water mark in bytes, as in CPython's `_FlowControlMixin`. */
export const DEFAULT_HIGH = 64 * 1024;

const METHOD = "setWriteBufferLimits()";
const LIMITS: ReadonlySet<string> = new Set(["high", "low"] satisfies (keyof WriteBufferLimits)[]);

/** Decides when a protocol must pause and resume writing, by the size of the write buffer. */
export class FlowControl {
  #high = DEFAULT_HIGH;
  #low = DEFAULT_HIGH / 4;
  #paused = false;

  get paused(): boolean {
    return this.#paused;
  }

  get limits(): [low: number, high: number] {
    return [this.#low, this.#high];
  }

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

  /** Returns `true` if a buffer that may have grown has passed the high-water mark. The caller calls `pauseWriting`. */
  mustPause(size: number): boolean {
    if (this.#paused || size <= this.#high) return false;
    this.#paused = true;
    return true;
  }

  /** Returns `true` if a buffer that may have shrunk has reached the low-water mark. The caller calls `resumeWriting`. */
  mustResume(size: number): boolean {
    if (!this.#paused || size > this.#low) return false;
    this.#paused = false;
    return true;
  }
}
