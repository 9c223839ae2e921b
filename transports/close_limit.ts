import { TimeoutError } from "../errors.ts";
import type { LoopContext, TimerHandle } from "./loop_context.ts";

/** The times that limit `close()`; `undefined` for no limit. */
interface CloseLimits {
  /** The option of the program. */
  closeTimeout: number | undefined;
  /** The time that the handle gives its `shutdown()`: TLS waits for close_notify. */
  shutdownTimeout: number | undefined;
}

/**
 * Limits how long `close()` may take, by the shorter time. Returns the timer, if there is a limit. When it is over, `stuck`
 * says what is left to do, and `expired` gets the error.
 */
export function limitClose(
  loop: LoopContext,
  { closeTimeout = Infinity, shutdownTimeout = Infinity }: CloseLimits,
  stuck: () => string,
  expired: (error: TimeoutError) => void,
): TimerHandle | undefined {
  const ms = Math.min(closeTimeout, shutdownTimeout);
  if (ms === Infinity) return undefined;
  const option = ms === closeTimeout ? "closeTimeout" : "shutdownTimeout";
  return loop.callLater(ms, () => expired(new TimeoutError(`${option}: ${stuck()} within ${ms} ms`)));
}
