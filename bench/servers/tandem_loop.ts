/** The loop of a server that runs Tandem. */
import { EpollEngine } from "../../engines/epoll/mod.ts";
import { EventLoop, getRunningLoop } from "../../mod.ts";

/** Returns a loop over the engine of this name. */
export function loopOver(engine: string): EventLoop {
  if (engine === "deno") return getRunningLoop();
  if (engine === "epoll") return new EventLoop({ engine: new EpollEngine() });
  throw new TypeError(`the engine must be "deno" or "epoll", got ${JSON.stringify(engine)}`);
}
