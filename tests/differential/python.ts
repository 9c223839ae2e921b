/** The other side of the comparison: python3 runs its scenarios once, for all tests. */
import { text } from "../kit.ts";

/** A version of Python. */
export type Version = readonly [major: number, minor: number];

/** The lines of each scenario, by topic and name. */
export type PythonResults = Record<string, Record<string, string[]>>;

/** The oldest version that the scenarios are written for. */
const OLDEST: Version = [3, 8];

/** Finds out the version of python3, or why there is nothing to compare with. */
export function findPython(): Version | string {
  if (Deno.build.os === "windows") return "the scenarios need POSIX: FIFOs, signals and /bin/sh";
  let output: Deno.CommandOutput;
  try {
    const args = ["-c", "import sys; print(*sys.version_info[:2])"];
    output = new Deno.Command("python3", { args, stdin: "null" }).outputSync();
  } catch (error) {
    return `python3 cannot be run (${error instanceof Error ? error.message : error})`;
  }
  if (!output.success) return `python3 fails (${text(output.stderr).trim()})`;
  const [major = 0, minor = 0] = text(output.stdout).trim().split(" ").map(Number);
  if (isOlder([major, minor], OLDEST)) return `python3 is ${major}.${minor}, older than ${OLDEST.join(".")}`;
  return [major, minor];
}

/** Whether one version is older than another. */
export function isOlder([major, minor]: Version, [otherMajor, otherMinor]: Version): boolean {
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
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
