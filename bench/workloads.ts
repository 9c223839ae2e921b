/** What is measured: which mode of a server, under which load. */

/** What a server is started to do. `idle` is an echo whose own buffers are small. `pipe` is its own load. */
export type Mode = "echo" | "idle" | "pipelined" | "source" | "sink" | "udp" | "pipe";

export interface Workload {
  name: string;
  title: string;
  mode: Mode;
  /** Of a figure: it is per second, or for `"B"` per connection, where less is better. */
  unit: "req" | "B/s" | "dgram" | "conn" | "B";
  /** The arguments of the load generator between the port and the seconds, its mode first. */
  load: string[];
}

/** The size of a pipelined request, and of the sixteen answers of 64 bytes. */
const REQUEST = "64";
const ANSWER = "1024";

export const WORKLOADS: readonly Workload[] = [
  echo("echo-1x1k", 1, 1),
  echo("echo-50x1k", 50, 1),
  echo("echo-50x16k", 50, 16),
  echo("echo-10x100k", 10, 100),
  {
    name: "pipelined",
    title: "1 request, 16 small writes, 50 connections",
    mode: "pipelined",
    unit: "req",
    load: ["exchange", "50", REQUEST, ANSWER],
  },
  { name: "udp", title: "UDP echo, 32 × 512 B", mode: "udp", unit: "dgram", load: ["udp", "32", "512"] },
  { name: "one-way-out", title: "One connection, server sends", mode: "source", unit: "B/s", load: ["receive"] },
  { name: "one-way-in", title: "One connection, server receives", mode: "sink", unit: "B/s", load: ["send"] },
  {
    name: "connect",
    title: "Connect, echo 64 B, close; 32 at once",
    mode: "echo",
    unit: "conn",
    load: ["connect", "32", "64"],
  },
  { name: "pipe", title: "Through a child process (cat)", mode: "pipe", unit: "B/s", load: [] },
  { name: "memory", title: "Resident memory per idle connection", mode: "idle", unit: "B", load: ["idle"] },
];

/** The four whose geometric mean stands for echo as a whole. */
export const ECHO_WORKLOADS: readonly string[] = ["echo-1x1k", "echo-50x1k", "echo-50x16k", "echo-10x100k"];

function echo(name: string, connections: number, kib: number): Workload {
  const size = String(kib * 1024);
  return {
    name,
    title: `Echo, ${connections} × ${kib} KiB`,
    mode: "echo",
    unit: "req",
    load: ["exchange", String(connections), size, size],
  };
}
