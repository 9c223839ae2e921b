/**
 * FFI bypasses Deno's permissions, so the engine checks them itself, as Deno's own sockets do.
 *
 * A permission is queried first and requested only if Deno would prompt: a request for what is granted adds a grant of its
 * own, which a later `Deno.permissions.revoke()` may not remove.
 */
import { isIP } from "node:net";
import { hasZeroByte } from "../../checks.ts";
import { describe } from "../../errors.ts";
import { fromCString, openLibc } from "./libc.ts";
import { withoutBrackets } from "./resolve.ts";
import { normalizeIp } from "./sockaddr.ts";

/**
 * Requires the permission to use the network at a host and port. Deno may prompt for it.
 *
 * @throws {Deno.errors.NotCapable} If it is missing.
 */
export function requireNet(hostname: string, port: number): void {
  if (mayUseNet() === "everywhere") return;
  const host = hostOf(hostname, port);
  demand({ name: "net", host }, "net", host);
}

/**
 * Requires that the addresses of a host are not denied. Deno also does so after it has resolved a host: a rule of
 * `--deny-net` for an address holds for every name of the address.
 *
 * @throws {Deno.errors.NotCapable} If one is denied.
 */
export function requireNotDenied(addresses: readonly string[], port: number): void {
  const extent = mayUseNet();
  if (extent === "everywhere") return;
  for (const address of addresses) {
    const host = hostOf(address, port);
    const state = stateOf({ name: "net", host });
    const isDenied = state === "denied" ||
      extent === "somewhere" && state === "granted" && isHiddenDenial(address, port);
    if (isDenied) throw notCapable("net", host);
  }
}

/**
 * Requires the permission for an address that a socket has.
 *
 * @throws {Deno.errors.NotCapable} If it is missing or denied.
 */
export function requireIpAddr({ hostname, port }: Deno.NetAddr): void {
  requireNet(hostname, port);
  requireNotDenied([hostname], port);
}

/**
 * Requires the permissions to use a Unix socket at a path.
 *
 * @returns The path to use. It differs from `path` where `..` follows a symbolic link: Deno's permissions are for the path
 * without `..`, and the kernel would take another one.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 */
export function requirePath(path: string): string {
  if (path.startsWith("\0")) {
    // Deno has no rule for one abstract name. If it prompts, then for all addresses.
    demand({ name: "net" }, "net", `unix:${path}`);
    return path;
  }
  return requireFile(path, ["read", "write"]);
}

/**
 * Requires the permissions to send datagrams to a Unix socket.
 *
 * @returns The path to use, as `requirePath()` does.
 * @throws {Deno.errors.NotCapable} If a permission is missing.
 */
export function requireUnixTarget(path: string): string {
  return path.startsWith("\0") ? requirePath(path) : requireFile(path, ["write"]);
}

function requireFile(path: string, access: readonly ("read" | "write")[]): string {
  // The kernel would use the path up to there, which may be one that Deno denies.
  if (hasZeroByte(path)) throw new TypeError(`a path must not have a zero byte, got ${describe(path)}`);
  const isAbsolute = path.startsWith("/");
  const normal = isAbsolute ? normalize(path) : path;
  for (const name of access) demand({ name, path }, name, normal);
  const absolute = isAbsolute ? normal : normalize(`${currentDirectory()}/${path}`);
  if (/^\/(dev|proc|sys)(\/|$)/.test(absolute) && !hasAll()) throw notCapable("all", absolute);
  if (mayUseNet() !== "everywhere") {
    demand({ name: "net", host: `unix:${absolute}` }, "net", `unix:${absolute}`);
  }
  return /(^|\/)\.\.(\/|$)/.test(path) ? absolute : path;
}

/** Reports whether the network may be used at every address, at every address with exceptions, or only at some. */
function mayUseNet(): "everywhere" | "almost everywhere" | "somewhere" {
  const { state, partial } = Deno.permissions.querySync({ name: "net" });
  return state !== "granted" ? "somewhere" : partial ? "almost everywhere" : "everywhere";
}

function demand(descriptor: Deno.PermissionDescriptor, name: string, what: string): void {
  const state = stateOf(descriptor);
  if (state === "granted") return;
  if (state === "prompt" && Deno.permissions.requestSync(descriptor).state === "granted") return;
  throw notCapable(name, what);
}

function stateOf(descriptor: Deno.PermissionDescriptor): Deno.PermissionState {
  return Deno.permissions.querySync(descriptor).state;
}

function notCapable(name: string, what: string): Error {
  return new Deno.errors.NotCapable(`Requires ${name} access to "${what}", run again with the --allow-${name} flag`);
}

/** Spells a host as Deno's permissions do. */
export function hostOf(hostname: string, port: number): string {
  const bare = withoutBrackets(hostname);
  const host = isIP(bare) === 6 ? ipv6Of(bare) : bare.includes(":") ? `[${bare}]` : hostname.toLowerCase();
  return `${host}:${port}`;
}

/** An IPv4 address in an IPv6 address, such as `::ffff:127.0.0.1`, is the IPv4 address. A zone does not count. */
function ipv6Of(address: string): string {
  const hostname = normalizeIp(address.split("%")[0]!);
  return hostname.startsWith("::ffff:") && hostname.includes(".") ? hostname.slice(7) : `[${hostname}]`;
}

/** What `isDeniedToDeno()` has found; the rules of flags never change. */
const known = new Map<string, boolean>();

/**
 * Reports whether a rule of `--deny-net` denies an address that `--allow-net` allows more closely, such as a rule for a subnet
 * or for all ports. A query for the port answers "granted" then, but Deno's sockets refuse.
 */
function isHiddenDenial(address: string, port: number): boolean {
  const host = hostOf(address, port);
  const state = stateOf({ name: "net", host: host.slice(0, host.lastIndexOf(":")) });
  return state === "denied" || state === "granted" && isDeniedToDeno(address);
}

/**
 * Reports whether Deno refuses an address whose every port is allowed, by listening at a port of the system's choice for a
 * moment. Mostly the address is not of this machine, and only the permission is checked.
 */
function isDeniedToDeno(hostname: string): boolean {
  let denied = known.get(hostname);
  if (denied === undefined) {
    denied = false;
    try {
      Deno.listen({ hostname, port: 0 }).close();
    } catch (error) {
      denied = error instanceof Deno.errors.NotCapable;
    }
    if (known.size >= 10_000) known.clear();
    known.set(hostname, denied);
  }
  return denied;
}

/** Deno allows sockets in the file systems of the kernel only with all permissions. */
function hasAll(): boolean {
  const names = ["read", "write", "net", "env", "sys", "run", "ffi", "import"] as const;
  return names.every((name) => {
    const { state, partial } = Deno.permissions.querySync({ name } as Deno.PermissionDescriptor);
    return state === "granted" && !partial;
  });
}

/** Removes `.` and `..` from an absolute path, without asking the file system. */
function normalize(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/** `Deno.cwd()` requires a permission to read. */
function currentDirectory(): string {
  const path = new Uint8Array(4096);
  openLibc().getcwd(path, 4096n);
  return fromCString(path);
}
