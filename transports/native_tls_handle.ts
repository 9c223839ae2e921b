/**
 * A handle over a `Deno.TlsConn`, whose TLS is inside Deno.
 *
 * @module
 */
import { ConnHandle } from "./conn_handle.ts";
import type { StreamSink } from "./stream_handle.ts";
import { toTlsError } from "./tls_error.ts";

/** A stream handle that takes leave of the other side before it closes. */
export class NativeTlsHandle extends ConnHandle {
  /** {@inheritDoc StreamHandle.halfCloses} */
  readonly halfCloses = false;
  /** Deno does not let anybody turn Nagle's algorithm off here. {@inheritDoc StreamHandle.delaysWrites} */
  readonly delaysWrites = true;
  /** {@inheritDoc StreamHandle.shutdownTimeout} */
  readonly shutdownTimeout: number;

  /**
   * @param conn The connection.
   * @param shutdownTimeout How long closing may take, in milliseconds.
   */
  constructor(conn: Deno.Conn, shutdownTimeout: number) {
    super(conn, { readable: true, writable: true });
    this.shutdownTimeout = shutdownTimeout;
  }

  /** {@inheritDoc StreamHandle.explain} */
  explain(error: Error): Error {
    return toTlsError(error);
  }

  /** {@inheritDoc StreamHandle.shutdown} */
  async shutdown(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const scratch = new Uint8Array(1024);
    const discard: StreamSink = {
      allocate: () => scratch,
      filled: () => {},
      chunk: () => {},
      end: resolve,
      failed: () => resolve(),
    };
    this.closeWrite().then(() => this.over ? resolve() : this.readStart(discard), () => resolve());
    await promise;
  }
}
