import { SendfileError, toError } from "../../errors.ts";
import type { FileSource } from "../../transports/file_source.ts";
import type { Duplicate } from "./duplicate_file.ts";
import { EAGAIN, EINPROGRESS, EINTR, EINVAL, ENOSYS, ENOTSOCK, EOPNOTSUPP, EPIPE, ESPIPE } from "./constants.ts";
import { systemError } from "./errors.ts";
import type { Libc } from "./libc.ts";
import type { Reactor } from "./reactor.ts";
import { withoutSigpipe } from "./sigpipe.ts";
import { WOULD_BLOCK } from "./stream_source.ts";

/** The largest number of bytes that one event sends, so that a fast reader does not stop the others. */
const MAX_PER_EVENT = 1024 * 1024;

/** The handle that sends. */
interface Output {
  readonly fd: number;
  readonly reactor: Pick<Reactor, "spend">;
  whenWritable(attempt: () => number): Promise<number>;
  cancelWrite(): void;
}

/** A file that is sent by sendfile(2). */
export class SendfileSource implements FileSource {
  #libc: Libc;
  #output: Output;
  #file: Deno.FsFile;
  /** A duplicate of the file's descriptor. */
  #fd: number;
  #size: number;
  #offset = new BigInt64Array(1);
  #started = false;
  /** What an attempt met after it had sent bytes: the end of the file, or an error, which the system reports only once. */
  #met: "end" | Error | null = null;

  constructor(libc: Libc, output: Output, file: Deno.FsFile, { fd, size }: Duplicate) {
    this.#libc = libc;
    this.#output = output;
    this.#file = file;
    this.#fd = fd;
    this.#size = size;
  }

  send(offset: number, count: number): number | Promise<number> {
    const attempt = () => this.#attempt(offset, Math.min(count, MAX_PER_EVENT));
    // The first part at once, the others in events of their own. Where the file ends, there is nothing to wait for.
    if (!this.#started || this.#met !== null || offset === this.#size) {
      this.#started = true;
      const sent = attempt();
      if (sent !== WOULD_BLOCK) return sent;
    }
    return this.#output.whenWritable(attempt);
  }

  cancel(): void {
    this.#output.cancelWrite();
  }

  close(): void {
    if (this.#fd !== -1) this.#libc.close(this.#fd);
    this.#fd = -1;
  }

  #attempt(offset: number, count: number): number {
    this.#checkOpen();
    // A part takes as long as many messages: Deno's loop turns before the next one.
    this.#output.reactor.spend();
    let sent = 0;
    // The call after the last bytes meets the end of the file, also where the socket is full.
    while (sent < count && this.#met === null) {
      this.#offset[0] = BigInt(offset + sent);
      const size = BigInt(count - sent);
      const call = () => this.#libc.sendfile(this.#output.fd, this.#fd, this.#offset, size);
      const result = withoutSigpipe(this.#libc, call);
      if (result > 0) sent += result;
      else if (result === 0) this.#met = "end";
      else {
        const errno = -result;
        if (errno === EAGAIN) return sent > 0 ? sent : WOULD_BLOCK;
        if (errno !== EINTR) this.#met = errorOf(this.#libc, errno);
      }
    }
    if (sent > 0) return sent;
    if (this.#met instanceof Error) throw this.#met;
    return 0;
  }

  /** Fails if the program has closed the file, although the duplicate is open. */
  #checkOpen(): void {
    try {
      this.#file.seekSync(0, Deno.SeekMode.Current);
    } catch (thrown) {
      const cause = toError(thrown);
      if (cause instanceof Deno.errors.BadResource) throw new SendfileError("the file is closed", 0, { cause });
    }
  }
}

/** Returns the error of sendfile(2): of the file, of the connection, or `NotSupported`. */
function errorOf(libc: Libc, errno: number): Error {
  const cause = systemError(libc, errno);
  if (errno === EINVAL || errno === ENOSYS || errno === EOPNOTSUPP || errno === ESPIPE) {
    return new Deno.errors.NotSupported(`sendfile(): sendfile(2) cannot send this file: ${cause.message}`, { cause });
  }
  // All errors of sockets are in this range.
  if (errno === EPIPE || (errno >= ENOTSOCK && errno <= EINPROGRESS)) return cause;
  return new SendfileError("the file cannot be read", 0, { cause });
}
