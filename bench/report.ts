/** The figures as a table to read, and as JSON. */
import type { Measured, Result } from "./measure.ts";
import { type Missing, TANDEM } from "./servers.ts";
import { geometricMean, ratio, summarize } from "./statistics.ts";
import { ECHO_WORKLOADS, type Workload } from "./workloads.ts";

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
const SCALES: Record<Workload["unit"], { unit: string; divisor: number; digits: number }> = {
  "req": { unit: "thousand req/s", divisor: 1e3, digits: 1 },
  "dgram": { unit: "thousand datagrams/s", divisor: 1e3, digits: 1 },
  "conn": { unit: "thousand connections/s", divisor: 1e3, digits: 2 },
  "B/s": { unit: "MB/s", divisor: 1e6, digits: 0 },
  "B": { unit: "KiB, less is better", divisor: 1024, digits: 1 },
};

/** Finds the row that all ratios are taken to. */
export function bareRow(results: Result[]): Result | undefined {
  return results.find(({ group }) => group === "bare");
}

/** One workload as a table. */
export function table({ workload, results }: Measured): string {
  const { unit, divisor, digits } = SCALES[workload.unit];
  const format = (figure: number) => (figure / divisor).toFixed(digits);
  const tandem = results.find(({ server }) => server === TANDEM);
  const rows = results.map((result) => {
    const summary = summarize(result);
    if (summary === null) return [result.server, "failed", "", NONE, NONE];
    const { median, min, max } = summary;
    const toIt = tandem === undefined ? null : ratio(tandem, result);
    const spread = `${format(min)} to ${format(max)}`;
    return [result.server, format(median), spread, formatRatio(ratio(result, bareRow(results))), formatRatio(toIt)];
  });
  const header = ["", "median", "min to max", "of bare", "Tandem is"];
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
  for (const tandem of names("tandem")) {
    const means = [...names("bare"), ...names("peer")]
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
  const limit = results.find(({ group }) => group === "limit");
  const ratios = tested.map((result) => limit === undefined ? null : ratio(limit, result));
  const least = Math.min(...ratios.filter((value) => value !== null));
  const faster = Number.isFinite(least) ? `; C epoll reaches ${least.toFixed(2)} of the fastest of them` : "";
  const warning = busy > SATURATED ? "; THE LOAD MAY BE THE BOTTLENECK" : "";
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
    })),
  }));
  return JSON.stringify({ ...surroundings, workloads }, null, 2) + "\n";
}

function formatRatio(value: number | null): string {
  return value === null ? NONE : value.toFixed(2);
}
