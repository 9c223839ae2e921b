/**
 * `deno task bench`: Tandem beside the bare Deno loop and everything that a user might pick instead.
 *
 * Each server is a process of its own on one core, the load a C program on the other. Read ratios of one run, not
 * figures: those are the machine's.
 *
 * @module
 */
import { chart } from "./chart.ts";
import { type Measured, measureMode, roundsOf } from "./measure.ts";
import type { Bench } from "./methods.ts";
import { isOf, type Options, parseOptions, usage, UsageError } from "./options.ts";
import { Processes } from "./process.ts";
import { closingLines, json, restore, type Surroundings, table } from "./report.ts";
import { findServers, type ServerKind, versions } from "./servers.ts";
import { BuildError, findTools, type Missing, type Tools } from "./tools.ts";
import { type Mode, type Workload, WORKLOADS } from "./workloads.ts";

/** Exit codes: the command line makes no sense; nothing can be measured here. */
const USAGE = 2;
const CANNOT_RUN = 3;

/** Files that a server or the load needs besides its connections. */
const SPARE_FILES = 300;

/** What a measurement takes besides its seconds, seen; and what one of memory takes, which settles twice. */
const OVERHEAD = 0.1;
const MEMORY_TIME = 5.5;

async function main(args: string[]): Promise<number> {
  try {
    const options = parseOptions(args);
    if (options === "help") console.log(usage());
    else if (options.from.length > 0) await showAgain(options);
    else await measure(options, args);
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`bench: ${error.message}\n\n${usage()}`);
      return USAGE;
    }
    if (!(error instanceof BuildError)) throw error;
    console.error(`bench: ${error.message}`);
    return CANNOT_RUN;
  }
}

async function measure(options: Options, args: string[]): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "tandem-bench-" });
  // Also when a signal ends the run.
  addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  const tools = await findTools(folder);
  const { servers, missing } = await findServers(tools, folder);
  const asked = WORKLOADS.filter((workload) => isAskedFor(workload, options));
  const workloads = asked.filter((workload) => can(tools, workload));
  missing.push(...tools.missing, ...asked.filter((workload) => !can(tools, workload)).map(cannot));
  options.idleConnections = Math.min(options.idleConnections, await openFiles() - SPARE_FILES);

  await using processes = await Processes.create();
  const surroundings: Surroundings = {
    date: new Date().toISOString().slice(0, 10),
    machine: await machine(),
    versions: await versions(),
    command: ["deno task bench", ...args].join(" ").replace(/ --(json|chart)[ =]\S+/g, ""),
    pinned: processes.pinned,
    missing,
  };
  const groups = byMode(workloads).map(({ mode, members }) => {
    return {
      members,
      able: servers.filter((server) => server.modes.includes(mode) && isServerAskedFor(server, options)),
    };
  });
  const time = groups.flatMap(({ members, able }) => members.map((one) => able.length * timeOf(one, options)));
  console.log(describe(surroundings, options));
  console.log(`this takes about ${(time.reduce((sum, one) => sum + one, 0) / 60).toFixed(1)} minutes`);

  const bench: Bench = { processes, tools, options, log: (line) => console.error(`  ${line}`) };
  const measured: Measured[] = [];
  for (const { members, able } of groups) {
    const batch = await measureMode(bench, able, members);
    for (const one of batch) console.log(`\n${table(one)}`);
    measured.push(...batch);
  }
  await conclude(measured, surroundings, options);
}

/** Shows former runs, or a part of them. */
async function showAgain(options: Options): Promise<void> {
  const texts = await Promise.all(options.from.map((file) => Deno.readTextFile(file)));
  const { measured: all, surroundings } = restore(texts);
  const measured = all.filter(({ workload }) => isAskedFor(workload, options)).map(({ workload, results }) => {
    return {
      workload,
      results: results.filter((result) => isServerAskedFor({ ...result, name: result.server }, options)),
    };
  });
  const { machine, versions } = surroundings;
  console.log(`${machine}; ${list(versions)}; measured on ${surroundings.date}`);
  for (const one of measured) console.log(`\n${table(one)}`);
  await conclude(measured, surroundings, options);
}

/** What comes after the tables. */
async function conclude(measured: Measured[], surroundings: Surroundings, options: Options): Promise<void> {
  console.log(`\n${closingLines(measured, surroundings).join("\n")}`);
  if (options.json !== undefined) await Deno.writeTextFile(options.json, json(measured, surroundings));
  if (options.chart !== undefined) await Deno.writeTextFile(options.chart, chart(measured, surroundings));
}

function isAskedFor({ name }: Pick<Workload, "name">, { workloads }: Options): boolean {
  return workloads.length === 0 || workloads.some((asked) => isOf(name, asked));
}

function isServerAskedFor({ name, group }: Pick<ServerKind, "name" | "group">, { servers }: Options): boolean {
  if (servers.length === 0 || group === "bare") return true;
  return servers.some((part) => name.toLowerCase().includes(part.toLowerCase()));
}

/** Tells whether the load for it is there. */
function can({ wrk, tlsLoad }: Tools, { mode, method }: Workload): boolean {
  return method === "wrk" ? wrk !== null : !mode.startsWith("tls-") || tlsLoad !== null;
}

function cannot({ name, method }: Workload): Missing {
  return { name: `the workload ${name}`, reason: `there is no ${method === "wrk" ? "wrk" : "TLS load"}` };
}

/** Workloads that share their servers, so that a server is started, and warms up, once for all of them. */
function byMode(workloads: Workload[]): { mode: Mode; members: Workload[] }[] {
  const groups = Map.groupBy(workloads, ({ mode }) => mode);
  return [...groups].map(([mode, members]) => ({ mode, members }));
}

/** How long all rounds of one server take, in seconds. */
function timeOf(workload: Workload, { rounds, seconds }: Options): number {
  // The parts of one measurement come together.
  if (workload.part) return 0;
  return roundsOf(workload, rounds) * (workload.method === "memory" ? MEMORY_TIME : seconds + OVERHEAD);
}

function describe({ machine, versions, pinned }: Surroundings, { seconds, rounds }: Options): string {
  const cores = pinned ? "servers on core 0, load on core 1" : "not pinned";
  return `${machine}; ${list(versions)}\nrounds: ${rounds} of ${seconds} s each, servers in turn; ${cores}`;
}

function list(versions: Record<string, string>): string {
  return Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ");
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
