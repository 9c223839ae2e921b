/** Running the rounds: every server in turn, so that whatever else the machine does hits all alike. */
import { type Bench, type Figures, METHODS, type Target } from "./methods.ts";
import type { ListeningServer } from "./process.ts";
import type { ServerKind } from "./servers.ts";
import type { Subject, Workload } from "./workloads.ts";

/** What one server reached under one workload. */
export interface Result {
  server: string;
  group: ServerKind["group"];
  /** A figure a round; `null` where that round failed. */
  rounds: (number | null)[];
  /** How much of the time the load was busy, at most: near 1 it measured itself. `null` where nobody knows. */
  loadBusy: number | null;
}

/** All results under one workload. */
export interface Measured {
  workload: Subject;
  results: Result[];
}

/** Memory hardly differs from round to round, and takes long. */
const MEMORY_ROUNDS = 2;

/** How often a workload is measured. */
export function roundsOf({ method }: Workload, rounds: number): number {
  return method === "memory" ? Math.min(rounds, MEMORY_ROUNDS) : rounds;
}

/** Measures workloads of one mode, over the same servers. */
export async function measureMode(bench: Bench, kinds: ServerKind[], workloads: Workload[]): Promise<Measured[]> {
  const { processes, options, log } = bench;
  const measured = workloads.map((workload) => ({
    workload,
    results: kinds.map(({ name, group }): Result => ({ server: name, group, rounds: [], loadBusy: null })),
  }));
  // What gives several figures is measured once for all of them.
  const jobs = [...Map.groupBy(measured, ({ workload: { method, load } }) => [method, ...load].join(" ")).values()];

  await using listening = new AsyncDisposableStack();
  const targets: Target[] = [];
  for (const kind of kinds) {
    const server = workloads.some(staysUp)
      ? await attempt(kind, log, () => processes.listen(kind.command(workloads[0]!.mode)))
      : null;
    targets.push({ kind, server: server && listening.use<ListeningServer>(server) });
  }

  for (let round = 0; round < options.rounds; round++) {
    for (const members of jobs) {
      const { workload } = members[0]!;
      if (round >= roundsOf(workload, options.rounds)) continue;
      log(`${workload.name}: round ${round + 1} of ${roundsOf(workload, options.rounds)}`);
      const measure = await METHODS[workload.method](bench, workload, targets);
      // Backwards every other time, so that a machine that slows down wrongs nobody.
      for (const index of kinds.map((_, index) => round % 2 === 0 ? index : kinds.length - 1 - index)) {
        const target = targets[index]!;
        const cannot = staysUp(workload) && target.server === null;
        const one: Figures | null = cannot ? null : await attempt(target.kind, log, () => measure(target));
        for (const { workload: { part = 0 }, results } of members) {
          const result = results[index]!;
          result.rounds.push(one?.figures[part] ?? null);
          if (one?.loadBusy && part === 0) result.loadBusy = Math.max(result.loadBusy ?? 0, one.loadBusy);
        }
      }
    }
  }
  return measured;
}

/** Whether a server is started once for all rounds. */
function staysUp({ method }: Workload): boolean {
  return method !== "own" && method !== "memory" && method !== "tls-client";
}

/** One that fails costs its own figure, not the run. */
async function attempt<T>({ name }: ServerKind, log: Bench["log"], run: () => Promise<T>): Promise<T | null> {
  try {
    return await run();
  } catch (error) {
    log(`${name} failed: ${(error as Error).message}`);
    return null;
  }
}
