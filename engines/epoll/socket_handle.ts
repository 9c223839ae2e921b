import { toError } from "../../errors.ts";
import type { ReadMemory } from "../../memory/read_memory.ts";
import type { FileSource } from "../../transports/file_source.ts";
import type { StreamHandle, StreamSink } from "../../transports/stream_handle.ts";
import { AF_UNIX, EAGAIN, EINTR, EPOLLIN, EPOLLOUT, MSG_NOSIGNAL, SHUT_WR } from "./constants.ts";
import { duplicateFile } from "./duplicate_file.ts";
import { lastError } from "./errors.ts";
import { SendfileSource, WOULD_BLOCK } from "./sendfile_source.ts";
import type { Lane } from "./lane.ts";
import { sizeOf } from "./libc.ts";
import { getOption } from "./socket_calls.ts";
import type { Reactor } from "./reactor.ts";
import { SO_DOMAIN, SO_LINGER, SOL_SOCKET } from "./socket_options.ts";
import { Source } from "./source.ts";

/** The size hint for `getBuffer`, in bytes, as with Deno's sockets. */
const SIZE_HINT = 64 * 1024;

/** A write that waits until the socket is writable. */
interface PendingWrite {
  /** Returns the number of bytes that were written, or `WOULD_BLOCK`. */
  attempt(): number;
  resolve(count: number): void;
  reject(error: Error): void;
}

/**
 * A byte stream over a socket, of the ready kind: memory is requested when bytes have arrived, and read into at once; a
 * write goes to the kernel at once, and waits only while the socket's buffer is full.
 */
export class SocketHandle extends Source implements StreamHandle {
  readonly memory: ReadMemory;
  #sink: StreamSink | null = null;
  #pendingWrite: PendingWrite | null = null;

  constructor(reactor: Reactor, lane: Lane, fd: number, memory: ReadMemory) {
    super(reactor, lane, fd);
    this.memory = memory;
  }

  // Not fields: each takes 8 bytes of a connection.
  get readable(): boolean {
    return true;
  }

  get writable(): boolean {
    return true;
  }

  readStart(sink: StreamSink): void {
    this.#sink = sink;
    try {
      this.want(this.interest | EPOLLIN);
    } catch (error) {
      // For example, no memory for one more descriptor. Nothing is delivered inside readStart().
      queueMicrotask(() => this.#sink?.failed(toError(error)));
    }
  }

  readStop(): void {
    this.#sink = null;
    this.want(this.interest & ~EPOLLIN);
  }

  tryWrite(data: Uint8Array): number {
    return Math.max(0, this.#send(data));
  }

  write(data: Uint8Array): number | Promise<number> {
    const count = this.#send(data);
    return count === WOULD_BLOCK ? this.whenWritable(() => this.#send(data)) : count;
  }

  /** Returns the number of bytes that were sent: 0 if the former owner has detached them, not if the socket is full. */
  #send(data: Uint8Array): number {
    const { libc } = this.reactor;
    for (;;) {
      const count = libc.send(this.fd, data, sizeOf(data), MSG_NOSIGNAL);
      if (count >= 0) return count;
      const errno = libc.errno();
      if (errno === EAGAIN) return WOULD_BLOCK;
      if (errno !== EINTR) throw lastError(libc);
    }
  }

  async openFile(file: Deno.FsFile): Promise<FileSource> {
    const { libc } = this.reactor;
    return new SendfileSource(libc, this, file, await duplicateFile(libc, file));
  }

  /** Repeats an attempt to write, when the socket is writable, until it does not return `WOULD_BLOCK`. One at a time. */
  whenWritable(attempt: () => number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#pendingWrite = { attempt, resolve, reject };
      this.want(this.interest | EPOLLOUT);
    });
  }

  /** Settles a pending write, by 0. */
  cancelWrite(): void {
    this.want(this.interest & ~EPOLLOUT);
    this.#pendingWrite?.resolve(0);
    this.#pendingWrite = null;
  }

  closeWrite(): void {
    const { libc } = this.reactor;
    if (libc.shutdown(this.fd, SHUT_WR) === -1) throw lastError(libc);
  }

  reset(): void {
    const { libc } = this.reactor;
    if (this.fd === -1) return;
    if (getOption(libc, this.fd, SOL_SOCKET, SO_DOMAIN) === AF_UNIX) {
      throw new Deno.errors.NotSupported("abort(): reset is not supported on a Unix socket");
    }
    if (libc.setsockopt(this.fd, SOL_SOCKET, SO_LINGER, new Int32Array([1, 0]), 8) === -1) throw lastError(libc);
  }

  close(): void {
    this.#sink = null;
    this.closeFd();
    this.cancelWrite();
  }

  ready(events: number): void {
    // The system tells an error once: after a write that has met a reset, a read would meet the end of the stream.
    if ((events & EPOLLOUT) !== 0 && !this.#resumeWrite()) return;
    if ((events & EPOLLIN) !== 0 && (this.interest & EPOLLIN) !== 0) this.#read();
  }

  #read(): void {
    const sink = this.#sink!;
    const memory = sink.allocate(SIZE_HINT);
    if (memory === null) {
      // Until the next readStart(). A callback of allocate() may already have called it.
      if (this.#sink === sink) this.readStop();
      return;
    }
    // A callback of allocate() may have stopped reading.
    if (this.#sink === null) return;
    const { libc } = this.reactor;
    const count = libc.recv(this.fd, memory, sizeOf(memory), 0);
    if (count > 0) {
      sink.filled(count);
      return;
    }
    if (count === 0) {
      this.readStop();
      sink.end();
      return;
    }
    const errno = libc.errno();
    if (errno === EAGAIN || errno === EINTR) return;
    const error = lastError(libc);
    this.readStop();
    sink.failed(error);
  }

  /** Attempts the pending write again. Reports whether the connection is sound. */
  #resumeWrite(): boolean {
    const { attempt, resolve, reject } = this.#pendingWrite!;
    let sound = true;
    try {
      const count = attempt();
      if (count === WOULD_BLOCK) return true;
      resolve(count);
    } catch (error) {
      reject(toError(error));
      sound = false;
    }
    this.#pendingWrite = null;
    this.want(this.interest & ~EPOLLOUT);
    return sound;
  }
}
