/** The other side of the comparison: python3 runs its scenarios once, for all tests. */

/** What python3 says. */
export interface PythonResults {
  /** Its version, for example `[3, 11, 7]`. */
  version: [major: number, minor: number, micro: number];
  /** The lines of each scenario, by topic and name. */
  topics: Record<string, Record<string, string[]>>;
}

/** The oldest version whose asyncio the scenarios are written for. */
const OLDEST: [number, number] = [3, 8];

/** Says why there is nothing to compare with, or `null`. */
export function whyNoPython(): string | null {
  let output: Deno.CommandOutput;
  try {
    const args = ["-c", "import sys; print(*sys.version_info[:2])"];
    output = new Deno.Command("python3", { args, stdin: "null" }).outputSync();
  } catch (error) {
    return `python3 cannot be run (${error instanceof Error ? error.message : error})`;
  }
  if (!output.success) return `python3 fails: ${new TextDecoder().decode(output.stderr).trim()}`;
  const [major = 0, minor = 0] = new TextDecoder().decode(output.stdout).trim().split(" ").map(Number);
  if (isOlder([major, minor], OLDEST)) return `python3 is ${major}.${minor}, older than ${OLDEST.join(".")}`;
  if (Deno.build.os === "windows") return "the scenarios need POSIX: FIFOs, signals and /bin/sh";
  return null;
}

/** Whether one version is older than another. */
export function isOlder(version: readonly number[], than: readonly number[]): boolean {
  const [major = 0, minor = 0] = version;
  const [otherMajor = 0, otherMinor = 0] = than;
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
  if (!success) throw new Error(`run.py failed: ${new TextDecoder().decode(stderr)}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}
