/** A second engine, of another kind than Deno's, keeps the promises of streams and servers, and TLS over it does. */
import { EventLoop } from "../../mod.ts";
import { type MakeSetup, tcp } from "../scenarios/scenario.ts";
import { serverScenarios } from "../scenarios/servers.ts";
import { streamScenarios } from "../scenarios/streams.ts";
import { ToyEngine } from "../scenarios/toy_engine.ts";
import { SERVER, TRUSTING } from "../tls/kit.ts";

const setup: MakeSetup = (clock) => tcp(new EventLoop({ engine: new ToyEngine(), clock }));

streamScenarios("the toy engine", setup, { much: 512 * 1024 });
serverScenarios("the toy engine", setup, { much: 512 * 1024 });

const OPTIONS = { server: { tls: SERVER }, client: { tls: TRUSTING } };
const tlsSetup: MakeSetup = (clock) => tcp(new EventLoop({ engine: new ToyEngine(), clock }), OPTIONS);

streamScenarios("TLS on the toy engine", tlsSetup, { halfCloses: false, much: 2 * 1024 * 1024 });
serverScenarios("TLS on the toy engine", tlsSetup, { halfCloses: false, much: 2 * 1024 * 1024 });
