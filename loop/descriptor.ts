/** Checks of file descriptors that a program gives, and the engine's methods for them. */
import { checkInteger } from "../checks.ts";
import { describe, withMessage } from "../errors.ts";
import type { Descriptor, DescriptorOwner, Descriptors, GivenDescriptor } from "../transports/engine.ts";
import type { LoopCore } from "./loop_core.ts";

/** Reports whether a value stands for a file descriptor: `{ fd }`, or an object that owns one. */
export function isGivenDescriptor(value: unknown): value is GivenDescriptor {
  return typeof value === "object" && value !== null && "fd" in value;
}

/** Returns the descriptor of `{ fd }`, or the object that owns one. */
export function takeDescriptor(method: string, given: GivenDescriptor): Descriptor {
  const fd: unknown = isOwner(given) ? given : given.fd;
  checkDescriptor(method, fd);
  return fd;
}

/** Throws unless a value is a file descriptor, or an object that owns one. */
export function checkDescriptor(method: string, fd: unknown): asserts fd is Descriptor {
  if (typeof fd === "number") return checkInteger(method, "fd", fd, 0, 2 ** 31 - 1);
  if (isOwner(fd)) return;
  throw new TypeError(`${method}: fd must be a file descriptor or a socket of socketPair(), got ${describe(fd)}`);
}

/** Calls the engine. Its errors about the descriptor begin with the name of the method. */
export function useDescriptors<T>(loop: LoopCore, method: string, use: (descriptors: Descriptors) => T): T {
  const { descriptors, name } = loop.engine;
  if (descriptors === undefined) {
    throw new Deno.errors.NotSupported(
      `${method}: fd is not supported by the engine "${name}"; use EpollEngine of "@tandem/io/epoll"`,
    );
  }
  try {
    return use(descriptors);
  } catch (error) {
    const isAboutFd = error instanceof Error && error.message.startsWith("fd ");
    throw isAboutFd ? withMessage(error, `${method}: ${error.message}`) : error;
  }
}

function isOwner(value: unknown): value is DescriptorOwner {
  if (typeof value !== "object" || value === null) return false;
  const { fd, detach } = value as Partial<DescriptorOwner>;
  return typeof fd === "number" && typeof detach === "function";
}
