import { checkOptions, namesOf } from "../check_options.ts";
import { checkBoolean, checkInteger } from "../checks.ts";
import { giveBuffer, takeBuffer } from "../memory/buffer_pool.ts";
import { describe, DrainInterrupted, InvalidStateError, SendfileError } from "../errors.ts";
import { endWindowLoan, lendWindow } from "../memory/loan.ts";
import { checkFile, readAt, seekTo } from "../engines/deno/file.ts";
import type { DenoFile, FileSource } from "../transports/file_source.ts";
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
   * Read and write if sendfile(2) cannot be used, otherwise reject with `Deno.errors.NotSupported`. TCP and Unix sockets of
   * the epoll engine have sendfile(2), without TLS; the default engine has not.
   *
   * @default {true}
   */
  fallback?: boolean | undefined;
}

const METHOD = "sendfile()";
const SENDFILE_OPTIONS = namesOf<SendfileOptions>({ offset: true, count: true, fallback: true });

/** A part of a file, and the number of its bytes that were sent. `count` is `Infinity` up to the end. */
interface Part {
  file: DenoFile;
  offset: number;
  count: number;
  sent: number;
}

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
  if (!fallback && !connection.sendsFiles) {
    throw new Deno.errors.NotSupported(
      "sendfile(): fallback: false is not supported on this transport: sendfile(2) needs a socket of the epoll engine, " +
        "without TLS",
    );
  }
  if (!connection.acceptsWrites("sendfile()", transport)) {
    throw new InvalidStateError("sendfile() cannot be called on a closing transport");
  }
  if (connection.rare.sendingFile) throw new InvalidStateError("sendfile() is already running on this transport");
  connection.rare.sendingFile = true;
  const part: Part = { file, offset, count: count ?? Infinity, sent: 0 };
  let refusal: Error | null = null;
  try {
    if (connection.sendsFiles) refusal = await sendByKernel(connection, part);
    if (refusal !== null && !fallback) throw refusal;
    if (refusal !== null || !connection.sendsFiles) await copy(connection, part);
  } catch (error) {
    if (error === refusal) throw error;
    const cause = error instanceof DrainInterrupted ? error.error ?? undefined : error;
    throw new SendfileError(`sendfile() ended after ${part.sent} bytes`, part.sent, { cause });
  } finally {
    connection.rare.sendingFile = false;
    // Behind the last byte sent, as in asyncio, also after an error.
    if (refusal === null || fallback) await seekTo(file, offset + part.sent);
  }
  return part.sent;
}

/** Sends by sendfile(2). Returns an error if that cannot send this file; then nothing was sent. */
async function sendByKernel(connection: StreamConnection, part: Part): Promise<Error | null> {
  let source: FileSource | null = null;
  try {
    source = await connection.openFile(part.file);
    while (part.sent < part.count) {
      // Rejects if the connection has failed.
      await connection.sender.drained(0);
      if (!connection.acceptsWrites(METHOD, connection.transport)) throw new DrainInterrupted(0, null);
      // Code that ran before this may have written.
      if (connection.sender.size > 0) continue;
      const { offset, sent, count } = part;
      const taken = await connection.sender.sendFile(source, offset + sent, count - sent);
      if (taken === 0) break;
      part.sent += taken ?? 0;
    }
    return null;
  } catch (error) {
    if (error instanceof Deno.errors.NotSupported && part.sent === 0) return error;
    throw error instanceof SendfileError ? error.cause : error;
  } finally {
    source?.close();
  }
}

/** Sends by reading and writing. */
async function copy(connection: StreamConnection, part: Part): Promise<void> {
  try {
    await copyBlocks(connection, part);
  } catch (error) {
    // What was dropped was not sent.
    if (error instanceof DrainInterrupted) part.sent = Math.max(0, part.sent - error.remaining);
    throw error;
  }
}

async function copyBlocks(connection: StreamConnection, part: Part): Promise<void> {
  const { file, offset, count } = part;
  while (part.sent < count) {
    const block = takeBuffer(BLOCK_SIZE);
    const wanted = Math.min(BLOCK_SIZE, count - part.sent);
    const memory = wanted < block.length ? block.subarray(0, wanted) : block;
    const read = await readAt(file, offset + part.sent, memory);
    if (read === null) {
      giveBuffer(block);
      break;
    }
    if (!connection.acceptsWrites(METHOD, connection.transport)) {
      await connection.sender.drained(0); // Rejects with the number of unsent bytes and the error, if there are any.
      throw new DrainInterrupted(0, null);
    }
    part.sent += read;
    // Lent and returned at once, so that the block goes back to the pool after it was sent.
    const data = block.subarray(0, read);
    lendWindow(data, block, null);
    connection.sender.own(data);
    endWindowLoan();
    await connection.sender.drained(BLOCK_SIZE);
  }
  await connection.sender.drained(0);
}
