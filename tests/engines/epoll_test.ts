/** The epoll engine keeps the promises of streams and servers, and TLS over it does. */
import { EventLoop } from "../../mod.ts";
import { EpollEngine } from "../../engines/epoll/mod.ts";
import { type MakeSetup, tcp, unix } from "../scenarios/scenario.ts";
import { serverScenarios } from "../scenarios/servers.ts";
import { streamScenarios } from "../scenarios/streams.ts";
import { ManualClock } from "../kit.ts";
import { SERVER, TRUSTING } from "../tls/kit.ts";

const makeLoop = (clock = new ManualClock()) => new EventLoop({ engine: new EpollEngine(), clock });

streamScenarios("TCP on epoll", (clock) => tcp(makeLoop(clock)));
serverScenarios("TCP on epoll", (clock) => tcp(makeLoop(clock)));

const UNIX = { much: 2 * 1024 * 1024 };
streamScenarios("a Unix socket on epoll", (clock) => unix(makeLoop(clock)), UNIX);
serverScenarios("a Unix socket on epoll", (clock) => unix(makeLoop(clock)), UNIX);

const OPTIONS = { server: { tls: SERVER }, client: { tls: TRUSTING } };
const tlsSetup: MakeSetup = (clock) => tcp(makeLoop(clock), OPTIONS);

streamScenarios("TLS on epoll", tlsSetup, { halfCloses: false });
serverScenarios("TLS on epoll", tlsSetup, { halfCloses: false });
