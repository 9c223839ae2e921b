/** Tandem beside CPython: each scenario runs under both, and what the callbacks saw must be the same, line by line. */
import { assert, assertEquals, assertNotEquals } from "../std.ts";
import { differences } from "./differences.ts";
import { isOlder, pythonResults, whyNoPython } from "./python.ts";
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
};

/** Long for a machine under load; a scenario takes milliseconds. */
const TIMEOUT = 20_000;

const reason = whyNoPython();
if (reason !== null) console.warn(`differential: skipped, there is nothing to compare with: ${reason}`);

const options = { ignore: reason !== null, sanitizeOps: true, sanitizeResources: true };

for (const [topic, scenarios] of Object.entries(topics)) {
  for (const [name, scenario] of Object.entries(scenarios)) {
    Deno.test(`differential: ${topic}: ${name}`, options, async () => {
      const expected = await expectedLines(topic, name);
      assertEquals(await perform(scenario), expected);
    });
  }
}

Deno.test("differential: both sides have the same scenarios, forty at least", options, async () => {
  const python = (await pythonResults()).topics;
  const names = (sides: Record<string, object>) =>
    Object.entries(sides).flatMap(([topic, scenarios]) => Object.keys(scenarios).map((name) => `${topic}: ${name}`));
  assertEquals(names(topics).sort(), names(python).sort());
  assert(names(topics).length >= 40);
});

Deno.test("differential: every known difference is about a scenario there is", () => {
  for (const difference of differences) {
    for (const scenario of difference.scenarios) {
      const [topic = "", name = ""] = scenario.split(/: (.*)/s);
      assert(topics[topic]?.[name] !== undefined, scenario);
    }
  }
});

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
async function expectedLines(topic: string, name: string): Promise<string[]> {
  const { topics, version } = await pythonResults();
  const lines = topics[topic]?.[name];
  assert(lines !== undefined, "run.py has no such scenario");
  let text = lines.join("\n");
  for (const { scenarios, until, asyncio, tandem } of differences) {
    if (!scenarios.includes(`${topic}: ${name}`) || until !== undefined && !isOlder(version, until)) continue;
    const changed = text.replace(asyncio, tandem);
    assertNotEquals(changed, text, `this difference is gone, take it off the list:\n${asyncio}`);
    text = changed;
  }
  return text === "" ? [] : text.split("\n");
}
