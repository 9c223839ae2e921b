/** Checks of descriptors that a program gives, before the engine takes them over. */
import type { Descriptor } from "../../transports/engine.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  EBADF,
  ENOTSOCK,
  F_GETFL,
  F_SETFD,
  F_SETFL,
  FD_CLOEXEC,
  O_NONBLOCK,
  SOCK_DGRAM,
  SOCK_STREAM,
} from "./constants.ts";
import { lastError, systemError } from "./errors.ts";
import type { Libc } from "./libc.ts";
import { getOption } from "./socket_calls.ts";
import type { Reactor } from "./reactor.ts";
import { SO_DOMAIN, SO_TYPE, SOL_SOCKET } from "./socket_options.ts";

const TYPES: Record<number, string> = { [SOCK_STREAM]: "a stream socket", [SOCK_DGRAM]: "a datagram socket" };

/** Returns the number of a descriptor that its owner has not given away, and that no transport has. */
export function numberOf({ libc, owned }: Reactor, given: Descriptor): number {
  const fd = typeof given === "number" ? given : given.fd;
  if (fd === -1) throw systemError(libc, EBADF, "fd must be open, got a socket that is closed or was given away");
  if (owned[fd] !== undefined) throw wrongKind("a descriptor of its own", fd, "a transport uses");
  return fd;
}

/**
 * Checks the type and the family of a socket, and returns the family.
 *
 * @throws {Deno.errors.BadResource} If the descriptor is not open.
 * @throws {TypeError} If it is of another kind.
 */
export function checkSocket(libc: Libc, fd: number, type: number, family: "any" | "unix"): number {
  const value = new Int32Array(1);
  if (libc.getsockopt(fd, SOL_SOCKET, SO_TYPE, value, new Int32Array([4])) === -1) {
    const errno = libc.errno();
    if (errno === ENOTSOCK) throw wrongKind(TYPES[type]!, fd, "is not a socket");
    throw openError(libc, errno, fd);
  }
  const [actual] = value;
  if (actual !== type) throw wrongKind(TYPES[type]!, fd, `is ${TYPES[actual!] ?? `a socket of type ${actual}`}`);
  const domain = getOption(libc, fd, SOL_SOCKET, SO_DOMAIN);
  if (family === "unix" && domain !== AF_UNIX) throw wrongKind("a Unix socket", fd, "is not one");
  if (![AF_UNIX, AF_INET, AF_INET6].includes(domain)) {
    throw wrongKind("an IP or a Unix socket", fd, `is of the address family ${domain}`);
  }
  return domain;
}

/** Returns the flags of an open descriptor. */
export function flagsOf(libc: Libc, fd: number): number {
  const flags = libc.fcntl(fd, F_GETFL, 0);
  if (flags === -1) throw openError(libc, libc.errno(), fd);
  return flags;
}

/** Makes a descriptor nonblocking, and keeps children from inheriting it. */
export function makeNonblocking(libc: Libc, fd: number): void {
  const flags = flagsOf(libc, fd);
  const isSet = (flags & O_NONBLOCK) !== 0;
  if (!isSet && libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK) === -1) throw lastError(libc);
  if (libc.fcntl(fd, F_SETFD, FD_CLOEXEC) === -1) throw lastError(libc);
}

/** Makes a descriptor nonblocking, and detaches it from the object that owned it: it is the engine's from now on. */
export function takeOver(libc: Libc, given: Descriptor, fd: number): void {
  makeNonblocking(libc, fd);
  if (typeof given !== "number") given.detach();
}

/** Returns the error for a descriptor of the wrong kind. */
export function wrongKind(accepted: string, fd: number, actual: string): TypeError {
  return new TypeError(`fd must be ${accepted}, got descriptor ${fd}, which ${actual}`);
}

function openError(libc: Libc, errno: number, fd: number): Error {
  return systemError(libc, errno, `fd must be an open file descriptor, got ${fd}`);
}
