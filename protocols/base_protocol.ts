import type { BaseCallbacks, BaseTransport } from "../transports/transport.ts";
import { markLibraryClass } from "./library_class.ts";

/**
 * The callbacks that all protocols share: `connectionMade`, `connectionLost` and flow control. Usually you extend one of
 * its subclasses.
 *
 * @example Usage
 * ```ts
 * import { BaseProtocol } from "@tandem/io/protocols";
 *
 * // The transport of connectWritePipe() calls no other callbacks.
 * class Log extends BaseProtocol {
 *   override pauseWriting() {
 *     console.error("the reader is slow");
 *   }
 * }
 * ```
 */
export class BaseProtocol implements BaseCallbacks {
  static {
    markLibraryClass(this);
  }

  /**
   * Called once, before every other callback, when the transport is ready. You can write at once.
   *
   * @param _transport The transport of this protocol. Keep it to write, pause and close.
   */
  connectionMade(_transport: BaseTransport): void {}

  /**
   * Called once, after every other callback. Writes are dropped from now on.
   *
   * @param _error `null` after end of file, `close()` and `abort()`; otherwise the error that ended the transport.
   */
  connectionLost(_error: Error | null): void {}

  /** Called inside the `write` that takes the write buffer over its high-water mark. Stop writing. */
  pauseWriting(): void {}

  /** Called when the write buffer has drained to its low-water mark after `pauseWriting`. Go on writing. */
  resumeWriting(): void {}
}
