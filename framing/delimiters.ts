import { checkString } from "../checks.ts";
import { describe } from "../errors.ts";

/** Bytes up to here are compared one by one; `indexOf` is faster for what follows. */
const NEAR = 96;

/** Delimiters that are not of the usual kind: `\r\n`, `\n` or both. */
const OTHER = -2;

/** Finds the ends of lines. */
export class Delimiters {
  /** The delimiter that ends a line that is sent. */
  readonly first: Uint8Array;
  /** The length of the longest delimiter. */
  readonly longest: number;
  /** The byte that each delimiter ends with, if it is the same for all and ASCII; otherwise -1. */
  readonly last: number;
  /** The same as a string, or `""`. */
  readonly lastText: string;

  /** The length of the delimiter that `endIn` has found last. */
  matched = 0;

  /** The delimiters as strings, the longest first. */
  #texts: readonly string[];
  /** If there is one delimiter of two bytes at most, and no longer one: its first byte, or -1. Otherwise `OTHER`. */
  #before: number;
  /** 1 if there is a delimiter of one byte, otherwise 0. */
  #alone: number;
  #all: Uint8Array[];
  /** Whether a byte can end a delimiter. */
  #lasts = new Uint8Array(256);

  constructor(method: string, value: unknown) {
    const list: unknown[] = Array.isArray(value) ? [...value] : [value];
    if (list.length === 0) throw new TypeError(`${method}: delimiters must have at least one delimiter, got none`);
    const all = list.map((one, i) => toBytes(method, Array.isArray(value) ? `delimiters[${i}]` : "delimiters", one));
    this.first = all[0]!;
    this.#all = all.toSorted((a, b) => b.length - a.length);
    this.longest = this.#all[0]!.length;
    for (const delimiter of all) this.#lasts[delimiter.at(-1)!] = 1;
    const last = this.first.at(-1)!;
    const isAscii = all.every((delimiter) => delimiter.every((byte) => byte < 128));
    this.last = isAscii && this.#lasts.reduce((sum, one) => sum + one) === 1 ? last : -1;
    this.lastText = this.last < 0 ? "" : String.fromCharCode(last);
    this.#texts = this.last < 0 ? [] : this.#all.map((delimiter) => String.fromCharCode(...delimiter));
    const pairs = this.#all.filter((delimiter) => delimiter.length === 2);
    this.#before = this.longest > 2 || pairs.length > 1 ? OTHER : pairs[0]?.[0] ?? -1;
    this.#alone = this.#all.at(-1)!.length === 1 ? 1 : 0;
    this.#checkEnds(method);
  }

  /** Returns the index of the next byte from `from` that can end a delimiter, or -1. */
  find(bytes: Uint8Array, from: number, end: number): number {
    const { last } = this;
    if (last < 0) {
      for (let i = from; i < end; i++) if (this.#lasts[bytes[i]!] === 1) return i;
      return -1;
    }
    const near = Math.min(from + NEAR, end);
    for (let i = from; i < near; i++) if (bytes[i] === last) return i;
    if (near === end) return -1;
    const found = bytes.subarray(near, end).indexOf(last);
    return found < 0 ? -1 : near + found;
  }

  /** Returns the length of the longest delimiter that ends with the byte at `last` in a line that begins at `start`, or 0. */
  match(bytes: Uint8Array, start: number, last: number): number {
    for (const delimiter of this.#all) {
      const { length } = delimiter;
      const begin = last + 1 - length;
      if (begin < start) continue;
      let i = length - 1;
      while (i >= 0 && delimiter[i] === bytes[begin + i]) i--;
      if (i < 0) return length;
    }
    return 0;
  }

  /** Returns the place behind the delimiter of the line of a text that begins at `start`, or -1. Sets `matched`. */
  endIn(text: string, start: number): number {
    const { lastText } = this;
    for (let i = text.indexOf(lastText, start); i >= 0; i = text.indexOf(lastText, i + 1)) {
      const length = this.#matchText(text, start, i);
      if (length === 0) continue;
      this.matched = length;
      return i + 1;
    }
    return -1;
  }

  #matchText(text: string, start: number, last: number): number {
    if (this.#before !== OTHER) {
      // The loop below would take 3 ns more.
      return this.#before >= 0 && last > start && text.charCodeAt(last - 1) === this.#before ? 2 : this.#alone;
    }
    for (const delimiter of this.#texts) {
      const { length } = delimiter;
      if (last + 1 - length < start) continue;
      if (length === 1 || text.endsWith(delimiter, last + 1)) return length;
    }
    return 0;
  }

  /** Reports whether bytes are one line that ends with the first delimiter. */
  isOneLine(bytes: Uint8Array): boolean {
    for (let from = 0, last; (last = this.find(bytes, from, bytes.length)) >= 0; from = last + 1) {
      const length = this.match(bytes, 0, last);
      if (length > 0) return last === bytes.length - 1 && length === this.first.length;
    }
    return false;
  }

  /** Throws if a delimiter contains another one before its end: the other one would always end the line first. */
  #checkEnds(method: string): void {
    for (const delimiter of this.#all) {
      for (let last = 0; last < delimiter.length - 1; last++) {
        const length = this.match(delimiter, 0, last);
        if (length === 0) continue;
        const [shown, other] = [delimiter, delimiter.subarray(last + 1 - length, last + 1)].map(show);
        throw new TypeError(`${method}: delimiters: ${shown} can never end a line, because ${other} ends it before`);
      }
    }
  }
}

function toBytes(method: string, name: string, value: unknown): Uint8Array {
  if (typeof value === "string") {
    checkString(method, name, value);
    return new TextEncoder().encode(value);
  }
  if (!(value instanceof Uint8Array)) {
    const more = name === "delimiters" ? ", or an array of these" : "";
    throw new TypeError(`${method}: ${name} must be a string or a Uint8Array${more}, got ${describe(value)}`);
  }
  if (value.length === 0) throw new TypeError(`${method}: ${name} must not be empty, got 0 bytes`);
  return value.slice();
}

function show(delimiter: Uint8Array): string {
  return JSON.stringify(new TextDecoder().decode(delimiter));
}
