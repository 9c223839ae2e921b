import { F_SETFD, FD_CLOEXEC } from "./constants.ts";
import { lastError } from "./errors.ts";
import { openLibc } from "./libc.ts";

/** A descriptor that the service manager has passed. */
export interface ListenFd {
  /** The file descriptor, for `createServer(factory, { fd })` and other calls. It is yours. */
  fd: number;
  /** The name that the service manager gives it (`FileDescriptorName=`); `"unknown"` by default. */
  name: string;
}

/** The first descriptor that is passed: `SD_LISTEN_FDS_START`. */
const FIRST = 3;

/**
 * Returns the descriptors that were passed by socket activation, as sd_listen_fds(3) does: those from 3 on, as many as
 * `LISTEN_FDS` says, if `LISTEN_PID` is this process. Children do not inherit them. Needs
 * `--allow-env=LISTEN_PID,LISTEN_FDS,LISTEN_FDNAMES`.
 *
 * @returns The descriptors with their names; empty if there are none for this process.
 * @throws {Deno.errors.InvalidData} If `LISTEN_FDS` is not a number.
 * @throws {Deno.errors.BadResource} If one of the descriptors is not open.
 *
 * @example A server that systemd starts at its first connection
 * ```ts
 * import { getRunningLoop, Protocol } from "@tandem/io";
 * import { install, listenFds } from "@tandem/io/epoll";
 *
 * install();
 * for (const { fd } of listenFds()) await getRunningLoop().createServer(() => new Protocol(), { fd });
 * ```
 */
export function listenFds(): ListenFd[] {
  if (Deno.env.get("LISTEN_PID") !== String(Deno.pid)) return [];
  const text = Deno.env.get("LISTEN_FDS") ?? "0";
  const count = Number(text);
  if (!/^\d+$/.test(text) || count > 2 ** 31 - 1 - FIRST) {
    throw new Deno.errors.InvalidData(`listenFds(): LISTEN_FDS must be a whole number, got "${text}"`);
  }
  const names = Deno.env.get("LISTEN_FDNAMES")?.split(":") ?? [];
  const libc = openLibc();
  const passed: ListenFd[] = [];
  for (let fd = FIRST; fd < FIRST + count; fd++) {
    if (libc.fcntl(fd, F_SETFD, FD_CLOEXEC) === -1) {
      throw lastError(libc, `listenFds(): LISTEN_FDS is ${text}, but descriptor ${fd} cannot be used`);
    }
    passed.push({ fd, name: names[fd - FIRST] || "unknown" });
  }
  return passed;
}
