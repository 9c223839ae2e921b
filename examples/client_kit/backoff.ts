import { type EventLoop, getRunningLoop } from "../../mod.ts";

/** The options of {@linkcode withBackoff}. */
export interface BackoffOptions {
  /** The loop whose clock measures the waits; `getRunningLoop()` by default. */
  loop?: EventLoop;
  /** The longest first wait, in milliseconds; it doubles with each failure. By default 100. */
  first?: number;
  /** The longest wait, in milliseconds. By default 10,000. */
  max?: number;
  /** Ends the attempts. */
  signal?: AbortSignal;
  /** A source of numbers from 0 up to 1; a test passes its own. By default `Math.random`. */
  random?: () => number;
}

/**
 * Calls `connect` until it succeeds, with a wait after each failure that is drawn at random and grows exponentially. Without
 * the randomness, all clients of a server that restarts would come back at the same moments.
 */
export async function withBackoff<T>(
  connect: (signal?: AbortSignal) => Promise<T>,
  { loop = getRunningLoop(), first = 100, max = 10_000, signal, random = Math.random }: BackoffOptions = {},
): Promise<T> {
  for (let failures = 0;; failures++) {
    signal?.throwIfAborted();
    try {
      return await connect(signal);
    } catch (error) {
      if (signal?.aborted || !isTransient(error)) throw error;
      await sleep(loop, random() * Math.min(max, first * 2 ** failures), signal);
    }
  }
}

/** Reports whether another attempt can succeed: not if an argument is wrong or a permission is missing. */
function isTransient(error: unknown): boolean {
  return !(error instanceof TypeError || error instanceof RangeError || error instanceof Deno.errors.NotCapable);
}

/** Waits by the clock of a loop. */
export async function sleep(loop: EventLoop, ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = loop.callLater(ms, resolve);
  try {
    await abortable(promise, signal);
  } finally {
    timer.cancel();
  }
}

/** Waits for a promise, or rejects with the reason of a signal. */
export async function abortable<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return await promise;
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
