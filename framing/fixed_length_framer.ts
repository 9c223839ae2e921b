import { checkBytes, checkInteger } from "../checks.ts";
import { checkOptions, namesOf } from "../check_options.ts";
import { Framer } from "./framer.ts";

/** Options of {@linkcode FixedLengthFramer}. */
export interface FixedLengthFramerOptions {
  /** The length of each frame, in bytes. */
  length: number;
}

const NAMES = namesOf<FixedLengthFramerOptions>({ length: true });

/**
 * Divides bytes into frames of the same length.
 *
 * @example Usage
 * ```ts
 * import { FixedLengthFramer } from "@tandem/io/framing";
 *
 * const framer = new FixedLengthFramer({ length: 2 });
 * framer.push(Uint8Array.of(1, 2, 3, 4, 5));
 * console.log([...framer]); // [Uint8Array [1, 2], Uint8Array [3, 4]]
 * ```
 */
export class FixedLengthFramer extends Framer<Uint8Array> {
  #length: number;

  /**
   * Creates a framer.
   *
   * @param options Options. `length` is required.
   * @throws {TypeError} If an option is unknown, or `length` is missing or not a number.
   * @throws {RangeError} If `length` is not a whole number of 1 or more.
   */
  constructor(options: FixedLengthFramerOptions) {
    super();
    checkOptions("FixedLengthFramer()", options, NAMES);
    checkInteger("FixedLengthFramer()", "length", options.length, 1, undefined, "bytes");
    this.#length = options.length;
  }

  /**
   * Returns a frame as it is.
   *
   * @param frame The frame.
   * @returns The frame.
   * @throws {TypeError} If `frame` is not a `Uint8Array`.
   * @throws {RangeError} If `frame` has another length.
   */
  override encode(frame: Uint8Array): Uint8Array[] {
    checkBytes("encode()", "frame", frame);
    if (frame.length !== this.#length) {
      throw new RangeError(`encode(): frame must have ${this.#length} bytes, got ${frame.length} bytes`);
    }
    return [frame];
  }

  /** Parses the next frame. */
  protected override parse(): Uint8Array | undefined {
    const { start } = this;
    const stop = start + this.#length;
    if (stop > this.end) {
      this.needed = this.#length;
      return undefined;
    }
    this.start = stop;
    return this.bytes.subarray(start, stop);
  }
}
