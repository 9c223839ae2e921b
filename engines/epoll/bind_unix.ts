import { removeIfSame, removeStaleSocket } from "../deno/unix_path.ts";
import { AF_UNIX } from "./constants.ts";
import type { Libc } from "./libc.ts";
import { bind, openSocket } from "./socket_calls.ts";
import { encodePath } from "./sockaddr.ts";

/** A socket that is bound to a path. */
export interface BoundSocket {
  fd: number;
  /** Removes the socket file, unless another file has replaced it. */
  removeFile(): void;
}

/** Opens a Unix socket and binds it to a path. A stale socket file is replaced; a live socket or another file is an error. */
export async function bindUnix(libc: Libc, path: string, type: number): Promise<BoundSocket> {
  const address = encodePath(path);
  const open = () =>
    openSocket(libc, AF_UNIX, type, (fd) => {
      bind(libc, fd, address);
      return fd;
    });
  let fd: number;
  try {
    fd = open();
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse) || path.startsWith("\0")) throw error;
    await removeStaleSocket(path);
    fd = open();
  }
  if (path.startsWith("\0")) return { fd, removeFile: () => {} };
  try {
    const own = Deno.lstatSync(path);
    return { fd, removeFile: () => removeIfSame(path, own) };
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}
