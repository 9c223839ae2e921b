import type { DatagramCallbacks, DatagramTransport } from "../transports/transport.ts";
import { BaseProtocol } from "./base_protocol.ts";

/**
 * A protocol on datagrams.
 *
 * @example An echo
 * ```ts
 * import { DatagramProtocol, type DatagramTransport } from "@tandem/io";
 *
 * class Echo extends DatagramProtocol {
 *   #transport!: DatagramTransport;
 *   override connectionMade(transport: DatagramTransport) {
 *     this.#transport = transport;
 *   }
 *   override datagramReceived(data: Uint8Array, addr: Deno.Addr) {
 *     this.#transport.sendto(data, addr);
 *   }
 * }
 * ```
 */
export class DatagramProtocol extends BaseProtocol implements DatagramCallbacks {
  /** {@inheritDoc BaseProtocol.connectionMade} */
  override connectionMade(_transport: DatagramTransport): void {}

  /**
   * One whole datagram arrived, possibly an empty one.
   *
   * @param _data The payload. It belongs to the protocol from now on, but not what is beside it in `data.buffer`.
   * @param _addr The sender.
   */
  datagramReceived(_data: Uint8Array, _addr: Deno.Addr): void {}

  /**
   * A send or a receive failed. The transport lives on.
   *
   * @param _error The operating system's error.
   */
  errorReceived(_error: Error): void {}
}
