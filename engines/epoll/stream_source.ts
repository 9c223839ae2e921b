import { toError } from "../../errors.ts";
import type { ReadMemory } from "../../memory/read_memory.ts";
import type { StreamHandle, StreamSink } from "../../transports/stream_handle.ts";
import { EAGAIN, EINTR, EPOLLIN, EPOLLOUT } from "./constants.ts";
import { lastError } from "./errors.ts";
import type { Lane } from "./lane.ts";
import type { Reactor } from "./reactor.ts";
import { Source } from "./source.ts";

/** Returned by an attempt to write if the descriptor is not writable now. */
export const WOULD_BLOCK = -1;

/** The size hint for `getBuffer`, in bytes, as with Deno's sockets: the default capacity of a pipe. */
const SIZE_HINT = 64 * 1024;
/** A read of fewer bytes counts as so many, because a callback takes its time, too. */
const MIN_COUNTED = 1024;

/** A write that waits until the descriptor is writable. */
interface PendingWrite {
  /** Returns the number of bytes that were written, or `WOULD_BLOCK`. */
  attempt(): number;
  resolve(count: number): void;
  reject(error: Error): void;
}

/**
 * What sockets and pipes have in common: when they read and write. They are of the ready kind: memory is requested when bytes
 * have arrived, and read into at once; a write goes to the kernel at once, and waits only while the kernel's buffer is full.
 */
export abstract class StreamSource extends Source implements StreamHandle {
  abstract readonly readable: boolean;
  abstract readonly writable: boolean;
  readonly memory: ReadMemory;
  #sink: StreamSink | null = null;
  #pendingWrite: PendingWrite | null = null;
  /** The kernel's buffer was full at the last write, and there was no EPOLLOUT since. Then a write waits for it at once. */
  #full = false;

  constructor(reactor: Reactor, lane: Lane, fd: number, memory: ReadMemory) {
    super(reactor, lane, fd);
    this.memory = memory;
  }

  /** Reads what is there. Returns the number of bytes, 0 at the end, or `WOULD_BLOCK`. */
  protected abstract receive(memory: Uint8Array): number;
  /** Returns the number of bytes that were written, 0 if their former owner has detached them, or `WOULD_BLOCK`. */
  protected abstract send(data: Uint8Array): number;
  abstract closeWrite(): void;

  /** Whether `receive()` has more, of which the kernel reports no event. */
  protected get buffered(): boolean {
    return false;
  }

  /** How many bytes the last `receive()` counts as, at least. */
  protected get cost(): number {
    return MIN_COUNTED;
  }

  get writePending(): boolean {
    return this.#pendingWrite !== null;
  }

  readStart(sink: StreamSink): void {
    this.#sink = sink;
    try {
      this.want(this.interest | EPOLLIN);
      if (this.buffered) this.reactor.again(this);
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
    return this.#full ? 0 : Math.max(0, this.#sendPart(data));
  }

  write(data: Uint8Array): number | Promise<number> {
    const count = this.#full ? WOULD_BLOCK : this.#sendPart(data);
    return count === WOULD_BLOCK ? this.whenWritable(() => this.#sendPart(data)) : count;
  }

  /** Repeats an attempt to write, when the descriptor is writable, until it does not return `WOULD_BLOCK`. One at a time. */
  whenWritable(attempt: () => number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#pendingWrite = { attempt, resolve, reject };
      this.want(this.interest | EPOLLOUT);
    });
  }

  /** Settles a pending write, by 0. */
  cancelWrite(): void {
    this.#full = false;
    this.want(this.interest & ~EPOLLOUT);
    this.#pendingWrite?.resolve(0);
    this.#pendingWrite = null;
  }

  close(): void {
    this.#sink = null;
    this.closeFd();
    this.cancelWrite();
  }

  ready(events: number): void {
    // The system reports an error once: after a write that has met a reset, a read would meet the end of the stream.
    if ((events & EPOLLOUT) !== 0 && !this.#resumeWrite()) return;
    if ((events & EPOLLIN) === 0 || (this.interest & EPOLLIN) === 0) return;
    let count = this.#read();
    if (!this.buffered) return;
    count = Math.max(count, this.cost);
    // As many bytes as other streams read in an event. A protocol may have stopped reading, or closed.
    while (this.buffered && (this.interest & EPOLLIN) !== 0) {
      if (count >= SIZE_HINT) return this.reactor.again(this);
      count += Math.max(this.#read(), this.cost);
    }
  }

  /** Reads once. Returns the number of bytes. */
  #read(): number {
    const sink = this.#sink!;
    const memory = sink.allocate(SIZE_HINT);
    if (memory === null) {
      // Until the next readStart(). A callback of allocate() may already have called it.
      if (this.#sink === sink) this.readStop();
      return 0;
    }
    // A callback of allocate() may have stopped reading.
    if (this.#sink === null) return 0;
    let count: number;
    try {
      count = this.receive(memory);
    } catch (error) {
      this.readStop();
      sink.failed(toError(error));
      return 0;
    }
    if (count > 0) {
      sink.filled(count);
    } else if (count === 0) {
      this.readStop();
      sink.end();
    }
    return count;
  }

  /** Returns the result of a system call that reads, or `WOULD_BLOCK`. Throws if it has failed. */
  protected resultOf(count: number): number {
    if (count !== -1) return count;
    const { libc } = this.reactor;
    const errno = libc.errno();
    if (errno === EAGAIN || errno === EINTR) return WOULD_BLOCK;
    throw lastError(libc);
  }

  /** Sends, and notices when the kernel takes only a part: its buffer is full, so that trying again would be in vain. */
  #sendPart(data: Uint8Array): number {
    const count = this.send(data);
    if (count < data.length) this.#full = true;
    return count;
  }

  /**
   * Attempts the pending write again. Reports whether it has not failed. EPOLLOUT stays in the set until it comes with
   * nothing to write: a stream that is written to faster than its peer reads saves two system calls for each wait.
   */
  #resumeWrite(): boolean {
    this.#full = false;
    if (this.#pendingWrite === null) {
      this.want(this.interest & ~EPOLLOUT);
      return true;
    }
    const { attempt, resolve, reject } = this.#pendingWrite;
    let count: number;
    try {
      count = attempt();
    } catch (error) {
      this.#pendingWrite = null;
      this.want(this.interest & ~EPOLLOUT);
      reject(toError(error));
      return false;
    }
    if (count !== WOULD_BLOCK) {
      this.#pendingWrite = null;
      resolve(count);
    }
    return true;
  }
}
