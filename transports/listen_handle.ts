/**
 * The seam under a server: a handle accepts connections.
 *
 * @module
 */
import type { StreamEnd } from "./stream_handle.ts";

/** Where a listener delivers. Never throws. */
export interface AcceptSink {
  /** A connection has been accepted. It is the sink's from now on. */
  accepted(end: StreamEnd): void;
  /** An accept has failed. The handle goes on unless `acceptStop()` is called. */
  failed(error: Error): void;
  /** The listener is closed, by `close()` or by other means, and accepts nothing more. Called once, perhaps inside `close()`. */
  closed(): void;
}

/** Accepts connections on one address. */
export interface ListenHandle {
  /** The address, with the real port. */
  readonly addr: Deno.Addr;
  /** Starts or resumes accepting. Delivers nothing before it returns. */
  acceptStart(sink: AcceptSink): void;
  /** Stops accepting; connections wait in the system's queue. An accept in flight may still be delivered, once. */
  acceptStop(): void;
  /** Keeps the process alive while the listener is open, which is the default. */
  ref?(): void;
  /** Lets the process end while the listener is open. */
  unref?(): void;
  /** Closes the listener, and frees the address. Never throws. */
  close(): void;
}
