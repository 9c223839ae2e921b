/** Who is measured, and how each is started. */
import type { Mode } from "./workloads.ts";

export interface ServerKind {
  name: string;
  /** The row that Tandem's share of the chart and of the ratios goes by. */
  group: "tandem" | "bare" | "peer" | "limit";
  /** What it can do. */
  modes: readonly Mode[];
  /** The command that starts it. */
  command(mode: Mode): string[];
}

/** One that cannot run here. */
export interface Missing {
  name: string;
  reason: string;
}

export const BARE = "bare Deno loop";
export const TANDEM = "Tandem, Protocol, write";

const ALL: readonly Mode[] = ["echo", "idle", "pipelined", "source", "sink", "udp", "pipe"];

/**
 * Finds out who can run here.
 *
 * @param epollEcho The path of the C server, `null` where it could not be built.
 */
export async function findServers(epollEcho: string | null): Promise<{ servers: ServerKind[]; missing: Missing[] }> {
  const missing: Missing[] = [];
  const deno = (script: string, ...args: string[]) => [Deno.execPath(), "run", "-A", "--quiet", path(script), ...args];
  const tandem = (kind: string, name: string, modes: readonly Mode[]): ServerKind => ({
    name,
    group: "tandem",
    modes,
    command: (mode) => deno("tandem.ts", mode, kind),
  });
  const peer = (name: string, modes: readonly Mode[], command: (mode: Mode) => string[]): ServerKind => ({
    name,
    group: "peer",
    modes,
    command,
  });

  const servers: ServerKind[] = [
    { name: BARE, group: "bare", modes: ALL, command: (mode) => deno("bare.ts", mode) },
    tandem("write", TANDEM, ALL),
    tandem("owned", "Tandem, Protocol, writeOwned", ["echo", "idle", "source"]),
    tandem("buffered", "Tandem, BufferedProtocol, write", ["echo", "idle", "pipelined", "sink"]),
    tandem("buffered-owned", "Tandem, BufferedProtocol, writeOwned", ["echo"]),
    peer("node: on Deno", ALL, (mode) => deno("net.mjs", mode)),
  ];

  const node = await output("node", "--version");
  if (node !== null) servers.push(peer("Node", ALL, (mode) => ["node", path("net.mjs"), mode]));
  else missing.push({ name: "Node", reason: "no `node` on the PATH" });

  const bun = await findBun();
  if (bun !== null) servers.push(peer("Bun", ALL, (mode) => [bun, path("bun.ts"), mode]));
  else missing.push({ name: "Bun", reason: "no `bun` on the PATH and none installed for npx" });

  const { python, uvloop } = await findPython();
  if (python !== null) servers.push(...pythons(python, "asyncio", peer));
  else missing.push({ name: "asyncio", reason: "no `python3` on the PATH" });
  if (uvloop) servers.push(...pythons(python!, "uvloop", peer));
  else missing.push({ name: "uvloop", reason: "no python3 here can import uvloop" });

  if (epollEcho !== null) {
    const modes = ALL.filter((mode) => mode !== "pipe");
    servers.push({ name: "C epoll", group: "limit", modes, command: (mode) => [epollEcho, mode] });
  }
  return { servers, missing };
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

function pythons(
  python: string,
  loop: string,
  peer: (name: string, modes: readonly Mode[], command: (mode: Mode) => string[]) => ServerKind,
): ServerKind[] {
  return [
    peer(`${loop}, Protocol`, ALL, (mode) => [python, path("aio.py"), loop, mode, "protocol"]),
    peer(`${loop}, BufferedProtocol`, ["echo", "idle", "pipelined", "sink"], (mode) => {
      return [python, path("aio.py"), loop, mode, "buffered"];
    }),
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

/** Finds Bun itself rather than npx, whose child could be neither pinned nor stopped. Installs nothing. */
async function findBun(): Promise<string | null> {
  const where = ["-e", "console.log(process.execPath)"];
  return await output("bun", ...where) ?? await output("npx", "--no-install", "bun", ...where);
}

/** What a program prints; `null` where it cannot be run or fails. */
async function output(program: string, ...args: string[]): Promise<string | null> {
  try {
    const { success, stdout } = await new Deno.Command(program, { args, stderr: "null", stdin: "null" }).output();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch {
    return null; // Not installed.
  }
}

function path(script: string): string {
  return new URL(`servers/${script}`, import.meta.url).pathname;
}
