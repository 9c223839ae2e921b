/** The system calls on sockets: opening, binding, options and addresses. They throw the error of the system. */
import { SOCK_FLAGS } from "./constants.ts";
import { lastError } from "./errors.ts";
import type { Libc } from "./libc.ts";
import { decodeIp, decodePath, MAX_SOCKADDR, type SockAddr } from "./sockaddr.ts";

/** Calls `use` with a new socket, and closes the socket if it throws. */
export function openSocket<T>(libc: Libc, family: number, type: number, use: (fd: number) => T): T {
  const fd = libc.socket(family, type | SOCK_FLAGS, 0);
  if (fd === -1) throw lastError(libc);
  try {
    return use(fd);
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

export function setOption(libc: Libc, fd: number, level: number, name: number, value: number): void {
  if (libc.setsockopt(fd, level, name, new Int32Array([value]), 4) === -1) throw lastError(libc);
}

/** Returns an option that is a number; -1 if it cannot be read. */
export function getOption(libc: Libc, fd: number, level: number, name: number): number {
  const value = new Int32Array(1);
  return libc.getsockopt(fd, level, name, value, new Int32Array([4])) === -1 ? -1 : value[0]!;
}

export function bind(libc: Libc, fd: number, { bytes }: SockAddr): void {
  if (libc.bind(fd, bytes, bytes.length) === -1) throw lastError(libc);
}

/** Which address of a socket: the local or the remote one. */
export type NameCall = "getsockname" | "getpeername";
/** An address as the kernel has it. */
export type Name = [bytes: Uint8Array, length: number];

/** Returns the local or the remote address of an IP socket. */
export function ipNameOf<T extends "tcp" | "udp">(
  libc: Libc,
  fd: number,
  transport: T,
  which: NameCall = "getsockname",
): Deno.NetAddr & { transport: T } {
  const [bytes] = nameOf(libc, fd, which);
  return decodeIp(transport, bytes);
}

/** Returns the path of a Unix socket; empty if it has none. */
export function pathOf(libc: Libc, fd: number): string {
  return decodePath(...nameOf(libc, fd, "getsockname"));
}

export function nameOf(libc: Libc, fd: number, which: NameCall): Name {
  const bytes = new Uint8Array(MAX_SOCKADDR);
  const length = new Int32Array([MAX_SOCKADDR]);
  if (libc[which](fd, bytes, length) === -1) throw lastError(libc);
  return [bytes, length[0]!];
}
