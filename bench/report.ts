/** The figures as a table to read, and as JSON. */
import type { Measured, Result } from "./measure.ts";
import { TANDEM } from "./servers.ts";
import { geometricMean, ratio, summarize } from "./statistics.ts";
import type { Missing } from "./tools.ts";
import { ECHO_WORKLOADS, type Subject } from "./workloads.ts";

/** Where and how it was measured. */
export interface Surroundings {
  date: string;
  machine: string;
  versions: Record<string, string>;
  command: string;
  /** Whether servers and load had a core each. */
  pinned: boolean;
  missing: Missing[];
}

const NONE = "-";

/** How figures of each unit are printed. */
const SCALES: Record<Subject["unit"], { unit: string; divisor: number; digits: number }> = {
  "req": { unit: "thousand req/s", divisor: 1e3, digits: 1 },
  "dgram": { unit: "thousand datagrams/s", divisor: 1e3, digits: 1 },
  "conn": { unit: "thousand connections/s", divisor: 1e3, digits: 1 },
  "B/s": { unit: "MB/s", divisor: 1e6, digits: 0 },
  "B": { unit: "KiB, less is better", divisor: 1024, digits: 1 },
  "s": { unit: "µs, less is better", divisor: 1e-6, digits: 0 },
  "cpu": { unit: "% of a core, less is better", divisor: 0.01, digits: 1 },
};

/** Whether a smaller figure is the better one. */
export function isLessBetter({ unit }: Subject): boolean {
  return unit === "B" || unit === "s" || unit === "cpu";
}

/** Finds the row that all ratios are taken to. */
export function bareRow(results: Result[]): Result | undefined {
  return results.find(({ group }) => group === "bare");
}

/** Finds the row of what the system can do at all. */
function limitRow(results: Result[]): Result | undefined {
  return results.find(({ group }) => group === "limit");
}

/** One workload as a table. */
export function table({ workload, results }: Measured): string {
  const { unit, divisor, digits } = SCALES[workload.unit];
  // Small ones would else be all the same.
  const format = (figure: number) => (figure / divisor).toFixed(figure / divisor < 10 ? digits + 1 : digits);
  const tandem = results.find(({ server }) => server === TANDEM);
  const limit = limitRow(results);
  const rows = results.map((result) => {
    const summary = summarize(result);
    if (summary === null) return [result.server, "failed", "", NONE, NONE, NONE];
    const { median, min, max } = summary;
    const toIt = tandem === undefined ? null : ratio(tandem, result);
    const spread = `${format(min)} to ${format(max)}`;
    const ratios = [ratio(result, bareRow(results)), ratio(result, limit), toIt];
    return [result.server, format(median), spread, ...ratios.map(formatRatio)];
  });
  const header = ["", "median", "min to max", "of bare", "of C", "Tandem is"];
  const widths = header.map((_, column) => Math.max(...[header, ...rows].map((row) => row[column]!.length)));
  const lines = [header, ...rows].map((row) =>
    row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)).join("   ")
      .trimEnd()
  );
  return [`${workload.name}: ${workload.title} (${unit})`, ...lines.map((line) => `  ${line}`)].join("\n");
}

/** What the ratios mean, who is missing, and the sums over several workloads. */
export function closingLines(measured: Measured[], { missing, pinned }: Surroundings): string[] {
  const lines = [
    "of bare:    the row's figure divided by the bare Deno loop's; the median over the rounds",
    "of C:       the same, divided by the C epoll server's",
    `Tandem is:  the figure of "${TANDEM}" divided by the row's`,
    ...missing.map(({ name, reason }) => `missing:    ${name} (${reason})`),
  ];
  if (!pinned) {
    lines.push("not pinned: servers and load shared their cores (no taskset, or one core), so read ratios with care");
  }
  lines.push(...measured.flatMap(loadLine));
  const servers = [...new Set(measured.flatMap(({ results }) => results))];
  const names = (group: Result["group"]) => [
    ...new Set(servers.filter((row) => row.group === group).map(({ server }) => server)),
  ];
  for (const tandem of [...names("tandem"), ...names("epoll")]) {
    const means = [...names("bare"), ...names("peer"), ...names("limit")]
      .map((peer) => [peer, geometricMean(measured, ECHO_WORKLOADS, tandem, peer)] as const)
      .filter(([, mean]) => mean !== null)
      .map(([peer, mean]) => `${mean!.toFixed(2)} of ${peer}`);
    if (means.length > 0) lines.push(`echo, geometric mean of the four, ${tandem}: ${means.join("; ")}`);
  }
  return lines;
}

