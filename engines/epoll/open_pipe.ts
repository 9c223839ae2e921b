/**
 * Makes streams of the descriptors of pipes, FIFOs, terminals and other character devices.
 *
 * The standard streams 0, 1 and 2 are shared: with the shell, with other programs of a pipeline, and with Deno's `console`.
 * Nonblocking mode is a property of what is shared, and would make the writes of those programs fail. So the engine opens a
 * standard stream anew, by `/proc/self/fd`, and never closes the descriptor itself.
 */
import { codeOf } from "../../errors.ts";
import type { Descriptor } from "../../transports/engine.ts";
import type { StreamHandle } from "../../transports/stream_handle.ts";
import {
  AT_FDCWD,
  ENXIO,
  F_DUPFD_CLOEXEC,
  O_ACCMODE,
  O_CLOEXEC,
  O_NOCTTY,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  SOCK_STREAM,
} from "./constants.ts";
import { flagsOf, makeNonblocking, numberOf, takeOver, wrongKind } from "./descriptor_checks.ts";
import { systemError } from "./errors.ts";
import { type Libc, toCString } from "./libc.ts";
import { getOption } from "./socket_calls.ts";
import { PipeHandle } from "./pipe_handle.ts";
import type { Reactor } from "./reactor.ts";
import { SO_TYPE, SOL_SOCKET } from "./socket_options.ts";

/** Opens a standard stream over Deno. */
export interface StandardStream {
  (fd: number, direction: "read" | "write"): StreamHandle;
}

/** The highest descriptor of a standard stream. */
const STDERR = 2;

/** Makes a stream of a descriptor. If it throws, the descriptor is untouched. */
export function openPipe(
  reactor: Reactor,
  given: Descriptor,
  direction: "read" | "write",
  standard: StandardStream,
): StreamHandle {
  const { libc } = reactor;
  const fd = numberOf(reactor, given);
  const wanted = direction === "read" ? O_RDONLY : O_WRONLY;
  const access = flagsOf(libc, fd) & O_ACCMODE;
  if (access === (wanted ^ 1)) {
    const [accepted, actual] = direction === "read" ? ["reading", "writing"] : ["writing", "reading"];
    throw wrongKind(`open for ${accepted}`, fd, `is open for ${actual} only`);
  }
  if (fd <= STDERR) return openStandard(reactor, fd, direction, standard);
  const handle = watchable(reactor, fd, direction);
  if (handle === null) {
    throw wrongKind("a pipe, a socket or a character device", fd, "is a file, which epoll cannot watch");
  }
  try {
    takeOver(libc, given, fd);
    return handle;
  } catch (error) {
    handle.giveUp();
    throw error;
  }
}

function openStandard(
  reactor: Reactor,
  fd: number,
  direction: "read" | "write",
  standard: StandardStream,
): StreamHandle {
  const { libc } = reactor;
  const own = reopen(libc, fd, direction);
  try {
    const handle = watchable(reactor, own, direction);
    if (handle !== null) return handle;
  } catch (error) {
    libc.close(own);
    throw error;
  }
  libc.close(own);
  return standard(fd, direction);
}

/** Opens a standard stream anew, with flags of its own. */
function reopen(libc: Libc, fd: number, direction: "read" | "write"): number {
  const path = toCString(`/proc/self/fd/${fd}`);
  const access = direction === "read" ? O_RDONLY : O_WRONLY;
  const own = libc.openat(AT_FDCWD, path, access | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (own !== -1) return own;
  const errno = libc.errno();
  // A socket cannot be opened anew. It belongs to this process, as a rule, so its flags may change.
  if (errno === ENXIO && getOption(libc, fd, SOL_SOCKET, SO_TYPE) === SOCK_STREAM) {
    const copy = libc.fcntl(fd, F_DUPFD_CLOEXEC, STDERR + 1);
    if (copy !== -1) makeNonblocking(libc, copy);
    if (copy !== -1) return copy;
  }
  throw systemError(libc, errno, `fd must be a standard stream that can be opened again, got ${fd}`);
}

/** Returns a handle, or `null` if epoll cannot watch the descriptor. Then, and if it throws, the descriptor stays open. */
function watchable(reactor: Reactor, fd: number, direction: "read" | "write"): PipeHandle | null {
  const handle = new PipeHandle(reactor, fd, direction);
  try {
    handle.probe();
    return handle;
  } catch (error) {
    if (codeOf(error) === "EPERM") return null;
    throw error;
  }
}
