/** Who is measured, and how each is started. */
import { fileURLToPath } from "node:url";
import { EpollEngine } from "../engines/epoll/mod.ts";
import { output } from "./process.ts";
import type { Missing, Tools } from "./tools.ts";
import type { Mode } from "./workloads.ts";

export interface ServerKind {
  name: string;
  /** Decides the colour in the chart, and which ratios are printed. `epoll` is Tandem on its epoll engine. */
  group: "tandem" | "epoll" | "bare" | "rules" | "peer" | "limit";
  /** What it can do. */
  modes: readonly Mode[];
  /** The command that starts it. */
  command(mode: Mode): string[];
}

export const BARE = "bare Deno loop";
export const TANDEM = "Tandem, Protocol, write";
/** What the names of the rows on the epoll engine begin with. */
export const ON_EPOLL = "Tandem on epoll";

const PLAIN: readonly Mode[] = ["echo", "idle", "pipelined", "source", "sink", "udp", "pipe"];
const TLS: readonly Mode[] = ["tls-http", "tls-echo", "tls-unix", "tls-client"];
const ALL: readonly Mode[] = [...PLAIN, ...TLS];

/** Who can run here, and who cannot. */
export interface Found {
  servers: ServerKind[];
  missing: Missing[];
}

/**
 * Finds out who can run here.
 *
 * @param tools Among them are the C servers.
 * @param folder Where Unix sockets may be.
 */
export async function findServers(tools: Tools, folder: string): Promise<Found> {
  const missing: Missing[] = [];
  let sockets = 0;
  /** What a mode needs to know besides its name. */
  const place = (mode: Mode) => mode === "tls-unix" ? [`${folder}/${sockets++}.sock`] : [];
  const script = (mode: Mode, name: string) => path(mode.startsWith("tls-") ? `tls_${name}` : name);
  const deno = [Deno.execPath(), "run", "-A", "--quiet"];
  const over =
    (engine: "deno" | "epoll" | "epoll-node") => (kind: string, name: string, modes: readonly Mode[]): ServerKind => ({
      name,
      group: engine === "deno" ? "tandem" : "epoll",
      modes,
      command: (mode) => [...deno, script(mode, "tandem.ts"), engine, mode, kind, ...place(mode)],
    });
  const [tandem, epoll, epollNode] = [over("deno"), over("epoll"), over("epoll-node")];
  const peer = (name: string, program: string[], file: string): ServerKind => ({
    name,
    group: "peer",
    modes: ALL,
    command: (mode) => [...program, script(mode, file), mode, ...place(mode)],
  });

  const rules = (name: string, kind: string, modes: readonly Mode[]): ServerKind => ({
    name,
    group: "rules",
    modes,
    command: (mode) => [...deno, script(mode, "rules.ts"), mode, ...kind === "" ? place(mode) : [kind]],
  });

  const bareEpoll = (name: string, kind: string, modes: readonly Mode[]): ServerKind => ({
    name,
    group: "rules",
    modes,
    command: (mode) => [...deno, path("bare_epoll.ts"), mode, kind],
  });

  const servers: ServerKind[] = [
    { ...peer(BARE, deno, "bare.ts"), group: "bare" },
    rules("bare loop, a copy of what is written", "copy", ["echo"]),
    rules("bare loop, that and fresh memory to read into", "fresh", ["echo", "udp", "sink"]),
    rules("bare loop over Tandem's TLS engine", "", ["tls-http", "tls-echo", "tls-unix"]),
    tandem("write", TANDEM, ALL),
    tandem("owned", "Tandem, Protocol, writeOwned", ["echo", "idle", "source", "tls-echo"]),
    tandem("buffered", "Tandem, BufferedProtocol, write", ["echo", "idle", "pipelined", "sink"]),
    tandem("buffered-owned", "Tandem, BufferedProtocol, writeOwned", ["echo"]),
    tandem("native", "Tandem, native TLS", ["tls-http", "tls-echo", "tls-client"]),
    tandem("start-tls", "Tandem, startTls", TLS),
  ];
  const { supported, reason } = EpollEngine.isSupported();
  if (supported) {
    servers.push(
      bareEpoll("bare loop by FFI over epoll", "", ["echo", "idle", "pipelined"]),
      bareEpoll("bare loop by FFI, fresh memory to read into", "fresh", ["echo"]),
      epoll("write", `${ON_EPOLL}, Protocol, write`, ALL),
      epoll("owned", `${ON_EPOLL}, Protocol, writeOwned`, ["echo", "idle", "source", "tls-echo"]),
      epoll("buffered", `${ON_EPOLL}, BufferedProtocol, write`, ["echo", "idle", "pipelined", "sink"]),
      epoll("one-buffer", `${ON_EPOLL}, BufferedProtocol, one buffer for all`, ["echo"]),
      epoll("buffered-owned", `${ON_EPOLL}, BufferedProtocol, writeOwned`, ["echo"]),
      epoll("start-tls", `${ON_EPOLL}, startTls`, TLS),
      epollNode("write", `${ON_EPOLL}, node:tls`, TLS),
    );
  } else {
    missing.push({ name: ON_EPOLL, reason: reason! });
  }
  servers.push(peer("node: on Deno", deno, "node.mjs"));

  if (await output("node", "--version") !== null) servers.push(peer("Node", ["node"], "node.mjs"));
  else missing.push({ name: "Node", reason: "no `node` on the PATH" });

  const bun = await findBun();
  if (bun !== null) servers.push(peer("Bun", [bun], "bun.ts"));
  else missing.push({ name: "Bun", reason: "no `bun` on the PATH, nor in the variable BUN" });

  const { python, uvloop } = await findPython();
  if (python !== null) servers.push(...pythons(python, "asyncio", place));
  else missing.push({ name: "asyncio", reason: "no `python3` on the PATH" });
  if (uvloop) servers.push(...pythons(python!, "uvloop", place));
  else missing.push({ name: "uvloop", reason: "no python3 here can import uvloop" });

  servers.push({ name: "C epoll", group: "limit", modes: ALL, command: (mode) => limit(tools, mode, place(mode)) });
  return { servers, missing };
}

