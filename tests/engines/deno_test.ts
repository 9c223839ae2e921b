/** Deno's sockets keep the promises of streams and servers, over TCP and Unix sockets. */
import { loop } from "../kit.ts";
import { tcp, unix } from "../scenarios/scenario.ts";
import { serverScenarios } from "../scenarios/servers.ts";
import { streamScenarios } from "../scenarios/streams.ts";

streamScenarios("TCP", () => tcp(loop));
serverScenarios("TCP", () => tcp(loop));

const UNIX = { much: 2 * 1024 * 1024 };
streamScenarios("a Unix socket", () => unix(loop), UNIX);
serverScenarios("a Unix socket", () => unix(loop), UNIX);
