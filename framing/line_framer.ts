import { checkBoolean, checkFunction, checkInteger } from "../checks.ts";
import { checkOptions, namesOf } from "../check_options.ts";
import { describe } from "../errors.ts";
import { Delimiters } from "./delimiters.ts";
import type { FrameTooLongError } from "./frame_too_long_error.ts";
import { Framer } from "./framer.ts";

/** The format of lines. */
export interface LineFormat {
  /**
   * What ends a line: a string, bytes, or several of them. A line ends where the first of them ends. If two end at the same
   * place, the longer one is not part of the line. Lines are sent with the first delimiter of the array.
   *
   * @default {["\r\n", "\n"]}
   */
  delimiters?: string | Uint8Array | readonly (string | Uint8Array)[];
  /**
   * The longest line, in bytes without its delimiter.
   *
   * @default {65536}
   */
  limit?: number;
  /**
   * Whether lines are strings, decoded as UTF-8, or bytes. Bytes that are not UTF-8 become U+FFFD.
   *
   * @default {true}
   */
  text?: boolean;
}

/** Options of {@linkcode LineFramer}. */
export interface LineFramerOptions extends LineFormat {
  /**
   * Called for each line that is longer than the limit. The line is then skipped. Otherwise the error is thrown.
   *
   * @default {undefined}
   */
  onTooLong?: ((error: FrameTooLongError) => void) | undefined;
}

/** Options `O` for lines of type `F`: lines of bytes need `text: false`. */
export type ForLines<F extends string | Uint8Array, O extends LineFormat> = F extends string
  ? [options?: O & { text?: true }]
  : [options: O & { text: false }];

const NAMES = namesOf<LineFramerOptions>({ delimiters: true, limit: true, text: true, onTooLong: true });

/** The default delimiters. */
const CRLF = new Delimiters("", ["\r\n", "\n"]);

/** So many bytes are decoded at once. A line that is kept can keep so many characters alive. */
const BATCH = 16 * 1024;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/**
 * Divides bytes into lines.
 *
 * @typeParam F `string`, or `Uint8Array` with the option `text: false`.
 *
 * @example Usage
 * ```ts
 * import { LineFramer } from "@tandem/io/framing";
 *
 * const framer = new LineFramer();
 * for (const piece of ["HELO mail.exam", "ple\r\nNO", "OP\n"]) {
 *   framer.push(new TextEncoder().encode(piece));
 *   for (const line of framer) console.log(line); // "HELO mail.example", "NOOP"
 * }
 * ```
 */
export class LineFramer<F extends string | Uint8Array = string> extends Framer<F> {
  #delimiters: Delimiters;
  #limit: number;
  #text: boolean;
  /** Bytes before this place do not end a delimiter of the line that begins at `start`. */
  #scanned = 0;
  /** The end of the line is awaited to skip the line. */
  #skipsLine = false;

  /** Lines that were decoded together, all ASCII, and the place in them that belongs to `start`. */
  #batch = "";
  #at = 0;
  /** Bytes before this place are not all ASCII: lines are decoded one by one. */
  #singlesUntil = 0;

  /**
   * Creates a framer.
   *
   * @param args Options.
   * @throws {TypeError} If an option is unknown or has the wrong type, or a delimiter is empty, or can never end a line
   * because another delimiter ends before.
   * @throws {RangeError} If `limit` is not a whole number of 1 or more.
   */
  constructor(...args: ForLines<F, LineFramerOptions>) {
    const [options = {}] = args;
    checkOptions("LineFramer()", options, NAMES);
    checkOnTooLong("LineFramer()", options.onTooLong);
    super(options.onTooLong);
    const { delimiters, limit, text } = checkLineFormat("LineFramer()", options);
    this.#delimiters = delimiters;
    this.#limit = limit;
    this.#text = text;
  }

  /** Whether a line has begun that has not ended. */
  override get pending(): boolean {
    return this.#skipsLine || super.pending;
  }

  /**
   * Returns the bytes of a line with its delimiter.
   *
   * @param line The line, without a delimiter.
   * @returns One piece.
   * @throws {TypeError} If `line` is neither a string nor a `Uint8Array`, or has a delimiter in it.
   */
  override encode(line: string | Uint8Array): Uint8Array[] {
    if (typeof line !== "string" && !(line instanceof Uint8Array)) {
      throw new TypeError(`encode(): line must be a string or a Uint8Array, got ${describe(line)}`);
    }
    const { first } = this.#delimiters;
    const content = typeof line === "string" ? encoder.encode(line) : line;
    const bytes = new Uint8Array(content.length + first.length);
    bytes.set(content);
    bytes.set(first, content.length);
    if (!this.#delimiters.isOneLine(bytes)) {
      throw new TypeError("encode(): line must not contain a delimiter: it would be received as several lines");
    }
    return [bytes];
  }

