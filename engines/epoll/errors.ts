import { constants } from "node:os";
import { EAGAIN } from "./constants.ts";
import { fromCString, type Libc } from "./libc.ts";

const NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number as number, name]));
// Not EWOULDBLOCK, which is the same number.
NAMES.set(EAGAIN, "EAGAIN");

type ErrorClass = new (message: string) => Error;

/** The classes that Deno throws, by the name of the error. */
const CLASSES: Record<string, ErrorClass> = {
  ENOENT: Deno.errors.NotFound,
  EACCES: Deno.errors.PermissionDenied,
  EPERM: Deno.errors.PermissionDenied,
  ECONNREFUSED: Deno.errors.ConnectionRefused,
  ECONNRESET: Deno.errors.ConnectionReset,
  ECONNABORTED: Deno.errors.ConnectionAborted,
  ENOTCONN: Deno.errors.NotConnected,
  EADDRINUSE: Deno.errors.AddrInUse,
  ENETUNREACH: Deno.errors.NetworkUnreachable,
  EADDRNOTAVAIL: Deno.errors.AddrNotAvailable,
  EPIPE: Deno.errors.BrokenPipe,
  EEXIST: Deno.errors.AlreadyExists,
  EINVAL: TypeError,
  ETIMEDOUT: Deno.errors.TimedOut,
  EINTR: Deno.errors.Interrupted,
  EAGAIN: Deno.errors.WouldBlock,
  EBADF: Deno.errors.BadResource,
  EBUSY: Deno.errors.Busy,
  EISDIR: Deno.errors.IsADirectory,
  ENOTDIR: Deno.errors.NotADirectory,
  ELOOP: Deno.errors.FilesystemLoop,
  EOPNOTSUPP: Deno.errors.NotSupported,
};

/** Returns an error of the system as Deno throws it: its class, text and `code`. The message can begin with `what`. */
export function systemError(libc: Libc, errno: number, what = ""): Error {
  const code = NAMES.get(errno);
  const Class = CLASSES[code ?? ""] ?? Error;
  const error = new Class(`${what === "" ? "" : `${what}: `}${describeErrno(libc, errno)} (os error ${errno})`);
  return code === undefined ? error : Object.assign(error, { code });
}

/** Returns the error of the call that has just failed. */
export function lastError(libc: Libc, what?: string): Error {
  return systemError(libc, libc.errno(), what);
}

function describeErrno(libc: Libc, errno: number): string {
  const text = new Uint8Array(128);
  libc.strerror_r(errno, text, 128n);
  return fromCString(text);
}
