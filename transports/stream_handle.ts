/**
 * The seam between what a stream transport decides and how its bytes are moved.
 *
 * A handle knows nothing of protocols, flow control or states. One that completes a read at a time (a
 * `Deno.Conn`) and one that is told of readiness (epoll) serve the same transport.
 *
 * @module
 */

/** Where a handle delivers what it reads. Never throws. */
export interface StreamSink {
  /**
   * Gives memory to read into.
   *
   * @param sizeHint A size in bytes that suits the handle.
   * @returns The memory, the handle's until the next call on the sink, or `null` if nothing is to be read before the next
   * `readStart`.
   */
  allocate(sizeHint: number): Uint8Array | null;
  /** Bytes have been read into the memory that `allocate` gave. */
  filled(count: number): void;
  /** Bytes came in memory of their own, which is the sink's from now on. */
  chunk(data: Uint8Array): void;
  /** The other side sends nothing more. */
  end(): void;
  /** Reading is over because it failed. */
  failed(error: Error): void;
}

/** Something that moves a stream of bytes. */
export interface StreamHandle {
  /** Whether it has a reading half. */
  readonly readable: boolean;
  /** Whether it has a writing half. */
  readonly writable: boolean;
  /**
   * Whether `closeWrite()` ends the writing half alone, and the other half goes on.
   *
   * @default {true}
   */
  readonly halfCloses?: boolean;
  /**
   * Whether a small write waits until the other side has acknowledged the one before, as Nagle's algorithm does. Then
   * what has come at once is better read at once, lest an answer to it leave in two.
   *
   * @default {false}
   */
  readonly delaysWrites?: boolean;
  /** Starts to read, or goes on. Nothing is delivered before this returns. */
  readStart(sink: StreamSink): void;
  /** Stops reading. A read in flight may still be delivered, once. */
  readStop(): void;
  /**
   * Writes. There is never more than one write at a time, and the bytes do not change meanwhile.
   *
   * @returns How many bytes were taken, as a number where that is known at once.
   */
  write(data: Uint8Array): number | Promise<number>;
  /** Ends the writing half, after all writes. */
  closeWrite(): Promise<void>;
  /**
   * Reads on and drops what comes, while the last writes leave: the other side may take them only once its own are
   * taken. Handles that have `shutdown()` have it; the others stop reading.
   */
  discard?(): void;
  /**
   * Tells the other side that this side sends nothing more, after all writes and before `close()`. Handles that need
   * no more than `close()` have none.
   *
   * @returns A promise that resolves when the other side has answered, or cannot any more.
   */
  shutdown?(): Promise<void>;
  /** How long all writes that wait and `shutdown()` together may take, in milliseconds. */
  readonly shutdownTimeout?: number;
  /** Puts an error of reading or writing in better words. */
  explain?(error: Error): Error;
  /**
   * Ends both halves and cancels what is in flight. Never throws.
   *
   * @param dropped Whether bytes that should have been written before were dropped.
   */
  close(dropped: boolean): void;
}
