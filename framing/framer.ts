import { checkBytes, checkInteger } from "../checks.ts";
import { InvalidStateError } from "../errors.ts";
import { FrameTooLongError } from "./frame_too_long_error.ts";

/** The first memory to read into, in bytes. An idle connection has no more. */
const FIRST_SIZE = 4 * 1024;
/** The memory to read into once reads have filled smaller memory, in bytes. */
const FULL_SIZE = 64 * 1024;
/** Memory larger than this is dropped when its frame has ended, in bytes. */
const KEPT_SIZE = 256 * 1024;

const NOTHING = new Uint8Array(0);

/**
 * Divides bytes into frames, without a transport. Extend this class for a format of your own, and pass an instance to
 * {@linkcode FrameProtocol}.
 *
 * Bytes come by {@linkcode Framer.push}, which copies them, or without a copy by {@linkcode Framer.getBuffer} and
 * {@linkcode Framer.bufferUpdated}. Iterate over the framer after each of these. A loop that you leave early can be
 * continued by another. A frame of bytes is a view of the framer's memory, and valid until the next call of `push`,
 * `getBuffer` or `unread`: use `frame.slice()` to keep it.
 *
 * @typeParam F The type of the frames.
 *
 * @example Frames of a type and a value of two bytes
 * ```ts
 * import { Framer } from "@tandem/io/framing";
 *
 * class Settings extends Framer<[type: number, value: number]> {
 *   protected override parse(): [number, number] | undefined {
 *     if (this.end - this.start < 3) return undefined; // wait for more bytes
 *     const [type = 0, high = 0, low = 0] = this.bytes.subarray(this.start, this.end);
 *     this.start += 3;
 *     return [type, high * 256 + low];
 *   }
 *   override encode([type, value]: [number, number]) {
 *     return [Uint8Array.of(type, value >> 8, value & 255)];
 *   }
 * }
 *
 * const framer = new Settings();
 * framer.push(Uint8Array.of(1, 0, 7, 2, 1));
 * console.log([...framer]); // [[1, 7]]
 * ```
 */
export abstract class Framer<F> implements Iterable<F> {
  /** The memory that holds the bytes. */
  protected bytes: Uint8Array = NOTHING;
  /** Where the first byte that is not parsed is, in `bytes`. */
  protected start = 0;
  /** Where the bytes that were received end, in `bytes`. */
  protected end = 0;
  /** The size in bytes of the whole frame that `parse` waits for; 0 if it is not known. */
  protected needed = 0;
  /** How many bytes are still to be dropped, because their frame is too long. */
  protected skipping = 0;

  #lent: Uint8Array | null = null;
  #error: Error | null = null;
  #renew = false;
  #readSize = FIRST_SIZE;
  #ended = 0;

  /**
   * Called with the error of each frame that is skipped because it is too long. If it is `undefined`, the error is thrown.
   */
  onTooLong: ((error: FrameTooLongError) => void) | undefined;

  /**
   * Creates a framer.
   *
   * @param onTooLong Called for each frame that is too long, which is then skipped. If it is left out, the error is thrown.
   */
  constructor(onTooLong?: (error: FrameTooLongError) => void) {
    this.onTooLong = onTooLong;
  }

  /**
   * Parses the frame that begins at `start`, and moves `start` to its end.
   *
   * @returns The frame, or `undefined` if its end has not been received. `needed` may then say how many bytes it has.
   */
  protected abstract parse(): F | undefined;

  /**
   * Returns the bytes to send for a frame, in pieces, for `transport.writelines()`.
   *
   * @param frame The frame. A piece can be a view of it.
   */
  abstract encode(frame: F): Uint8Array[];

  /** The number of bytes that were received and are not part of a frame yet. */
  get buffered(): number {
    return this.end - this.start;
  }

  /** The number of frames that have ended, those that were skipped included. */
  get ended(): number {
    return this.#ended;
  }

  /** Whether a frame has begun that has not ended. Ask after {@linkcode nextFrame} has returned `undefined`. */
  get pending(): boolean {
    return this.end > this.start || this.skipping > 0;
  }

