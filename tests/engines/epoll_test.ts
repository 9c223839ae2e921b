/** The epoll engine keeps the promises of streams and servers. `tls_over_epoll.ts` is for TLS over it. */
import { EventLoop } from "../../mod.ts";
import { EpollEngine } from "../../engines/epoll/mod.ts";
import { tcp, unix } from "../scenarios/scenario.ts";
import { serverScenarios } from "../scenarios/servers.ts";
import { streamScenarios } from "../scenarios/streams.ts";
import { ManualClock } from "../kit.ts";

const makeLoop = (clock = new ManualClock()) => new EventLoop({ engine: new EpollEngine(), clock });

streamScenarios("TCP on epoll", (clock) => tcp(makeLoop(clock)));
serverScenarios("TCP on epoll", (clock) => tcp(makeLoop(clock)));

const UNIX = { much: 2 * 1024 * 1024 };
streamScenarios("a Unix socket on epoll", (clock) => unix(makeLoop(clock)), UNIX);
serverScenarios("a Unix socket on epoll", (clock) => unix(makeLoop(clock)), UNIX);
