/**
 * `deno task bench`: Tandem beside the bare `Deno.Conn` loop and everything that a user might pick instead.
 *
 * Each server is a process of its own on one core, the load a C program on the other. Read ratios of one run, not
 * figures: those are the machine's.
 *
 * @module
 */
import { build, BuildError } from "./build.ts";
import { chart } from "./chart.ts";
import { type Measured, measureMode } from "./measure.ts";
import { isOf, type Options, parseOptions, usage, UsageError } from "./options.ts";
import { Processes } from "./process.ts";
import { closingLines, json, type Surroundings, table } from "./report.ts";
import { findServers, type ServerKind, versions } from "./servers.ts";
import { type Mode, type Workload, WORKLOADS } from "./workloads.ts";

/** Exit codes: the command line makes no sense; nothing can be measured here. */
const USAGE = 2;
const CANNOT_RUN = 3;

/** Files that a server or the load needs besides its connections. */
const SPARE_FILES = 300;

function log(line: string): void {
  console.error(`  ${line}`);
}

async function main(args: string[]): Promise<number> {
  let options: Options | "help";
  try {
    options = parseOptions(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`bench: ${error.message}\n\n${usage()}`);
    return USAGE;
  }
  if (options === "help") {
    console.log(usage());
    return 0;
  }
  const folder = await Deno.makeTempDir({ prefix: "tandem-bench-" });
  // Also when a signal ends the run.
  addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  try {
    const load = await build("load", folder);
    return await run(load, await build("epoll_echo", folder), options, args);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`bench: ${error.message}`);
    return CANNOT_RUN;
  }
}

async function run(load: string, epollEcho: string, options: Options, args: string[]): Promise<number> {
  const { servers: all, missing } = await findServers(epollEcho);
  const asked = options.servers.map((name) => name.toLowerCase());
  const isAsked = ({ name, group }: ServerKind) =>
    asked.length === 0 || group === "bare" || asked.some((part) => name.toLowerCase().includes(part));
  const servers = all.filter(isAsked);
  const workloads = WORKLOADS.filter(({ name }) =>
    options.workloads.length === 0 || options.workloads.some((asked) => isOf(name, asked))
  );
  options.idleConnections = Math.min(options.idleConnections, await openFiles() - SPARE_FILES);

  await using processes = await Processes.create();
  const surroundings: Surroundings = {
    date: new Date().toISOString().slice(0, 10),
    machine: await machine(),
    versions: await versions(),
    command: ["deno task bench", ...args].join(" "),
    pinned: processes.pinned,
    missing,
  };
  console.log(describe(surroundings, options));

  const measured: Measured[] = [];
  for (const { mode, members } of byMode(workloads)) {
    const able = servers.filter(({ modes }) => modes.includes(mode));
    const batch = await measureMode(processes, load, able, members, options, log);
    for (const one of batch) console.log(`\n${table(one)}`);
    measured.push(...batch);
  }
  console.log(`\n${closingLines(measured, surroundings).join("\n")}`);

  const { machine: where, date, command } = surroundings;
  if (options.json !== undefined) await Deno.writeTextFile(options.json, json(measured, surroundings));
  if (options.svg !== undefined) {
    const note = `${where}; ${date}; Deno ${Deno.version.deno}; ${command.replace(/ --(json|svg) \S+/g, "")}`;
    await Deno.writeTextFile(options.svg, chart(measured, note));
  }
  return 0;
}

/** Workloads that share their servers, so that a server is started, and warms up, once for all of them. */
function byMode(workloads: Workload[]): { mode: Mode; members: Workload[] }[] {
  const groups = Map.groupBy(workloads, ({ mode }) => mode);
  return [...groups].map(([mode, members]) => ({ mode, members }));
}

function describe({ machine, versions, pinned }: Surroundings, { seconds, rounds }: Options): string {
  const found = Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ");
  const cores = pinned ? "servers on core 0, load on core 1" : "not pinned";
  return `${machine}; ${found}\nrounds: ${rounds} of ${seconds} s each, servers in turn; ${cores}`;
}

async function machine(): Promise<string> {
  const cores = `${navigator.hardwareConcurrency} cores`;
  try {
    const model = /^model name\s*: (.*)$/m.exec(await Deno.readTextFile("/proc/cpuinfo"))?.[1];
    return model === undefined ? cores : `${model}, ${cores}`;
  } catch {
    return cores; // Not Linux.
  }
}

/** How many files a process may have open, those it starts included. */
async function openFiles(): Promise<number> {
  const limits = await Deno.readTextFile("/proc/self/limits");
  const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1];
  return soft === "unlimited" ? Infinity : Number(soft);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
