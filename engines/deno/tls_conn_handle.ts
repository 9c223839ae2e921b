/**
 * A handle over a `Deno.TlsConn`, whose TLS is inside Deno.
 *
 * @module
 */
import { ConnHandle } from "./conn_handle.ts";
import { toTlsError } from "../../tls/tls_error.ts";

/** A stream handle that takes leave of the other side before it closes. */
export class NativeTlsHandle extends ConnHandle {
  /** {@inheritDoc StreamHandle.halfCloses} */
  readonly halfCloses = false;
  /** Deno does not let anybody turn Nagle's algorithm off here. {@inheritDoc StreamHandle.delaysWrites} */
  readonly delaysWrites = true;
  /** {@inheritDoc StreamHandle.shutdownTimeout} */
  readonly shutdownTimeout: number;
  #discarding = false;
  /** Resolves when `discard()` has read the end. */
  #ended: PromiseWithResolvers<void> = Promise.withResolvers<void>();

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

  /** {@inheritDoc StreamHandle.discard} */
  discard(): void {
    if (this.#discarding) return;
    this.#discarding = true;
    const scratch = new Uint8Array(16 * 1024);
    this.readStart({
      allocate: () => scratch,
      filled: () => {},
      chunk: () => {},
      end: () => this.#ended.resolve(),
      failed: () => this.#ended.resolve(),
    });
  }

  /** {@inheritDoc StreamHandle.shutdown} */
  async shutdown(): Promise<void> {
    this.discard();
    try {
      await this.closeWrite();
    } catch {
      return; // The connection is gone.
    }
    if (!this.over) await this.#ended.promise;
  }
}
