/**
 * The clock that all timers of a loop go by.
 *
 * @module
 */

/** A timer of a clock. */
export interface ClockTimer {
  /** Cancels the timer. */
  cancel(): void;
  /** Keeps the process alive while the timer is pending, which is the default. */
  ref(): void;
  /** Lets the process end while the timer is pending. */
  unref(): void;
}

/** What a loop knows of time. A clock of your own, given to `new EventLoop({ clock })`, drives every timer of the loop. */
export interface Clock {
  /**
   * Reads the clock, which never goes back.
   *
   * @returns Milliseconds since some fixed moment.
   */
  now(): number;
  /**
   * Starts a timer. A loop has one at a time.
   *
   * @param delayMs How long to wait, in milliseconds, at least 0.
   * @param callback What to call, once. It never throws. A call before the time is harmless: the loop starts a new timer.
   * @returns The timer.
   */
  setTimer(delayMs: number, callback: () => void): ClockTimer;
}

/** The longest delay that `setTimeout` takes, in milliseconds; a longer one is called early. */
const MAX_TIMEOUT = 2 ** 31 - 1;

/** The clock of the system: `performance.now()` and `setTimeout`. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (delayMs, callback) => {
    // Rounded up: setTimeout cuts fractions off, and would call early.
    const id = setTimeout(callback, Math.min(Math.ceil(delayMs), MAX_TIMEOUT));
    return {
      cancel: () => clearTimeout(id),
      ref: () => Deno.refTimer(id),
      unref: () => Deno.unrefTimer(id),
    };
  },
};
