/** The loop of a server that runs Tandem. */
import { EpollEngine } from "../../engines/epoll/mod.ts";
import { EventLoop, getRunningLoop } from "../../mod.ts";

/** Returns a loop over the engine of this name. */
export function loopOver(engine: string): EventLoop {
  if (engine === "deno") return getRunningLoop();
  if (engine === "epoll") return new EventLoop({ engine: new EpollEngine() });
  if (engine === "epoll-node") return new EventLoop({ engine: new EpollEngine({ tls: "node" }) });
  throw new TypeError(`the engine must be "deno", "epoll" or "epoll-node", got ${JSON.stringify(engine)}`);
}
