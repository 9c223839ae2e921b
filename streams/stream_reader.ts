import { checkOptions, namesOf } from "../check_options.ts";
import { checkInteger, checkSignal } from "../checks.ts";
import { IncompleteReadError, LimitOverrunError } from "./errors.ts";
import type { ReadSide } from "./read_side.ts";
import { LINE_FEED, type Separator, type Separators, toSeparators } from "./separators.ts";

/** The options of every read. */
export interface ReadOptions {
  /** Cancels the read, which then rejects with the signal's reason. No bytes are lost: the next read gets them. */
  signal?: AbortSignal | undefined;
}

/** The options of reads up to a separator. */
export interface ReadUntilOptions extends ReadOptions {
  /**
   * The maximum number of bytes before the separator.
   *
   * @default {65536} the `limit` of the connection
   */
  limit?: number | undefined;
}

const READ_OPTIONS = namesOf<ReadOptions>({ signal: true });
const UNTIL_OPTIONS = namesOf<ReadUntilOptions>({ signal: true, limit: true });
const EMPTY: Uint8Array<ArrayBuffer> = new Uint8Array(0);
const NONE: ReadUntilOptions = {};

/**
 * Reads a connection with `await`. The methods are those of asyncio's `StreamReader`.
 *
 * These rules hold for all methods:
 *
 * - The bytes are yours: nothing overwrites them. Use `data` and not `data.buffer`, which can be larger.
 * - At the end of the stream, a read resolves to what is left, perhaps an empty array, or rejects with an
 *   {@linkcode IncompleteReadError} if it needs more.
 * - If the connection is lost, reads get the bytes that have arrived, and then the error of `connectionLost`.
 * - Only one read can wait at a time. Another one rejects with an `InvalidStateError`.
 * - While nothing is read, the reader keeps at most twice its limit and one read of the transport, and pauses the transport.
 */
export class StreamReader {
  #side: ReadSide;

  /** Called by {@linkcode StreamPair}. */
  constructor(side: ReadSide) {
    this.#side = side;
  }

  /**
   * Reads some bytes, or all.
   *
   * @param n The maximum number of bytes. Without it, everything up to the end of the stream is read.
   * @param options A signal.
   * @returns At least one byte, or an empty array at the end of the stream.
   */
  read(n?: number, options: ReadOptions = NONE): Promise<Uint8Array<ArrayBuffer>> {
    const method = "read()";
    const side = this.#side;
    const error = checkRead(method, options, n);
    if (error !== null) return Promise.reject(error);
    if (n === undefined) return this.#readAll(options.signal);
    return side.run(method, options.signal, () => {
      if (n === 0) return EMPTY;
      if (side.queue.size > 0) return side.queue.take(Math.min(n, side.queue.size));
      return this.#atEnd() ? EMPTY : undefined;
    });
  }

