/**
 * Tandem beside CPython: each scenario runs under both, and what the callbacks saw must be the same, line by line. Tandem runs
 * it over each of its engines, CPython once.
 */
import { EventLoop } from "../../mod.ts";
import { callbacks } from "../../tls/openssl/callbacks.ts";
import { hasLibssl } from "../../tls/openssl/libssl.ts";
import { EpollEngine } from "../../engines/epoll/mod.ts";
import { loop, withLoop } from "../kit.ts";
import { assert, assertEquals, assertNotEquals } from "../std.ts";
import { DIFFERENCES, type EngineName, FIXED_IN } from "./differences.ts";
import { findPython, isOlder, pythonResults, type Version } from "./python.ts";
import { scenarios as buffered } from "./scenarios/buffered.ts";
import { scenarios as connections } from "./scenarios/connections.ts";
import { scenarios as datagrams } from "./scenarios/datagrams.ts";
import { scenarios as errors } from "./scenarios/errors.ts";
import { scenarios as flow_control } from "./scenarios/flow_control.ts";
import { scenarios as pipes } from "./scenarios/pipes.ts";
import { scenarios as processes } from "./scenarios/processes.ts";
import { scenarios as reading } from "./scenarios/reading.ts";
import { scenarios as scheduling } from "./scenarios/scheduling.ts";
import { scenarios as servers } from "./scenarios/servers.ts";
import { scenarios as start_tls } from "./scenarios/start_tls.ts";
import { scenarios as tls } from "./scenarios/tls.ts";
import { scenarios as watching } from "./scenarios/watching.ts";
import { scenarios as writing } from "./scenarios/writing.ts";
import { type Scenario, type Scenarios, Stage } from "./stage.ts";

const topics: Record<string, Scenarios> = {
  connections,
  reading,
  writing,
  buffered,
  flow_control,
  errors,
  servers,
  datagrams,
  processes,
  pipes,
  scheduling,
  tls,
  start_tls,
  watching,
};

/** Topics of one engine; the other refuses all calls of it. */
const ONLY: Record<string, EngineName> = { watching: "epoll" };

/** Long for a machine under load; a scenario takes milliseconds. */
const TIMEOUT = 20_000;

const python = findPython();
if (typeof python === "string") {
  console.warn(`differential: all tests are skipped, there is nothing to compare with: ${python}`);
}
const skipped = new Set<string>();
for (const { version, bug, scenarios } of FIXED_IN) {
  if (typeof python === "string" || !isOlder(python, version)) continue;
  for (const scenario of scenarios) skipped.add(scenario);
  console.warn(`differential: ${scenarios.length} skipped: before Python ${version.join(".")} ${bug}`);
}

const loops = new Map<EngineName, EventLoop>([["deno", loop]]);
const { supported, reason } = EpollEngine.isSupported();
// Here, because a callback that is made inside a test is a leak for Deno's sanitizer.
if (supported && hasLibssl()) callbacks();
if (supported) loops.set("epoll", new EventLoop({ engine: new EpollEngine() }));
else console.warn(`differential: all tests over epoll are missing: ${reason}`);

for (const [topic, scenarios] of Object.entries(topics)) {
  for (const [name, scenario] of Object.entries(scenarios)) {
    const ignore = typeof python === "string" || skipped.has(`${topic}: ${name}`);
    for (const [engine, ownLoop] of loops) {
      if (ONLY[topic] !== undefined && ONLY[topic] !== engine) continue;
      Deno.test(`differential: ${topic}: ${name} (${engine})`, { ignore }, async () => {
        const expected = await expectedLines(topic, name, engine);
        assertEquals(await withLoop(ownLoop, () => perform(scenario)), expected);
      });
    }
  }
}

const ignore = typeof python === "string";
Deno.test("differential: both sides have the same scenarios, forty at least", { ignore }, async () => {
  assertEquals(namesOf(topics), namesOf(await pythonResults()));
  assert(namesOf(topics).length >= 40);
});

Deno.test("differential: every known difference is about a scenario there is", () => {
  const known = new Set(namesOf(topics));
  for (const { scenarios } of [...DIFFERENCES, ...FIXED_IN]) {
    for (const scenario of scenarios) assert(known.has(scenario), scenario);
  }
});

function namesOf(topics: Record<string, object>): string[] {
  return Object.entries(topics)
    .flatMap(([topic, scenarios]) => Object.keys(scenarios).map((name) => `${topic}: ${name}`))
    .sort();
}

/** Runs a scenario under Tandem. */
async function perform(scenario: Scenario): Promise<string[]> {
  const stage = new Stage();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`the scenario hangs; until now:\n${stage.lines().join("\n")}`));
    }, TIMEOUT);
  });
  try {
    await Promise.race([scenario(stage), late]);
    // What comes of cleaning up is nobody's business.
    return stage.lines();
  } finally {
    clearTimeout(timer);
    await stage.cleanUp();
  }
}

/** What asyncio saw, with what is known and meant to differ put as Tandem has it. */
async function expectedLines(topic: string, name: string, onEngine: EngineName): Promise<string[]> {
  const lines = (await pythonResults())[topic]?.[name];
  assert(lines !== undefined, "run.py has no such scenario");
  let text = lines.join("\n");
  for (const { scenarios, engine = onEngine, until, asyncio, tandem } of DIFFERENCES) {
    if (engine !== onEngine || !scenarios.includes(`${topic}: ${name}`)) continue;
    if (until !== undefined && !isOlder(python as Version, until)) continue;
    const changed = text.replace(asyncio, tandem);
    assertNotEquals(changed, text, `this difference is gone, take it off the list:\n${asyncio}`);
    text = changed;
  }
  return text === "" ? [] : text.split("\n");
}
