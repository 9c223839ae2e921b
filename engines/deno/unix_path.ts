/** Binding and removing the files of Unix sockets, without touching the files of other programs. */
import { MAX_PATH } from "../../checks.ts";

export interface BoundPath {
  listener: Deno.UnixListener;
  /** Removes the socket file, unless another file has replaced it. */
  removeFile(): void;
}

/**
 * Listens on a path. A stale socket file is replaced; a live socket or another file is an error.
 *
 * Some time after `close()`, Deno removes the file at the path that it has bound, even if the file is another program's by
 * then. So the socket is bound under a temporary name beside the path and then linked to the path, which is atomic.
 */
export async function bindUnixPath(path: string): Promise<BoundPath> {
  if (path.startsWith("\0")) {
    return { listener: Deno.listen({ transport: "unix", path }), removeFile: () => {} };
  }
  const passing = passingName(path);
  const listener = Deno.listen({ transport: "unix", path: passing });
  try {
    // Before the link: afterwards the file at the path may be another program's.
    const own = Deno.lstatSync(passing);
    await claim(passing, path);
    return { listener, removeFile: () => removeIfSame(path, own) };
  } catch (error) {
    listener.close();
    throw error;
  }
}

/** Removes a stale socket file. Throws if the path is taken by a live socket or another file. */
export async function removeStaleSocket(path: string): Promise<void> {
  let found: Deno.FileInfo;
  try {
    found = Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (!found.isSocket) throw addrInUse("a file that is not a socket is there");
  // A listener that was closed in this turn still accepts until the next turn.
  await new Promise((resolve) => setTimeout(resolve, 0));
  if (await isLive(path)) throw addrInUse("a live socket is there");
  removeIfSame(path, found);
}

/**
 * Removes a socket's file, unless another file has replaced it. Another program could replace the file between a check and
 * the removal, so the file is first moved to a random name, then checked, and moved back if it is not the socket's.
 */
export function removeIfSame(path: string, own: Deno.FileInfo): void {
  try {
    if (!isSame(Deno.lstatSync(path), own)) return;
    const aside = `${directoryOf(path)}.${crypto.randomUUID()}`;
    Deno.renameSync(path, aside);
    if (isSame(Deno.lstatSync(aside), own)) Deno.removeSync(aside);
    else move(aside, path);
  } catch {
    // Already removed, or another program has moved it.
  }
}

/** Reports whether two files are the same socket. The inode of a closed socket can be reused, so `birthtime` counts, too. */
function isSame(a: Deno.FileInfo, b: Deno.FileInfo): boolean {
  return a.isSocket === true && b.isSocket === true && a.dev === b.dev && a.ino === b.ino &&
    a.birthtime?.getTime() === b.birthtime?.getTime();
}

async function claim(passing: string, path: string): Promise<void> {
  for (let tries = 0;; tries++) {
    try {
      return move(passing, path);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      if (tries > 0) throw addrInUse("another program has bound it at the same time");
      await removeStaleSocket(path);
    }
  }
}

/** Renames a file. Throws `AlreadyExists` instead of replacing another file. */
function move(from: string, to: string): void {
  try {
    Deno.linkSync(from, to);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) throw error;
    // Directories cannot be linked, and on some file systems sockets neither.
    if (exists(to)) throw new Deno.errors.AlreadyExists(to);
    Deno.renameSync(from, to);
    return;
  }
  Deno.removeSync(from);
}

/** Reports whether a socket is open. A live datagram socket answers EPROTOTYPE, a stale socket ECONNREFUSED. */
async function isLive(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return !(error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.NotFound);
  }
}

/** Returns an unused temporary path in the same directory. */
export function passingName(path: string): string {
  const directory = directoryOf(path);
  const room = MAX_PATH - new TextEncoder().encode(directory).length;
  for (let tries = 0;; tries++) {
    const name = crypto.randomUUID().slice(0, 6);
    const passing = directory + (room > name.length ? `.${name}` : name.slice(0, room));
    // If the path leaves room for only one character, all names may be taken. Then binding fails.
    if (tries === 100 || passing !== path && !exists(passing)) return passing;
  }
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Returns the system's error for a path that is taken. */
export function addrInUse(why: string): Error {
  const error = new Deno.errors.AddrInUse(`Address already in use: ${why}`);
  return Object.assign(error, { code: "EADDRINUSE" });
}
