import { checkInteger } from "../checks.ts";
import { describe } from "../errors.ts";
import type { FileDescriptor, Watcher } from "../transports/watcher.ts";
import type { LoopCore } from "./loop_core.ts";

/** Watches a descriptor. */
export function addWatch(
  core: LoopCore,
  direction: "read" | "write",
  fd: FileDescriptor,
  callback: (...args: never[]) => unknown,
  args: unknown[],
): void {
  const method = direction === "read" ? "addReader()" : "addWriter()";
  const watcher = watcherOf(core, method);
  const number = numberOf(method, fd);
  watcher.watch(number, direction, core.scheduler.bind(callback, args, method));
}

/** Ends `addWatch()`, and reports whether there was one. */
export function removeWatch(core: LoopCore, direction: "read" | "write", fd: FileDescriptor): boolean {
  const method = direction === "read" ? "removeReader()" : "removeWriter()";
  return watcherOf(core, method).unwatch(numberOf(method, fd), direction);
}

function watcherOf({ engine }: LoopCore, method: string): Watcher {
  if (engine.watcher !== undefined) return engine.watcher;
  throw new Deno.errors.NotSupported(
    `${method} is not supported by the engine "${engine.name}": use a loop over the EpollEngine of "@tandem/io/epoll"`,
  );
}

function numberOf(method: string, fd: FileDescriptor): number {
  const isObject = typeof fd === "object" && fd !== null;
  const number: unknown = isObject ? fd.fd : fd;
  if (typeof number !== "number") {
    throw new TypeError(`${method}: fd must be a file descriptor or an object with one as its fd, got ${describe(fd)}`);
  }
  if (isObject && number === -1) throw new Deno.errors.BadResource(`${method}: fd is closed`);
  checkInteger(method, "fd", number, 0, 0x7fffffff);
  return number;
}
