/** What is measured: which mode of a server, under which load. */

/** What a server is started to do. `idle` is an echo whose own buffers are small. `pipe` is its own load. */
export type Mode =
  | "echo"
  | "idle"
  | "pipelined"
  | "source"
  | "sink"
  | "udp"
  | "pipe"
  | "tls-http"
  | "tls-echo"
  | "tls-unix"
  | "tls-client";

/** What gives the figures. With `own` and `tls-client` the program under test counts by itself. */
export type Method = "load" | "latency" | "memory" | "own" | "wrk" | "tls-load" | "tls-client";

/** What is told of a workload, and kept. */
export interface Subject {
  name: string;
  title: string;
  /** Of a figure: it is per second, but for `"B"`, per connection, `"s"` and `"cpu"`, of which less is better. */
  unit: "req" | "B/s" | "dgram" | "conn" | "B" | "s" | "cpu";
}

export interface Workload extends Subject {
  mode: Mode;
  method: Method;
  /** The arguments of the load generator, without its port and its seconds. */
  load: string[];
  /** Which one of several figures of the same measurement it is. */
  part?: number;
}

/** The size of a pipelined request, and of the sixteen answers of 64 bytes. */
const REQUEST = "64";
const ANSWER = "1024";

export const WORKLOADS: readonly Workload[] = [
  echo("echo-1x1k", 1, 1),
  echo("echo-50x1k", 50, 1),
  echo("echo-50x16k", 50, 16),
  echo("echo-10x100k", 10, 100),
  ...["p50", "p99", "p99.9"].map((title, part): Workload => ({
    name: `latency-${title.replace(".", "")}`,
    title: `${title} at half load, 50 × 1 KiB`,
    mode: "echo",
    unit: "s",
    method: "latency",
    load: ["50", "1024"],
    part,
  })),
  {
    ...plain("pipelined", "1 request, 16 small writes, 50 connections", "pipelined", "req"),
    load: ["exchange", "50", REQUEST, ANSWER],
  },
  { ...plain("udp", "UDP echo, 32 × 512 B", "udp", "dgram"), load: ["udp", "32", "512"] },
  { ...plain("one-way-out", "One connection, server sends", "source", "B/s"), load: ["receive"] },
  { ...plain("one-way-in", "One connection, server receives", "sink", "B/s"), load: ["send"], part: 0 },
  // On loopback the sender does most of the kernel's work, the receiver's too: the load may be all that is measured.
  {
    ...plain("one-way-in-cpu", "One connection, server receives, per second of its CPU", "sink", "B/s"),
    load: ["send"],
    part: 1,
  },
  { ...plain("pipe", "Through a child process (cat)", "pipe", "B/s"), method: "own" },
  // With small buffers: a quarter of a MiB of memory for each connection would be all that is measured.
  {
    ...plain("connect", "Connect, echo 64 B, close; 32 at once", "idle", "conn"),
    load: ["connect", "32", "64"],
  },
  { ...plain("memory", "Memory per idle connection", "idle", "B"), method: "memory", part: 0 },
  { ...plain("idle-cpu", "CPU with idle connections", "idle", "cpu"), method: "memory", part: 1 },
  { ...plain("tls-http", "TLS, 32 connections, 1 KiB answers (wrk)", "tls-http", "req"), method: "wrk" },
  // wrk has little time left under the fastest servers; this load has more.
  tlsEcho("tls-echo", "TLS echo, 32 × 1 KiB", 32, 1),
  tlsEcho("tls-echo", "TLS echo, 32 × 16 KiB", 32, 16),
  tlsEcho("tls-echo", "TLS echo, 10 × 100 KiB", 10, 100),
  handshake("full", 0),
  handshake("full", 1),
  handshake("resumed", 0),
  handshake("resumed", 1),
  tlsEcho("tls-unix", "TLS echo, Unix socket, 32 × 1 KiB (bare: TCP)", 32, 1),
  tlsEcho("tls-client", "TLS client, 32 × 1 KiB", 32, 1),
  tlsEcho("tls-client", "TLS client, 10 × 100 KiB", 10, 100),
];

/** The four whose geometric mean stands for echo as a whole. */
export const ECHO_WORKLOADS: readonly string[] = ["echo-1x1k", "echo-50x1k", "echo-50x16k", "echo-10x100k"];

/** Those that stand for all in the chart. */
export const CHARTED: readonly string[] = [
  "echo-50x1k",
  "echo-10x100k",
  "pipelined",
  "udp",
  "tls-http",
  "tls-client-32x1k",
  "latency-p99",
  "memory",
];

function plain(name: string, title: string, mode: Mode, unit: Workload["unit"]): Workload {
  return { name, title, mode, unit, method: "load", load: [] };
}

function echo(name: string, connections: number, kib: number): Workload {
  const size = String(kib * 1024);
  return {
    ...plain(name, `Echo, ${connections} × ${kib} KiB`, "echo", "req"),
    load: ["exchange", String(connections), size, size],
  };
}

function tlsEcho(mode: "tls-echo" | "tls-unix" | "tls-client", title: string, connections: number, kib: number) {
  const [count, size] = [String(connections), String(kib * 1024)];
  const method = mode === "tls-client" ? mode : "tls-load";
  return {
    ...plain(`${mode}-${connections}x${kib}k`, title, mode, "req"),
    method,
    load: method === "tls-load" ? ["exchange", count, size, size] : [count, size],
  } satisfies Workload;
}

/** `part`: 1 for what a second of the server's CPU is enough for. */
function handshake(kind: "full" | "resumed", part: 0 | 1): Workload {
  const [name, more] = part === 1 ? ["-cpu", ", per second of its CPU"] : ["", ""];
  const title = `TLS 1.3 handshake (${kind}), echo 64 B, close; 8 at once${more}`;
  return {
    ...plain(`tls-handshake-${kind}${name}`, title, "tls-echo", "conn"),
    method: "tls-load",
    load: ["connect", "8", "64", kind],
    part,
  };
}
