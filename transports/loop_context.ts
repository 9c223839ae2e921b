/**
 * The little that a transport needs of its loop, so that transports can stand below it.
 *
 * @module
 */
import type { BaseCallbacks, BaseTransport } from "./transport.ts";

/** A callback that waits for its turn; `callSoon` gives it. */
export interface Handle {
  /** Calls it off; harmless when it has already run. */
  cancel(): void;
  /**
   * Tells whether it was called off.
   *
   * @returns `true` after `cancel()`.
   */
  cancelled(): boolean;
}

/** A callback that waits for its time; `callLater` and `callAt` give it. */
export interface TimerHandle extends Handle {
  /**
   * Tells when the callback is due.
   *
   * @returns Milliseconds of the loop's clock, as `callAt` takes them.
   */
  when(): number;
}

/** What an exception handler is told. */
export interface ExceptionContext {
  /** What happened, in a sentence. */
  message: string;
  /** What was thrown, where something was. */
  error?: Error;
  /** The peer, where it happened before there was a transport: in a TLS handshake that failed. */
  peername?: Deno.Addr;
  /** The transport it happened on. */
  transport?: BaseTransport;
  /** The protocol it happened in. */
  protocol?: BaseCallbacks;
  /** The scheduled callback it happened in. */
  handle?: Handle;
}

/** The loop, seen from a transport. */
export interface LoopContext {
  /** Whether debug mode is on. */
  readonly debug: boolean;
  /** Runs a callback in the next turn, after those already waiting. */
  callSoon<A extends unknown[]>(callback: (...args: A) => void, ...args: A): Handle;
  /** Tells the exception handler. Never throws. */
  report(context: ExceptionContext): void;
  /** In debug mode, tells of a callback that began at `startedAt` (ms) if it has taken too long. */
  reportIfSlow(what: string, startedAt: number, context?: Partial<ExceptionContext>): void;
  /** In debug mode, watches for a transport that is dropped without being closed. */
  watch(transport: BaseTransport): void;
  /** Ends that watch. */
  unwatch(transport: BaseTransport): void;
}
