/**
 * Reading files at a place of one's own.
 *
 * @module
 */
import { describe } from "../../errors.ts";

/** The last of those that use a file's position, which it has only one of, for all who send it. */
const users = new WeakMap<Deno.FsFile, Promise<unknown>>();

/** Throws unless a value is a file. */
export function checkFile(file: unknown, name: string): asserts file is Deno.FsFile {
  if (!(file instanceof Deno.FsFile)) throw new TypeError(`${name} must be a Deno.FsFile, got ${describe(file)}`);
}

/**
 * Reads at a place in a file, while no other call of this kind does. Sought synchronously, which never blocks: by a promise,
 * it halves the rate.
 *
 * @param place The place, in bytes from its beginning.
 * @returns How many bytes were read; `null` at the end of the file.
 */
export function readAt(file: Deno.FsFile, place: number, block: Uint8Array): Promise<number | null> {
  return inTurn(file, () => {
    file.seekSync(place, Deno.SeekMode.Start);
    return file.read(block);
  });
}

/**
 * Sets a file's position.
 *
 * @param place The position, in bytes from its beginning.
 */
export async function seekTo(file: Deno.FsFile, place: number): Promise<void> {
  await inTurn(file, () => file.seekSync(place, Deno.SeekMode.Start)).catch(() => {});
}

function inTurn<T>(file: Deno.FsFile, use: () => T | Promise<T>): Promise<T> {
  const result = (users.get(file) ?? Promise.resolve()).then(use);
  users.set(file, result.catch(() => {}));
  return result;
}
