/**
 * A Unix socket's place in the file system: claimed without harm to anybody, given up without harm either.
 *
 * @module
 */
import { MAX_PATH } from "../../checks.ts";

/** A listener and how to remove its file. */
export interface BoundPath {
  /** The listener. */
  listener: Deno.UnixListener;
  /** Removes the socket file, unless it is somebody else's by now. */
  removeFile(): void;
}

/**
 * Listens on a path. A stale socket file is replaced; a live one, or any other file, is not touched.
 *
 * Deno removes the path a listener was bound to when the listener goes, some time after `close()`, whoever's
 * file is there by then. So the socket is bound under a passing name next to it, which Deno may remove as it
 * likes, and linked to its real one, which also makes the claim atomic.
 */
export async function bindUnixPath(path: string): Promise<BoundPath> {
  if (path.startsWith("\0")) {
    return { listener: Deno.listen({ transport: "unix", path }), removeFile: () => {} };
  }
  const passing = passingName(path);
  const listener = Deno.listen({ transport: "unix", path: passing });
  try {
    // Before it gets its name: what lies there afterwards may be somebody else's.
    const own = Deno.lstatSync(passing);
    await claim(passing, path);
    return { listener, removeFile: () => removeIfSame(path, own) };
  } catch (error) {
    listener.close();
    throw error;
  }
}

/** Makes way for a socket where a dead one lies. */
export async function removeStaleSocket(path: string): Promise<void> {
  let found: Deno.FileInfo;
  try {
    found = Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (!found.isSocket) throw addrInUse("a file that is not a socket is there");
  // A listener that was closed in this turn is gone in the next.
  await new Promise((resolve) => setTimeout(resolve, 0));
  if (await isLive(path)) throw addrInUse("a live socket is there");
  removeIfSame(path, found);
}

/**
 * Removes a socket's file, unless another one has taken its place.
 *
 * A look and a removal are two steps, and somebody may come between. So the file is moved aside first and looked at
 * there, under a name that others do not know, and put back if it is not the one.
 */
export function removeIfSame(path: string, own: Deno.FileInfo): void {
  try {
    if (!isSame(Deno.lstatSync(path), own)) return;
    const aside = `${directoryOf(path)}.${crypto.randomUUID()}`;
    Deno.renameSync(path, aside);
    if (isSame(Deno.lstatSync(aside), own)) Deno.removeSync(aside);
    else move(aside, path);
  } catch {
    // Gone already, or taken by a third.
  }
}

/** Whether it is one socket. An open one holds on to its file's number; that of a dead one may be a younger file's. */
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
      if (tries > 0) throw addrInUse("somebody else has taken it at the same moment");
      await removeStaleSocket(path);
    }
  }
}

/** Gives a file another name, but never that of a file that is there. */
function move(from: string, to: string): void {
  try {
    Deno.linkSync(from, to);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) throw error;
    // Folders have no links, and sockets none on some file systems.
    if (exists(to)) throw new Deno.errors.AlreadyExists(to);
    Deno.renameSync(from, to);
    return;
  }
  Deno.removeSync(from);
}

/** Whether somebody listens. A datagram socket refuses a stream with EPROTOTYPE, a dead one with ECONNREFUSED. */
async function isLive(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return !(error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.NotFound);
  }
}

/** Makes up a free name for a socket that is about to be moved. */
export function passingName(path: string): string {
  const directory = directoryOf(path);
  const room = MAX_PATH - new TextEncoder().encode(directory).length;
  for (let tries = 0;; tries++) {
    const name = crypto.randomUUID().slice(0, 6);
    const passing = directory + (room > name.length ? `.${name}` : name.slice(0, room));
    // With room for one character there may be none left; then the system says so.
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

/** Makes the system's error for a path that is taken. */
export function addrInUse(why: string): Error {
  const error = new Deno.errors.AddrInUse(`Address already in use: ${why}`);
  return Object.assign(error, { code: "EADDRINUSE" });
}
