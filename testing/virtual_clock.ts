import { setImmediate } from "node:timers";
import { checkOptions, namesOf } from "../check_options.ts";
import { checkBoolean, checkTime } from "../checks.ts";
import { describe, InvalidStateError, TimeoutError } from "../errors.ts";
import type { Clock, ClockTimer } from "../loop/mod.ts";

/** The options of a {@linkcode VirtualClock}. */
export interface VirtualClockOptions {
  /**
   * Jump to the next timer whenever nothing else can happen, while a timer is left that would keep a process alive. The timers
   * of `limits` and of `handshakeTimeout` would not, because a socket does: use `advance()` for them.
   *
   * @default {false}
   */
  autoJump?: boolean | undefined;
}

/** The options of {@linkcode VirtualClock.runUntilIdle}. */
export interface RunUntilIdleOptions {
  /**
   * The most virtual time to run, in milliseconds.
   *
   * @default {86_400_000} a day
   */
  limit?: number | undefined;
}

/** What a clock waits for before it moves, such as the events of a `MemoryEngine`. */
export interface Activity {
  /** Whether something is about to happen. */
  readonly busy: boolean;
  /** Grows with everything that happens. */
  readonly batches: number;
}

/** A timer of the clock. */
interface Timer {
  due: number;
  callback: () => void;
  holds: boolean;
}

const CLOCK_OPTIONS = namesOf<VirtualClockOptions>({ autoJump: true });
const IDLE_OPTIONS = namesOf<RunUntilIdleOptions>({ limit: true });
const DAY = 86_400_000;
/** What runs in this many turns of Deno's loop is awaited. */
const QUIET_TURNS = 2;
/** The same, if no engine reports its events. */
const BLIND_TURNS = 4;

/**
 * A clock that a test moves. Pass it to a loop, and it drives every timer and every time limit of the loop: `callLater`,
 * `closeTimeout`, `handshakeTimeout` and the latencies of a `MemoryEngine`. It begins at 0.
 *
 * Before the clock moves, all that can happen now happens: callbacks of loops, microtasks, and the events of each
 * `MemoryEngine` that has the clock as an option. It does not wait for real files, sockets or `setTimeout`: for those, see
 * {@linkcode VirtualClock.hold}. One clock can drive several loops.
 *
 * @example An hour in no time
 * ```ts
 * import { EventLoop } from "@tandem/io";
 * import { MemoryEngine, VirtualClock } from "@tandem/io/testing";
 *
 * const clock = new VirtualClock();
 * const loop = new EventLoop({ engine: new MemoryEngine({ clock }), clock });
 * loop.callLater(3_600_000, () => console.log("an hour later"));
 * await clock.advance(3_600_000);
 * ```
 */
export class VirtualClock implements Clock {
  #now = 0;
  /** One for each loop. */
  #timers = new Set<Timer>();
  #activities: Activity[] = [];
  #autoJump: boolean;
  /** The method that moves the clock. */
  #mover: string | null = null;
  #jumping = false;
  #holds = 0;
  #released: PromiseWithResolvers<void> | null = null;
  #changes = 0;

  /**
   * Creates a clock.
   *
   * @param options Whether the clock jumps by itself.
   * @throws {TypeError} If an option is unknown or not a boolean.
   */
  constructor(options: VirtualClockOptions = {}) {
    checkOptions("new VirtualClock()", options, CLOCK_OPTIONS);
    checkBoolean("new VirtualClock()", "autoJump", options.autoJump);
    this.#autoJump = options.autoJump ?? false;
  }

  /** Returns the virtual time, in milliseconds. */
  now(): number {
    return this.#now;
  }

  /** Called by the loop. */
  setTimer(delayMs: number, callback: () => void): ClockTimer {
    // A delay that a sum with the time would round away must still move the clock.
    const delay = delayMs > 0 ? Math.max(delayMs, this.#now * Number.EPSILON) : 0;
    const timer: Timer = { due: this.#now + delay, callback, holds: true };
    this.#timers.add(timer);
    this.#changes++;
    this.#startJumping();
    return {
      cancel: () => {
        this.#timers.delete(timer);
      },
      ref: () => {
        timer.holds = true;
        this.#startJumping();
      },
      unref: () => {
        timer.holds = false;
      },
    };
  }

  /** When the next timer is due, by {@linkcode VirtualClock.now}; `null` if there is none. */
  get due(): number | null {
    return this.#first()?.due ?? null;
  }

  /**
   * Moves the clock. Timers that become due on the way run in order, each at its time, and all that they cause happens before
   * the next one.
   *
   * @param ms The time, in milliseconds. With 0, what can happen now happens.
   * @throws {RangeError} If `ms` is negative or not finite.
   * @throws {InvalidStateError} If `advance()` or `runUntilIdle()` is running.
   */
  async advance(ms: number): Promise<void> {
    checkMs("advance()", "ms", ms);
    await this.#move("advance()", async () => {
      const end = this.#now + ms;
      await this.#settle();
      for (let timer = this.#first(); timer !== null && timer.due <= end; timer = this.#first()) {
        this.#fire(timer);
        await this.#settle();
      }
      this.#now = end;
    });
  }

