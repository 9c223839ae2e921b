import type { StreamCallbacks, Transport } from "../transports/transport.ts";
import { BaseProtocol } from "./base_protocol.ts";

/**
 * A protocol on a byte stream that is given each piece as an array of its own.
 *
 * The right choice unless a profile says otherwise; then see {@linkcode BufferedProtocol}.
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
  /** {@inheritDoc BaseProtocol.connectionMade} */
  override connectionMade(_transport: Transport): void {}

  /**
   * Some bytes arrived: any number above zero, cut anywhere. An exception here closes the transport.
   *
   * @param _data The bytes. They belong to the protocol from now on and are never overwritten. What is beside them in
   * `data.buffer` is another connection's.
   */
  dataReceived(_data: Uint8Array): void {}

  /**
   * The other side will send nothing more. Runs at most once; no data follows.
   *
   * @returns `true` to stay open for writing; anything false closes the transport.
   */
  eofReceived(): boolean | void {}
}
