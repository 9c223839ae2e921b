/**
 * The seam under every byte stream: a handle moves bytes, and knows nothing of protocols, flow control or states.
 *
 * Two kinds of handle serve the same transport. A *posting* handle (a `Deno.Conn`) asks for memory when it begins to
 * read, and its writes end later. A *ready* handle (epoll, memory) asks for memory when bytes are there: `allocate`,
 * `filled` and the callback run in one stack, and its writes end at once.
 *
 * @module
 */
import type { ReadMemory } from "../memory/read_memory.ts";
import type { ExtraInfo } from "./transport.ts";

/** Where a handle delivers what it reads. Never throws. */
export interface StreamSink {
  /**
   * Returns memory to read into. Called again without `filled`, it returns the same memory.
   *
   * @param sizeHint A size in bytes that suits the handle.
   * @returns The memory, the handle's until the next call on the sink, or `null` to stop reading until the next
   * `readStart`.
   */
  allocate(sizeHint: number): Uint8Array | null;
  /**
   * Bytes have been read into the memory that `allocate` returned.
   *
   * @param count How many, at least 1.
   */
  filled(count: number): void;
  /**
   * Bytes have come in memory of their own.
   *
   * @param data The bytes, which the sink owns from now on.
   */
  chunk(data: Uint8Array): void;
  /** The other side sends nothing more. */
  end(): void;
  /** Reading has failed, and is over. */
  failed(error: Error): void;
}

/** Moves the bytes of one stream. */
export interface StreamHandle {
  /** Whether the stream has a reading half. */
  readonly readable: boolean;
  /** Whether the stream has a writing half. */
  readonly writable: boolean;
  /** What is read into for protocols that have no memory of their own. */
  readonly memory: ReadMemory;
  /**
   * Whether `closeWrite()` ends the writing half alone, and the other half goes on.
   *
   * @default {true}
   */
  readonly halfCloses?: boolean;
  /**
   * How long all pending writes and `shutdown()` together may take, in milliseconds.
   *
   * @default {Infinity}
   */
  readonly shutdownTimeout?: number;
  /**
   * Starts or resumes reading. Delivers nothing before it returns.
   *
   * @param sink Where to deliver. A later call may bring another sink; a read in flight still fills the memory of the
   * sink that gave it.
   */
  readStart(sink: StreamSink): void;
  /** Stops reading. A read in flight may still be delivered, once. */
  readStop(): void;
  /**
   * Writes now or not at all, and keeps nothing. Handles whose writes end later do not have it. Called for large data
   * when nothing waits, which saves the copy.
   *
   * @param data The bytes; the caller's again when this returns.
   * @returns How many bytes were taken; 0 if the write would block.
   * @throws If the connection is broken.
   */
  tryWrite?(data: Uint8Array): number;
  /**
   * Writes. Only one write is under way at a time, and the bytes do not change meanwhile.
   *
   * @param data The bytes, at least one.
   * @returns How many bytes were taken, as a number if that is known at once.
   */
  write(data: Uint8Array): number | Promise<number>;
  /** Ends the writing half, after all writes. */
  closeWrite(): void | Promise<void>;
  /**
   * Reads on and drops what comes, while the last writes leave: a peer may read only while it can write. Handles that
   * have `shutdown()` have it; the others stop reading.
   */
  discard?(): void;
  /**
   * Ends the stream in an orderly way, after all writes and before `close()`: TLS sends close_notify. Handles for which
   * `close()` is enough do not have it.
   *
   * @returns A promise that resolves when the other side has answered, or can no longer answer.
   */
  shutdown?(): Promise<void>;
  /**
   * Replaces an error of reading or writing by a clearer one.
   *
   * @param error The error.
   * @returns The error to report.
   */
  explain?(error: Error): Error;
  /** Keeps the process alive while the stream is open, which is the default. */
  ref?(): void;
  /** Lets the process end while the stream is open. */
  unref?(): void;
  /**
   * Ends both halves and cancels what is in flight: a pending write settles. Never throws.
   *
   * @param dropped Whether accepted bytes were dropped before they could be written.
   */
  close(dropped: boolean): void;
}

/** A stream of bytes that is ready to be given to a transport. */
export interface StreamEnd {
  /** What moves the bytes. */
  handle: StreamHandle;
  /** What {@linkcode BaseTransport.getExtraInfo} answers. */
  extra: Partial<ExtraInfo>;
  /**
   * What is left to do before `connectionMade`: a TLS handshake of the engine's own. If it fails, the handle must still be
   * closed.
   *
   * @returns What else `getExtraInfo` answers.
   */
  handshake?: () => Promise<Partial<ExtraInfo>>;
}
