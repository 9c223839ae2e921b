/** The ways to get figures from a server. */
import type { Options } from "./options.ts";
import { LineReader, type ListeningServer, type Processes } from "./process.ts";
import { certificates, type ServerKind } from "./servers.ts";
import type { Tools } from "./tools.ts";
import type { Method, Workload } from "./workloads.ts";

/** What it takes to measure. */
export interface Bench {
  processes: Processes;
  tools: Tools;
  options: Options;
  log(line: string): void;
}

/** What is measured. */
export interface Target {
  kind: ServerKind;
  /** `null` where it is not up: it is started by the method, or could not be. */
  server: ListeningServer | null;
}

/** What one measurement gave. */
export interface Figures {
  figures: number[];
  /** See {@linkcode Result.loadBusy}. */
  loadBusy: number | null;
}

/** Gets ready for a round; what it resolves with measures one server. */
type Prepare = (bench: Bench, workload: Workload, all: Target[]) => Promise<(target: Target) => Promise<Figures>>;

export const METHODS: Record<Method, Prepare> = {
  load: simple((bench, workload, target) => measureLoad(bench, bench.tools.load, workload, target)),
  "tls-load": simple((bench, workload, target) => measureLoad(bench, bench.tools.tlsLoad!, workload, target)),
  wrk: simple(async ({ processes, options }, _, { server }) => {
    const seconds = Math.ceil(options.seconds); // It takes only whole ones.
    const wrk = `wrk -t1 -c32 -d${seconds}s https://127.0.0.1:${server!.where}/`;
    return parseWrk(await processes.run("load", ["sh", "-c", `${wrk} && times`], seconds * 1000 + 10_000), seconds);
  }),
  own: simple(async ({ processes, options }, { mode }, { kind }) => {
    // The child is the load: it runs on that core.
    const command = [...kind.command(mode), String(options.seconds), ...processes.pin("load", ["cat"])];
    return parseOwn(await processes.run("server", command, options.seconds * 1000 + 20_000));
  }),
  "tls-client": simple(async ({ processes, options, tools }, { mode, load }, { kind }) => {
    const { cert, key } = certificates();
    await using server = await processes.listen([tools.tlsEcho!, "tls-echo", cert, key], "load");
    const command = [...kind.command(mode), server.where, ...load, String(options.seconds)];
    return parseOwn(await processes.run("server", command, options.seconds * 1000 + 20_000));
  }),
  memory: simple(measureMemory),
  latency: prepareLatency,
};

/** For what needs no preparation. */
function simple(measure: (bench: Bench, workload: Workload, target: Target) => Promise<Figures>): Prepare {
  return (bench, workload) => Promise.resolve((target) => measure(bench, workload, target));
}

/** Measures what the load gets out of a server, and what that is per second of the server's CPU. */
async function measureLoad(bench: Bench, program: string, { load: [mode, ...args] }: Workload, { server }: Target) {
  const before = await server!.cpuTime();
  const { figures: [figure], loadBusy } = await runLoad(bench, [program, mode!, server!.where, ...args]);
  const busy = (await server!.cpuTime() - before) / bench.options.seconds;
  return { figures: [figure!, figure! / busy], loadBusy };
}

async function runLoad({ processes, options }: Bench, command: string[]): Promise<Figures> {
  return parseLoad(await processes.run("load", [...command, String(options.seconds)], options.seconds * 1000 + 10_000));
}

/**
 * Reads what the load generator prints: a figure, and how busy it was.
 *
 * @throws {Error} If it makes no sense.
 */
export function parseLoad(text: string): Figures {
  const [figure, loadBusy] = numbers(text, 2);
  return { figures: [figure!], loadBusy: loadBusy! };
}

/**
 * Reads what a program prints that counts by itself.
 *
 * @throws {Error} If it gave no result.
 */
export function parseOwn(text: string): Figures {
  const figure = /^result (\S+)$/m.exec(text)?.[1];
  if (figure === undefined) throw new Error(`it gave no result but: ${text}`);
  return { figures: numbers(figure, 1), loadBusy: null };
}

/**
 * Reads what wrk prints, and then the shell's `times`: its own, and below its children's.
 *
 * @throws {Error} If requests failed: those are fast.
 */
