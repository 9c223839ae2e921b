import type { BaseCallbacks, BaseTransport } from "../transports/transport.ts";

/**
 * What all protocols share: the two ends of a connection and flow control. Extend one of its children.
 *
 * @example Usage
 * ```ts
 * import { BaseProtocol } from "@tandem/io/protocols";
 *
 * // Enough for a transport that is only written to, such as connectWritePipe().
 * class Log extends BaseProtocol {
 *   override pauseWriting() {
 *     console.error("the reader is slow");
 *   }
 * }
 * ```
 */
export class BaseProtocol implements BaseCallbacks {
  /**
   * Runs once, first, when the transport is ready.
   *
   * @param _transport The transport that this protocol now rides with. Keep it: it is how to write.
   */
  connectionMade(_transport: BaseTransport): void {}

  /**
   * Runs once, last. The transport takes nothing any more.
   *
   * @param _error `null` after end of file, `close()` and `abort()`; otherwise what went wrong.
   */
  connectionLost(_error: Error | null): void {}

  /** The transport's buffer is over its high-water mark: stop writing. Runs inside `write`. */
  pauseWriting(): void {}

  /** The buffer has drained to its low-water mark: write on. Always follows a `pauseWriting`. */
  resumeWriting(): void {}
}