  /**
   * Reads exactly `n` bytes, in one buffer.
   *
   * @param n The number of bytes. It can be larger than the limit of the reader; a buffer of this size is allocated at once.
   * @param options A signal.
   * @returns The bytes.
   * @throws {IncompleteReadError} If the stream ends before.
   */
  readExactly(n: number, options: ReadOptions = NONE): Promise<Uint8Array<ArrayBuffer>> {
    const method = "readExactly()";
    const { queue } = this.#side;
    const error = checkRead(method, options, n, true);
    if (error !== null) return Promise.reject(error);
    let buffer: Uint8Array<ArrayBuffer> | null = null;
    let filled = 0;
    return this.#side.run(method, options.signal, () => {
      if (buffer === null) {
        if (queue.size >= n) return queue.take(n);
        buffer = new Uint8Array(n);
      }
      filled += queue.takeInto(filled === 0 ? buffer : buffer.subarray(filled));
      if (filled === n) return buffer;
      if (!this.#atEnd()) return undefined;
      const partial = buffer.subarray(0, filled);
      filled = 0;
      throw new IncompleteReadError(partial, n);
    }, () => {
      if (filled > 0) queue.unshift(buffer!.subarray(0, filled));
      buffer = null;
      filled = 0;
    });
  }

  /**
   * Reads up to a separator, which is part of the result.
   *
   * @param separator The separator, bytes or text. Of several separators in an array, the one that ends first counts, and of
   * those that end there the shortest.
   * @param options A limit and a signal.
   * @returns The bytes with the separator.
   * @throws {IncompleteReadError} If the stream ends before; `partial` is the rest.
   * @throws {LimitOverrunError} If more than `limit` bytes come before the separator. The bytes stay in the reader.
   */
  readUntil(
    separator: Separator | Separator[] = "\n",
    options: ReadUntilOptions = NONE,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const method = "readUntil()";
    try {
      checkUntil(method, options);
      const separators = toSeparators(method, separator);
      return this.#side.run(method, options.signal, ...this.#attemptUntil(separators, options.limit));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Reads a line, with the line feed at its end.
   *
   * @param options A limit and a signal.
   * @returns The line. At the end of the stream, what is left without a line feed, perhaps an empty array.
   * @throws {LimitOverrunError} If the line has more than `limit` bytes before its end. If the end has arrived, the line is
   * dropped, otherwise all that has arrived.
   */
  readLine(options: ReadUntilOptions = NONE): Promise<Uint8Array<ArrayBuffer>> {
    const { queue } = this.#side;
    const method = "readLine()";
    try {
      checkUntil(method, options);
    } catch (error) {
      return Promise.reject(error);
    }
    const [attempt, restart] = this.#attemptUntil(LINE_FEED, options.limit);
    return this.#side.run(method, options.signal, () => {
      try {
        return attempt();
      } catch (error) {
        if (error instanceof IncompleteReadError) return error.partial;
        if (!(error instanceof LimitOverrunError)) throw error;
        const { consumed } = error;
        queue.drop(queue.size > consumed && queue.indexOf(10, consumed) === consumed ? consumed + 1 : queue.size);
        throw error;
      }
    }, restart);
  }

  /**
   * Waits for the next `n` bytes, and leaves them in the reader.
   *
   * @param n The number of bytes. They are kept, so do not let the peer choose it.
   * @param options A signal.
   * @returns A copy of the bytes; fewer than `n` at the end of the stream.
   */
  peek(n: number, options: ReadOptions = NONE): Promise<Uint8Array<ArrayBuffer>> {
    const method = "peek()";
    const { queue } = this.#side;
    const error = checkRead(method, options, n, true);
    if (error !== null) return Promise.reject(error);
    return this.#side.run(method, options.signal, () => {
      if (queue.size < n && !this.#atEnd()) return undefined;
      return queue.peek(Math.min(n, queue.size));
    });
  }

  /** Reports whether the stream has ended and everything was read. */
  atEof(): boolean {
    return this.#side.ended && this.#side.queue.size === 0;
  }

  /**
   * Iterates over what arrives, in pieces of any size. Leaving the loop closes nothing.
   *
   * @param options A signal.
   * @returns The iterator.
   *
   * @example Usage
   * ```ts
   * import { openConnection } from "@tandem/io/streams";
   *
   * await using pair = await openConnection({ port: 8000 });
   * for await (const chunk of pair.reader) console.log(chunk.length, "bytes");
   * ```
   */
  async *chunks(options: ReadOptions = NONE): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    checkOptions("chunks()", options, READ_OPTIONS);
    checkSignal("chunks()", options.signal);
    const { queue } = this.#side;
    for (;;) {
      const chunk = await this.#side.run("chunks()", options.signal, () => {
        if (queue.size > 0) return queue.take(queue.headSize);
        return this.#atEnd() ? null : undefined;
      });
      if (chunk === null) return;
      yield chunk;
    }
  }

  /**
   * Iterates over the lines, as {@linkcode readLine} returns them. Leaving the loop closes nothing.
   *
   * @param options A limit and a signal.
   * @returns The iterator.
   *
   * @example Usage
   * ```ts
   * import { openConnection } from "@tandem/io/streams";
   *
   * await using pair = await openConnection({ port: 8000 });
   * for await (const line of pair.reader.lines()) console.log(new TextDecoder().decode(line).trimEnd());
   * ```
   */
  async *lines(options: ReadUntilOptions = NONE): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    checkUntil("lines()", options);
    for (;;) {
      const line = await this.readLine(options);
      if (line.length === 0) return;
      yield line;
    }
  }

  /** Iterates over what arrives, as {@linkcode chunks} does. */
  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    return this.chunks();
  }

  /** Reads up to the end. The pieces leave the queue, so that reading is never paused. */
  #readAll(signal: AbortSignal | undefined): Promise<Uint8Array<ArrayBuffer>> {
    const { queue } = this.#side;
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    let size = 0;
    const join = () => {
      const all = new Uint8Array(size);
      let offset = 0;
      for (const piece of pieces) {
        all.set(piece, offset);
        offset += piece.length;
      }
      return all;
    };
    return this.#side.run("read()", signal, () => {
      while (queue.size > 0) {
        const piece = queue.take(queue.headSize);
        size += piece.length;
        pieces.push(piece);
      }
      if (!this.#atEnd()) return undefined;
      return pieces.length === 1 ? pieces[0] : join();
    }, () => {
      queue.unshift(join());
      pieces.length = size = 0;
    });
  }

  /** Reports whether nothing more arrives. Throws the error that has ended the connection. */
  #atEnd(): boolean {
    const { error, ended } = this.#side;
    if (error !== null) throw error;
    return ended;
  }

  /** Returns what tries to read up to a separator, and what lets it begin anew. */
  #attemptUntil(
    separators: Separators,
    limit: number = this.#side.limit,
  ): [attempt: () => Uint8Array<ArrayBuffer> | undefined, restart: () => void] {
    const { queue } = this.#side;
    /** No separator begins before this place. */
    let offset = 0;
    const attempt = () => {
      let match = separators.find(queue, offset);
      while (match === null) {
        offset = Math.max(offset, queue.headSize + 1 - separators.longest);
        if (!queue.gather()) break;
        match = separators.find(queue, offset);
      }
      if (match !== null) {
        if (match.start <= limit) return queue.take(match.end);
        throw new LimitOverrunError(
          `the separator was found, but only after ${match.start} bytes; the limit is ${limit}`,
          match.start,
        );
      }
      if (offset > limit) {
        throw new LimitOverrunError(`no separator was found within the limit of ${limit} bytes`, offset);
      }
      if (!this.#atEnd()) return undefined;
      throw new IncompleteReadError(queue.take(queue.size), null);
    };
    return [attempt, () => void (offset = 0)];
  }
}

/** Returns the error of wrong arguments of a read; `null` if they are right. */
function checkRead(method: string, options: ReadOptions, n: number | undefined, required = false): Error | null {
  try {
    if (n !== undefined || required) checkInteger(method, "n", n, 0, undefined, "bytes");
    if (options !== NONE) {
      checkOptions(method, options, READ_OPTIONS);
      checkSignal(method, options.signal);
    }
    return null;
  } catch (error) {
    return error as Error;
  }
}

function checkUntil(method: string, options: ReadUntilOptions): void {
  if (options === NONE) return;
  checkOptions(method, options, UNTIL_OPTIONS);
  checkSignal(method, options.signal);
  if (options.limit !== undefined) checkInteger(method, "limit", options.limit, 1, undefined, "bytes");
}