/** At this share of its core, the load may be what is measured. */
const SATURATED = 0.95;

/** Tells whether the load was fast enough: how busy it was, and how much faster it drives the C server. */
function loadLine({ workload, results }: Measured): string[] {
  const tested = results.filter(({ group }) => group !== "limit");
  const busy = Math.max(...tested.map(({ loadBusy }) => loadBusy ?? 0));
  if (busy === 0) return [];
  const limit = limitRow(results);
  const ratios = tested.map((result) => limit === undefined ? null : ratio(limit, result));
  const least = Math.min(...ratios.filter((value) => value !== null));
  const faster = Number.isFinite(least) ? `; C epoll reaches ${least.toFixed(2)} of the fastest of them` : "";
  const saturating = tested.filter(({ loadBusy }) => (loadBusy ?? 0) > SATURATED).map(({ server }) => server);
  const warning = saturating.length > 0 ? `; IT MAY BE THE BOTTLENECK under ${saturating.join("; ")}` : "";
  return [
    `load:       ${workload.name}: busy ${(busy * 100).toFixed(0)} % at most under the servers${faster}${warning}`,
  ];
}

/** Everything, for programs. */
export function json(measured: Measured[], surroundings: Surroundings): string {
  const workloads = measured.map(({ workload: { name, title, unit }, results }) => ({
    name,
    title,
    unit,
    results: results.map((result) => ({
      server: result.server,
      group: result.group,
      rounds: result.rounds,
      loadBusy: result.loadBusy,
      ...summarize(result),
      ofBare: ratio(result, bareRow(results)),
      // To each peer, by its name.
      of: Object.fromEntries(
        results.filter((peer) => peer !== result).map((peer) => [peer.server, ratio(result, peer)]),
      ),
    })),
  }));
  return JSON.stringify({ ...surroundings, workloads }, null, 2) + "\n";
}

/** A file that `json` has made, as far as it is read again. */
interface Saved extends Surroundings {
  workloads: (Subject & { results: Result[] })[];
}

/**
 * Puts runs together that were measured one after the other, on one machine.
 *
 * @param texts What `json` gave for each. Where two have the same workload, the later one stands.
 * @throws {Error} If one is something else.
 */
export function restore(texts: string[]): { measured: Measured[]; surroundings: Surroundings } {
  const runs = texts.map((text) => JSON.parse(text) as Saved);
  if (!runs.every(({ workloads, versions }) => Array.isArray(workloads) && versions)) {
    throw new Error("it is no file that --json has written");
  }
  const [first] = runs as [Saved];
  const { date, machine, versions } = first;
  const workloads = new Map(runs.flatMap(({ workloads }) => workloads).map((one) => [one.name, one]));
  const missing = new Map(runs.flatMap(({ missing }) => missing).map((one) => [one.name, one]));
  return {
    measured: [...workloads.values()].map(({ results, ...workload }) => ({ workload, results })),
    surroundings: {
      date,
      machine,
      versions,
      command: runs.map(({ command }) => command).join("; "),
      pinned: runs.every(({ pinned }) => pinned),
      missing: [...missing.values()],
    },
  };
}

function formatRatio(value: number | null): string {
  return value === null ? NONE : value.toFixed(2);
}
