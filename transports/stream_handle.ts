/**
 * The seam below every byte stream: a handle moves bytes. Protocols, flow control and states are the transport's.
 *
 * There are two kinds of handles. A *posting* handle (a `Deno.Conn`) calls `allocate` when it starts a read, and its
 * writes complete later. A *ready* handle (epoll, memory) calls `allocate` when bytes are there, then `filled` in the same
 * stack, and its writes complete at once.
 */
import type { ReadMemory } from "../memory/read_memory.ts";
import type { DenoFile, FileSource } from "./file_source.ts";
import type { ExtraInfo } from "./transport.ts";

/** The receiver of the bytes that a handle reads. Never throws. */
export interface StreamSink {
  /**
   * Whether a posting handle should call `allocate` a few microtasks after `filled`, and not at once.
   *
   * @default {false}
   */
  readonly allocatesLate?: boolean;
  /**
   * Returns memory to read into. Returns the same memory until `filled` is called.
   *
   * @param sizeHint A size in bytes that suits the handle.
   * @returns The memory, which belongs to the handle until it calls the sink again; `null` to stop reading until the next
   * `readStart`.
   */
  allocate(sizeHint: number): Uint8Array | null;
  /** Reports that `count` bytes, at least 1, were read into the memory that `allocate` returned. */
  filled(count: number): void;
  /** Delivers bytes in memory of the handle. The sink owns them from now on. */
  chunk(data: Uint8Array): void;
  /** Reports the end of the stream. */
  end(): void;
  /** Reports that reading has failed. Nothing follows. */
  failed(error: Error): void;
}

/** Decrypts and encrypts what goes through the descriptor of a socket. */
export interface StreamCodec {
  /** Whether it has received bytes that `receive` has not returned yet, so that the kernel reports no event for them. */
  readonly pending: boolean;
  /** How many bytes of a plain stream take as long as the last `receive`, so that others have their turn. */
  readonly cost: number;
  /**
   * Receives and decrypts. Called when there may be bytes.
   *
   * @param memory The memory to read into.
   * @returns The number of bytes; 0 at the end of the stream; -1 if there are none yet.
   * @throws If the connection is broken.
   */
  receive(memory: Uint8Array): number;
  /**
   * Encrypts and sends.
   *
   * @param data The bytes. If not all were taken, the next call has the others at its beginning.
   * @returns The number of bytes that were taken; -1 if the socket takes none now.
   * @throws If the connection is broken.
   */
  send(data: Uint8Array): number;
}

/** A socket for its codec. */
export interface CodecSocket {
  /** The descriptor; -1 after it was closed. */
  readonly fd: number;
  /** Whether a write waits until the socket is writable. It will call `send` of the codec. */
  readonly writePending: boolean;
  /**
   * Sends the first bytes of memory.
   *
   * @returns The number of bytes that were sent; -1 if the socket takes none now.
   * @throws If the connection is broken.
   */
  sendRaw(memory: Uint8Array, size: number): number;
  /** Repeats an attempt, when the socket is writable, until it does not return -1. A later write takes its place. */
  whenWritable(attempt: () => number): Promise<number>;
  /** Makes the error of the system call that has failed last. */
  lastError(): Error;
}

/** A byte stream. */
export interface StreamHandle {
  /** Whether the stream has a reading half. */
  readonly readable: boolean;
  /** Whether the stream has a writing half. */
  readonly writable: boolean;
  /** The memory to read into for protocols without `getBuffer`. */
  readonly memory: ReadMemory;
  /**
   * Whether reading goes on after `closeWrite()`.
   *
   * @default {true}
   */
  readonly halfCloses?: boolean;
  /**
   * The time limit for the last writes and `shutdown()` together, in milliseconds.
   *
   * @default {Infinity}
   */
  readonly shutdownTimeout?: number;
  /**
   * A number that changes with every byte that the kernel takes, of a handle whose `write()` passes bytes on in several parts.
   *
   * @default {0}
   */
  readonly progress?: number;
  /**
   * Starts or resumes reading. Delivers nothing before it returns.
   *
   * @param sink The receiver. A later call can bring another sink; a pending read still fills the memory of the sink that
   * allocated it.
   */
  readStart(sink: StreamSink): void;
  /** Stops reading. The bytes of one pending read can still be delivered. */
  readStop(): void;
  /**
   * Writes at once, without keeping the bytes, which saves a copy. Only called for large data while no write is pending.
   * A handle whose writes complete later does not implement it.
   *
   * @returns The number of bytes that were written; 0 if the write would block.
   * @throws If the connection is broken.
   */
  tryWrite?(data: Uint8Array): number;
  /**
   * Writes one or more bytes. Only one write is pending at a time. The bytes do not change meanwhile.
   *
   * @returns The number of bytes that were written, or a promise of it if the write completes later.
   * @throws If the connection is broken.
   */
  write(data: Uint8Array): number | Promise<number>;
  /**
   * Prepares a file that is sent without a copy, for `sendfile()`. The caller closes what this returns. A handle that has
   * no such way does not implement it.
   *
   * @returns The file. Rejects with `Deno.errors.NotSupported` if it cannot be sent in this way, and with a
   * {@linkcode SendfileError} if it fails.
   */
  openFile?(file: DenoFile): Promise<FileSource>;
  /**
   * Lets a codec use the descriptor: from now on, it receives and sends all bytes. Only a ready handle of a socket implements
   * it.
   */
  attach?(codec: StreamCodec): CodecSocket;
  /** Ends the writing half, after all writes. */
  closeWrite(): void | Promise<void>;
  /**
   * Reads and drops data while the last writes are sent, because a peer may not read while its own writes block.
   * Implemented together with `shutdown()`; other handles stop reading.
   */
  discard?(): void;
  /**
   * Ends the stream in order, after all writes and before `close()`: TLS sends close_notify. A handle that needs only
   * `close()` does not implement it.
   *
   * @returns A promise that resolves when the peer has answered, or can no longer answer.
   */
  shutdown?(): Promise<void>;
  /**
   * Of a handle that only writes: calls `gone` at most once, when the reader has closed its end.
   */
  watchReader?(gone: () => void): void;
  /**
   * Makes the `close()` that follows reset the connection: the peer gets an error, and not the end of the stream.
   *
   * @throws {Deno.errors.NotSupported} If the stream cannot be reset.
   */
  reset?(): void;
  /** Returns a clearer error for an error of reading or writing. */
  explain?(error: Error): Error;
  /** Keeps the process alive while the stream is open, which is the default. */
  ref?(): void;
  /** Lets the process end while the stream is open. */
  unref?(): void;
  /**
   * Closes both halves and settles a pending write. Never throws.
   *
   * @param dropped Whether bytes were dropped that had been accepted for writing.
   */
  close(dropped: boolean): void;
}

/** A byte stream for a transport. */
export interface StreamEnd {
  /** The stream. */
  handle: StreamHandle;
  /** The values of {@linkcode BaseTransport.getExtraInfo}. */
  extra: Partial<ExtraInfo>;
  /**
   * Performs the engine's own TLS handshake, before `connectionMade`. If it rejects, the caller closes the handle.
   *
   * @returns More values of `getExtraInfo`.
   */
  handshake?: () => Promise<Partial<ExtraInfo>>;
}
