/** Deno's sockets keep the promises of streams, servers and datagrams. */
import { EventLoop } from "../../mod.ts";
import { DenoEngine } from "../../engines/deno/mod.ts";
import { ManualClock } from "../kit.ts";
import { datagramScenarios } from "../scenarios/datagrams.ts";
import { tcp, unix } from "../scenarios/scenario.ts";
import { serverScenarios } from "../scenarios/servers.ts";
import { streamScenarios } from "../scenarios/streams.ts";

const makeLoop = (clock = new ManualClock()) => new EventLoop({ engine: new DenoEngine(), clock });

streamScenarios("TCP", (clock) => tcp(makeLoop(clock)));
serverScenarios("TCP", (clock) => tcp(makeLoop(clock)));

const UNIX = { much: 2 * 1024 * 1024 };
streamScenarios("a Unix socket", (clock) => unix(makeLoop(clock)), UNIX);
serverScenarios("a Unix socket", (clock) => unix(makeLoop(clock)), UNIX);

datagramScenarios("UDP", makeLoop);
