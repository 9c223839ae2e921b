/** Which engine the tests of this isolate run over. */
import { EventLoop } from "../mod.ts";
import type { EventLoopOptions } from "../loop/mod.ts";
import { DenoEngine } from "../engines/deno/mod.ts";
import { EpollEngine } from "../engines/epoll/mod.ts";

/** The name of the engine: Deno's, unless `install_epoll.ts` has set the other. */
let name: "deno" | "epoll" = "deno";

/** Makes the tests run over epoll. Call this before the import of any of them. */
export function useEpoll(): void {
  name = "epoll";
}

/** Reports whether the tests run over epoll. */
export function isOverEpoll(): boolean {
  return name === "epoll";
}

/** Options of a test that runs over Deno's engine only. The reason is for the reader. */
export function onDenoOnly(_reason: string): { ignore: boolean } {
  return { ignore: isOverEpoll() };
}

/** Makes a loop of a test's own, over the engine that the tests run over. */
export function makeLoop(options: Omit<EventLoopOptions, "engine"> = {}): EventLoop {
  return new EventLoop({ engine: isOverEpoll() ? new EpollEngine() : new DenoEngine(), ...options });
}
