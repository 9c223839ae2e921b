/**
 * Measures `@tandem/io/framing`: lines of 64 bytes beside `TextLineStream` over a `Deno.Conn`, and frames that begin with
 * their length beside an echo by `BufferedProtocol`. Each figure is per second of CPU time of the program that receives, so
 * that the load, a program of its own, need not be faster.
 *
 *     deno run -A bench/framing.ts [--engine deno|epoll] [--seconds 1] [--rounds 5]
 */
import process from "node:process";
import { TextLineStream } from "@std/streams";
import { BufferedProtocol, EventLoop, type Transport } from "../mod.ts";
import { DenoEngine } from "../engines/deno/mod.ts";
import { EpollEngine } from "../engines/epoll/mod.ts";
import { LengthPrefixedProtocol, LineProtocol } from "../framing/mod.ts";

const LINE = `${"x".repeat(62)}\r\n`;
const CONNECTIONS = 10;

function option(name: string, otherwise: string): string {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? otherwise : Deno.args[at + 1] ?? otherwise;
}

/** Sends lines to each connection until it is closed. */
async function sendLines(): Promise<void> {
  const data = new TextEncoder().encode(LINE.repeat(1024));
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log(listener.addr.port);
  for await (const conn of listener) {
    (async () => {
      for (;;) for (let sent = 0; sent < data.length;) sent += await conn.write(data.subarray(sent));
    })().catch(() => conn.close());
  }
}

/** Sends a frame of `size` bytes and waits until it comes back, again and again. */
async function exchangeFrames(port: number, size: number): Promise<void> {
  const frame = new Uint8Array(size);
  new DataView(frame.buffer).setUint32(0, size - 4);
  const buffer = new Uint8Array(256 * 1024);
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  for (;;) {
    for (let sent = 0; sent < size;) sent += await conn.write(frame.subarray(sent));
    for (let received = 0; received < size;) received += await conn.read(buffer) ?? Deno.exit();
  }
}

/** Runs this program again, as the load. */
function spawn(...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--quiet", import.meta.filename!, ...args],
    stdout: "piped",
  }).spawn();
}

async function main(): Promise<void> {
  const name = option("engine", "deno");
  const loop = new EventLoop({ engine: name === "epoll" ? new EpollEngine() : new DenoEngine() });
  const [seconds, rounds] = [Number(option("seconds", "1")), Number(option("rounds", "5"))];
  let count = 0;

  /** Counts for some time, after a warm-up. */
  async function rate(): Promise<number> {
    await new Promise((resolve) => setTimeout(resolve, 300));
    count = 0;
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const { user, system } = process.cpuUsage(before);
    return count / (user + system) * 1e6;
  }

  class Lines extends LineProtocol {
    override frameReceived(_line: string): void {
      count++;
    }
  }
  class Bytes extends LineProtocol<Uint8Array> {
    constructor() {
      super({ text: false });
    }
    override frameReceived(_line: Uint8Array): void {
      count++;
    }
  }
  class Frames extends LengthPrefixedProtocol {
    override frameReceived(frame: Uint8Array): void {
      count++;
      this.sendFrame(frame);
    }
  }
  class OwnedFrames extends LengthPrefixedProtocol {
    constructor() {
      super({ strip: 0 });
    }
    override frameReceived(frame: Uint8Array): void {
      count++;
      this.transport.writeOwned(frame);
    }
  }
  class Echo extends BufferedProtocol {
    protected transport!: Transport;
    protected buffer = new Uint8Array(64 * 1024);
    #bytes = 0;
    #size: number;
    constructor(size: number) {
      super();
      this.#size = size;
    }
    override connectionMade(transport: Transport): void {
      this.transport = transport;
    }
    override getBuffer(): Uint8Array {
      return this.buffer;
    }
    override bufferUpdated(nbytes: number): void {
      this.#bytes += nbytes;
      for (; this.#bytes >= this.#size; this.#bytes -= this.#size) count++;
      this.send(this.buffer.subarray(0, nbytes));
    }
    protected send(data: Uint8Array): void {
      this.transport.write(data);
    }
  }
  class OwnedEcho extends Echo {
    protected override send(data: Uint8Array): void {
      this.transport.writeOwned(data);
    }
  }

  const lines = spawn("lines");
  const { value = "" } = await lines.stdout.pipeThrough(new TextDecoderStream()).getReader().read();
  const port = Number(value);

  async function byTextLineStream(): Promise<number> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    const reading = (async () => {
      const stream = conn.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
      for await (const _line of stream) count++;
    })().catch(() => {});
    const result = await rate();
    conn.close();
    await reading;
    return result;
  }
  const byProtocol = (make: () => Lines | Bytes) => async () => {
    const [transport] = await loop.createConnection(make, { port });
    const result = await rate();
    transport.abort();
    return result;
  };
  const byEcho = (make: () => BufferedProtocol, size: number) => async () => {
    const server = await loop.createServer(make, { hostname: "127.0.0.1", port: 0 });
    const load = spawn("frames", `${server.port}`, `${size}`);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const result = await rate();
    load.kill("SIGKILL");
    await Promise.all([load.status, load.stdout.cancel()]);
    server.close();
    server.abortClients();
    await server.waitClosed();
    return result;
  };

  await compare("Lines of 64 bytes", rounds, {
    "TextLineStream over Deno.Conn": byTextLineStream,
    "LineProtocol": byProtocol(() => new Lines()),
    "LineProtocol, bytes": byProtocol(() => new Bytes()),
  });
  for (const kib of [1, 64]) {
    const size = kib * 1024;
    await compare(`Echo of frames of ${kib} KiB`, rounds, {
      "BufferedProtocol, write": byEcho(() => new Echo(size), size),
      "LengthPrefixedProtocol, sendFrame": byEcho(() => new Frames(), size),
    });
    await compare(`Echo of frames of ${kib} KiB, without a copy`, rounds, {
      "BufferedProtocol, writeOwned": byEcho(() => new OwnedEcho(size), size),
      "LengthPrefixedProtocol, writeOwned": byEcho(() => new OwnedFrames(), size),
    });
  }
  lines.kill("SIGKILL");
  await lines.status;
}

/** Prints the median of each subject, and its ratio to the first. */
async function compare(title: string, rounds: number, subjects: Record<string, () => Promise<number>>): Promise<void> {
  const figures = new Map<string, number[]>(Object.keys(subjects).map((name) => [name, []]));
  for (let i = 0; i < rounds; i++) {
    for (const [name, measure] of Object.entries(subjects)) figures.get(name)!.push(await measure());
  }
  console.log(title);
  let first = 0;
  for (const [name, list] of figures) {
    const median = list.sort((a, b) => a - b)[list.length >> 1]!;
    first ||= median;
    console.log(`  ${name.padEnd(36)} ${Math.round(median).toLocaleString("en")}/s  ${(median / first).toFixed(2)}`);
  }
}

const [mode, port, size] = Deno.args;
if (mode === "lines") await sendLines();
else if (mode === "frames") {
  await Promise.all(Array.from({ length: CONNECTIONS }, () => exchangeFrames(Number(port), Number(size))));
} else {
  await main();
  Deno.exit();
}
