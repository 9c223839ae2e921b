/** Making sense of rounds. */
import type { Measured, Result } from "./measure.ts";

/** What is left of a row's rounds. */
export interface Summary {
  median: number;
  min: number;
  max: number;
}

/** Sums up a row; `null` where every round failed. */
export function summarize(result: Result): Summary | null {
  const figures = result.rounds.filter((figure) => figure !== null);
  if (figures.length === 0) return null;
  return { median: median(figures), min: Math.min(...figures), max: Math.max(...figures) };
}

/**
 * Divides a row by another one, round by round, and takes the median: a neighbour that steals time in one round
 * steals it from both.
 *
 * @returns The ratio; `null` where no round has both.
 */
export function ratio(result: Result, to: Result | undefined): number | null {
  const ratios: number[] = [];
  for (const [round, figure] of result.rounds.entries()) {
    const other = to?.rounds[round] ?? null;
    if (figure !== null && other !== null && other > 0) ratios.push(figure / other);
  }
  return ratios.length === 0 ? null : median(ratios);
}

/** The ratio of two servers over several workloads; `null` where one of them is missing. */
export function geometricMean(measured: Measured[], workloads: readonly string[], server: string, to: string) {
  let sum = 0;
  for (const name of workloads) {
    const results = measured.find(({ workload }) => workload.name === name)?.results ?? [];
    const result = results.find((row) => row.server === server);
    const value = result === undefined ? null : ratio(result, results.find((row) => row.server === to));
    if (value === null) return null;
    sum += Math.log(value);
  }
  return Math.exp(sum / workloads.length);
}

/** The middle one, or the mean of the two in the middle. */
export function median(figures: number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
