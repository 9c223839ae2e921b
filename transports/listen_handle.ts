/** The seam below a server: a handle accepts connections. */
import type { StreamEnd } from "./stream_handle.ts";

/** The receiver of a listener's connections. Never throws. */
export interface AcceptSink {
  /** Delivers a connection. The sink owns it. */
  accepted(end: StreamEnd): void;
  /** Reports that an accept has failed. The handle goes on accepting unless `acceptStop()` is called. */
  failed(error: Error): void;
  /** Reports that the listener is closed, by `close()` or by other means. Called once, possibly inside `close()`. */
  closed(): void;
}

/** A listener on one address. */
export interface ListenHandle {
  /** The address, with the real port. */
  readonly addr: Deno.Addr;
  /**
   * An element of the server's `sockets`.
   *
   * @default {undefined} none
   */
  readonly socket?: object;
  /**
   * Whether its connections bring a TLS handshake of their own, so that nothing can be read before it.
   *
   * @default {false}
   */
  readonly hasTls?: boolean;
  /** Starts or resumes accepting. Delivers nothing before it returns. */
  acceptStart(sink: AcceptSink): void;
  /** Stops accepting; connections wait in the system's queue. One connection of a pending accept can still be delivered. */
  acceptStop(): void;
  /** Keeps the process alive while the listener is open, which is the default. */
  ref?(): void;
  /** Lets the process end while the listener is open. */
  unref?(): void;
  /** Closes the listener, and frees the address. Never throws. */
  close(): void;
}
