/** The engine in memory keeps the promises of streams, servers and datagrams, and TLS over it does. */
import { EventLoop } from "../../mod.ts";
import { MemoryEngine } from "../../testing/mod.ts";
import { datagramScenarios } from "../scenarios/datagrams.ts";
import { type MakeSetup, tcp, unix } from "../scenarios/scenario.ts";
import { serverScenarios } from "../scenarios/servers.ts";
import { streamScenarios } from "../scenarios/streams.ts";
import { SERVER, TRUSTING } from "../tls/kit.ts";

const setup: MakeSetup = (clock) => tcp(new EventLoop({ engine: new MemoryEngine(), clock }));

streamScenarios("the memory engine", setup, { much: 512 * 1024 });
serverScenarios("the memory engine", setup, { much: 512 * 1024 });

const unixSetup: MakeSetup = (clock) => unix(new EventLoop({ engine: new MemoryEngine(), clock }));

streamScenarios("a Unix socket of the memory engine", unixSetup, { much: 512 * 1024 });
serverScenarios("a Unix socket of the memory engine", unixSetup, { much: 512 * 1024 });

datagramScenarios("the memory engine", () => new EventLoop({ engine: new MemoryEngine() }), { atOnce: true });

const OPTIONS = { server: { tls: SERVER }, client: { tls: TRUSTING } };
const tlsSetup: MakeSetup = (clock) => tcp(new EventLoop({ engine: new MemoryEngine(), clock }), OPTIONS);

streamScenarios("TLS on the memory engine", tlsSetup, { halfCloses: false, much: 2 * 1024 * 1024 });
serverScenarios("TLS on the memory engine", tlsSetup, { halfCloses: false, much: 2 * 1024 * 1024 });
