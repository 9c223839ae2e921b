/** Deno's sockets keep the promises of streams, over TCP and Unix sockets. */
import { loop } from "../kit.ts";
import { tcp, unix } from "../scenarios/scenario.ts";
import { streamScenarios } from "../scenarios/streams.ts";

streamScenarios("TCP", () => tcp(loop));
streamScenarios("a Unix socket", () => unix(loop), { much: 2 * 1024 * 1024 });
