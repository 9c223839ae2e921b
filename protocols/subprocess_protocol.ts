import type { SubprocessCallbacks, SubprocessTransport } from "../transports/transport.ts";
import { BaseProtocol } from "./base_protocol.ts";
import { markLibraryClass } from "./library_class.ts";

/**
 * A protocol on a child process. `pauseWriting` and `resumeWriting` are called for its standard input.
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
  static {
    markLibraryClass(this);
  }

  /**
   * Called once, before every other callback, when the child has started. You can write to its standard input at once.
   *
   * @param _transport The transport of this protocol. Keep it for its pipes, and to send signals.
   */
  override connectionMade(_transport: SubprocessTransport): void {}

  /**
   * Called with output of the child.
   *
   * @param _fd 1 for standard output, 2 for standard error.
   * @param _data The bytes. They are yours. Use `data` and not `data.buffer`, which can be larger.
   */
  pipeDataReceived(_fd: number, _data: Uint8Array<ArrayBuffer>): void {}

  /**
   * Called once for each pipe to the child, when it has closed.
   *
   * @param _fd 0, 1 or 2.
   * @param _error `null` after end of file and `close()`; otherwise the error, such as a broken pipe.
   */
  pipeConnectionLost(_fd: number, _error: Error | null): void {}

  /** Called once, when the child has ended. Its pipes can still hold output. */
  processExited(): void {}
}
