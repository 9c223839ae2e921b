/** What `deno task bench` can be asked. */
import { parseArgs } from "node:util";
import { WORKLOADS } from "./workloads.ts";

export interface Options {
  /** How long each measurement lasts, its warm-up included. */
  seconds: number;
  /** How often each is repeated. */
  rounds: number;
  /** Names of workloads, or of families of them; none is all. */
  workloads: string[];
  /** Parts of servers' names; none is all. */
  servers: string[];
  /** How many connections the memory workload holds. */
  idleConnections: number;
  json: string | undefined;
  chart: string | undefined;
  /** Files of former runs to show again, instead of measuring. */
  from: string[];
}

export class UsageError extends Error {}

export function usage(): string {
  const names = WORKLOADS.map(({ name, title }) => `    ${name.padEnd(20)} ${title}`).join("\n");
  return `usage: deno task bench [options]

  --seconds N        how long each measurement lasts (default 2; a fifth of it is warm-up)
  --rounds N         how often each is repeated (default 5)
  --quick            1 second, 3 rounds
  --full             8,000 idle connections instead of 2,000
  --workload NAME    only these; may be repeated. "echo" stands for all whose name starts with "echo-"
  --server TEXT      only servers whose name contains this; may be repeated. The bare loop always runs
  --json FILE        write all figures to a file
  --chart FILE       write a chart to a file, as SVG
  --from FILE        measure nothing: show what --json has written; may be repeated, to join several runs
  --help             print this

  workloads:
${names}`;
}

/**
 * Reads the command line.
 *
 * @throws {UsageError} If it makes no sense.
 */
export function parseOptions(args: string[]): Options | "help" {
  const { values } = parse(args);
  if (values.help) return "help";
  const known = (name: string) => WORKLOADS.some((workload) => isOf(workload.name, name));
  const workloads = values.workload ?? [];
  for (const name of workloads) if (!known(name)) throw new UsageError(`there is no workload "${name}"`);
  return {
    seconds: positive("--seconds", values.seconds ?? (values.quick ? "1" : "2")),
    rounds: Math.ceil(positive("--rounds", values.rounds ?? (values.quick ? "3" : "5"))),
    workloads,
    servers: values.server ?? [],
    idleConnections: values.full ? 8000 : 2000,
    json: values.json,
    chart: values.chart,
    from: values.from ?? [],
  };
}

/** Tells whether a workload is the one, or one of the family, that is asked for. */
export function isOf(workload: string, asked: string): boolean {
  return workload === asked || workload.startsWith(`${asked}-`);
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        seconds: { type: "string" },
        rounds: { type: "string" },
        quick: { type: "boolean" },
        full: { type: "boolean" },
        workload: { type: "string", multiple: true },
        server: { type: "string", multiple: true },
        json: { type: "string" },
        chart: { type: "string" },
        from: { type: "string", multiple: true },
        help: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function positive(option: string, value: string): number {
  const number = Number(value);
  if (!(number > 0 && number <= 600)) throw new UsageError(`${option} takes a number from above 0 to 600`);
  return number;
}
