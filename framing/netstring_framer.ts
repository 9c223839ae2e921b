import { checkBytes, checkFunction, checkInteger } from "../checks.ts";
import { checkOptions, namesOf } from "../check_options.ts";
import type { FrameTooLongError } from "./frame_too_long_error.ts";
import { Framer } from "./framer.ts";
import { InvalidFrameError } from "./invalid_frame_error.ts";

/** The format of netstrings. */
export interface NetstringFormat {
  /**
   * The longest netstring, in bytes without its length and its comma.
   *
   * @default {1048576}
   */
  limit?: number;
}

/** Options of {@linkcode NetstringFramer}. */
export interface NetstringFramerOptions extends NetstringFormat {
  /**
   * Called for each netstring that is longer than the limit. It is then skipped. Otherwise the error is thrown.
   *
   * @default {undefined}
   */
  onTooLong?: ((error: FrameTooLongError) => void) | undefined;
}

const NAMES = namesOf<NetstringFramerOptions>({ limit: true, onTooLong: true });

const [ZERO, NINE, COLON, COMMA] = [48, 57, 58, 44];
/** The most digits of a length: one more would not be exact. */
const MAX_DIGITS = 15;

/**
 * Divides bytes into netstrings: `5:hello,`.
 *
 * @example Usage
 * ```ts
 * import { NetstringFramer } from "@tandem/io/framing";
 *
 * const framer = new NetstringFramer();
 * framer.push(new TextEncoder().encode("5:hello,0:,3:ab"));
 * for (const frame of framer) console.log(new TextDecoder().decode(frame)); // "hello", ""
 * ```
 */
export class NetstringFramer extends Framer<Uint8Array> {
  #limit: number;
  /** The comma of a netstring that was skipped is awaited. */
  #wantsComma = false;

  /**
   * Creates a framer.
   *
   * @param options Options.
   * @throws {TypeError} If an option is unknown or has the wrong type.
   * @throws {RangeError} If `limit` is not a whole number of 1 or more.
   */
  constructor(options: NetstringFramerOptions = {}) {
    checkOptions("NetstringFramer()", options, NAMES);
    if (options.onTooLong !== undefined) checkFunction("NetstringFramer()", "onTooLong", options.onTooLong);
    super(options.onTooLong);
    this.#limit = checkNetstringFormat("NetstringFramer()", options);
  }

  /** Whether a netstring has begun that has not ended. */
  override get pending(): boolean {
    return this.#wantsComma || super.pending;
  }

  /**
   * Returns the bytes of a netstring.
   *
   * @param frame The content.
   * @returns The length, `frame` and the comma.
   * @throws {TypeError} If `frame` is not a `Uint8Array`.
   */
  override encode(frame: Uint8Array): Uint8Array[] {
    checkBytes("encode()", "frame", frame);
    return [new TextEncoder().encode(`${frame.length}:`), frame, Uint8Array.of(COMMA)];
  }

  /** Parses the next frame. */
  protected override parse(): Uint8Array | undefined {
    for (;;) {
      if (this.#wantsComma && !this.#skipComma()) return undefined;
      const { bytes, start, end } = this;
      let at = start;
      let length = 0;
      while (at < end && bytes[at]! >= ZERO && bytes[at]! <= NINE) {
        length = length * 10 + bytes[at++]! - ZERO;
        if (at - start > MAX_DIGITS) this.#fail(`a length of ${MAX_DIGITS} digits at most`, at - 1);
        if (at - start === 2 && bytes[start] === ZERO) this.#fail("no zero before a length", at - 1);
      }
      if (at === end) return undefined;
      if (at === start) this.#fail("a digit", at);
      if (bytes[at] !== COLON) this.#fail("a digit or a colon after the length", at);
      at++;
      if (length > this.#limit) {
        this.start = at;
        this.skipping = length;
        this.#wantsComma = true;
        this.tooLong(this.#limit, length);
        if (!this.skip()) return undefined;
        continue;
      }
      const stop = at + length;
      if (stop >= end) {
        this.needed = stop + 1 - start;
        return undefined;
      }
      if (bytes[stop] !== COMMA) this.#fail("a comma at its end", stop);
      this.start = stop + 1;
      return bytes.subarray(at, stop);
    }
  }

  #skipComma(): boolean {
    if (this.start === this.end) return false;
    if (this.bytes[this.start] !== COMMA) this.#fail("a comma at its end", this.start);
    this.#wantsComma = false;
    this.start++;
    return true;
  }

  #fail(expected: string, at: number): never {
    const byte = this.bytes[at]!;
    this.fail(new InvalidFrameError(`a netstring must have ${expected}, got the byte ${byte}`));
  }
}

/** Returns the limit, or throws unless it is good. */
export function checkNetstringFormat(method: string, { limit = 1048576 }: NetstringFormat): number {
  checkInteger(method, "limit", limit, 1, 10 ** MAX_DIGITS - 1, "bytes");
  return limit;
}
