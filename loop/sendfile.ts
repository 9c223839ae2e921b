import { checkOptions, namesOf } from "../check_options.ts";
import { checkBoolean, checkInteger } from "../checks.ts";
import { giveBuffer, takeBuffer } from "../memory/buffer_pool.ts";
import { describe, DrainInterrupted, InvalidStateError, SendfileError } from "../errors.ts";
import { endWindowLoan, lendWindow } from "../memory/loan.ts";
import { checkFile, readAt, seekTo } from "../engines/deno/file.ts";
import type { DenoFile } from "../transports/engine.ts";
import type { StreamConnection } from "../transports/stream_connection.ts";
import { connectionOf } from "../transports/stream_transport.ts";
import type { WriteTransport } from "../transports/transport.ts";

/** The size of one read. At most two blocks are in memory. */
const BLOCK_SIZE = 128 * 1024;

/** The options of {@linkcode EventLoop.sendfile}. */
export interface SendfileOptions {
  /**
   * The position of the first byte in the file.
   *
   * @default {0}
   */
  offset?: number | undefined;
  /**
   * The number of bytes to send.
   *
   * @default {undefined} up to the end of the file
   */
  count?: number | undefined;
  /**
   * Read and write if sendfile(2) cannot be used. Deno has no sendfile(2), so `false` is a `Deno.errors.NotSupported`.
   *
   * @default {true}
   */
  fallback?: boolean | undefined;
}

const METHOD = "sendfile()";
const SENDFILE_OPTIONS = namesOf<SendfileOptions>({ offset: true, count: true, fallback: true });

/** Does the work of {@linkcode EventLoop.sendfile}. */
export async function sendfile(
  transport: WriteTransport,
  file: DenoFile,
  options: SendfileOptions,
): Promise<number> {
  const connection = connectionOf(transport);
  if (!connection?.writable) {
    const what = "a stream transport that can be written to";
    throw new TypeError(`${METHOD}: transport must be ${what}, got ${describe(transport)}`);
  }
  checkFile(file, `${METHOD}: file`);
  checkOptions(METHOD, options, SENDFILE_OPTIONS);
  const { offset = 0, count, fallback = true } = options;
  checkInteger(METHOD, "offset", offset, 0, undefined, "bytes");
  if (count !== undefined) checkInteger(METHOD, "count", count, 1, undefined, "bytes");
  checkBoolean(METHOD, "fallback", fallback);
  if (!fallback) throw new Deno.errors.NotSupported("fallback: false is not supported: Deno has no sendfile(2)");
  if (!connection.acceptsWrites("sendfile()", transport)) {
    throw new InvalidStateError("sendfile() cannot be called on a closing transport");
  }
  if (connection.sendingFile) throw new InvalidStateError("sendfile() is already running on this transport");
  connection.sendingFile = true;
  const progress = { written: 0 };
  let sent = 0;
  try {
    await copy(connection, file, offset, count ?? Infinity, progress);
    return sent = progress.written;
  } catch (error) {
    const remaining = error instanceof DrainInterrupted ? error.remaining : 0;
    sent = Math.max(0, progress.written - remaining);
    const cause = error instanceof DrainInterrupted ? error.error ?? undefined : error;
    throw new SendfileError(`sendfile() ended after ${sent} bytes`, sent, { cause });
  } finally {
    connection.sendingFile = false;
    // Behind the last byte sent, as in asyncio, also after an error.
    await seekTo(file, offset + sent);
  }
}

async function copy(
  connection: StreamConnection,
  file: DenoFile,
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
    if (!connection.acceptsWrites("sendfile()", connection.transport)) {
      await connection.sender.drained(0); // Rejects with the number of unsent bytes and the error, if there are any.
      throw new DrainInterrupted(0, null);
    }
    progress.written += read;
    // Lent and returned at once, so that the block goes back to the pool after it was sent.
    const data = block.subarray(0, read);
    lendWindow(data, block, null);
    connection.sender.own(data);
    endWindowLoan();
    await connection.sender.drained(BLOCK_SIZE);
  }
  await connection.sender.drained(0);
}
