import { checkOneOf, checkTimeout } from "../checks.ts";
import { checkOptions, namesOf } from "../check_options.ts";
import { describe, InvalidStateError, TimeoutError, toError } from "../errors.ts";
import { EventLoop, getRunningLoop, type TimerHandle } from "../loop/mod.ts";
import { isPromise, settle } from "../promises.ts";
import { BufferedProtocol } from "../protocols/mod.ts";
import { markLibraryClass } from "../protocols/library_class.ts";
import type { Transport } from "../transports/mod.ts";
import type { Framer } from "./framer.ts";
import { FrameTooLongError } from "./frame_too_long_error.ts";
import { InvalidFrameError } from "./invalid_frame_error.ts";
import { sendFrameError } from "./send_frame_error.ts";
import { addTaker, type UnreadBytes } from "../unread_bytes.ts";

/** Options of all protocols of frames. */
export interface FrameProtocolOptions {
  /**
   * How long a frame may take from its first byte to its last, in ms. Then the connection is closed with a `TimeoutError`.
   * The time while reading is paused does not count. By default there is no limit.
   *
   * @default {undefined}
   */
  frameTimeout?: number | undefined;
  /**
   * The loop of the connection, by whose clock `frameTimeout` is measured. By default `getRunningLoop()`.
   *
   * @default {undefined}
   */
  loop?: EventLoop | undefined;
  /**
   * What becomes of a frame that is longer than the limit: `"close"` closes the connection with a `FrameTooLongError`,
   * `"skip"` skips the frame. Either calls `frameTooLong`.
   *
   * @default {"close"}
   */
  tooLong?: "close" | "skip" | undefined;
}

const NAMES = namesOf<FrameProtocolOptions>({ frameTimeout: true, loop: true, tooLong: true });

/** Reports whether a protocol delivers nothing at present: it has paused reading, or its transport is closing. */
export let isStopped: (protocol: FrameProtocol<unknown>) => boolean;

/**
 * A protocol that is called with frames. Extend {@linkcode LineProtocol}, {@linkcode LengthPrefixedProtocol},
 * {@linkcode FixedLengthProtocol} or {@linkcode NetstringProtocol}, or this class with a {@linkcode Framer} of your own.
 *
 * Bytes are read straight into the framer's memory, and a frame of bytes is a view of it: no byte is copied but those of a
 * frame that is received in several pieces. If you override `connectionMade` or `connectionLost`, call `super`.
 *
 * A frame that is too long or invalid, and a timeout, close the connection: buffered writes are dropped, and
 * `connectionLost` is called with the error. The exception handler is not called, because the peer is at fault.
 *
 * @typeParam F The type of the frames.
 *
 * @example Usage
 * ```ts
 * import { FixedLengthFramer, FrameProtocol } from "@tandem/io/framing";
 *
 * class Pairs extends FrameProtocol<Uint8Array> {
 *   constructor() {
 *     super(new FixedLengthFramer({ length: 2 }));
 *   }
 *   override frameReceived([a, b]: Uint8Array) {
 *     console.log(a, b);
 *   }
 * }
 * ```
 */