/** What the system can do at all, and the load with it. */
function limit({ pipe, epollEcho, tlsEcho, tlsLoad }: Tools, mode: Mode, place: string[]): string[] {
  if (mode === "pipe") return [pipe];
  if (mode === "tls-client") return [tlsLoad!, mode];
  if (!mode.startsWith("tls-")) return [epollEcho, mode];
  const { cert, key } = certificates();
  return [tlsEcho!, mode, cert, key, ...place];
}

/** The server's certificate of the examples, and its key. */
export function certificates(): { cert: string; key: string } {
  return { cert: path("../../examples/certs/server.pem"), key: path("../../examples/certs/server.key") };
}

/** The versions of what was measured, by name. */
export async function versions(): Promise<Record<string, string>> {
  const { python, uvloop } = await findPython();
  const bun = await findBun();
  const found: Record<string, string | null> = {
    Deno: Deno.version.deno,
    Node: await output("node", "--version"),
    Bun: bun && await output(bun, "--version"),
    Python: python && await output(python, "-c", "import platform; print(platform.python_version())"),
    uvloop: uvloop ? await output(python!, "-c", "import uvloop; print(uvloop.__version__)") : null,
  };
  const present = Object.entries(found).filter((entry): entry is [string, string] => entry[1] !== null);
  return Object.fromEntries(present);
}

function pythons(python: string, loop: string, place: (mode: Mode) => string[]): ServerKind[] {
  const row = (name: string, kind: string, modes: readonly Mode[]): ServerKind => ({
    name: `${loop}, ${name}`,
    group: "peer",
    modes,
    command: (mode) => {
      const tls = mode.startsWith("tls-");
      return [python, path(tls ? "tls_aio.py" : "aio.py"), loop, mode, ...(tls ? place(mode) : [kind])];
    },
  });
  return [
    row("Protocol", "protocol", ALL),
    row("BufferedProtocol", "buffered", ["echo", "idle", "pipelined", "sink"]),
  ];
}

/** Finds a Python for both rows, so that they differ in the loop alone: one with uvloop, if there is one. */
async function findPython(): Promise<{ python: string | null; uvloop: boolean }> {
  // Distributions install uvloop for their own Python, which need not be the first on the PATH.
  const candidates = ["python3", "/usr/bin/python3"];
  for (const python of candidates) {
    if (await output(python, "-c", "import uvloop; print('yes')") !== null) return { python, uvloop: true };
  }
  for (const python of candidates) {
    if (await output(python, "--version") !== null) return { python, uvloop: false };
  }
  return { python: null, uvloop: false };
}

/** Finds Bun itself, for npx's child could be neither pinned nor stopped: in the variable BUN, or on the PATH. */
async function findBun(): Promise<string | null> {
  return await output(Deno.env.get("BUN") ?? "bun", "-e", "console.log(process.execPath)");
}

function path(script: string): string {
  return fileURLToPath(new URL(`servers/${script}`, import.meta.url));
}
