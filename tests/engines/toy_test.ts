/** A second engine, of another kind than Deno's, keeps the promises of streams and servers. */
import { EventLoop } from "../../mod.ts";
import { type MakeSetup, tcp } from "../scenarios/scenario.ts";
import { serverScenarios } from "../scenarios/servers.ts";
import { streamScenarios } from "../scenarios/streams.ts";
import { ToyEngine } from "../scenarios/toy_engine.ts";

const setup: MakeSetup = (clock) => tcp(new EventLoop({ engine: new ToyEngine(), clock }));

streamScenarios("the toy engine", setup, { much: 512 * 1024 });
serverScenarios("the toy engine", setup, { much: 512 * 1024 });
