import type { StreamCallbacks, Transport } from "../transports/transport.ts";
import { BaseProtocol } from "./base_protocol.ts";

/**
 * A protocol on a byte stream that owns the memory: the kernel's bytes are read straight into it.
 *
 * The transport asks for memory with `getBuffer` when it posts a read, before bytes are there, and says
 * with `bufferUpdated` how much of it was filled. In between the memory is the transport's.
 *
 * @example Count bytes in 64 KiB, however many arrive
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
  /** {@inheritDoc BaseProtocol.connectionMade} */
  override connectionMade(_transport: Transport): void {}

  /**
   * Gives memory to read into. An exception here, or an empty array, closes the transport.
   *
   * @param sizeHint A size in bytes that suits the transport; any size above zero is allowed.
   * @returns The memory, the transport's until the matching `bufferUpdated`.
   */
  getBuffer(sizeHint: number): Uint8Array {
    return new Uint8Array(sizeHint);
  }

  /**
   * Bytes were read into the start of what `getBuffer` gave last. An exception here closes the transport.
   *
   * @param _nbytes How many.
   */
  bufferUpdated(_nbytes: number): void {}

  /**
   * The other side will send nothing more. Runs at most once; no data follows.
   *
   * @returns `true` to stay open for writing; anything false closes the transport.
   */
  eofReceived(): boolean | void {}
}
