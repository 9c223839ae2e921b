/**
 * Connects and closes 20,000 times in one process, in every way a connection can end, and fails if anything
 * has grown since the warm-up: open files, timers, memory. Not a test file: `deno task soak` runs it.
 *
 * @module
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { getRunningLoop, Protocol, type Transport } from "../mod.ts";
import { countFiles } from "./open_files.ts";

const CONNECTIONS = 20_000;
const WARM_UP = 4_000;
const AT_ONCE = 10;
/** What the heap may differ by between two collections: inline caches, compiled code, Deno's own tables. */
const TOLERANCE = 3 * 1024 * 1024;
/** The allocator keeps pages for later, in lumps. */
const RSS_TOLERANCE = 24 * 1024 * 1024;

const loop = getRunningLoop();
const message = new Uint8Array(1000).fill(7);
const large = new Uint8Array(100_000).fill(7);

/** Timers that are set and have neither fired nor been cleared. */
const timers = new Set<unknown>();
const { setTimeout: set, clearTimeout: clear } = globalThis;
globalThis.setTimeout = ((callback: () => void, delay?: number) => {
  const timer = set(() => {
    timers.delete(timer);
    callback();
  }, delay);
  timers.add(timer);
  return timer;
}) as typeof setTimeout;
globalThis.clearTimeout = (timer) => {
  timers.delete(timer);
  clear(timer);
};

let [made, lost, reports] = [0, 0, 0];
loop.setExceptionHandler((context) => {
  reports++;
  console.error(context.message, context.error);
});

/** Either side: counts, echoes if it is the server's, and resolves when it is lost. */
class Side extends Protocol {
  readonly ended = Promise.withResolvers<void>();
  transport!: Transport;
  received = 0;
  onData: (() => void) | null = null;

  override connectionMade(transport: Transport): void {
    made++;
    this.transport = transport;
  }
  override dataReceived(data: Uint8Array): void {
    this.received += data.length;
    this.onData?.();
  }
  override connectionLost(): void {
    lost++;
    this.ended.resolve();
  }
}

class Echo extends Side {
  override dataReceived(data: Uint8Array): void {
    if (data.length % 2 === 0) this.transport.write(data);
    else this.transport.writeOwned(data);
  }
  override eofReceived(): boolean {
    return false;
  }
}

/** The ways to use and end a connection. */
const endings: ((side: Side) => void)[] = [
  (side) => side.transport.close(),
  (side) => side.transport.abort(),
  (side) => side.transport.writeEof(),
  (side) => {
    side.transport.write(message);
    side.transport.close();
  },
  (side) => {
    side.onData = () => side.transport.close();
    side.transport.write(message);
  },
  (side) => {
    side.transport.pauseReading();
    side.transport.writeOwned(new Uint8Array(large));
    side.transport.resumeReading();
    side.onData = () => side.received >= large.length && side.transport.writeEof();
  },
  (side) => {
    side.transport.write(large);
    side.transport.abort();
  },
  (side) => {
    side.transport.setProtocol(Object.assign(new Side(), { ended: side.ended }));
    side.transport.writeEof();
  },
  (side) => {
    // By then the server has accepted it.
    side.onData = () => server.closeClients();
    side.transport.write(message);
  },
  (side) => {
    side.onData = () => server.abortClients();
    side.transport.write(message);
  },
];

const server = await loop.createServer(() => new Echo(), { hostname: "127.0.0.1", port: 0, closeTimeout: 60_000 });
const { port } = server.addresses[0] as Deno.NetAddr;

let begun = 0;
async function connectAndClose(until: number): Promise<void> {
  while (begun < until) {
    const ending = endings[begun++ % endings.length]!;
    const options = { hostname: "127.0.0.1", port, closeTimeout: 60_000, signal: new AbortController().signal };
    const [, side] = await loop.createConnection(() => new Side(), options);
    ending(side);
    await side.ended.promise;
  }
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

interface Figures {
  connections: number;
  files: number | null;
  timers: number;
  heap: number;
  external: number;
  rss: number;
}

/** Waits until nothing is going on, collects garbage, and measures. */
async function measure(): Promise<Figures> {
  for (let i = 0; i < 1000 && lost < made; i++) await new Promise<void>((resolve) => void loop.callSoon(resolve));
  for (let i = 0; i < 3; i++) {
    // Finalizers run in turns of their own.
    await new Promise<void>((resolve) => void loop.callSoon(resolve));
    collect();
  }
  const { heapUsed, external, rss } = Deno.memoryUsage();
  return { connections: begun, files: countFiles(), timers: timers.size, heap: heapUsed, external, rss };
}

function print({ connections, files, timers, heap, external, rss }: Figures): void {
  const kib = (size: number) => `${(size / 1024).toFixed(0).padStart(8)} KiB`;
  console.log(
    `${String(connections).padStart(6)} connections: ${files ?? "?"} files, ${timers} timers,` +
      ` heap ${kib(heap)}, external ${kib(external)}, rss ${kib(rss)}`,
  );
}

const startedAt = performance.now();
const samples: Figures[] = [];
for (let until = WARM_UP; until <= CONNECTIONS; until += WARM_UP) {
  await Promise.all(Array.from({ length: AT_ONCE }, () => connectAndClose(until)));
  const figures = await measure();
  samples.push(figures);
  print(figures);
}
server.close();
await server.waitClosed();

const [first, last] = [samples[0]!, samples.at(-1)!];
const problems: string[] = [];
const limit = (name: "files" | "timers" | "heap" | "external" | "rss", tolerance: number) => {
  const growth = (last[name] ?? 0) - (first[name] ?? 0);
  if (growth > tolerance) problems.push(`${name} grew by ${growth}, ${tolerance} allowed`);
};
limit("files", 0);
limit("timers", 0);
limit("heap", TOLERANCE);
limit("external", TOLERANCE);
limit("rss", RSS_TOLERANCE);
if (last.timers > 0) problems.push(`${last.timers} timers are left`);
if (made !== 2 * CONNECTIONS) problems.push(`connectionMade ran ${made} times, not ${2 * CONNECTIONS}`);
if (lost !== made) problems.push(`connectionMade ran ${made} times, connectionLost ${lost} times`);
if (reports > 0) problems.push(`the exception handler was told of ${reports} things`);

console.log(`${CONNECTIONS} connections in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
for (const problem of problems) console.error(`FAILED: ${problem}`);
if (problems.length > 0) Deno.exit(1);
console.log("no growth");