export class FrameProtocol<F> extends BufferedProtocol {
  static {
    markLibraryClass(this, ["frameReceived", "frameTooLong"]);
    addTaker((protocol) => #framer in protocol ? (protocol as FrameProtocol<unknown>).#takeUnread() : null);
    isStopped = (protocol) => protocol.#paused || protocol.transport.isClosing();
  }

  /**
   * The transport, from `connectionMade` on. After `startTls()`, assign the transport that it returns.
   */
  transport!: Transport;

  #framer: Framer<F>;
  #frameTimeout: number | undefined;
  #loop: EventLoop | undefined;
  #paused = false;
  /** A frame that was parsed and could not be delivered, because `frameTooLong` has paused. */
  #held: F | undefined;
  #timer: TimerHandle | null = null;
  /** The number of the frame that the timer is set for. */
  #timed = -1;
  /** A delivery of what is left is scheduled. */
  #resuming = false;

  /**
   * Creates the protocol.
   *
   * @param framer The framer.
   * @param options Options.
   * @throws {TypeError} If an option is unknown or has the wrong type.
   * @throws {RangeError} If `frameTimeout` is not a possible delay of a timer.
   */
  constructor(framer: Framer<F>, options: FrameProtocolOptions = {}) {
    super();
    checkOptions("FrameProtocol()", options, NAMES);
    checkFrameOptions("FrameProtocol()", options);
    this.#framer = framer;
    this.#frameTimeout = options.frameTimeout;
    this.#loop = options.loop;
    if (options.tooLong === "skip") framer.onTooLong = (error) => this.frameTooLong(error);
  }

  /**
   * Called once, before every other callback. An override must call `super.connectionMade(transport)`.
   *
   * @param transport The transport, from now on also `this.transport`.
   */
  override connectionMade(transport: Transport): void {
    this.transport = transport;
  }

  /**
   * Called with each frame, in order. An exception closes the transport.
   *
   * @param _frame The frame. Bytes are a view of the memory that is read into, and valid until this callback returns: to
   * keep them, use `frame.slice()`. Before this callback returns, `transport.writeOwned(frame)` sends them without a copy.
   */
  frameReceived(_frame: F): void {}

  /**
   * Called for a frame that is longer than the limit, when its beginning has been received. With `tooLong: "close"` the
   * connection is then closed, and buffered writes are dropped, unless this callback calls `this.transport.close()`, which
   * sends them. With `tooLong: "skip"` the next frame follows.
   *
   * @param _error The error.
   */
  frameTooLong(_error: FrameTooLongError): void {}

  /**
   * Sends a frame.
   *
   * @param frame The frame. It is yours again when this returns.
   * @throws {InvalidStateError} Before `connectionMade`, and after `transport.writeEof()`.
   * @throws {TypeError} If the frame has the wrong type.
   * @throws {RangeError} If the frame is longer than its format can say.
   */
  sendFrame(frame: F): void {
    let pieces: Uint8Array[];
    try {
      pieces = this.#framer.encode(frame);
    } catch (error) {
      throw sendFrameError(error);
    }
    this.sendPieces(pieces);
  }

  /**
   * Pauses reading: no frame is delivered until `resumeReading`, not even one that has been received. (After
   * `transport.pauseReading()`, frames that have been received are still delivered.) Calling it again does nothing.
   */
  pauseReading(): void {
    this.#paused = true;
    this.transport.pauseReading();
    this.#setTimer();
  }

  /** Resumes reading. Frames that have been received are delivered in a later turn of the loop, before others are read. */
  resumeReading(): void {
    this.#paused = false;
    if (this.#held === undefined && this.#framer.buffered === 0) {
      this.transport.resumeReading();
    } else if (!this.#resuming) {
      this.#resuming = true;
      this.loop.callSoon(() => this.#resume());
    }
  }

  /**
   * Takes the bytes that were received and not delivered, for another protocol: they follow the frame that was delivered
   * last. `startTls()` takes them itself, for TLS: bytes that came in plain text never count as encrypted.
   *
   * @returns The bytes, which can be none. They are yours.
   */
  takeRest(): Uint8Array<ArrayBuffer> {
    return this.#framer.takeBytes().slice();
  }

  /** Returns the framer's memory. */
  override getBuffer(sizeHint: number): Uint8Array {
    if (this.transport === undefined) {
      throw new InvalidStateError("connectionMade() of a FrameProtocol must call super.connectionMade(transport)");
    }
    return this.#framer.getBuffer(sizeHint);
  }

  /** Delivers the frames that have ended. */
  override bufferUpdated(nbytes: number): void {
    this.#framer.bufferUpdated(nbytes);
    this.#paused = false;
    this.#deliver();
  }

  /**
   * Called once, after every other callback. An override must call `super.connectionLost(error)`.
   *
   * @param _error `null` after end of file, `close()` and `abort()`; otherwise the error that ended the transport.
   */
  override connectionLost(_error: Error | null): void {
    this.#clearTimer();
  }

  /** The loop of the connection. */
  protected get loop(): EventLoop {
    return this.#loop ??= getRunningLoop();
  }

  /**
   * Delivers what is next.
   *
   * @returns Whether something was delivered.
   */
  protected deliverNext(): boolean {
    let frame: F | undefined;
    try {
      frame = this.#framer.nextFrame();
    } catch (error) {
      this.#frameFailed(error);
      return false;
    }
    if (frame === undefined) return false;
    if (this.#paused) {
      // By frameTooLong(), for a frame before this one.
      this.#held = frame;
      this.#framer.releaseMemory();
      return false;
    }
    this.#receive(frame);
    return true;
  }

  /**
   * Handles the rejection of a promise that a callback returned. Without this it would end the process.
   *
   * @param name The callback.
   * @param result What it returned.
   */
  protected adopt(name: string, result: unknown): void {
    if (result === undefined || !isPromise(result)) return;
    settle(result, undefined, (error) => this.#report(`protocol.${name}() is async and rejected`, error));
  }

  /**
   * Sends pieces as one write.
   *
   * @param pieces The pieces.
   * @throws {InvalidStateError} Before `connectionMade`, and after `transport.writeEof()`.
   */
  protected sendPieces(pieces: Uint8Array[]): void {
    if (this.transport === undefined) {
      throw new InvalidStateError("sendFrame(): there is no transport; connectionMade() must call its super");
    }
    if (pieces.length === 1) this.transport.write(pieces[0]!);
    else this.transport.writelines(pieces);
  }

  /** Takes the bytes for `startTls()`. */
  #takeUnread(): UnreadBytes {
    const framer = this.#framer;
    const held = this.#held;
    const bytes = this.takeRest();
    if (framer.pending) {
      framer.unread(bytes);
      throw new InvalidStateError("startTls() cannot be called while a frame that is too long is skipped");
    }
    this.#held = undefined;
    this.#setTimer();
    return {
      bytes,
      putBack: () => {
        this.#held = held;
        if (bytes.length > 0) framer.unread(bytes);
        if (held !== undefined || bytes.length > 0) this.loop.callSoon(() => this.#redeliver());
      },
    };
  }

  #receive(frame: F): void {
    const result = this.frameReceived(frame) as unknown;
    // Checked here, because most frames have no result.
    if (result !== undefined) this.adopt("frameReceived", result);
  }

  #deliver(): void {
    const held = this.#held;
    if (held !== undefined && !isStopped(this)) {
      this.#held = undefined;
      this.#receive(held);
    }
    while (!isStopped(this) && this.deliverNext());
    if (this.#frameTimeout !== undefined) this.#setTimer();
  }

  /** Delivers what was left when reading was paused. */
  #resume(): void {
    this.#resuming = false;
    if (this.#paused || this.transport.isClosing()) return;
    this.#redeliver();
    if (!this.#paused && !this.transport.isClosing()) this.transport.resumeReading();
  }

  /** Delivers what was left, outside of a data callback. */
  #redeliver(): void {
    try {
      this.#deliver();
    } catch (error) {
      this.#report("Fatal error: protocol.frameReceived() call failed.", error);
      this.#endWith(toError(error));
    }
    // The transport does not know that frames in this memory are being sent: nothing may be read into it.
    this.#framer.releaseMemory();
  }

  /** The framer has thrown. */
  #frameFailed(error: unknown): void {
    if (error instanceof FrameTooLongError) this.adopt("frameTooLong", this.frameTooLong(error));
    else if (!(error instanceof InvalidFrameError)) throw error;
    if (!this.transport.isClosing()) this.#endWith(error);
  }

  /** Closes the connection: `connectionLost` is called with the error. */
  #endWith(error: Error): void {
    const { transport } = this;
    this.#clearTimer();
    // Only an exception in a data callback gives connectionLost() an error, and that one would call the exception handler.
    const protocol = transport.getProtocol();
    transport.setProtocol({ connectionLost: () => protocol.connectionLost?.(error) });
    transport.abort();
  }

