import type { Transport } from "../transports/mod.ts";

/** The writing half of a connection: its flow control, and its end. */
export class WriteSide {
  transport!: Transport;
  /** `writeEof()` was called. */
  ended = false;
  /** `connectionLost` was called, or that of the pipe that is written to. */
  lost = false;
  error: Error | null = null;
  /** Resolves at `connectionLost`, or rejects with its error. */
  readonly closed: Promise<void>;
  /** Called when `connectionLost` is called. */
  onLost: ((error: Error | null) => void) | null = null;

  #paused = false;
  #waiters = new Set<(error: Error | null) => void>();
  #closed = Promise.withResolvers<void>();

  constructor() {
    this.closed = this.#closed.promise;
    // A program need not look at it.
    this.closed.catch(() => {});
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#release(null);
  }

  /** Nothing more can be written. */
  cut(error: Error | null): void {
    if (this.lost) return;
    this.lost = true;
    this.error = error;
    this.#release(error);
    this.onLost?.(error);
  }

  /** `connectionLost` was called. */
  lose(error: Error | null): void {
    this.cut(error);
    if (error === null) this.#closed.resolve();
    else this.#closed.reject(error);
  }

  /** Returns the error of a write after the end. */
  lostError(method: string): Error {
    return this.error ?? new Deno.errors.ConnectionReset(`${method}: the connection is closed`);
  }

  /** Ends the writing half, or the connection if it cannot end one half alone. */
  end(): void {
    this.ended = true;
    if (this.transport.canWriteEof()) this.transport.writeEof();
    else this.transport.close();
  }

  /** Waits until the write buffer is no longer too large; `null` if it is not. */
  drained(signal?: AbortSignal): Promise<void> | null {
    if (!this.#paused || this.lost) return null;
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiters.delete(waiter);
        reject(signal!.reason);
      };
      const waiter = (error: Error | null) => {
        signal?.removeEventListener("abort", onAbort);
        if (error === null) resolve();
        else reject(error);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  #release(error: Error | null): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter(error);
  }
}
