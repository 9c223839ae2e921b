import { checkInteger } from "../checks.ts";
import { checkOptions, namesOf } from "../check_options.ts";
import { markLibraryClass } from "../protocols/library_class.ts";
import { FixedLengthFramer, type FixedLengthFramerOptions } from "./fixed_length_framer.ts";
import { checkFrameOptions, FrameProtocol, type FrameProtocolOptions } from "./frame_protocol.ts";

/** Options of {@linkcode FixedLengthProtocol}. */
export interface FixedLengthProtocolOptions extends FixedLengthFramerOptions, Omit<FrameProtocolOptions, "tooLong"> {}

const NAMES = namesOf<FixedLengthProtocolOptions>({ length: true, frameTimeout: true, loop: true });

/**
 * A protocol that is called with frames of the same length.
 *
 * @example Requests of 16 bytes
 * ```ts
 * import { FixedLengthProtocol } from "@tandem/io/framing";
 *
 * class Requests extends FixedLengthProtocol {
 *   constructor() {
 *     super({ length: 16 });
 *   }
 *   override frameReceived(frame: Uint8Array) {
 *     this.sendFrame(frame);
 *   }
 * }
 * ```
 */
export class FixedLengthProtocol extends FrameProtocol<Uint8Array> {
  static {
    markLibraryClass(this);
  }

  /**
   * Creates the protocol.
   *
   * @param options Options. `length` is required.
   * @throws {TypeError} If an option is unknown or has the wrong type, or `length` is missing.
   * @throws {RangeError} If `length` is not a whole number of 1 or more, or `frameTimeout` is not a possible delay of a timer.
   */
  constructor(options: FixedLengthProtocolOptions) {
    checkOptions("FixedLengthProtocol()", options, NAMES);
    checkFrameOptions("FixedLengthProtocol()", options);
    const { length, frameTimeout, loop } = options;
    checkInteger("FixedLengthProtocol()", "length", length, 1, undefined, "bytes");
    super(new FixedLengthFramer({ length }), { frameTimeout, loop });
  }
}
