import { checkDenoVersion } from "../engines/deno/deno_version.ts";
import { EventLoop } from "./event_loop.ts";

let running: EventLoop | undefined;

/**
 * Gives the loop. There is one in each isolate, and it always runs.
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
  if (running === undefined) checkDenoVersion();
  return running ??= new EventLoop();
}
