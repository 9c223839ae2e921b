/** The writing half of a stream: the write buffer, flushing and flow control. */
import { DrainInterrupted, SendfileError, toError } from "../errors.ts";
import type { FileSource } from "./file_source.ts";
import { DEFAULT_HIGH, FlowControl } from "./flow_control.ts";
import type { StreamHandle } from "./stream_handle.ts";
import type { WriteBufferLimits } from "./transport.ts";
import { WriteQueue } from "./write_queue.ts";

/** The connection, for its sender. */
export interface SenderHost {
  readonly handle: StreamHandle;
  /** Whether a data callback runs; `flush()` is called after it. */
  readonly dispatching: boolean;
  /** The handle failed to write. */
  fail(error: Error): void;
  callFlowControl(name: "pauseWriting" | "resumeWriting"): void;
  /** The write buffer is empty. */
  emptied(): void;
}

/** Writes of this many bytes or more are tried at once. Smaller ones are cheap to copy, and can be joined. */
const TRY_FROM = 16 * 1024;
/** Owned arrays of fewer bytes are tried at once like others: none of them is a window, which is lent until it is sent. */
const TRY_OWNED_BELOW = 4 * 1024;
/** After so many data callbacks with one write each, the first write of the next is tried at once: nothing is copied. */
const LIKELY_ALONE = 32;
/** So many more callbacks it takes after a second write has followed, which was then sent on its own. */
const MISTAKE = 4 * LIKELY_ALONE;
const NOTHING = new Uint8Array(0);

/** What only some senders need: those that have had to wait, have sent a file, or have ended with bytes unsent. */
class SenderState {
  /** When `pauseWriting` was called last. */
  pausedAt = 0;
  /** The file of which a part is pending. */
  file: FileSource | null = null;
  dropped = 0;
  error: Error | null = null;
  drainWaiter: { level: number; resolve(): void; reject(error: DrainInterrupted): void } | null = null;
  // Created for the first write that completes later, so that further writes create no closures.
  onWritten: ((count: number) => void) | null = null;
  onWriteFailed: ((error: unknown) => void) | null = null;
}

/**
 * Writes bytes to the handle of a connection. Small writes in one callback are joined.
 *
 * What most connections do without is created on demand, and the queue is a base class, to keep idle connections small.
 */
export class StreamSender extends WriteQueue {
  /** The number of bytes that the handle has taken, those of earlier senders of the connection included. */
  sent: number;

  #host: SenderHost;
  /** Created when more is buffered than by default, or limits are set. */
  #flow: FlowControl | null = null;
  /** A write of the handle, or a part of a file, is pending. */
  #writing = false;
  #flushScheduled = false;
  /** The small writes of the current data callback. */
  #writes = 0;
  /** How many data callbacks in a row have written once; below 0 after one that has written more often. */
  #alone = 0;
  /** Created for the first write outside of a callback. */
  #onDue: (() => void) | null = null;
  #stopped = false;
  #state: SenderState | null = null;

  constructor(host: SenderHost, sent = 0) {
    super();
    this.sent = sent;
    this.#host = host;
  }

  /** When `pauseWriting` was called last. */
  get pausedAt(): number {
    return this.#state?.pausedAt ?? 0;
  }

  set pausedAt(time: number) {
    this.#needState().pausedAt = time;
  }

  /** The number of buffered bytes that `drop()` has dropped. */
  get dropped(): number {
    return this.#state?.dropped ?? 0;
  }

  /** Whether bytes wait for the handle, or a part of a file does. */
  get waiting(): boolean {
    return this.size > 0 || this.#file !== null;
  }

  /** `pauseWriting` was called, and `resumeWriting` was not. */
  get paused(): boolean {
    return this.#flow !== null && this.#flow.paused;
  }

  get limits(): [low: number, high: number] {
    return this.#needFlow().limits;
  }

  setLimits(limits: WriteBufferLimits): void {
    this.#needFlow().setLimits(limits);
    this.#pauseIfFull();
  }

  /** Sends a copy of bytes. */
  copy(data: Uint8Array): void {
    if (data.length === 0) return;
    const rest = data.length >= TRY_FROM || this.#isLikelyAlone() ? this.#tryWrite(data) : data;
    if (rest.length === 0) return;
    this.pushCopy(rest);
    this.#afterPush();
  }

  /** Sends bytes without a copy, and owns them. */
  own(data: Uint8Array): void {
    if (data.length === 0) return;
    const rest = data.length < TRY_OWNED_BELOW && this.#isLikelyAlone() ? this.#tryWrite(data) : data;
    if (rest.length === 0) return;
    this.pushOwned(rest);
    this.#afterPush();
  }

