/** Behind a PROXY header, a stream and a server keep all their promises, over every engine. */
import { EventLoop } from "../../mod.ts";
import { DenoEngine } from "../../engines/deno/mod.ts";
import { EpollEngine } from "../../engines/epoll/mod.ts";
import { MemoryEngine } from "../../testing/mod.ts";
import { type MakeSetup, tcp } from "../scenarios/scenario.ts";
import { serverScenarios } from "../scenarios/servers.ts";
import { streamScenarios } from "../scenarios/streams.ts";

const OPTIONS = {
  server: { proxyProtocol: { trusted: ["127.0.0.1"], untrusted: "refuse" } },
  client: { proxyProtocol: {} },
} as const;

/** The memory engine's streams hold less than sockets. */
const engines = [
  ["Deno's engine", DenoEngine, {}],
  ["the memory engine", MemoryEngine, { much: 512 * 1024 }],
  ["epoll", EpollEngine, {}],
] as const;
for (const [name, Engine, traits] of engines) {
  if (Engine === EpollEngine && !EpollEngine.isSupported().supported) continue;
  const setup: MakeSetup = (clock) => tcp(new EventLoop({ engine: new Engine(), clock }), OPTIONS);
  streamScenarios(`a PROXY header on ${name}`, setup, traits);
  serverScenarios(`a PROXY header on ${name}`, setup, traits);
}
