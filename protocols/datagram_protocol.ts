import type { DatagramCallbacks, DatagramTransport } from "../transports/transport.ts";
import { BaseProtocol } from "./base_protocol.ts";
import { markLibraryClass } from "./library_class.ts";

/**
 * A protocol on datagrams, UDP or Unix.
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
  static {
    markLibraryClass(this);
  }

  /**
   * Called once, before every other callback, when the socket is bound. You can send at once.
   *
   * @param _transport The transport of this protocol. Keep it to send and close.
   */
  override connectionMade(_transport: DatagramTransport): void {}

  /**
   * Called with a datagram that was received.
   *
   * @param _data The payload, which can be empty. It is yours. Use `data` and not `data.buffer`, which can be larger.
   * @param _addr The address of the sender.
   */
  datagramReceived(_data: Uint8Array<ArrayBuffer>, _addr: Deno.Addr): void {}

  /**
   * Called if a datagram could not be sent or received. The transport stays open.
   *
   * @param _error The error of the operating system.
   */
  errorReceived(_error: Error): void {}
}
