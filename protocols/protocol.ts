import type { StreamCallbacks, Transport } from "../transports/transport.ts";
import { BaseProtocol } from "./base_protocol.ts";
import { markLibraryClass } from "./library_class.ts";

/**
 * A protocol on a byte stream that receives each piece of data as a new array.
 *
 * Start with this class. If a profile shows that allocating these arrays takes the time, use
 * {@linkcode BufferedProtocol}.
 *
 * @example An echo
 * ```ts
 * import { Protocol, type Transport } from "@tandem/io";
 *
 * class Echo extends Protocol {
 *   #transport!: Transport;
 *   override connectionMade(transport: Transport) {
 *     this.#transport = transport;
 *   }
 *   override dataReceived(data: Uint8Array) {
 *     this.#transport.write(data);
 *   }
 * }
 * ```
 */
export class Protocol extends BaseProtocol implements StreamCallbacks {
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
   * Called with bytes that were received, one or more, in order. A message can arrive in several pieces, and a piece can
   * hold several messages. An exception closes the transport.
   *
   * @param _data The bytes. They are yours: nothing overwrites them. Use `data` and not `data.buffer`, which can be larger
   * and can hold bytes of other connections.
   */
  dataReceived(_data: Uint8Array<ArrayBuffer>): void {}

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
