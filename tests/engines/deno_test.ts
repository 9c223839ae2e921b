/** Deno's sockets keep the promises of streams and servers, over TCP and Unix sockets. */
import { EventLoop } from "../../mod.ts";
import { DenoEngine } from "../../engines/deno/mod.ts";
import type { ManualClock } from "../kit.ts";
import { tcp, unix } from "../scenarios/scenario.ts";
import { serverScenarios } from "../scenarios/servers.ts";
import { streamScenarios } from "../scenarios/streams.ts";

const makeLoop = (clock: ManualClock) => new EventLoop({ engine: new DenoEngine(), clock });

streamScenarios("TCP", (clock) => tcp(makeLoop(clock)));
serverScenarios("TCP", (clock) => tcp(makeLoop(clock)));

const UNIX = { much: 2 * 1024 * 1024 };
streamScenarios("a Unix socket", (clock) => unix(makeLoop(clock)), UNIX);
serverScenarios("a Unix socket", (clock) => unix(makeLoop(clock)), UNIX);
