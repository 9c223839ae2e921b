/** TLS keeps the promises of streams and servers, over TCP and Unix sockets. */
import { EventLoop } from "../../mod.ts";
import { tcp, unix } from "../scenarios/scenario.ts";
import { serverScenarios } from "../scenarios/servers.ts";
import { streamScenarios } from "../scenarios/streams.ts";
import { SERVER, TRUSTING } from "./kit.ts";

const OPTIONS = { server: { tls: SERVER }, client: { tls: TRUSTING } };

const TCP = { halfCloses: false };
streamScenarios("TLS on TCP", (clock) => tcp(new EventLoop({ clock }), OPTIONS), TCP);
serverScenarios("TLS on TCP", (clock) => tcp(new EventLoop({ clock }), OPTIONS), TCP);

const UNIX = { halfCloses: false, much: 4 * 1024 * 1024 };
streamScenarios("TLS on a Unix socket", (clock) => unix(new EventLoop({ clock }), OPTIONS), UNIX);
serverScenarios("TLS on a Unix socket", (clock) => unix(new EventLoop({ clock }), OPTIONS), UNIX);
