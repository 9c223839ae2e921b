/**
 * What a transport needs of its loop, so that transports can stand below it.
 *
 * @module
 */
import type { BaseCallbacks, BaseTransport } from "./transport.ts";

/** A scheduled callback. */
export interface Handle {
  /** Cancels the callback. Does nothing if it has already run. */
  cancel(): void;
  /**
   * Reports whether the callback was cancelled.
   *
   * @returns `true` after `cancel()`.
   */
  cancelled(): boolean;
}

/** A callback that waits for its time. */
export interface TimerHandle extends Handle {
  /**
   * Returns when the callback is due.
   *
   * @returns Milliseconds of the loop's clock, as `callAt` takes them.
   */
  when(): number;
  /** Keeps the process alive while the timer is pending, which is the default. */
  ref(): void;
  /** Lets the process end while the timer is pending. */
  unref(): void;
}

/** What an exception handler is given. */
export interface ExceptionContext {
  /** What happened, in a sentence. */
  message: string;
  /** What was thrown, if something was. */
  error?: Error;
  /** The address of the peer, if there is no transport yet: its TLS handshake has failed. */
  peername?: Deno.Addr;
  /** The transport it happened on. */
  transport?: BaseTransport;
  /** The protocol it happened in. */
  protocol?: BaseCallbacks;
  /** The scheduled callback it happened in. */
  handle?: Handle;
}

/** The loop, as a transport sees it. */
export interface LoopContext {
  /** Whether debug mode is on. */
  readonly debug: boolean;
  /** Reads the loop's clock, in milliseconds. */
  time(): number;
  /** Runs a callback in the next turn, after those already waiting. */
  callSoon<A extends unknown[]>(callback: (...args: A) => void, ...args: A): Handle;
  /** Runs a callback after a delay in milliseconds of the loop's clock. */
  callLater<A extends unknown[]>(delayMs: number, callback: (...args: A) => void, ...args: A): TimerHandle;
  /** Gives something to the exception handler. Never throws. */
  report(context: ExceptionContext): void;
  /** In debug mode, reports a callback that began at `startedAt` (ms of the loop's clock) if it has taken too long. */
  reportIfSlow(what: string, startedAt: number, context?: Partial<ExceptionContext>): void;
  /** In debug mode, watches for a transport that is dropped without being closed. */
  watch(transport: BaseTransport): void;
  /** Ends that watch. */
  unwatch(transport: BaseTransport): void;
}
