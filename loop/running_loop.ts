import { describe, InvalidStateError } from "../errors.ts";
import { EventLoop } from "./event_loop.ts";

let running: EventLoop | undefined;
/** `getRunningLoop()` was called. */
let used = false;

/**
 * Returns the loop of this isolate, which always runs. The first call creates a loop with the default engine, unless
 * {@linkcode setRunningLoop} has set one.
 *
 * @returns The loop.
 * @throws {Deno.errors.NotSupported} If this Deno is too old.
 *
 * @example Usage
 * ```ts
 * import { getRunningLoop } from "@tandem/io";
 *
 * const loop = getRunningLoop();
 * ```
 */
export function getRunningLoop(): EventLoop {
  running ??= new EventLoop();
  used = true;
  return running;
}

/**
 * Sets the loop that {@linkcode getRunningLoop} returns. Call this before the first call of `getRunningLoop`.
 *
 * @param loop The loop.
 * @throws {TypeError} If `loop` is not an `EventLoop`.
 * @throws {InvalidStateError} If `getRunningLoop()` has already returned another loop.
 *
 * @example Usage
 * ```ts
 * import { EventLoop, setRunningLoop } from "@tandem/io";
 * import { DenoEngine } from "@tandem/io/engines/deno";
 *
 * setRunningLoop(new EventLoop({ engine: new DenoEngine() }));
 * ```
 */
export function setRunningLoop(loop: EventLoop): void {
  if (!(loop instanceof EventLoop)) {
    throw new TypeError(`setRunningLoop(): loop must be an EventLoop, got ${describe(loop)}`);
  }
  if (loop !== running) requireUnused("setRunningLoop()");
  running = loop;
}

/** Throws if `getRunningLoop()` has already returned a loop. */
export function requireUnused(method: string): void {
  if (!used) return;
  throw new InvalidStateError(`${method} must be called before getRunningLoop(), which has returned a loop`);
}

/** Reports whether `getRunningLoop()` would return this loop. */
export function isRunningLoop(loop: EventLoop): boolean {
  return loop === running;
}
