/**
 * A Unix socket's place in the file system: claimed without harm to anybody, given up without harm either.
 *
 * @module
 */
import { MAX_PATH } from "./factory.ts";

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
 *
 * @param path The path.
 * @returns The listener.
 * @throws {Deno.errors.AddrInUse} If a live socket or another file is there.
 */
export async function bindUnixPath(path: string): Promise<BoundPath> {
  if (path.startsWith("\0")) {
    return { listener: Deno.listen({ transport: "unix", path }), removeFile: () => {} };
  }
  const passing = passingName(path);
  const listener = Deno.listen({ transport: "unix", path: passing });
  try {
    await claim(passing, path);
    return { listener, removeFile: fileRemover(path) };
  } catch (error) {
    listener.close();
    throw error;
  }
}

/**
 * Remembers the file that lies at a path now.
 *
 * @param path The path.
 * @returns A function that removes that very file, if it is still there.
 */
export function fileRemover(path: string): () => void {
  const own = Deno.lstatSync(path);
  return () => removeIfSame(path, own);
}

/**
 * Makes way for a socket where a dead one lies.
 *
 * @param path The path.
 * @throws {Deno.errors.AddrInUse} If a live socket or another file is there.
 * @throws {Deno.errors.NotCapable} If a permission to find out is missing.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  let found: Deno.FileInfo;
  try {
    found = Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (!found.isSocket) throw addrInUse(path, "a file that is not a socket is there");
  // A listener that was closed in this turn is gone in the next.
  await new Promise((resolve) => setTimeout(resolve, 0));
  if (await isLive(path)) throw addrInUse(path, "a live socket is there");
  removeIfSame(path, found);
}

async function claim(passing: string, path: string): Promise<void> {
  for (let tries = 0;; tries++) {
    try {
      Deno.linkSync(passing, path);
      Deno.removeSync(passing);
      return;
    } catch (error) {
      // Not every file system has links for sockets.
      if (!(error instanceof Deno.errors.AlreadyExists)) break;
      if (tries > 0) throw addrInUse(path, "somebody else has taken it at the same moment");
      await removeStaleSocket(path);
    }
  }
  await removeStaleSocket(path);
  Deno.renameSync(passing, path);
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

function removeIfSame(path: string, own: Deno.FileInfo): void {
  try {
    const found = Deno.lstatSync(path);
    if (found.dev === own.dev && found.ino === own.ino) Deno.removeSync(path);
  } catch {
    // Gone already.
  }
}

/**
 * Makes up a free name for a socket that is about to be moved.
 *
 * @param path Where it will be moved.
 * @returns A path in the same directory, not too long for a socket.
 */
export function passingName(path: string): string {
  const directory = path.slice(0, path.lastIndexOf("/") + 1);
  const room = MAX_PATH - new TextEncoder().encode(directory).length;
  for (let tries = 0;; tries++) {
    const name = crypto.randomUUID().slice(0, 6);
    const passing = directory + (room > name.length ? `.${name}` : name.slice(0, room));
    // With room for one character there may be none left; then the system says so.
    if (tries === 100 || passing !== path && !exists(passing)) return passing;
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

function addrInUse(path: string, why: string): Error {
  const error = new Deno.errors.AddrInUse(`path ${JSON.stringify(path)} is in use: ${why}`);
  return Object.assign(error, { code: "EADDRINUSE" });
}
