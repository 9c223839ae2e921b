/**
 * Fuzzes the wire of TLS: tens of thousands of handshakes, each with something wrong. A part of `deno task soak`.
 *
 * ```sh
 * deno run -A tests/fuzz/main.ts                       # a seed of the clock's
 * deno run -A tests/fuzz/main.ts --seed 7 --count 500  # the same again
 * deno run -A tests/fuzz/main.ts --seed 7 --case 123   # one case of them
 * ```
 *
 * `--trace` prints each case when it begins, for where the process itself is ended.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { describeCase, fuzz } from "./fuzz.ts";

/** How many of each problem are shown. */
const SHOWN = 3;

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    case: { type: "string" },
    from: { type: "string", default: "0" },
    count: { type: "string", default: "30000" },
    "at-once": { type: "string", default: "16" },
    trace: { type: "boolean", default: false },
  },
});
const one = values.case !== undefined;
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const startedAt = performance.now();
/** How often each problem has been seen. */
const seen = new Map<string, number>();
let begun = 0;
console.log(`fuzzing the wire of TLS with seed ${seed}`);
const { problems, handshakes, outcomes } = await fuzz({
  seed,
  from: Number(values.case ?? values.from),
  count: one ? 1 : Number(values.count),
  atOnce: one ? 1 : Number(values["at-once"]),
  sockets: true,
  onCase: (tested) => {
    if (one || values.trace) console.log(JSON.stringify(tested));
    if (++begun % 5000 === 0) console.log(`${begun} cases`);
  },
  onProblem: ({ cases, problem }) => {
    const kind = problem.replace(/\d+/g, "#");
    seen.set(kind, (seen.get(kind) ?? 0) + 1);
    if (seen.get(kind)! > SHOWN) return;
    console.error(`FAILED: ${problem}`);
    for (const tested of cases.slice(0, 1)) console.error(`  to see it again: ${describeCase(tested)}`);
    if (cases.length > 1) console.error(`  or --case ${cases.slice(1).map(({ index }) => index).join(", ")}`);
  },
});
for (const [outcome, times] of [...outcomes].sort(([, a], [, b]) => b - a)) console.log(`${times} times: ${outcome}`);
for (const [kind, times] of seen) console.error(`${times} times: ${kind.split("\n")[0]}`);
const seconds = (performance.now() - startedAt) / 1000;
const speed = (handshakes / seconds).toFixed(0);
console.log(`${handshakes} handshakes in ${seconds.toFixed(1)} s (${speed} a second), ${problems.length} problems`);
Deno.exit(problems.length === 0 ? 0 : 1);
