/**
 * Callbacks in turns: those that are ready run in order, those they schedule run in the next turn.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Handle, TimerHandle } from "../transports/loop_context.ts";
import { describe, toError } from "../errors.ts";
import { isPromise, settle } from "../promises.ts";
import type { Exceptions } from "./exceptions.ts";
import { type Timed, TimerHeap } from "./timer_heap.ts";

/** The longest delay that `setTimeout` takes; a longer one wakes up to wait again. */
const MAX_TIMEOUT = 2 ** 31 - 1;

/** What can be scheduled. */
type Callback = (...args: never[]) => unknown;

/** A callback that is ready to run. */
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

/** A callback that waits in the heap. */
class TimedHandle extends ReadyHandle implements TimerHandle, Timed {
  readonly due: number;
  readonly serial: number;
  index = -1;
  #onCancel: (timer: TimedHandle) => void;

  constructor(
    due: number,
    serial: number,
    callback: Callback,
    args: unknown[],
    onCancel: (timer: TimedHandle) => void,
  ) {
    super(callback, args);
    this.due = due;
    this.serial = serial;
    this.#onCancel = onCancel;
  }

  when(): number {
    return this.due;
  }

  override cancel(): void {
    super.cancel();
    this.#onCancel(this);
  }
}

/** Runs callbacks. */
export class Scheduler {
  #exceptions: Exceptions;
  #ready: ReadyHandle[] = [];
  #turnDue = false;
  #timers = new TimerHeap<TimedHandle>();
  #serial = 0;
  #timeout: ReturnType<typeof setTimeout> | undefined;
  /** What the timeout is set for. */
  #timeoutDue = Infinity;

  #onTurn: () => void = () => this.#turn();
  #onTimeout: () => void = () => this.#expire();
  #onCancel: (timer: TimedHandle) => void = (timer) => {
    this.#timers.remove(timer);
    this.#arm();
  };

  constructor(exceptions: Exceptions) {
    this.#exceptions = exceptions;
  }

  time(): number {
    return performance.now();
  }

  callSoon(callback: Callback, args: unknown[]): Handle {
    checkCallback("callSoon(): callback", callback);
    const handle = new ReadyHandle(callback, args);
    this.#enqueue(handle);
    return handle;
  }

  callAt(when: number, callback: Callback, args: unknown[], method: string): TimerHandle {
    checkCallback(`${method}: callback`, callback);
    const timer = new TimedHandle(when, this.#serial++, callback, args, this.#onCancel);
    this.#timers.push(timer);
    this.#arm();
    return timer;
  }

  #enqueue(handle: ReadyHandle): void {
    this.#ready.push(handle);
    if (this.#turnDue) return;
    this.#turnDue = true;
    // After input and output, so that callbacks that schedule callbacks starve nobody.
    setImmediate(this.#onTurn);
  }

  #turn(): void {
    const ready = this.#ready;
    this.#ready = [];
    this.#turnDue = false;
    for (const handle of ready) {
      if (!handle.cancelled()) this.#run(handle);
    }
  }

  #run(handle: ReadyHandle): void {
    const exceptions = this.#exceptions;
    const startedAt = exceptions.debug ? performance.now() : 0;
    const name = startedAt === 0 ? "" : handle.name;
    try {
      const result = handle.run();
      if (isPromise(result)) settle(result, undefined, (error) => this.#failed(handle, error));
    } catch (error) {
      this.#failed(handle, error);
    }
    if (startedAt !== 0) exceptions.reportIfSlow(name, startedAt, { handle });
  }

  #failed(handle: ReadyHandle, error: unknown): void {
    this.#exceptions.report({ message: `Exception in callback ${handle.name}`, error: toError(error), handle });
  }

  /** Sets the one timeout for the timer that is due first. */
  #arm(): void {
    const due = this.#timers.first?.due ?? Infinity;
    if (due === this.#timeoutDue) return;
    clearTimeout(this.#timeout);
    this.#timeoutDue = due;
    this.#timeout = due === Infinity
      ? undefined
      : setTimeout(this.#onTimeout, Math.max(0, Math.min(Math.ceil(due - performance.now()), MAX_TIMEOUT)));
  }

  #expire(): void {
    const now = performance.now();
    this.#timeoutDue = Infinity;
    for (let timer = this.#timers.first; timer !== undefined && timer.due <= now; timer = this.#timers.first) {
      this.#timers.remove(timer);
      this.#enqueue(timer);
    }
    this.#arm();
  }
}

function checkCallback(name: string, callback: unknown): void {
  if (typeof callback !== "function") throw new TypeError(`${name} must be a function, got ${describe(callback)}`);
}