  /** Forgets what was scanned and decoded. */
  protected override rewound(): void {
    this.#batch = "";
    this.#scanned = this.#singlesUntil = 0;
  }

  /** Parses the next frame. */
  protected override parse(): F | undefined {
    for (;;) {
      if (this.#batch !== "") {
        const line = this.#parseText();
        if (line !== undefined) return line as F;
        this.#batch = "";
      }
      if (!this.#decodeBatch()) return this.#parseBytes();
    }
  }

  /** Decodes several whole lines together, if they are all ASCII: that takes a tenth of the time of each on its own. */
  #decodeBatch(): boolean {
    const { start, bytes } = this;
    const { last } = this.#delimiters;
    if (!this.#text || last < 0 || this.#skipsLine || this.#scanned > start || start < this.#singlesUntil) return false;
    let stop = Math.min(start + BATCH, this.end);
    while (stop > start && bytes[stop - 1] !== last) stop--;
    if (stop === start) {
      // Not scanned again.
      this.#scanned = Math.min(start + BATCH, this.end);
      return false;
    }
    const text = decoder.decode(bytes.subarray(start, stop));
    // No sequence of bytes is decoded to more characters than it has bytes: as many means one for each.
    if (text.length !== stop - start) {
      this.#singlesUntil = stop;
      return false;
    }
    this.#batch = text;
    this.#at = 0;
    return true;
  }

  /** Returns the next line of the batch. */
  #parseText(): string | undefined {
    const text = this.#batch;
    const last = this.#delimiters.lastText;
    let begin = this.#at;
    for (let i = text.indexOf(last, begin); i >= 0; i = text.indexOf(last, i + 1)) {
      const length = this.#delimiters.matchText(text, begin, i);
      if (length === 0) continue;
      const stop = i + 1 - length;
      const line = stop - begin;
      this.start += i + 1 - begin;
      this.#at = i + 1;
      if (line <= this.#limit) return text.slice(begin, stop);
      begin = i + 1;
      this.skipped();
      this.tooLong(this.#limit, null);
      // The callback has taken bytes.
      if (this.#batch === "") return undefined;
    }
    this.#scanned = this.start + text.length - begin;
    return undefined;
  }

  /** Returns the next line, decoded on its own. */
  #parseBytes(): F | undefined {
    const delimiters = this.#delimiters;
    for (;;) {
      const { bytes, start } = this;
      const last = delimiters.find(bytes, Math.max(this.#scanned, start), this.end);
      if (last < 0) break;
      this.#scanned = last + 1;
      const length = delimiters.match(bytes, start, last);
      if (length === 0) continue;
      this.start = last + 1;
      if (this.#skipsLine) {
        this.#skipsLine = false;
        this.skipped();
        continue;
      }
      const stop = last + 1 - length;
      if (stop - start <= this.#limit) {
        const line = bytes.subarray(start, stop);
        return (this.#text ? decoder.decode(line) : line) as F;
      }
      this.skipped();
      this.tooLong(this.#limit, null);
    }
    this.#scanned = this.end;
    this.#skipIfTooLong();
    return undefined;
  }

  /** Skips the beginning of a line that is too long, whatever follows. */
  #skipIfTooLong(): void {
    // The last bytes can be the beginning of a delimiter.
    const kept = this.#delimiters.longest - 1;
    const isNew = !this.#skipsLine;
    if (isNew && this.end - this.start - kept <= this.#limit) return;
    this.#skipsLine = true;
    this.start = Math.max(this.start, this.end - kept);
    if (isNew) this.tooLong(this.#limit, null);
  }
}

/** Options of lines that have been checked. */
interface CheckedLineFormat {
  delimiters: Delimiters;
  limit: number;
  text: boolean;
}

/** Throws unless the options that framers and protocols of lines share are good. */
export function checkLineFormat(method: string, options: LineFormat): CheckedLineFormat {
  const { delimiters = CRLF, limit = 65536, text = true } = options;
  checkInteger(method, "limit", limit, 1, undefined, "bytes");
  checkBoolean(method, "text", text);
  return {
    delimiters: delimiters instanceof Delimiters ? delimiters : new Delimiters(method, delimiters),
    limit,
    text,
  };
}

/** Throws unless a callback is a function or left out. */
export function checkOnTooLong(method: string, callback: unknown): void {
  if (callback !== undefined) checkFunction(method, "onTooLong", callback);
}
