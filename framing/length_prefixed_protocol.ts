import { checkOptions, namesOf } from "../check_options.ts";
import { markLibraryClass } from "../protocols/library_class.ts";
import { checkFrameOptions, FrameProtocol, type FrameProtocolOptions } from "./frame_protocol.ts";
import { LengthPrefix, type LengthPrefixFormat } from "./length_prefix.ts";
import { encodeAtOnce, LengthPrefixedFramer } from "./length_prefixed_framer.ts";
import { sendFrameError } from "./send_frame_error.ts";

/** Options of {@linkcode LengthPrefixedProtocol}. */
export interface LengthPrefixedProtocolOptions extends LengthPrefixFormat, FrameProtocolOptions {}

const NAMES = namesOf<LengthPrefixedProtocolOptions>({
  prefix: true,
  littleEndian: true,
  offset: true,
  adjustment: true,
  strip: true,
  limit: true,
  frameTimeout: true,
  loop: true,
  tooLong: true,
});

/**
 * A protocol that is called with frames that begin with their length. {@linkcode LengthPrefixedFramer} has the options of
 * well-known protocols.
 *
 * @example A server that answers each message with its size
 * ```ts
 * import { LengthPrefixedProtocol } from "@tandem/io/framing";
 *
 * class Sizes extends LengthPrefixedProtocol {
 *   constructor() {
 *     super({ prefix: 2, limit: 1024, frameTimeout: 5000 });
 *   }
 *   override frameReceived(frame: Uint8Array) {
 *     this.sendFrame(new TextEncoder().encode(`${frame.length}`));
 *   }
 * }
 * ```
 */
export class LengthPrefixedProtocol extends FrameProtocol<Uint8Array> {
  static {
    markLibraryClass(this);
  }

  #framer: LengthPrefixedFramer;

  /**
   * Creates the protocol.
   *
   * @param options Options.
   * @throws {TypeError} If an option is unknown or has the wrong type.
   * @throws {RangeError} If a number is out of range, or `strip` is more than the shortest frame can have.
   */
  constructor(options: LengthPrefixedProtocolOptions = {}) {
    checkOptions("LengthPrefixedProtocol()", options, NAMES);
    checkFrameOptions("LengthPrefixedProtocol()", options);
    const { frameTimeout, loop, tooLong, ...format } = options;
    // For its errors, which name this class.
    new LengthPrefix("LengthPrefixedProtocol()", format);
    const framer = new LengthPrefixedFramer(format);
    super(framer, { frameTimeout, loop, tooLong });
    this.#framer = framer;
  }

  /**
   * Sends a frame with its length.
   *
   * @param frame The frame, as the other side receives it. It is yours again when this returns. A length in it that `strip`
   * leaves there is written anew, in a copy, but for a varint, which must be right.
   * @param head The bytes that are removed from the start of the frame: without `strip` those before the length, with
   * `strip` as many as it says, where the length is written anew. Zeros by default.
   * @throws {InvalidStateError} Before `connectionMade`, and after `transport.writeEof()`.
   * @throws {TypeError} If `frame` or `head` is not a `Uint8Array`.
   * @throws {RangeError} If the length cannot say how long the frame is, or `head` has another number of bytes.
   */
  override sendFrame(frame: Uint8Array, head?: Uint8Array): void {
    let pieces: Uint8Array[];
    try {
      pieces = encodeAtOnce(this.#framer, frame, head);
    } catch (error) {
      throw sendFrameError(error);
    }
    this.sendPieces(pieces);
  }
}
