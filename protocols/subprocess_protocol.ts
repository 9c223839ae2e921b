import type { SubprocessCallbacks, SubprocessTransport } from "../transports/transport.ts";
import { BaseProtocol } from "./base_protocol.ts";

/**
 * A protocol on a child process. `pauseWriting` and `resumeWriting` speak of its standard input.
 *
 * @example Collect what a child prints
 * ```ts
 * import { SubprocessProtocol } from "@tandem/io";
 *
 * class Collect extends SubprocessProtocol {
 *   readonly output: Uint8Array[] = [];
 *   override pipeDataReceived(_fd: number, data: Uint8Array) {
 *     this.output.push(data);
 *   }
 * }
 * ```
 */
export class SubprocessProtocol extends BaseProtocol implements SubprocessCallbacks {
  /** {@inheritDoc BaseProtocol.connectionMade} */
  override connectionMade(_transport: SubprocessTransport): void {}

  /**
   * The child wrote something.
   *
   * @param _fd 1 for its standard output, 2 for its standard error.
   * @param _data The bytes. They belong to the protocol from now on, but not what is beside them in `data.buffer`.
   */
  pipeDataReceived(_fd: number, _data: Uint8Array): void {}

  /**
   * One of the pipes to the child has closed. Runs once for each piped descriptor.
   *
   * @param _fd 0, 1 or 2.
   * @param _error `null` for an orderly end; a broken pipe, for example, otherwise.
   */
  pipeConnectionLost(_fd: number, _error: Error | null): void {}

  /** The child has ended. Its pipes may still hold output, and standard input may have other readers. */
  processExited(): void {}
}
