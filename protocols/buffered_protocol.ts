import type { StreamCallbacks, Transport } from "../transports/transport.ts";
import { BaseProtocol } from "./base_protocol.ts";
import { markLibraryClass } from "./library_class.ts";

/**
 * A protocol on a byte stream that provides the memory to read into. Bytes are not copied.
 *
 * The transport calls `getBuffer` when it starts a read, before bytes have arrived, and `bufferUpdated` when the read is
 * done. In between, the memory belongs to the transport.
 *
 * @example Count bytes in 64 KiB of memory
 * ```ts
 * import { BufferedProtocol } from "@tandem/io";
 *
 * class Counter extends BufferedProtocol {
 *   total = 0;
 *   #buffer = new Uint8Array(64 * 1024);
 *   override getBuffer() {
 *     return this.#buffer;
 *   }
 *   override bufferUpdated(nbytes: number) {
 *     this.total += nbytes;
 *   }
 * }
 * ```
 */
export class BufferedProtocol extends BaseProtocol implements StreamCallbacks {
  static {
    markLibraryClass(this);
  }

  /**
   * Called once, before every other callback, when the connection is made. You can write at once.
   *
   * @param _transport The transport of this protocol. Keep it to write, pause and close.
   */
  override connectionMade(_transport: Transport): void {}

  /**
   * Called when the transport needs memory to read into. An exception, or an empty array, closes the transport.
   *
   * @param sizeHint The size in bytes that suits the transport. You can return another size, but not an empty array.
   * @returns The memory. It belongs to the transport until `bufferUpdated` is called.
   */
  getBuffer(sizeHint: number): Uint8Array {
    return new Uint8Array(sizeHint);
  }

  /**
   * Called when bytes were read into the memory that `getBuffer` returned last. An exception closes the transport.
   *
   * @param _nbytes The number of bytes, at the start of that memory. One or more.
   */
  bufferUpdated(_nbytes: number): void {}

  /**
   * Called at most once, when the peer has ended its side of the stream. No data callback follows. An exception closes
   * the transport.
   *
   * @returns `true` to keep the transport open for writing. Any false value closes it; so does `true` on TLS.
   */
  eofReceived(): boolean | void {}

  /**
   * Called once if the server of the connection ends soon, by `server.drain()`: finish what you do, and close the
   * transport. A connection whose protocol does not have this callback is closed instead. An exception closes the transport.
   */
  drain?(): void;
}
