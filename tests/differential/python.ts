/** The other side of the comparison: python3 runs its scenarios once, for all tests. */
import { text } from "../kit.ts";

/** A version of Python. */
export type Version = readonly [major: number, minor: number, micro: number];

/** The lines of each scenario, by topic and name. */
export type PythonResults = Record<string, Record<string, string[]>>;

/** The oldest version that the scenarios are written for. */
const OLDEST: Version = [3, 8, 0];

/** Finds out the version of python3, or why there is nothing to compare with. */
export function findPython(): Version | string {
  if (Deno.build.os === "windows") return "the scenarios need POSIX: FIFOs, signals and /bin/sh";
  let output: Deno.CommandOutput;
  try {
    const args = ["-c", "import sys; print(*sys.version_info[:3])"];
    output = new Deno.Command("python3", { args, stdin: "null" }).outputSync();
  } catch (error) {
    return `python3 cannot be run (${error instanceof Error ? error.message : error})`;
  }
  if (!output.success) return `python3 fails (${text(output.stderr).trim()})`;
  const [major = 0, minor = 0, micro = 0] = text(output.stdout).trim().split(" ").map(Number);
  const version: Version = [major, minor, micro];
  if (isOlder(version, OLDEST)) return `python3 is ${version.join(".")}, older than ${OLDEST.join(".")}`;
  return version;
}

/** Whether one version is older than another. */
export function isOlder(version: Version, other: Version): boolean {
  const first = version.findIndex((number, i) => number !== other[i]);
  return first >= 0 && version[first]! < other[first]!;
}

let results: Promise<PythonResults> | undefined;

/** Runs all scenarios under asyncio, once. */
export function pythonResults(): Promise<PythonResults> {
  return results ??= run();
}

async function run(): Promise<PythonResults> {
  // -B: leaves no bytecode in the tree.
  const args = ["-B", `${import.meta.dirname}/run.py`];
  const { success, stdout, stderr } = await new Deno.Command("python3", { args, stdin: "null" }).output();
  if (!success) throw new Error(`run.py failed: ${text(stderr)}`);
  return JSON.parse(text(stdout));
}