export function parseWrk(text: string, seconds: number): Figures {
  const failed = /^\s*(Socket errors: .*|Non-2xx or 3xx responses: .*)$/m.exec(text)?.[1];
  if (failed !== undefined) throw new Error(`wrk: ${failed}`);
  const figures = numbers(/^Requests\/sec:\s+(\S+)$/m.exec(text)?.[1] ?? text, 1);
  const times = /^(\d+)m([\d.]+)s (\d+)m([\d.]+)s$/.exec(text.trimEnd().split("\n").at(-1)!)?.slice(1).map(Number);
  const [userMinutes, user, systemMinutes, system] = times ?? [];
  const busy = ((userMinutes! + systemMinutes!) * 60 + user! + system!) / seconds;
  // It works a little longer than it is asked to.
  return { figures, loadBusy: Number.isFinite(busy) ? Math.min(busy, 1) : null };
}

/** What the latency program prints. */
export interface Latency {
  /** In seconds, 50, 99 and 99.9 %. */
  percentiles: number[];
  /** How late the requests themselves left, 99 %. */
  lateness: number;
  /** The share of the requests that was answered in time. */
  answered: number;
}

/**
 * Reads what the latency program prints.
 *
 * @throws {Error} If it makes no sense.
 */
export function parseLatency(text: string): Latency {
  const [p50, p99, p999, lateness, answered] = numbers(text, 5);
  return { percentiles: [p50!, p99!, p999!], lateness: lateness!, answered: answered! };
}

function numbers(text: string, count: number): number[] {
  const figures = text.trim().split(/\s+/).map(Number);
  if (figures.length !== count || !figures.every(Number.isFinite)) {
    throw new Error(`it printed ${JSON.stringify(text)}`);
  }
  return figures;
}

/** The share of the bare loop's rate at which latency is taken. */
const LATENCY_LOAD = 0.5;

/** Finds this round's rate, the same for all. */
async function prepareLatency(bench: Bench, { load }: Workload, all: Target[]) {
  const { processes, tools, options, log } = bench;
  const [connections, size] = load as [string, string];
  const bare = all.find(({ kind }) => kind.group === "bare")?.server;
  if (!bare) return () => Promise.reject(new Error("the bare loop, whose half load it is, is not up"));
  const { figures } = await runLoad(bench, [tools.load, "exchange", bare.where, connections, size, size]);
  const rate = (figures[0]! * LATENCY_LOAD).toFixed(0);
  return async ({ kind, server }: Target): Promise<Figures> => {
    const command = [tools.latency, server!.where, connections, size, rate, String(options.seconds)];
    const text = await processes.run("load", command, options.seconds * 1000 + 10_000);
    const { percentiles, lateness, answered } = parseLatency(text);
    if (answered < 1) log(`${kind.name}: only ${(answered * 100).toFixed(1)} % of ${rate} requests a second answered`);
    if (lateness > percentiles[1]! / 2) {
      log(`${kind.name}: the load was itself late: ${(lateness * 1e6).toFixed(0)} µs (p99)`);
    }
    return { figures: percentiles, loadBusy: null };
  };
}

/** Connections that warm a server up before its memory is measured. */
const MEMORY_WARM_UP = "200";
/** After its connections have gone idle, a garbage collector may still give memory back. */
const MEMORY_SETTLE = 1500;
/** For how long an idle server's use of the CPU is measured. The system counts it in hundredths of a second. */
const IDLE_TIME = 1000;
/** What an idle connection has said. */
const MEMORY_MESSAGE = "1024";

/** Measures what a further connection costs, and what all cost while idle, in a fresh server that has warmed up with some. */
async function measureMemory({ processes, tools, options }: Bench, _: Workload, { kind }: Target): Promise<Figures> {
  await using server = await processes.listen(kind.command("idle"));
  const hold = async (count: string) => {
    const child = processes.spawn("load", [tools.load, "idle", server.where, count, MEMORY_MESSAGE]);
    if (await new LineReader(child.stdout).next() !== "held") throw new Error(`${count} connections cannot be held`);
    await new Promise((resolve) => setTimeout(resolve, MEMORY_SETTLE));
    return child;
  };
  const first = await hold(MEMORY_WARM_UP);
  const before = await server.residentMemory();
  const second = await hold(String(options.idleConnections));
  const after = await server.residentMemory();
  const cpu = await server.cpuTime();
  await new Promise((resolve) => setTimeout(resolve, IDLE_TIME));
  const busy = (await server.cpuTime() - cpu) / (IDLE_TIME / 1000);
  for (const child of [first, second]) await processes.stop(child);
  return { figures: [(after - before) / options.idleConnections, busy], loadBusy: null };
}
