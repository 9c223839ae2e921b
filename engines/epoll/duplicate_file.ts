import { SendfileError, toError } from "../../errors.ts";
import { inTurn } from "../deno/file.ts";
import { SEEK_CUR, SOCK_CLOEXEC, SOCK_FLAGS } from "./constants.ts";
import { lastError } from "./errors.ts";
import type { Libc } from "./libc.ts";

/** How far above the lowest free descriptor the search goes. Each takes 0.3 µs. */
const MAX_ABOVE = 1 << 16;
/** Every file system takes positions below this one. */
const MAX_POSITION = 2 ** 31 - 2;

/** The descriptors that were found last, to try first. */
const found = new WeakMap<Deno.FsFile, number>();

/** A duplicate of a file's descriptor, and the size of the file. */
export interface Duplicate {
  fd: number;
  size: number;
}

/**
 * Returns a duplicate of a file's descriptor, which the caller owns. Deno hides the descriptor, but it shares its
 * position with the `Deno.FsFile`: this moves the position, looks which descriptor follows, and moves the position back.
 *
 * Rejects with `Deno.errors.NotSupported` if the file has no position or the descriptor is not found, and with a
 * `SendfileError` if the file is closed.
 */
export function duplicateFile(libc: Libc, file: Deno.FsFile): Promise<Duplicate> {
  return inTurn(file, () => {
    try {
      return duplicate(libc, file);
    } catch (thrown) {
      const cause = toError(thrown);
      if (cause instanceof Deno.errors.BadResource) throw new SendfileError("the file is closed", 0, { cause });
      throw new Deno.errors.NotSupported(`sendfile(): sendfile(2) cannot send this file: ${cause.message}`, { cause });
    }
  });
}

function duplicate(libc: Libc, file: Deno.FsFile): Duplicate {
  const position = file.seekSync(0, Deno.SeekMode.Current);
  // A new descriptor takes the lowest free number, so the file's is often the one before.
  const fd = libc.eventfd(0, SOCK_FLAGS);
  if (fd === -1) throw lastError(libc);
  try {
    const first = Math.floor(Math.random() * MAX_POSITION);
    file.seekSync(first, Deno.SeekMode.Start);
    for (const candidate of candidates(found.get(file), fd)) {
      if (libc.lseek(candidate, 0n, SEEK_CUR) !== first) continue;
      if (libc.dup3(candidate, fd, SOCK_CLOEXEC) === -1) throw lastError(libc);
      // Another file may happen to be at the same place. It does not follow a second time.
      file.seekSync(first + 1, Deno.SeekMode.Start);
      if (libc.lseek(fd, 0n, SEEK_CUR) === first + 1) {
        found.set(file, candidate);
        return { fd, size: file.seekSync(0, Deno.SeekMode.End) };
      }
      file.seekSync(first, Deno.SeekMode.Start);
    }
    throw new Error("its descriptor was not found");
  } catch (error) {
    libc.close(fd);
    throw error;
  } finally {
    file.seekSync(position, Deno.SeekMode.Start);
  }
}

/** The descriptors that may be the file's, the likely ones first. */
function* candidates(last: number | undefined, free: number): Generator<number> {
  if (last !== undefined) yield last;
  for (let fd = free - 1; fd > 2; fd--) yield fd;
  for (let fd = free + 1; fd < free + MAX_ABOVE; fd++) yield fd;
}