  /**
   * Moves the clock from timer to timer, until no timer is left that would keep a process alive.
   *
   * @param options The most virtual time to run.
   * @throws {TimeoutError} If timers are left after `limit`. The clock stands there.
   * @throws {RangeError} If `limit` is negative or not finite.
   * @throws {InvalidStateError} If `advance()` or `runUntilIdle()` is running.
   */
  async runUntilIdle(options: RunUntilIdleOptions = {}): Promise<void> {
    const method = "runUntilIdle()";
    checkOptions(method, options, IDLE_OPTIONS);
    const { limit = DAY } = options;
    checkMs(method, "limit", limit);
    await this.#move(method, async () => {
      const end = this.#now + limit;
      await this.#settle();
      for (let timer = this.#next(); timer !== null; timer = this.#next()) {
        if (timer.due > end) {
          this.#now = end;
          throw new TimeoutError(`${method}: timers are left after ${limit} ms; the next is due at ${timer.due}`);
        }
        this.#fire(timer);
        await this.#settle();
      }
    });
  }

  /**
   * Moves the clock without running anything, as if the process had been busy for so long.
   *
   * @param ms The time, in milliseconds.
   * @throws {RangeError} If `ms` is negative or not finite.
   */
  skip(ms: number): void {
    checkMs("skip()", "ms", ms);
    this.#now += ms;
  }

  /**
   * Stops the clock while something outside of the loop is awaited, such as a file: `using _ = clock.hold()`.
   *
   * @returns An object that releases the clock when it is disposed of.
   */
  hold(): Disposable {
    this.#holds++;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        if (--this.#holds > 0) return;
        this.#released?.resolve();
        this.#released = null;
      },
    };
  }

  /** Called by `MemoryEngine`: the clock waits for its events before it moves. */
  attach(activity: Activity): void {
    this.#activities.push(activity);
  }

  async #move(method: string, run: () => Promise<void>): Promise<void> {
    if (this.#mover !== null) throw new InvalidStateError(`${method}: ${this.#mover} is already running on this clock`);
    this.#mover = method;
    try {
      await run();
    } finally {
      this.#mover = null;
      this.#startJumping();
    }
  }

  /** The timer that is due first. */
  #first(): Timer | null {
    let first: Timer | null = null;
    for (const timer of this.#timers) if (first === null || timer.due < first.due) first = timer;
    return first;
  }

  /** The same, if a timer keeps the process alive. */
  #next(): Timer | null {
    for (const { holds } of this.#timers) if (holds) return this.#first();
    return null;
  }

  #fire(timer: Timer): void {
    this.#timers.delete(timer);
    this.#now = Math.max(this.#now, timer.due);
    timer.callback();
  }

  /** Waits until nothing more can happen at this time. */
  async #settle(): Promise<void> {
    const turns = this.#activities.length > 0 ? QUIET_TURNS : BLIND_TURNS;
    let seen = -1;
    for (let quiet = 0; quiet < turns;) {
      await new Promise<void>((resolve) => void setImmediate(resolve));
      if (this.#holds > 0) await (this.#released ??= Promise.withResolvers()).promise;
      const changes = this.#activities.reduce((sum, { batches }) => sum + batches, this.#changes);
      quiet = changes === seen && !this.#activities.some(({ busy }) => busy) ? quiet + 1 : 0;
      seen = changes;
    }
  }

  async #startJumping(): Promise<void> {
    if (!this.#autoJump || this.#jumping) return;
    this.#jumping = true;
    while (this.#mover === null && this.#next() !== null) {
      await this.#settle();
      const timer = this.#mover === null ? this.#next() : null;
      if (timer !== null) this.#fire(timer);
    }
    this.#jumping = false;
  }
}

/** Throws unless a duration is finite and not negative. */
export function checkMs(method: string, name: string, ms: unknown): asserts ms is number {
  checkTime(method, name, ms);
  if (!(ms >= 0 && ms < Infinity)) {
    throw new RangeError(`${method}: ${name} must be a finite number of milliseconds, at least 0, got ${describe(ms)}`);
  }
}