  /**
   * Adds bytes. Iterate over the frames after each call: the framer holds all bytes that are not parsed.
   *
   * @param bytes The bytes. They are copied.
   * @throws {TypeError} If `bytes` is not a `Uint8Array`.
   * @throws The error of an earlier frame, if it was invalid or too long.
   */
  push(bytes: Uint8Array): void {
    checkBytes("push()", "bytes", bytes);
    if (this.#error !== null) throw this.#error;
    this.#append(bytes);
  }

  /**
   * Returns memory to receive bytes in, as `getBuffer` of a protocol does.
   *
   * @param _sizeHint Is ignored: the framer knows what it needs.
   * @returns The memory. Nothing else may be called until the bytes are there and {@linkcode bufferUpdated} is called.
   */
  getBuffer(_sizeHint?: number): Uint8Array {
    const rest = this.end - this.start;
    const least = this.#readSize >> 2;
    // Memory grows with what was received, and not with what a peer announces.
    const missing = Math.min(this.needed - rest, 3 * rest);
    this.#reserve(least, missing > 0 ? missing : rest);
    return this.#lent = this.end === 0 ? this.bytes : this.bytes.subarray(this.end);
  }

  /**
   * Adds the bytes that were received in the memory that `getBuffer` returned.
   *
   * @param nbytes The number of bytes.
   * @throws {InvalidStateError} If `getBuffer` was not called before.
   * @throws {RangeError} If the memory has not as many bytes.
   */
  bufferUpdated(nbytes: number): void {
    const lent = this.#lent;
    if (lent === null) throw new InvalidStateError("bufferUpdated(): getBuffer() must be called before");
    checkInteger("bufferUpdated()", "nbytes", nbytes, 0, lent.length);
    this.#lent = null;
    if (nbytes === lent.length && this.#readSize < FULL_SIZE) this.#readSize *= 4;
    const { bytes } = this;
    if (lent.buffer === bytes.buffer && lent.byteOffset === bytes.byteOffset + this.end) this.end += nbytes;
    // Bytes were taken or put back since getBuffer().
    else this.#append(lent.subarray(0, nbytes));
  }

  /**
   * Returns the next frame.
   *
   * @returns The frame, or `undefined` if it has not been received completely.
   * @throws {FrameTooLongError} If the frame is longer than the limit. From then on, each call throws.
   * @throws {InvalidFrameError} If the bytes are not a frame. From then on, each call throws.
   */
  nextFrame(): F | undefined {
    if (this.#error !== null) throw this.#error;
    this.needed = 0;
    if (this.skipping > 0 && !this.skip()) return undefined;
    if (this.start === this.end) {
      this.#dropLarge();
      return undefined;
    }
    const frame = this.parse();
    if (frame !== undefined) this.#ended++;
    return frame;
  }

  /**
   * Takes bytes that are not framed, such as a body after its header.
   *
   * @param max The largest number of bytes to take; all by default.
   * @returns The bytes, which can be none. They are a view, and valid as long as a frame is.
   * @throws {RangeError} If `max` is negative.
   */
  takeBytes(max = Infinity): Uint8Array {
    if (max !== Infinity) checkInteger("takeBytes()", "max", max, 0);
    const stop = Math.min(this.start + max, this.end);
    const taken = this.bytes.subarray(this.start, stop);
    this.start = stop;
    this.rewound();
    return taken;
  }

  /**
   * Puts bytes back, before all others. Bytes at the end of what `takeBytes` returned last are not copied.
   *
   * @param bytes The bytes.
   * @throws {TypeError} If `bytes` is not a `Uint8Array`.
   */
  unread(bytes: Uint8Array): void {
    checkBytes("unread()", "bytes", bytes);
    const { bytes: held, start } = this;
    const isTail = bytes.buffer === held.buffer && bytes.byteOffset + bytes.length === held.byteOffset + start;
    if (isTail && bytes.length <= start) {
      this.start -= bytes.length;
    } else {
      const whole = new Uint8Array(bytes.length + this.buffered);
      whole.set(bytes);
      whole.set(held.subarray(start, this.end), bytes.length);
      this.bytes = whole;
      this.start = 0;
      this.end = whole.length;
    }
    this.rewound();
  }

  /** Uses other memory from now on: the frames that were returned stay valid. */
  releaseMemory(): void {
    this.#renew = true;
  }

  /** Iterates over the frames that were received completely. */
  [Symbol.iterator](): Iterator<F, undefined> {
    return {
      next: () => {
        const value = this.nextFrame();
        return value === undefined ? { done: true, value: undefined } : { done: false, value };
      },
    };
  }

  /** Called after bytes were moved, taken or put back: what a subclass remembers about `bytes` is no longer true. */
  protected rewound(): void {}

  /** Drops bytes of a frame that is too long, and reports whether all of them have been dropped. */
  protected skip(): boolean {
    const count = Math.min(this.skipping, this.end - this.start);
    this.start += count;
    this.skipping -= count;
    if (this.skipping > 0) return false;
    this.#ended++;
    return true;
  }

  /**
   * Ends parsing because of an error, for good.
   *
   * @param error The error that is thrown now and later.
   */
  protected fail(error: Error): never {
    this.#error = error;
    this.bytes = NOTHING;
    this.start = this.end = 0;
    this.rewound();
    throw error;
  }

  /**
   * Reports a frame that is too long. If this returns, skip the frame.
   *
   * @param limit The limit, in bytes.
   * @param length The length of the frame, or `null`.
   * @throws {FrameTooLongError} If frames that are too long are not skipped.
   */
  protected tooLong(limit: number, length: number | null): void {
    const error = new FrameTooLongError(limit, length);
    if (this.onTooLong === undefined) this.fail(error);
    this.onTooLong(error);
  }

  /** Counts a frame that was skipped, if `skip` has not done it. */
  protected skipped(): void {
    this.#ended++;
  }

  #append(data: Uint8Array): void {
    this.#reserve(data.length, this.end - this.start);
    this.bytes.set(data, this.end);
    this.end += data.length;
  }

  /** Drops memory that a large frame needed: the peer may be silent from now on. */
  #dropLarge(): void {
    if (this.bytes.length <= KEPT_SIZE || this.#lent !== null) return;
    this.bytes = NOTHING;
    this.start = this.end = 0;
    this.rewound();
  }

  /**
   * Makes room for `least` bytes at `end`, and for `more` bytes if memory is allocated. Each byte of a frame is moved once at
   * most, and again when memory has doubled.
   */
  #reserve(least: number, more: number): void {
    const { bytes, start, end } = this;
    const rest = end - start;
    if (rest === 0 && start > 0 && this.#lent === null) {
      this.start = this.end = 0;
      this.rewound();
    }
    // A quarter, because memory doubles while a frame grows.
    const oversized = bytes.length > KEPT_SIZE && (rest + least) * 4 < bytes.length;
    const usable = !this.#renew && bytes.length >= this.#readSize && !oversized;
    if (usable && bytes.length - this.end >= least) return;
    if (usable && bytes.length - rest >= least) {
      bytes.copyWithin(0, start, end);
    } else {
      const larger = new Uint8Array(Math.max(this.#readSize, rest + least + more));
      larger.set(bytes.subarray(start, end));
      this.bytes = larger;
      this.#renew = false;
    }
    this.start = 0;
    this.end = rest;
    this.rewound();
  }
}
