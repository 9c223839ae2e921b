/** Running the rounds: every server in turn, so that whatever else the machine does hits all alike. */
import type { Options } from "./options.ts";
import { LineReader, type ListeningServer, type Processes } from "./process.ts";
import type { ServerKind } from "./servers.ts";
import type { Workload } from "./workloads.ts";

/** What one server reached under one workload. */
export interface Result {
  server: string;
  group: ServerKind["group"];
  /** A figure a round; `null` where that round failed. */
  rounds: (number | null)[];
  /** How much of the time the load was busy, at most: near 1 it measured itself. `null` where nobody knows. */
  loadBusy: number | null;
}

/** What one measurement gave. */
interface Figure {
  figure: number;
  loadBusy: number | null;
}

/** All results under one workload. */
export interface Measured {
  workload: Workload;
  results: Result[];
}

/** Connections that warm a server up before its memory is measured. */
const MEMORY_WARM_UP = "200";
/** After its connections have gone idle, a garbage collector may still give memory back. */
const MEMORY_SETTLE = 1500;
/** What an idle connection has said. */
const MEMORY_MESSAGE = "1024";

/** Measures workloads of one mode, over the same servers. */
export async function measureMode(
  processes: Processes,
  load: string,
  servers: ServerKind[],
  workloads: Workload[],
  options: Options,
  log: (line: string) => void,
): Promise<Measured[]> {
  const measured = workloads.map((workload) => ({
    workload,
    results: servers.map(({ name, group }): Result => ({ server: name, group, rounds: [], loadBusy: null })),
  }));
  await using listening = new AsyncDisposableStack();
  const ready: (ListeningServer | null)[] = [];
  const { mode } = workloads[0]!;
  const staysUp = mode !== "pipe" && mode !== "idle";
  for (const server of staysUp ? servers : []) {
    const started = await attempt(server, log, () => processes.listen(server.command(mode)));
    ready.push(started && listening.use(started));
  }

  for (let round = 0; round < options.rounds; round++) {
    for (const { workload, results } of measured) {
      log(`${workload.name}: round ${round + 1} of ${options.rounds}`);
      // Backwards every other time, so that a machine that slows down wrongs nobody.
      const order = servers.map((_, index) => round % 2 === 0 ? index : servers.length - 1 - index);
      for (const index of order) {
        const server = servers[index]!;
        const one = await attempt(server, log, async () => {
          if (mode === "pipe") return await measurePipe(processes, server, options.seconds);
          if (mode === "idle") return await measureMemory(processes, load, server, options.idleConnections);
          const port = ready[index]?.port;
          return port === undefined ? null : await measureLoad(processes, load, port, workload, options.seconds);
        });
        const result = results[index]!;
        result.rounds.push(one?.figure ?? null);
        if (one?.loadBusy) result.loadBusy = Math.max(result.loadBusy ?? 0, one.loadBusy);
      }
    }
  }
  return measured;
}

/** One that fails costs its own figure, not the run. */
async function attempt<T>(server: ServerKind, log: (line: string) => void, run: () => Promise<T>): Promise<T | null> {
  try {
    return await run();
  } catch (error) {
    log(`${server.name} failed: ${(error as Error).message}`);
    return null;
  }
}

async function measureLoad(
  processes: Processes,
  load: string,
  port: string,
  workload: Workload,
  seconds: number,
): Promise<Figure> {
  const [mode, ...args] = workload.load;
  const command = [load, mode!, port, ...args, String(seconds)];
  const text = await processes.run("load", command, seconds * 1000 + 10_000);
  const [figure, loadBusy] = text.trim().split(" ").map(Number);
  return { figure: figure!, loadBusy: loadBusy! };
}

/** Has a server push bytes through a child, which runs on the core of the load. */
async function measurePipe(processes: Processes, server: ServerKind, seconds: number): Promise<Figure> {
  const command = [...server.command("pipe"), String(seconds), ...processes.pin("load", ["cat"])];
  const text = await processes.run("server", command, seconds * 1000 + 20_000);
  const figure = /^result (\S+)$/m.exec(text)?.[1];
  if (figure === undefined) throw new Error(`it gave no result but: ${text}`);
  return { figure: Number(figure), loadBusy: null };
}

/** Measures what a further connection costs, in a fresh server that has warmed up with some. */
async function measureMemory(
  processes: Processes,
  load: string,
  server: ServerKind,
  connections: number,
): Promise<Figure> {
  await using target = await processes.listen(server.command("idle"));
  const hold = async (count: string) => {
    const child = processes.spawn("load", [load, "idle", target.port, count, MEMORY_MESSAGE]);
    if (await new LineReader(child.stdout).next() !== "held") throw new Error(`${count} connections cannot be held`);
    await new Promise((resolve) => setTimeout(resolve, MEMORY_SETTLE));
    return child;
  };
  const first = await hold(MEMORY_WARM_UP);
  const before = await target.residentMemory();
  const second = await hold(String(connections));
  const after = await target.residentMemory();
  for (const child of [first, second]) await processes.stop(child);
  return { figure: (after - before) / connections, loadBusy: null };
}
