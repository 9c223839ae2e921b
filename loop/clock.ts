/** A timer of a clock. */
export interface ClockTimer {
  /** Cancels the timer. */
  cancel(): void;
  /** Keeps the process alive while the timer is pending, which is the default. */
  ref(): void;
  /** Lets the process end while the timer is pending. */
  unref(): void;
}

/** The clock of a loop. A clock given to `new EventLoop({ clock })` drives all timers and time limits of the loop. */
export interface Clock {
  /** Returns the time: milliseconds since a fixed moment. It never goes back. */
  now(): number;
  /**
   * Starts a timer. A loop has at most one timer at a time.
   *
   * @param delayMs The delay, in milliseconds, at least 0.
   * @param callback Must be called once. It never throws. If it is called early, the loop starts another timer.
   * @returns The timer.
   */
  setTimer(delayMs: number, callback: () => void): ClockTimer;
}

/** The longest delay that `setTimeout` takes, in milliseconds; a longer one is called early. */
const MAX_TIMEOUT = 2 ** 31 - 1;

/** The system's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (delayMs, callback) => {
    // Rounded up, because setTimeout drops fractions and would call early.
    const id = setTimeout(callback, Math.min(Math.ceil(delayMs), MAX_TIMEOUT));
    return {
      cancel: () => clearTimeout(id),
      ref: () => Deno.refTimer(id),
      unref: () => Deno.unrefTimer(id),
    };
  },
};