  #report(message: string, error: unknown): void {
    this.loop.callExceptionHandler({ message, error: toError(error), transport: this.transport, protocol: this });
  }

  #setTimer(): void {
    const framer = this.#framer;
    if (this.#frameTimeout === undefined) return;
    if (this.#paused || !framer.pending || this.transport.isClosing()) {
      this.#clearTimer();
    } else if (this.#timer === null || this.#timed !== framer.ended) {
      this.#clearTimer();
      this.#timed = framer.ended;
      this.#timer = this.loop.callLater(this.#frameTimeout, () => this.#timedOut());
      this.#timer.unref();
    }
  }

  #clearTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #timedOut(): void {
    this.#timer = null;
    if (this.transport.isClosing()) return;
    // Paused without the knowledge of this protocol: the peer is not at fault.
    if (!this.transport.isReading()) this.#setTimer();
    else this.#endWith(new TimeoutError(`a frame did not end within ${this.#frameTimeout} ms (frameTimeout)`));
  }
}

/** Throws unless the options that all protocols of frames share are good. */
export function checkFrameOptions(method: string, options: FrameProtocolOptions): void {
  const { frameTimeout, loop, tooLong = "close" } = options;
  checkTimeout(method, "frameTimeout", frameTimeout, 1);
  checkOneOf(method, "tooLong", tooLong, ["close", "skip"]);
  if (loop !== undefined && !(loop instanceof EventLoop)) {
    throw new TypeError(`${method}: loop must be an EventLoop, got ${describe(loop)}`);
  }
}
