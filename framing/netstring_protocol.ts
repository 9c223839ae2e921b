import { checkOptions, namesOf } from "../check_options.ts";
import { markLibraryClass } from "../protocols/library_class.ts";
import { checkFrameOptions, FrameProtocol, type FrameProtocolOptions } from "./frame_protocol.ts";
import { checkNetstringFormat, type NetstringFormat, NetstringFramer } from "./netstring_framer.ts";

/** Options of {@linkcode NetstringProtocol}. */
export interface NetstringProtocolOptions extends NetstringFormat, FrameProtocolOptions {}

const NAMES = namesOf<NetstringProtocolOptions>({ limit: true, frameTimeout: true, loop: true, tooLong: true });

/**
 * A protocol that is called with netstrings.
 *
 * @example An echo
 * ```ts
 * import { NetstringProtocol } from "@tandem/io/framing";
 *
 * class Echo extends NetstringProtocol {
 *   override frameReceived(frame: Uint8Array) {
 *     this.sendFrame(frame);
 *   }
 * }
 * ```
 */
export class NetstringProtocol extends FrameProtocol<Uint8Array> {
  static {
    markLibraryClass(this);
  }

  /**
   * Creates the protocol.
   *
   * @param options Options.
   * @throws {TypeError} If an option is unknown or has the wrong type.
   * @throws {RangeError} If `limit` is not a whole number of 1 or more, or `frameTimeout` is not a possible delay of a timer.
   */
  constructor(options: NetstringProtocolOptions = {}) {
    checkOptions("NetstringProtocol()", options, NAMES);
    checkFrameOptions("NetstringProtocol()", options);
    const { frameTimeout, loop, tooLong, ...format } = options;
    checkNetstringFormat("NetstringProtocol()", format);
    super(new NetstringFramer(format), { frameTimeout, loop, tooLong });
  }
}
