import type { ByteQueue } from "./byte_queue.ts";
import { wrongArgument } from "./errors.ts";

/** A separator: bytes, or text in UTF-8. */
export type Separator = string | Uint8Array;

/** Where a separator was found: where it begins, and where it ends. */
export interface Match {
  start: number;
  end: number;
}

/** The number of bytes in which several separators are looked for first. */
const FIRST_WINDOW = 256;

/** One or more separators, the shortest first. */
export class Separators {
  readonly longest: number;
  #list: Uint8Array[];
  /** The separator, if it is a single byte. */
  #byte: number;

  constructor(list: Uint8Array[]) {
    this.#list = list.sort((a, b) => a.length - b.length);
    this.longest = list.at(-1)!.length;
    this.#byte = list.length === 1 && this.longest === 1 ? list[0]![0]! : -1;
  }

  /** Finds the separator that ends first; of several that end there, the shortest. Starts at `offset`. */
  find(queue: ByteQueue, offset: number): Match | null {
    if (this.#byte >= 0) {
      const start = queue.indexOf(this.#byte, offset);
      return start < 0 ? null : { start, end: start + 1 };
    }
    // In windows that grow, so that one separator is not looked for in all that has arrived each time another one is near: a
    // peer could make each of many short messages cost a search of the whole queue.
    for (let size = FIRST_WINDOW, from = offset;; size *= 4) {
      const end = Math.min(from + size, queue.headSize);
      const match = this.#findWithin(queue, from, end);
      if (match !== null || end === queue.headSize) return match;
      from = Math.max(from, end + 1 - this.longest);
    }
  }

  /** Does the same for separators that end at `end` or before. */
  #findWithin(queue: ByteQueue, offset: number, end: number): Match | null {
    let match: Match | null = null;
    for (const bytes of this.#list) {
      const start = queue.search(bytes, offset, match?.end ?? end);
      const stop = start + bytes.length;
      if (start >= 0 && (match === null || stop < match.end)) match = { start, end: stop };
    }
    return match;
  }
}

export const LINE_FEED: Separators = new Separators([new Uint8Array([10])]);

/** Separators of text that were used before: programs use few. */
const known = new Map<string, Separators>([["\n", LINE_FEED]]);

/** Checks separators. */
export function toSeparators(method: string, separator: unknown): Separators {
  if (typeof separator === "string") {
    const found = known.get(separator);
    if (found !== undefined) return found;
  }
  const list: unknown[] = Array.isArray(separator) ? separator : [separator];
  if (list.length === 0) throw new RangeError(`${method}: separator must have at least one item, got an empty array`);
  const separators = new Separators(
    list.map((one, i) => toBytes(method, Array.isArray(separator) ? `separator[${i}]` : "separator", one)),
  );
  if (typeof separator === "string" && known.size < 64) known.set(separator, separators);
  return separators;
}

const ONE = "a string or a Uint8Array";

function toBytes(method: string, name: string, separator: unknown): Uint8Array {
  if (typeof separator !== "string" && !(separator instanceof Uint8Array)) {
    throw wrongArgument(method, name, name === "separator" ? `${ONE}, or an array of these` : ONE, separator);
  }
  if (separator.length === 0) {
    throw new RangeError(
      `${method}: ${name} must have at least one byte, got an empty ${
        typeof separator === "string" ? "string" : "Uint8Array"
      }`,
    );
  }
  return typeof separator === "string" ? new TextEncoder().encode(separator) : separator.slice();
}
