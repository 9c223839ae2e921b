/** TLS keeps the promises of streams and servers, over TCP and Unix sockets. */
import { makeLoop } from "../engine.ts";
import { tcp, unix } from "../scenarios/scenario.ts";
import { serverScenarios } from "../scenarios/servers.ts";
import { streamScenarios } from "../scenarios/streams.ts";
import { SERVER, TRUSTING } from "./kit.ts";

const OPTIONS = { server: { tls: SERVER }, client: { tls: TRUSTING } };

const TCP = { halfCloses: false };
streamScenarios("TLS on TCP", (clock) => tcp(makeLoop({ clock }), OPTIONS), TCP);
serverScenarios("TLS on TCP", (clock) => tcp(makeLoop({ clock }), OPTIONS), TCP);

const UNIX = { halfCloses: false, much: 4 * 1024 * 1024 };
streamScenarios("TLS on a Unix socket", (clock) => unix(makeLoop({ clock }), OPTIONS), UNIX);
serverScenarios("TLS on a Unix socket", (clock) => unix(makeLoop({ clock }), OPTIONS), UNIX);
