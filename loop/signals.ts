import { AsyncLocalStorage } from "node:async_hooks";
import type { LoopContext } from "../transports/loop_context.ts";
import { describe } from "../errors.ts";

/** The signal handlers of a loop, one for each signal. */
export class Signals {
  #loop: LoopContext;
  #listeners = new Map<Deno.Signal, () => void>();

  constructor(loop: LoopContext) {
    this.#loop = loop;
  }

  add<A extends unknown[]>(signal: Deno.Signal, callback: (...args: A) => void, args: A): void {
    if (typeof callback !== "function") {
      throw new TypeError(`addSignalHandler(): callback must be a function, got ${describe(callback)}`);
    }
    // The callback runs in the AsyncLocalStorage context of this call.
    const inContext = AsyncLocalStorage.snapshot();
    const listener = () => void inContext(() => this.#loop.callSoon(callback, ...args));
    Deno.addSignalListener(signal, listener);
    this.remove(signal);
    this.#listeners.set(signal, listener);
  }

  remove(signal: Deno.Signal): boolean {
    const listener = this.#listeners.get(signal);
    if (listener === undefined) return false;
    Deno.removeSignalListener(signal, listener);
    return this.#listeners.delete(signal);
  }
}
