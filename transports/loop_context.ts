/** The part of the loop that transports use. */
import type { ServerState, TransportState } from "./inspection.ts";
import type { BaseCallbacks, BaseTransport } from "./transport.ts";

/** A scheduled callback. */
export interface Handle {
  /** Cancels the callback. Does nothing if the callback has run. */
  cancel(): void;
  /** Reports whether `cancel()` was called. */
  cancelled(): boolean;
}

/** A callback that is scheduled for a time. */
export interface TimerHandle extends Handle {
  /** Returns the time at which the callback is due, in milliseconds of the loop's clock, as for `callAt`. */
  when(): number;
  /** Keeps the process alive while the timer is pending, which is the default. */
  ref(): void;
  /** Lets the process end while the timer is pending. */
  unref(): void;
}

/** The argument of an exception handler. */
export interface ExceptionContext {
  /** A description, in a sentence. */
  message: string;
  /** The exception. A thrown value that is not an `Error` is its `cause`. */
  error?: Error;
  /**
   * The address of a peer that has failed, and can do so as often as it likes: its TLS handshake or PROXY header was refused,
   * and there is no transport yet; or a handler of `@tandem/io/streams` threw the error that ended the connection, or one
   * about bytes that did not come. The default handler prints the first of a flood.
   */
  peername?: Deno.Addr;
  /** The transport concerned. */
  transport?: BaseTransport;
  /** The protocol concerned. */
  protocol?: BaseCallbacks;
  /** The scheduled callback concerned. */
  handle?: Handle;
}

/** A loop, for its transports. */
export interface LoopContext {
  /** Whether debug mode is on. */
  readonly debug: boolean;
  /** Returns the time of the loop's clock, in milliseconds. */
  time(): number;
  /** Runs a callback in the next turn of the loop, after those scheduled before. */
  callSoon<A extends unknown[]>(callback: (...args: A) => void, ...args: A): Handle;
  /** Runs a callback after a delay in milliseconds of the loop's clock. */
  callLater<A extends unknown[]>(delayMs: number, callback: (...args: A) => void, ...args: A): TimerHandle;
  /** Calls the exception handler. Never throws. */
  report(context: ExceptionContext): void;
  /** Reports a callback that started at `startedAt` (ms of the loop's clock) if it was slow. Called in debug mode. */
  reportIfSlow(what: string, startedAt: number, context?: Partial<ExceptionContext>): void;
  /** Reports the transport if it is garbage-collected, or the process ends, before it is closed. Called in debug mode. */
  watch(transport: BaseTransport): void;
  /** Ends `watch`. */
  unwatch(transport: BaseTransport): void;
  /** Adds a transport or a server to those of `inspect()`, without keeping it alive. Returns what `leave` takes. */
  enter?<T extends object>(subject: T, describe: (subject: T, now: number) => TransportState | ServerState): object;
  /** Ends `enter`. */
  leave?(entry: object | undefined): void;
}