  /** Sends copies of several pieces as one write. */
  copyAll(pieces: Uint8Array[]): void {
    const before = this.size;
    let left = 0;
    for (const piece of pieces) left += piece.length;
    for (const piece of pieces) {
      const rest = piece.length >= TRY_FROM ? this.#tryWrite(piece) : piece;
      if (rest.length > 0 && !this.#stopped) this.pushCopy(rest, left);
      left -= piece.length;
    }
    if (this.size > before) this.#afterPush();
  }

  /** Waits until at most `level` bytes are buffered. One caller at a time. Rejects with `DrainInterrupted`. */
  drained(level: number): Promise<void> {
    if (this.#stopped) return Promise.reject(new DrainInterrupted(this.dropped, this.#state?.error ?? null));
    if (this.size <= level) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#needState().drainWaiter = { level, resolve, reject };
    return promise;
  }

  /**
   * Sends a part of a file. Called while the buffer is empty; what is written meanwhile follows the part.
   *
   * @returns The number of bytes that were sent, 0 at the end of the file; `null` if the connection failed, or
   * `interruptFile()` was called.
   */
  async sendFile(source: FileSource, offset: number, count: number): Promise<number | null> {
    this.#writing = true;
    const state = this.#needState();
    state.file = source;
    try {
      const sent = await source.send(offset, count);
      this.sent += sent;
      return sent === 0 && state.file !== source ? null : sent;
    } catch (error) {
      if (error instanceof SendfileError || error instanceof Deno.errors.NotSupported) throw error;
      this.#host.fail(toError(error));
      return null;
    } finally {
      if (state.file === source) {
        state.file = null;
        this.#writing = false;
        if (this.size > 0) this.flush();
      }
    }
  }

  /** Sends no more of a pending part of a file, because the writing half ends. What was written meanwhile is sent. */
  interruptFile(): void {
    const state = this.#state;
    if (state === null || state.file === null) return;
    state.file.cancel();
    state.file = null;
    this.#writing = false;
    if (this.size > 0) this.#scheduleFlush();
  }

  /** Writes the buffer to the handle, unless a write is pending. */
  flush(): void {
    this.#flushScheduled = false;
    if (this.#writes > 0) {
      this.#alone = this.#writes === 1 ? Math.min(this.#alone + 1, LIKELY_ALONE) : -MISTAKE;
      this.#writes = 0;
    }
    if (this.#writing || this.#stopped || this.size === 0) return;
    while (this.size > 0) {
      let result: number | Promise<number>;
      try {
        result = this.#host.handle.write(this.next());
        if (typeof result !== "number") {
          const state = this.#needState();
          if (state.onWritten === null) this.#createCallbacks(state);
          result.then(state.onWritten, state.onWriteFailed);
          this.#writing = true;
          return;
        }
      } catch (error) {
        // For example, the former owner has detached an owned array, or a pipe returns no promise.
        this.#host.fail(toError(error));
        return;
      }
      // The handle may have failed meanwhile, and with it the connection, whose buffer is dropped.
      if (this.#stopped) return;
      if (!this.#taken(result)) return;
    }
    this.#afterDrain();
  }

  /** Drops the buffer, because of an error or, if `null`, because of `abort()`. */
  drop(error: Error | null): void {
    this.interruptFile();
    if (this.#state !== null || this.size > 0 || error !== null) {
      const state = this.#needState();
      state.drainWaiter?.reject(new DrainInterrupted(this.size, error));
      state.drainWaiter = null;
      state.dropped = this.size;
      state.error = error;
    }
    this.clear(this.#writing);
  }

  /** Stops writing for good. */
  stop(): void {
    this.#stopped = true;
  }

  /** Creates both in one place, so that they share one context. */
  #createCallbacks(state: SenderState): void {
    state.onWritten = (count) => this.#written(count);
    state.onWriteFailed = (error) => {
      this.#writing = false;
      this.settle();
      this.#host.fail(toError(error));
    };
  }

  /** Reports whether a small write is likely to be the only one of this data callback. That saves 90 ns of a 1 KiB echo. */
  #isLikelyAlone(): boolean {
    return this.#host.dispatching && ++this.#writes === 1 && this.#alone === LIKELY_ALONE;
  }

  /** Writes at once from the caller's memory, if the handle can and the buffer is empty. Returns the rest. */
  #tryWrite(data: Uint8Array): Uint8Array {
    const { handle } = this.#host;
    if (handle.tryWrite === undefined || this.size > 0 || this.#writing || this.#stopped) return data;
    try {
      const count = handle.tryWrite(data);
      this.sent += count;
      return count === data.length ? NOTHING : data.subarray(count);
    } catch (error) {
      this.#host.fail(toError(error));
      return NOTHING;
    }
  }

  #afterPush(): void {
    if (!this.#writing) this.#scheduleFlush();
    this.#pauseIfFull();
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#host.dispatching) return;
    this.#flushScheduled = true;
    // A microtask for each sender, so that each runs in the AsyncLocalStorage context of its writer.
    queueMicrotask(this.#onDue ??= () => this.flush());
  }

  #pauseIfFull(): void {
    if (this.#flow === null && this.size <= DEFAULT_HIGH) return;
    if (this.#needFlow().mustPause(this.size)) this.#host.callFlowControl("pauseWriting");
  }

  /** Removes written bytes from the buffer. A write of no bytes fails, because repeating it would never end. */
  #taken(count: number): boolean {
    if (count > 0) {
      this.sent += count;
      this.advance(count);
    } else {
      this.#host.fail(new Deno.errors.WriteZero("a write took no bytes"));
    }
    return count > 0;
  }

  #written(count: number): void {
    this.#writing = false;
    if (this.#stopped) {
      this.settle();
      return;
    }
    if (!this.#taken(count)) return;
    if (this.size > 0) this.flush();
    this.#afterDrain();
  }

  /** Tells those who wait for a smaller buffer. */
  #afterDrain(): void {
    const size = this.size;
    const state = this.#state;
    if (state !== null && state.drainWaiter !== null && size <= state.drainWaiter.level) {
      state.drainWaiter.resolve();
      state.drainWaiter = null;
    }
    if (this.#flow !== null && this.#flow.mustResume(size)) this.#host.callFlowControl("resumeWriting");
    // Not `size`, because resumeWriting() may have written.
    if (this.size === 0) this.#host.emptied();
  }

  get #file(): FileSource | null {
    return this.#state === null ? null : this.#state.file;
  }

  #needState(): SenderState {
    return this.#state ??= new SenderState();
  }

  #needFlow(): FlowControl {
    return this.#flow ??= new FlowControl();
  }
}
