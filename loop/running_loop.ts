import { EventLoop } from "./event_loop.ts";

let running: EventLoop | undefined;

/**
 * Gives the loop. There is one in each isolate, and it always runs.
 *
 * @returns The loop.
 *
 * @example Usage
 * ```ts
 * import { getRunningLoop } from "@tandem/io";
 *
 * const loop = getRunningLoop();
 * ```
 */
export function getRunningLoop(): EventLoop {
  return running ??= new EventLoop();
}
