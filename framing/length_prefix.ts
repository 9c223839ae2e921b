import { checkBoolean, checkInteger } from "../checks.ts";
import { describe } from "../errors.ts";
import { InvalidFrameError } from "./invalid_frame_error.ts";

/** The format of frames that begin with their length. */
export interface LengthPrefixFormat {
  /**
   * The size of the length in bytes, or `"varint"`: seven bits in each byte, the lowest first, as in Protocol Buffers and
   * MQTT.
   *
   * @default {4}
   */
  prefix?: 1 | 2 | 3 | 4 | 8 | "varint";
  /**
   * Whether the lowest byte of the length is first.
   *
   * @default {false}
   */
  littleEndian?: boolean;
  /**
   * The number of bytes before the length, such as a type.
   *
   * @default {0}
   */
  offset?: number;
  /**
   * What to add to the length to get the number of bytes that follow it: -4 if a length of 4 bytes counts itself.
   *
   * @default {0}
   */
  adjustment?: number;
  /**
   * The number of bytes to remove from the start of a frame. By default everything up to the end of the length is removed.
   *
   * @default {undefined}
   */
  strip?: number | undefined;
  /**
   * The largest number of bytes that may follow the length: at most as many as the length can say.
   *
   * @default {1048576} or less, if the length can say less
   */
  limit?: number;
}

/** The largest number of bytes of a varint: ten have 64 bits. */
const VARINT_SIZE = 10;

/** Reads and writes lengths. */
export class LengthPrefix {
  readonly offset: number;
  readonly adjustment: number;
  readonly limit: number;
  /** The bytes to remove; `null` for all up to the end of the length. */
  readonly strip: number | null;
  /** The size of the length; 0 for a varint. */
  readonly fixedSize: number;
  #littleEndian: boolean;

  constructor(method: string, options: LengthPrefixFormat) {
    const { prefix = 4, littleEndian = false, offset = 0, adjustment = 0, strip, limit } = options;
    if (![1, 2, 3, 4, 8, "varint"].includes(prefix)) {
      throw new TypeError(`${method}: prefix must be 1, 2, 3, 4, 8 or "varint", got ${describe(prefix)}`);
    }
    checkBoolean(method, "littleEndian", littleEndian);
    checkInteger(method, "offset", offset, 0);
    const most = largest(prefix);
    checkInteger(method, "adjustment", adjustment, 1 - most);
    if (limit !== undefined) checkLimit(method, limit, prefix, adjustment, most);
    const header = offset + (prefix === "varint" ? 1 : prefix);
    if (strip !== undefined) checkInteger(method, "strip", strip, 0, header + Math.max(0, adjustment));
    this.fixedSize = prefix === "varint" ? 0 : prefix;
    this.#littleEndian = littleEndian;
    this.offset = offset;
    this.adjustment = adjustment;
    this.limit = limit ?? Math.min(1048576, most + adjustment);
    this.strip = strip ?? null;
  }

  /** Returns the size of the length that begins at `at`, or 0 if more bytes are needed. */
  sizeAt(bytes: Uint8Array, at: number, end: number): number {
    if (this.fixedSize > 0) return end - at < this.fixedSize ? 0 : this.fixedSize;
    const stop = Math.min(end, at + VARINT_SIZE);
    for (let i = at; i < stop; i++) if (bytes[i]! < 128) return i + 1 - at;
    if (stop === at + VARINT_SIZE) throw new InvalidFrameError(`a varint has more than ${VARINT_SIZE} bytes`);
    return 0;
  }

  /** Returns the length of `size` bytes at `at`. Lengths above 2^53 are not exact. */
  read(bytes: Uint8Array, at: number, size: number): number {
    let value = 0;
    if (this.fixedSize === 0) {
      for (let i = size - 1; i >= 0; i--) value = value * 128 + (bytes[at + i]! & 127);
    } else if (this.#littleEndian) {
      for (let i = size - 1; i >= 0; i--) value = value * 256 + bytes[at + i]!;
    } else {
      for (let i = 0; i < size; i++) value = value * 256 + bytes[at + i]!;
    }
    return value;
  }

  /** Returns the number of bytes that a length needs. */
  sizeOf(value: number): number {
    if (this.fixedSize > 0) return this.fixedSize;
    let size = 1;
    for (; value >= 128; value = Math.floor(value / 128)) size++;
    return size;
  }

  /** Writes a length of `size` bytes. */
  write(bytes: Uint8Array, at: number, size: number, value: number): void {
    if (this.fixedSize === 0) {
      for (let i = 0; i < size; i++, value = Math.floor(value / 128)) {
        bytes[at + i] = value % 128 + (i < size - 1 ? 128 : 0);
      }
      return;
    }
    for (let i = 0; i < size; i++, value = Math.floor(value / 256)) {
      bytes[this.#littleEndian ? at + i : at + size - 1 - i] = value % 256;
    }
  }

  /** Throws unless the length can say how many bytes follow it. */
  check(method: string, name: string, following: number): void {
    const most = largest(this.fixedSize);
    const value = following - this.adjustment;
    if (value >= 0 && value <= most) return;
    const [lowest, highest] = [Math.max(0, this.adjustment), most + this.adjustment];
    const range = `from ${lowest} to ${highest} bytes after its length`;
    throw new RangeError(`${method}: ${name} must have ${range}, which the length can say, got ${following}`);
  }
}

/** Returns the largest length that a prefix can say. */
function largest(prefix: number | "varint"): number {
  return typeof prefix === "number" && prefix > 0 && prefix < 8 ? 256 ** prefix - 1 : Number.MAX_SAFE_INTEGER;
}

/** Checks a limit. One that no frame can reach is probably meant for a longer prefix. */
function checkLimit(method: string, limit: unknown, prefix: unknown, adjustment: number, most: number): void {
  checkInteger(method, "limit", limit, 1, undefined, "bytes");
  if (typeof prefix !== "number" || prefix === 8 || limit <= most + adjustment) return;
  const said = `a length of ${prefix} ${prefix === 1 ? "byte" : "bytes"}${
    adjustment === 0 ? "" : " and the adjustment"
  }`;
  throw new RangeError(
    `${method}: limit must be from 1 to ${most + adjustment} bytes, the most that ${said} can say, got ${limit}`,
  );
}
