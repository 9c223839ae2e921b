import { toError } from "../../errors.ts";
import type { ReadMemory } from "../../memory/read_memory.ts";
import { WindowMemory } from "../../memory/window_memory.ts";
import type { StreamHandle, StreamSink } from "../../transports/stream_handle.ts";
import { WOULD_BLOCK } from "./sendfile_source.ts";
import { EAGAIN, EINTR, EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT } from "./constants.ts";
import { lastError, systemError } from "./errors.ts";
import { Lane } from "./lane.ts";
import { sizeOf } from "./libc.ts";
import type { Reactor } from "./reactor.ts";
import { withoutSigpipe } from "./sigpipe.ts";
import { Source } from "./source.ts";

/** The size hint for `getBuffer`, in bytes: the default capacity of a pipe. */
const SIZE_HINT = 64 * 1024;

/** What epoll reports without interest. As interest, it keeps a descriptor in the set. */
const FAILURES = EPOLLERR | EPOLLHUP;

/** A write that waits until the pipe is writable. */
interface PendingWrite {
  data: Uint8Array;
  resolve(count: number): void;
  reject(error: Error): void;
}

/** One direction of a pipe, a FIFO, a terminal or another descriptor that epoll can watch, by read(2) and write(2). */
export class PipeHandle extends Source implements StreamHandle {
  readonly readable: boolean;
  readonly writable: boolean;
  readonly memory: ReadMemory = new WindowMemory();
  #sink: StreamSink | null = null;
  #pendingWrite: PendingWrite | null = null;
  #readerGone: (() => void) | null = null;

  constructor(reactor: Reactor, fd: number, direction: "read" | "write") {
    super(reactor, new Lane(), fd);
    this.readable = direction === "read";
    this.writable = direction === "write";
  }

  /** Throws if epoll cannot watch the descriptor. Then the handle has given it up. */
  probe(): void {
    try {
      this.want(EPOLLIN);
      this.want(0);
    } catch (error) {
      this.giveUp();
      throw error;
    }
  }

  /** Gives the descriptor up without closing it. */
  giveUp(): void {
    this.releaseFd();
  }

  readStart(sink: StreamSink): void {
    this.#sink = sink;
    try {
      this.want(EPOLLIN);
    } catch (error) {
      queueMicrotask(() => this.#sink?.failed(toError(error)));
    }
  }

  readStop(): void {
    this.#sink = null;
    if (this.readable) this.want(0);
  }

  watchReader(gone: () => void): void {
    this.#readerGone = gone;
    try {
      this.want(this.interest | FAILURES);
    } catch {
      // No memory for one more descriptor. The next write reports a reader that is gone.
    }
  }

  tryWrite(data: Uint8Array): number {
    return Math.max(0, this.#send(data));
  }

  /** Returns the number of bytes that were written: 0 if the former owner has detached them, not if the pipe is full. */
  #send(data: Uint8Array): number {
    const { libc } = this.reactor;
    for (;;) {
      const count = withoutSigpipe(libc, () => libc.write(this.fd, data, sizeOf(data)));
      if (count >= 0) return count;
      if (count === -EAGAIN) return WOULD_BLOCK;
      if (count !== -EINTR) throw systemError(libc, -count);
    }
  }

  write(data: Uint8Array): number | Promise<number> {
    const count = this.#send(data);
    if (count !== WOULD_BLOCK) return count;
    return new Promise((resolve, reject) => {
      this.#pendingWrite = { data, resolve, reject };
      this.want(EPOLLOUT | FAILURES);
    });
  }

  closeWrite(): void {
    // close() ends the only half.
  }

  close(): void {
    this.#sink = this.#readerGone = null;
    this.closeFd();
    this.#pendingWrite?.resolve(0);
    this.#pendingWrite = null;
  }

  ready(): void {
    if (this.readable) this.#read();
    else if (this.#pendingWrite !== null) this.#resumeWrite();
    else this.#readerIsGone();
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
    const count = libc.read(this.fd, memory, sizeOf(memory));
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

  #resumeWrite(): void {
    const { data, resolve, reject } = this.#pendingWrite!;
    try {
      const count = this.#send(data);
      if (count === WOULD_BLOCK) return;
      resolve(count);
    } catch (error) {
      reject(toError(error));
    }
    this.#pendingWrite = null;
    this.want(this.#readerGone === null ? 0 : FAILURES);
  }

  /** Without interest from now on, because epoll would report it again and again. */
  #readerIsGone(): void {
    this.want(0);
    this.#readerGone?.();
    this.#readerGone = null;
  }
}
