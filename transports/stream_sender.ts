/**
 * The writing half of a stream: what waits, when it leaves, and when the protocol should wait.
 *
 * @module
 */
import { DrainInterrupted, toError } from "../errors.ts";
import { FlowControl } from "./flow_control.ts";
import type { StreamHandle } from "./stream_handle.ts";
import type { WriteBufferLimits } from "./transport.ts";
import { WriteQueue } from "./write_queue.ts";

/** What the sender asks of its connection. */
export interface SenderHost {
  /** Whether a data callback runs, after which `flush()` is called. */
  readonly dispatching: boolean;
  /** The handle failed to write. */
  fail(error: Error): void;
  /** The buffer has passed one of its limits. */
  callFlowControl(name: "pauseWriting" | "resumeWriting"): void;
  /** All has been written. */
  emptied(): void;
}

/** From this many bytes on, a write is tried before it is copied. Smaller ones are cheap to copy, and may be joined. */
const TRY_FROM = 16 * 1024;

/** Takes bytes to a handle, all small ones of a callback at once. */
export class StreamSender {
  #handle: StreamHandle;
  #host: SenderHost;
  #queue = new WriteQueue();
  #flow = new FlowControl();
  /** A write is in the handle's hands. */
  #writing = false;
  #flushScheduled = false;
  /** Made for the first write outside of a callback. */
  #onDue: (() => void) | null = null;
  #stopped = false;
  /** How many bytes were accepted that will never be written, and why. */
  #dropped = 0;
  #error: Error | null = null;
  #drainWaiter: { level: number; resolve(): void; reject(error: DrainInterrupted): void } | null = null;

  // Bound once for each connection, so that a write makes no closure.
  #onWritten: (count: number) => void;
  #onWriteFailed: (error: unknown) => void;

  constructor(handle: StreamHandle, host: SenderHost) {
    this.#handle = handle;
    this.#host = host;
    // Both here, so that they share the memory that a closure keeps.
    this.#onWritten = (count) => this.#written(count);
    this.#onWriteFailed = (error) => {
      this.#writing = false;
      this.#queue.settle();
      this.#host.fail(toError(error));
    };
  }

  /** How many bytes wait, those in the handle's hands included. */
  get size(): number {
    return this.#queue.size;
  }

  /** How many bytes were accepted that will never be written. */
  get dropped(): number {
    return this.#dropped;
  }

  /** `[low, high]`, in bytes. */
  get limits(): [low: number, high: number] {
    return this.#flow.limits;
  }

  /** Sets the limits, and pauses the protocol if they are passed already. */
  setLimits(limits: WriteBufferLimits): void {
    this.#flow.setLimits(limits);
    this.#pauseIfFull();
  }

  /**
   * Sends a copy.
   *
   * @param data The bytes; the caller's again afterwards.
   */
  copy(data: Uint8Array): void {
    const rest = data.length >= TRY_FROM ? this.#tryWrite(data) : data;
    if (rest.length === 0) return;
    this.#queue.pushCopy(rest);
    this.#afterPush();
  }

  /** Sends bytes that are nobody else's. */
  own(data: Uint8Array): void {
    if (data.length === 0) return;
    this.#queue.pushOwned(data);
    this.#afterPush();
  }

  /** Sends copies of several pieces as if they were one. */
  copyAll(pieces: Uint8Array[]): void {
    const before = this.#queue.size;
    for (const piece of pieces) {
      const rest = piece.length >= TRY_FROM ? this.#tryWrite(piece) : piece;
      if (rest.length > 0 && !this.#stopped) this.#queue.pushCopy(rest);
    }
    if (this.#queue.size > before) this.#afterPush();
  }

  /** Waits for the buffer to drain. One caller at a time. */
  drained(level: number): Promise<void> {
    if (this.#stopped) return Promise.reject(new DrainInterrupted(this.#dropped, this.#error));
    if (this.#queue.size <= level) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#drainWaiter = { level, resolve, reject };
    return promise;
  }

  /** Gives the handle what waits, unless it is at work. */
  flush(): void {
    this.#flushScheduled = false;
    if (this.#writing || this.#stopped) return;
    while (this.#queue.size > 0) {
      let result: number | Promise<number>;
      try {
        result = this.#handle.write(this.#queue.next());
        if (typeof result !== "number") {
          result.then(this.#onWritten, this.#onWriteFailed);
          this.#writing = true;
          return;
        }
      } catch (error) {
        // An owned array that its former owner has detached, say, or a pipe that returns no promise.
        this.#host.fail(toError(error));
        return;
      }
      if (!this.#taken(result)) return;
    }
    this.#afterDrain();
  }

  /**
   * Drops what waits.
   *
   * @param error Why; `null` for `abort()`.
   */
  drop(error: Error | null): void {
    this.#drainWaiter?.reject(new DrainInterrupted(this.#queue.size, error));
    this.#drainWaiter = null;
    this.#dropped = this.#queue.size;
    this.#error = error;
    this.#queue.clear(this.#writing);
  }

  /** Nothing is written any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** Writes at once, straight from the caller's memory, if the handle can and nothing waits. */
  #tryWrite(data: Uint8Array): Uint8Array {
    if (this.#handle.tryWrite === undefined || this.#queue.size > 0 || this.#stopped) return data;
    try {
      return data.subarray(this.#handle.tryWrite(data));
    } catch (error) {
      this.#host.fail(toError(error));
      return data.subarray(data.length);
    }
  }

  #afterPush(): void {
    if (!this.#writing && !this.#flushScheduled && !this.#host.dispatching) {
      this.#flushScheduled = true;
      // A microtask for each sender, so that each goes on in the AsyncLocalStorage context of its own writer.
      queueMicrotask(this.#onDue ??= () => this.flush());
    }
    this.#pauseIfFull();
  }

  #pauseIfFull(): void {
    if (this.#flow.mustPause(this.#queue.size)) this.#host.callFlowControl("pauseWriting");
  }

  /** Takes note of bytes that have left; none at all would come back for ever. */
  #taken(count: number): boolean {
    if (count > 0) this.#queue.advance(count);
    else this.#host.fail(new Deno.errors.WriteZero("a write took no bytes"));
    return count > 0;
  }

  #written(count: number): void {
    this.#writing = false;
    if (this.#stopped) {
      this.#queue.settle();
      return;
    }
    if (!this.#taken(count)) return;
    if (this.#queue.size > 0) this.flush();
    this.#afterDrain();
  }

  /** Does what waits for the buffer to shrink. */
  #afterDrain(): void {
    const size = this.#queue.size;
    if (this.#drainWaiter !== null && size <= this.#drainWaiter.level) {
      this.#drainWaiter.resolve();
      this.#drainWaiter = null;
    }
    if (this.#flow.mustResume(size)) this.#host.callFlowControl("resumeWriting");
    // Asked anew, for resumeWriting() may have written.
    if (this.#queue.size === 0) this.#host.emptied();
  }
}
