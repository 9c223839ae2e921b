/** The epoll engine keeps the promises of streams and servers. `tls_over_epoll.ts` is for TLS over it. */
import { tcp, unix } from "../scenarios/scenario.ts";
import { serverScenarios } from "../scenarios/servers.ts";
import { streamScenarios } from "../scenarios/streams.ts";
import { epollLoop, epollScenarios } from "./epoll_kit.ts";

const UNIX = { much: 2 * 1024 * 1024 };

epollScenarios("streams and servers", () => {
  streamScenarios("TCP on epoll", (clock) => tcp(epollLoop(clock)));
  serverScenarios("TCP on epoll", (clock) => tcp(epollLoop(clock)));
  streamScenarios("a Unix socket on epoll", (clock) => unix(epollLoop(clock)), UNIX);
  serverScenarios("a Unix socket on epoll", (clock) => unix(epollLoop(clock)), UNIX);
});
