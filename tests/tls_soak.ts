/**
 * Ends 10,000 connections over OpenSSL in each way that there is, and fails if anything is not freed, is freed twice, or has
 * grown since the warm-up. Not a test file: `deno task soak` runs it. An argument is another number of connections.
 *
 * @module
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { countFiles } from "./open_files.ts";
import { Endings, Ledger, NAMES } from "./tls/openssl_endings.ts";
import { hasOpenssl } from "./tls/openssl_kit.ts";

const CONNECTIONS = Number(Deno.args[0] ?? 10_000);
const WARM_UP = Math.min(2000, CONNECTIONS / 5);
const AT_ONCE = 8;
const MIB = 1024 * 1024;
/** What the heap may differ by between two collections. */
const HEAP_TOLERANCE = 3 * MIB;
/** The allocator keeps pages for later, in lumps. A leak of 300 bytes for each connection would be larger. */
const RSS_TOLERANCE = 24 * MIB;

if (!hasOpenssl) {
  console.log("skipped: no OpenSSL 3");
  Deno.exit();
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const endings = await Endings.start();
// What all connections share is made once.
await endings.run("complete", 0);
await endings.settle();
const ledger = new Ledger();
const problems: string[] = [];

/** Runs connections of one way. */
async function run(name: string, count: number): Promise<void> {
  let round = 0;
  const work = async () => {
    while (round < count) await endings.run(name, round++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  await endings.settle();
  endings.errors.length = 0;
}

/** Collects garbage, and measures. */
async function measure() {
  for (let i = 0; i < 3; i++) {
    await endings.turn();
    collect();
  }
  const { heapUsed, rss } = Deno.memoryUsage();
  return { files: countFiles() ?? 0, heap: heapUsed, rss };
}

const startedAt = performance.now();
for (const name of NAMES) await run(name, WARM_UP);
const first = await measure();
for (const name of NAMES) {
  const before = await measure();
  const began = performance.now();
  await run(name, CONNECTIONS);
  const { files, heap, rss } = await measure();
  const mib = (size: number) => `${size < 0 ? "" : "+"}${(size / MIB).toFixed(1)} MiB`;
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const growth = `heap ${mib(heap - before.heap)}, rss ${mib(rss - before.rss)}, ${files} files`;
  console.log(`${CONNECTIONS} times ${name}, ${seconds} s: ${growth}, ${ledger.left} not freed`);
  if (ledger.left > 0) problems.push(`${name}: ${ledger.left} are not freed`);
}
const last = await measure();
await endings[Symbol.asyncDispose]();
ledger[Symbol.dispose]();

if (last.heap - first.heap > HEAP_TOLERANCE) problems.push(`the heap grew by ${last.heap - first.heap}`);
if (last.rss - first.rss > RSS_TOLERANCE) problems.push(`rss grew by ${last.rss - first.rss}`);
if (last.files !== first.files) problems.push(`${last.files} files are open, and ${first.files} were`);
problems.push(...new Set(ledger.faults));
console.log(`${ledger.made} SSL in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
console.log(`rss ${(first.rss / MIB).toFixed(1)} MiB after the warm-up, ${(last.rss / MIB).toFixed(1)} MiB at the end`);
for (const problem of problems) console.error(`FAILED: ${problem}`);
if (problems.length > 0) Deno.exit(1);
console.log("no growth");
