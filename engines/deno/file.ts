import { describe } from "../../errors.ts";

/** The last pending use of a file's position. All `sendfile()` calls on a file share the position. */
const users = new WeakMap<Deno.FsFile, Promise<unknown>>();

export function checkFile(file: unknown, name: string): asserts file is Deno.FsFile {
  if (!(file instanceof Deno.FsFile)) throw new TypeError(`${name} must be a Deno.FsFile, got ${describe(file)}`);
}

/** Reads at an offset, after pending reads of the same file. A synchronous seek never blocks, and doubles the rate. */
export function readAt(file: Deno.FsFile, place: number, block: Uint8Array): Promise<number | null> {
  return inTurn(file, () => {
    file.seekSync(place, Deno.SeekMode.Start);
    return file.read(block);
  });
}

/** Sets a file's position, after pending reads. Never rejects. */
export async function seekTo(file: Deno.FsFile, place: number): Promise<void> {
  await inTurn(file, () => file.seekSync(place, Deno.SeekMode.Start)).catch(() => {});
}

/** Runs what uses the position of a file, after pending uses. */
export function inTurn<T>(file: Deno.FsFile, use: () => T | Promise<T>): Promise<T> {
  const result = (users.get(file) ?? Promise.resolve()).then(use);
  users.set(file, result.catch(() => {}));
  return result;
}
