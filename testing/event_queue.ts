import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate } from "node:timers";

/** Asks for a call of a function after the events at hand; one call, however often it is asked for. */
export type Wake = (event: () => void) => void;

/** The events of an engine in memory. */
export class EventQueue {
  #events = new Map<() => void, (run: () => void) => void>();
  #turn: (() => void) | null = null;
  /** Counts the batches that have run. */
  batches = 0;

  /** Whether events are pending. */
  get busy(): boolean {
    return this.#events.size > 0 || this.#turn !== null;
  }

  /** Returns a `Wake` whose events run in the `AsyncLocalStorage` context of this call. */
  context(): Wake {
    const inContext = AsyncLocalStorage.snapshot();
    return (event) => {
      this.#ask();
      this.#events.set(event, inContext);
    };
  }

  /** Calls `turn` once, after the events at hand. */
  soon(turn: () => void): void {
    this.#ask();
    this.#turn = turn;
  }

  /** Resolves after the events at hand. */
  next(): Promise<void> {
    return new Promise((resolve) => this.context()(resolve));
  }

  #ask(): void {
    if (this.#events.size === 0 && this.#turn === null) setImmediate(() => this.#run());
  }

  #run(): void {
    this.batches++;
    const events = this.#events;
    const turn = this.#turn;
    this.#events = new Map();
    this.#turn = null;
    for (const [event, inContext] of events) inContext(event);
    // These callbacks run as microtasks, behind those that the events have queued.
    turn?.();
  }
}
