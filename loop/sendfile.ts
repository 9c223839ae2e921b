/**
 * Sending a file over a transport, at the pace that its reader takes it.
 *
 * @module
 */
import { giveBuffer, takeBuffer } from "../memory/buffer_pool.ts";
import { describe, DrainInterrupted, InvalidStateError, SendfileError } from "../errors.ts";
import { endWindowLoan, lendWindow } from "../memory/loan.ts";
import { StreamTransport } from "../transports/stream_transport.ts";
import type { WriteTransport } from "../transports/transport.ts";

/** How much is read from the file at a time; two such pieces are in memory at most. */
const BLOCK_SIZE = 128 * 1024;

/** What part of a file to send. */
export interface SendfileOptions {
  /**
   * Where in the file to start, in bytes.
   *
   * @default {0}
   */
  offset?: number | undefined;
  /**
   * How many bytes to send.
   *
   * @default {undefined} up to the end of the file
   */
  count?: number | undefined;
  /**
   * Read and write where the system cannot do it all by itself. Deno never can: `false` is
   * `Deno.errors.NotSupported`.
   *
   * @default {true}
   */
  fallback?: boolean | undefined;
}

/** {@inheritDoc EventLoop.sendfile} */
export async function sendfile(
  transport: WriteTransport,
  file: Deno.FsFile,
  { offset = 0, count, fallback = true }: SendfileOptions,
): Promise<number> {
  if (!(transport instanceof StreamTransport) || !transport.writable) {
    throw new TypeError(`transport must be a stream transport that can be written to, got ${describe(transport)}`);
  }
  if (!(file instanceof Deno.FsFile)) throw new TypeError(`file must be a Deno.FsFile, got ${describe(file)}`);
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new RangeError(`offset must be a whole number of bytes from 0, got ${describe(offset)}`);
  }
  if (count !== undefined && (!Number.isSafeInteger(count) || count < 1)) {
    throw new RangeError(`count must be a whole number of bytes from 1, got ${describe(count)}`);
  }
  if (!fallback) throw new Deno.errors.NotSupported("fallback: false needs a sendfile(2) that Deno does not have");
  if (!transport.acceptsWrites("sendfile()")) {
    throw new InvalidStateError("sendfile() cannot be called on a closing transport");
  }
  if (transport.sendingFile) throw new InvalidStateError("sendfile() is already running on this transport");
  transport.sendingFile = true;
  const progress = { written: 0 };
  let sent = 0;
  try {
    await copy(transport, file, offset, count ?? Infinity, progress);
    return sent = progress.written;
  } catch (error) {
    const remaining = error instanceof DrainInterrupted ? error.remaining : 0;
    sent = Math.max(0, progress.written - remaining);
    const cause = error instanceof DrainInterrupted ? error.error ?? undefined : error;
    throw new SendfileError(`sendfile() ended after ${sent} bytes`, sent, { cause });
  } finally {
    transport.sendingFile = false;
    // As asyncio leaves it, also after an error: behind the last byte sent.
    await inTurn(file, () => file.seekSync(offset + sent, Deno.SeekMode.Start)).catch(() => {});
  }
}

/** The last of those that use a file's position, which it has only one of, for all who send it. */
const users = new WeakMap<Deno.FsFile, Promise<unknown>>();

/** Uses a file's position while no other call does. */
function inTurn<T>(file: Deno.FsFile, use: () => T | Promise<T>): Promise<T> {
  const result = (users.get(file) ?? Promise.resolve()).then(use);
  users.set(file, result.catch(() => {}));
  return result;
}

/** Reads at a place in a file. Sought synchronously, which never blocks: by a promise, it halves the rate. */
function readAt(file: Deno.FsFile, place: number, block: Uint8Array): Promise<number | null> {
  return inTurn(file, () => {
    file.seekSync(place, Deno.SeekMode.Start);
    return file.read(block);
  });
}

async function copy(
  transport: StreamTransport,
  file: Deno.FsFile,
  offset: number,
  count: number,
  progress: { written: number },
): Promise<void> {
  while (progress.written < count) {
    const block = takeBuffer(BLOCK_SIZE);
    const wanted = Math.min(BLOCK_SIZE, count - progress.written);
    const part = wanted < block.length ? block.subarray(0, wanted) : block;
    const read = await readAt(file, offset + progress.written, part);
    if (read === null) {
      giveBuffer(block);
      break;
    }
    if (!transport.acceptsWrites("sendfile()")) {
      await transport.drained(0); // Tells how many of the bytes before these have not left, and why.
      throw new DrainInterrupted(0, null);
    }
    progress.written += read;
    // Lent and returned in one step: the block goes back to the pool once the kernel has taken it.
    const data = block.subarray(0, read);
    lendWindow(data, block, null);
    transport.writeOwned(data);
    endWindowLoan();
    await transport.drained(BLOCK_SIZE);
  }
  await transport.drained(0);
}
