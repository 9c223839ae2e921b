import { EpollEngine, type EpollEngineOptions } from "../engines/epoll/epoll_engine.ts";
import { EventLoop } from "./event_loop.ts";
import { isRunningLoop, requireUnused, setRunningLoop } from "./running_loop.ts";

let installed: EventLoop | undefined;

/**
 * Makes `getRunningLoop()` return a loop over an {@linkcode EpollEngine}. Call this before the first call of
 * `getRunningLoop()`. Another call before that returns the same loop.
 *
 * @param options The options of the engine.
 * @returns The loop.
 * @throws {InvalidStateError} If `getRunningLoop()` has already returned a loop.
 * @throws {Deno.errors.NotSupported} If this is not Linux on x86-64 or arm64, or there is no known C library.
 * @throws {Deno.errors.NotCapable} If the permission to use FFI is missing.
 *
 * @example Usage
 * ```ts
 * import { getRunningLoop } from "@tandem/io";
 * import { install } from "@tandem/io/epoll";
 *
 * install();
 * const loop = getRunningLoop();
 * ```
 */
export function install(options: EpollEngineOptions = {}): EventLoop {
  requireUnused("install()");
  if (installed === undefined || !isRunningLoop(installed)) {
    installed = new EventLoop({ engine: new EpollEngine(options) });
    setRunningLoop(installed);
  }
  return installed;
}
