import { InvalidStateError } from "../errors.ts";
import type { ReadTransport } from "../transports/mod.ts";
import type { UnreadBytes } from "../unread_bytes.ts";
import { ByteQueue, type Bytes } from "./byte_queue.ts";

/** The reading half of a connection: what has arrived, and who waits for it. */
export class ReadSide {
  readonly queue: ByteQueue = new ByteQueue();
  readonly limit: number;
  /** The peer has ended its side, or the connection has ended in order. */
  ended = false;
  /** What has ended the connection. It is thrown once no bytes are left. */
  error: Error | null = null;
  transport: ReadTransport | null = null;

  /** Reading is paused as soon as bytes wait, so that later ones go to where they are wanted. */
  direct = false;
  /** The buffer of the BYOB reader that waits. */
  view: Uint8Array | null = null;
  /** How many bytes were read into `view`. */
  filled = 0;

  /** Whether `readable` itself holds bytes: those of a read that was given up by `releaseLock()`. */
  holdsBytes: (() => boolean) | null = null;

  /** Ends the wait of `readable` if its reader has released its lock. */
  letGo: (() => void) | null = null;

  /** A read is in progress. */
  #busy = false;
  /** The `undo` of that read. */
  #undo: (() => void) | undefined;
  #wake: (() => void) | null = null;
  #paused = false;
  #discarding = false;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Adds bytes, and pauses reading if that is more than twice the limit. */
  feed(bytes: Bytes): void {
    if (this.#discarding) return;
    this.queue.push(bytes);
    this.#wake?.();
    if (this.queue.size > (this.direct ? 0 : 2 * this.limit) && !this.#paused) this.#pause();
  }

  /** The first bytes of `view` are there. */
  fill(count: number): void {
    this.filled = count;
    this.#wake?.();
  }

  /** The stream has ended in order. */
  end(): void {
    this.ended = true;
    this.#wake?.();
  }

  /** The stream has ended with an error. */
  fail(error: Error): void {
    this.error = error;
    this.#wake?.();
  }

  /** Drops what has arrived, and reads no more. */
  discard(): void {
    this.#discarding = true;
    this.queue.drop(this.queue.size);
    if (!this.#paused) this.#pause();
  }

  /** The transport was replaced by one that is not paused. */
  replaceTransport(transport: ReadTransport): void {
    this.transport = transport;
    this.#paused = this.direct = false;
    if (this.queue.size > 2 * this.limit || this.#discarding) this.#pause();
  }

  /** Takes all bytes that were not returned, those of a read that waits for more included: it begins anew. */
  takeUnread(): UnreadBytes {
    // What comes next belongs to TLS, and may already be on its way into the reader's buffer.
    if (this.view !== null) {
      throw new InvalidStateError("startTls() cannot be called while a BYOB read of readable waits");
    }
    // They cannot be taken back, and would be read as if they had come over TLS.
    if (this.holdsBytes?.()) {
      throw new InvalidStateError("startTls() cannot be called while readable holds bytes of a read that was given up");
    }
    this.#undo?.();
    const bytes = this.queue.take(this.queue.size);
    return { bytes, putBack: () => this.queue.unshift(bytes) };
  }

  /**
   * Runs a read: calls `attempt` until it returns something else than `undefined`, which means that more bytes are needed.
   * `undo` puts bytes back that an unsuccessful read has taken, and lets it begin anew.
   */
  run<T>(method: string, signal: AbortSignal | undefined, attempt: () => T | undefined, undo?: () => void): Promise<T> {
    if (this.#busy) this.letGo?.();
    if (this.#busy) return Promise.reject(busyError(method));
    if (signal !== undefined) return this.#runSlowly(signal, attempt, undo);
    try {
      const result = attempt();
      if (result === undefined) return this.#runSlowly(undefined, attempt, undo);
      this.resumeIfLow();
      return Promise.resolve(result);
    } catch (error) {
      undo?.();
      this.resumeIfLow();
      return Promise.reject(error);
    }
  }

  async #runSlowly<T>(
    signal: AbortSignal | undefined,
    attempt: () => T | undefined,
    undo: (() => void) | undefined,
  ): Promise<T> {
    this.#busy = true;
    this.#undo = undo;
    try {
      for (;;) {
        signal?.throwIfAborted();
        const result = attempt();
        if (result !== undefined) return result;
        await this.#more(signal);
      }
    } catch (error) {
      undo?.();
      throw error;
    } finally {
      this.#busy = false;
      this.#undo = undefined;
      this.resumeIfLow();
    }
  }

  /** Throws if a read waits. */
  checkIdle(method: string): void {
    if (this.#busy) throw busyError(method);
  }

  /** Calls a function when something has arrived, once: a wait without a promise. Other reads reject meanwhile. */
  wait(then: () => void): void {
    this.#busy = true;
    this.#wake = () => {
      this.stopWaiting();
      then();
    };
    if (this.#paused && !this.#discarding) this.#resume();
  }

  /** Ends the wait of `wait()`. */
  stopWaiting(): void {
    this.#busy = false;
    this.#wake = null;
  }

  /** Waits until something has arrived. A paused transport is resumed: a read may need more than the limit. */
  #more(signal: AbortSignal | undefined): Promise<void> {
    if (this.#paused && !this.#discarding) this.#resume();
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#wake = null;
        reject(signal!.reason);
      };
      this.#wake = () => {
        this.#wake = null;
        signal?.removeEventListener("abort", onAbort);
        resolve();
      };
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Resumes reading if few bytes are left. */
  resumeIfLow(): void {
    if (this.#paused && this.queue.size <= this.limit && !this.#discarding && !this.direct) this.#resume();
  }

  #pause(): void {
    this.#paused = true;
    this.transport?.pauseReading();
  }

  #resume(): void {
    this.#paused = false;
    this.transport?.resumeReading();
  }
}

function busyError(method: string): InvalidStateError {
  return new InvalidStateError(`${method} cannot be called while another read waits for bytes`);
}
