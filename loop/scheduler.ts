/**
 * Callbacks and timers. The callbacks of a turn run in order; callbacks that they schedule run in the next turn.
 *
 * Each callback runs in the `AsyncLocalStorage` context of the code that scheduled it. A promise reaction keeps that
 * context, so a turn is a promise that its callbacks await. This takes 30 ns more for each callback than a plain list;
 * `AsyncResource` takes 3 µs.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, toError } from "../errors.ts";
import { isPromise, settle } from "../promises.ts";
import type { Handle, TimerHandle } from "../transports/loop_context.ts";
import { type Clock, type ClockTimer, systemClock } from "./clock.ts";
import type { Exceptions } from "./exceptions.ts";
import { type Timed, TimerHeap } from "./timer_heap.ts";

type Callback = (...args: never[]) => unknown;

/** A callback for the next turn. */
class ReadyHandle implements Handle {
  #callback: Callback | null;
  #args: unknown[];

  constructor(callback: Callback, args: unknown[]) {
    this.#callback = callback;
    this.#args = args;
  }

  cancel(): void {
    this.#callback = null;
    this.#args = [];
  }

  cancelled(): boolean {
    return this.#callback === null;
  }

  /** The callback's name, for messages. */
  get name(): string {
    let name: unknown;
    try {
      name = this.#callback?.name;
    } catch {
      // A getter or a proxy may throw.
    }
    return typeof name === "string" && name !== "" ? name : "(anonymous)";
  }

  run(): unknown {
    const callback = this.#callback;
    return callback?.(...this.#args as never[]);
  }
}

/** A callback for a certain time. */
class TimedHandle extends ReadyHandle implements TimerHandle, Timed {
  readonly due: number;
  readonly serial: number;
  index = -1;
  /** Whether the timer keeps the process alive. */
  holds = true;
  /** Resolves when the timer is due. */
  readonly expired: PromiseWithResolvers<void> = Promise.withResolvers();
  #scheduler: Scheduler;

  constructor(due: number, serial: number, callback: Callback, args: unknown[], scheduler: Scheduler) {
    super(callback, args);
    this.due = due;
    this.serial = serial;
    this.#scheduler = scheduler;
  }

  when(): number {
    return this.due;
  }

  override cancel(): void {
    super.cancel();
    this.#scheduler.remove(this);
  }

  ref(): void {
    this.#scheduler.hold(this, true);
  }

  unref(): void {
    this.#scheduler.hold(this, false);
  }
}

export class Scheduler {
  #exceptions: Exceptions;
  #clock: Clock;
  /** Asks the engine for a call of `turn()`. */
  #soon: () => void;
  /** The next turn, if the engine was asked for one. */
  #next: PromiseWithResolvers<void> | null = null;
  #timers = new TimerHeap<TimedHandle>();
  #serial = 0;
  /** The timer of the clock, for the handle that is due first. */
  #timer: ClockTimer | null = null;
  #timerDue = Infinity;
  /** Whether that timer keeps the process alive. */
  #timerHolds = false;
  /** The number of handles in the heap that keep the process alive. */
  #holding = 0;

  #onTimer: () => void = () => this.#expire();

  constructor(exceptions: Exceptions, clock: Clock, soon: () => void) {
    this.#exceptions = exceptions;
    this.#clock = clock;
    this.#soon = soon;
  }

  time(): number {
    return this.#clock.now();
  }

  callSoon(callback: Callback, args: unknown[]): Handle {
    checkCallback("callSoon(): callback", callback);
    const handle = new ReadyHandle(callback, args);
    this.#runNext(handle);
    return handle;
  }

  callAt(when: number, callback: Callback, args: unknown[], method: string): TimerHandle {
    checkCallback(`${method}: callback`, callback);
    const timer = new TimedHandle(when, this.#serial++, callback, args, this);
    this.#timers.push(timer);
    this.#holding++;
    this.#runExpired(timer);
    this.#arm();
    return timer;
  }

  /** Returns a function that runs a callback at once, each time, in the context of this call. */
  bind(callback: Callback, args: unknown[], method: string): () => void {
    checkCallback(`${method}: callback`, callback);
    const handle = new ReadyHandle(callback, args);
    const inContext = AsyncLocalStorage.snapshot();
    return () => inContext(() => this.#run(handle));
  }

  /** Removes a timer from the heap, if it is there. */
  remove(timer: TimedHandle): void {
    if (!this.#timers.remove(timer)) return;
    if (timer.holds) this.#holding--;
    this.#arm();
  }

  /** Sets whether a timer keeps the process alive. */
  hold(timer: TimedHandle, holds: boolean): void {
    if (timer.holds === holds) return;
    timer.holds = holds;
    if (!this.#timers.has(timer)) return;
    this.#holding += holds ? 1 : -1;
    this.#refTimer();
  }

  /** Runs the callbacks that are ready, as microtasks. */
  turn(): void {
    const turn = this.#next;
    this.#next = null;
    turn?.resolve();
  }

  async #runNext(handle: ReadyHandle): Promise<void> {
    if (this.#next === null) {
      this.#next = Promise.withResolvers();
      this.#soon();
    }
    await this.#next.promise;
    if (!handle.cancelled()) this.#run(handle);
  }

  async #runExpired(timer: TimedHandle): Promise<void> {
    await timer.expired.promise;
    this.#runNext(timer);
  }

  #run(handle: ReadyHandle): void {
    const exceptions = this.#exceptions;
    const startedAt = exceptions.debug ? this.#clock.now() : -1;
    const name = startedAt === -1 ? "" : handle.name;
    try {
      const result = handle.run();
      if (isPromise(result)) settle(result, undefined, (error) => this.#failed(handle, error));
    } catch (error) {
      this.#failed(handle, error);
    }
    if (startedAt !== -1) exceptions.reportIfSlow(name, startedAt, { handle });
  }

  #failed(handle: ReadyHandle, error: unknown): void {
    this.#exceptions.report({ message: `Exception in callback ${handle.name}`, error: toError(error), handle });
  }

  /** Starts the clock's timer for the handle that is due first. */
  #arm(): void {
    const due = this.#timers.first?.due ?? Infinity;
    if (due !== this.#timerDue && !this.#comesEarlier(due)) {
      this.#timer?.cancel();
      this.#timerDue = due;
      this.#timer = due === Infinity ? null : this.#clock.setTimer(Math.max(0, due - this.#clock.now()), this.#onTimer);
      this.#timerHolds = true;
    }
    this.#refTimer();
  }

  /**
   * Reports whether the clock's timer comes before anything is due. Then it starts the next one. A server of TLS cancels two
   * time limits for each connection, and started four timers, each of which takes 2 µs. Other clocks than the system's may say
   * when their timer is due.
   */
  #comesEarlier(due: number): boolean {
    return this.#clock === systemClock && this.#timerDue < due && due !== Infinity;
  }

  #refTimer(): void {
    const holds = this.#holding > 0;
    if (this.#timer === null || holds === this.#timerHolds) return;
    this.#timerHolds = holds;
    if (holds) this.#timer.ref();
    else this.#timer.unref();
  }

  #expire(): void {
    const now = this.#clock.now();
    this.#timerDue = Infinity;
    this.#timer = null;
    for (let timer = this.#timers.first; timer !== undefined && timer.due <= now; timer = this.#timers.first) {
      this.#timers.remove(timer);
      if (timer.holds) this.#holding--;
      timer.expired.resolve();
    }
    this.#arm();
  }
}

function checkCallback(name: string, callback: unknown): void {
  if (typeof callback !== "function") throw new TypeError(`${name} must be a function, got ${describe(callback)}`);
}
