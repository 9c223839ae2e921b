/**
 * Measures `@tandem/io/streams` beside asyncio's streams and beside `Deno.Conn.readable`, each reader in a process of its own:
 *
 *   deno run -A bench/streams.ts [--seconds 1] [--rounds 5]
 *
 * The sender is a process that writes lines of 64 bytes as fast as they are taken. With `taskset`, it has a core of its own.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { getRunningLoop } from "../mod.ts";
import { install } from "../engines/epoll/mod.ts";
import { openConnection } from "../streams/mod.ts";
import { median } from "./statistics.ts";

const LINE = `${"x".repeat(63)}\n`;
const script = fileURLToPath(import.meta.url);

/** Counts lines or bytes until the time is up. A fifth of the time is warm-up. Prints the rate by the clock and by CPU time. */
class Meter {
  #start = 0;
  #cpu = { user: 0, system: 0 };
  #end: number;
  #warm: number;
  #count = 0;

  constructor(seconds: number) {
    const now = performance.now();
    this.#warm = now + seconds * 200;
    this.#end = now + seconds * 1000;
  }

  /** Adds to the count. */
  add(count: number): void {
    this.#count += count;
  }

  /** Looks at the clock. */
  goesOn(): boolean {
    const now = performance.now();
    if (this.#start === 0 && now >= this.#warm) {
      this.#start = now;
      this.#cpu = process.cpuUsage();
      this.#count = 0;
    }
    if (now < this.#end) return true;
    const { user, system } = process.cpuUsage(this.#cpu);
    console.log(this.#count / ((now - this.#start) / 1e3), this.#count / ((user + system) / 1e6));
    return false;
  }
}

async function readLines(port: number, meter: Meter): Promise<void> {
  const pair = await openConnection({ port });
  do {
    for (let i = 0; i < 1000; i++) await pair.reader.readLine();
    meter.add(1000);
  } while (meter.goesOn());
}

async function iterateLines(port: number, meter: Meter): Promise<void> {
  const pair = await openConnection({ port });
  let count = 0;
  for await (const _ of pair.reader.lines()) {
    if (++count % 1000 !== 0) continue;
    meter.add(1000);
    if (!meter.goesOn()) return;
  }
}

async function readWeb(readable: ReadableStream<Uint8Array>, meter: Meter): Promise<void> {
  for await (const chunk of readable) {
    meter.add(chunk.length);
    if (!meter.goesOn()) return;
  }
}

async function readByob(readable: ReadableStream<Uint8Array>, meter: Meter): Promise<void> {
  const reader = readable.getReader({ mode: "byob" });
  let buffer = new Uint8Array(65536);
  do {
    const { value } = await reader.read(buffer);
    meter.add(value!.length);
    buffer = new Uint8Array(value!.buffer);
  } while (meter.goesOn());
}

async function readTextLines(port: number, meter: Meter): Promise<void> {
  const { TextLineStream } = await import("@std/streams");
  const conn = await Deno.connect({ port });
  const lines = conn.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  let count = 0;
  for await (const _ of lines) {
    if (++count % 1000 !== 0) continue;
    meter.add(1000);
    if (!meter.goesOn()) return;
  }
}

const READERS: Record<string, (port: number, meter: Meter) => Promise<void>> = {
  "readLine()": readLines,
  "lines()": iterateLines,
  "TextLineStream over Deno.Conn": readTextLines,
  "readable": async (port, meter) => readWeb((await openConnection({ port })).readable, meter),
  "readable, BYOB": async (port, meter) => readByob((await openConnection({ port })).readable, meter),
  "Deno.Conn.readable": async (port, meter) => readWeb((await Deno.connect({ port })).readable, meter),
  "Deno.Conn.readable, BYOB": async (port, meter) => readByob((await Deno.connect({ port })).readable, meter),
};

const ASYNCIO = `
import asyncio, sys, time
async def main(port, seconds):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begin = time.perf_counter(); warm = begin + seconds * 0.2; start = count = 0
    while True:
        for _ in range(1000): await reader.readline()
        count += 1000
        now = time.perf_counter()
        if not start and now >= warm: start, cpu, count = now, time.process_time(), 0
        if now >= begin + seconds: break
    print(count / (now - start), count / (time.process_time() - cpu))
asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
`;

/** Writes lines to each connection for as long as they are taken. */
async function send(): Promise<void> {
  const block = new TextEncoder().encode(LINE.repeat(4096));
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log(listener.addr.port);
  for await (const conn of listener) {
    (async () => {
      for (;;) for (let sent = 0; sent < block.length;) sent += await conn.write(block.subarray(sent));
    })().catch(() => conn.close());
  }
}

interface Row {
  name: string;
  command: string[];
  base?: string;
}

function denoRow(name: string, base: string, engine = "deno"): Row {
  const command = [Deno.execPath(), "run", "-A", "--no-check", script, "read", engine, name];
  return { name: engine === "deno" ? name : `${name} on ${engine}`, command, base };
}

const asyncio = "asyncio's StreamReader.readline";
const TABLES: [string, string, Row[]][] = [
  ["lines of 64 bytes", "lines/s", [
    { name: asyncio, command: ["python3", "-c", ASYNCIO] },
    denoRow("TextLineStream over Deno.Conn", asyncio),
    denoRow("readLine()", asyncio),
    denoRow("lines()", asyncio),
    denoRow("readLine()", asyncio, "epoll"),
  ]],
  ["web streams", "MB/s", [
    denoRow("Deno.Conn.readable", "Deno.Conn.readable"),
    denoRow("readable", "Deno.Conn.readable"),
    denoRow("readable", "Deno.Conn.readable", "epoll"),
    denoRow("Deno.Conn.readable, BYOB", "Deno.Conn.readable, BYOB"),
    denoRow("readable, BYOB", "Deno.Conn.readable, BYOB"),
    denoRow("readable, BYOB", "Deno.Conn.readable, BYOB", "epoll"),
  ]],
];

/** Measures once: the rate by the clock and by CPU time. */
async function measure(row: Row, port: number, seconds: number): Promise<[number, number]> {
  const [program, ...args] = pinned(1, [...row.command, `${port}`, `${seconds}`]);
  const { stdout, stderr } = await new Deno.Command(program!, { args, stdin: "null" }).output();
  const [rate = NaN, cpuRate = NaN] = new TextDecoder().decode(stdout).split(" ").map(Number);
  if (!(rate > 0 && cpuRate > 0)) throw new Error(`${row.name}: ${new TextDecoder().decode(stderr)}`);
  return [rate, cpuRate];
}

function pinned(core: number, command: string[]): string[] {
  return navigator.hardwareConcurrency > 1 && Deno.build.os === "linux"
    ? ["taskset", "-c", `${core}`, ...command]
    : command;
}

async function main(seconds: number, rounds: number): Promise<void> {
  const [program, ...args] = pinned(0, [Deno.execPath(), "run", "-A", "--no-check", script, "send"]);
  const sender = new Deno.Command(program!, { args, stdin: "null", stdout: "piped" }).spawn();
  const output = sender.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const port = Number((await output.read()).value);
  for (const [title, unit, rows] of TABLES) {
    const figures = new Map<string, [number, number][]>(rows.map(({ name }) => [name, []]));
    for (let round = 0; round < rounds; round++) {
      for (const row of round % 2 === 0 ? rows : rows.toReversed()) {
        figures.get(row.name)!.push(await measure(row, port, seconds));
      }
    }
    console.log(`\n${title}, medians of ${rounds} rounds${" ".repeat(10)}by the clock      by CPU time`);
    for (const { name, base = name } of rows) {
      const columns = [0, 1].map((which) => {
        const own = figures.get(name)!.map((pair) => pair[which]!);
        const ratio = median(own.map((value, i) => value / figures.get(base)![i]![which]!));
        const shown = Math.round(median(own) / (unit === "MB/s" ? 1e6 : 1));
        return `${shown.toLocaleString("en").padStart(11)} ${ratio.toFixed(2)}`;
      });
      console.log(`${name.padEnd(34)}${columns.join("  ")}  ${unit}`);
    }
  }
  await output.cancel();
  sender.kill("SIGKILL");
  await sender.status;
}

const [role, ...rest] = Deno.args;
if (role === "send") {
  await send();
} else if (role === "read") {
  const [engine, name, port, seconds] = rest;
  if (engine === "epoll") install();
  getRunningLoop();
  await READERS[name!]!(Number(port), new Meter(Number(seconds)));
  Deno.exit();
} else {
  const option = (name: string, value: number) => Number(Deno.args[Deno.args.indexOf(name) + 1] || value) || value;
  await main(
    Deno.args.includes("--seconds") ? option("--seconds", 1) : 1,
    Deno.args.includes("--rounds") ? option("--rounds", 5) : 5,
  );
}
