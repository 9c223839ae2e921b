/**
 * The reading half of a stream transport: whose memory is read into, and which callback hears of it.
 *
 * @module
 */
import { checkBytes } from "../checks.ts";
import { copyBytes, giveSeenBuffer, takeBuffer } from "../memory/buffer_pool.ts";
import { adoptPromise } from "./callbacks.ts";
import type { LoopContext } from "./loop_context.ts";
import { toError } from "../errors.ts";
import { endMemoryLoan, endWindowLoan, type Lender, lendMemory, lendWindow } from "../memory/loan.ts";
import type { ReceiveWindow } from "../memory/receive_window.ts";
import type { StreamSink } from "./stream_handle.ts";
import type { StreamCallbacks, Transport } from "./transport.ts";

/** From this many bytes on, a window that is half full is handed over rather than copied. */
const LARGE = 32 * 1024;

/** So many windows in a row that do not come back end the lending. */
const MAX_TRUST = 8;

/** What the receiver asks of its transport. */
export interface ReceiverHost {
  /** A callback threw: the transport is done for. */
  callbackFailed(callback: string, error: Error): void;
  /** The handle failed to read. */
  fail(error: Error): void;
  /** The stream has ended, and the protocol has not been told yet. */
  readEnded(): void;
  /** A data callback has returned; what it wrote may leave. */
  afterCallback(): void;
  /** Bytes have come in memory of their own while the protocol's is not its own: no more for now. */
  readLater(): void;
  /** Read on, if nothing else is in the way: the memory that was in it is the protocol's again. */
  readAgain(): void;
}

/**
 * Reports whether a protocol reads into memory of its own.
 *
 * @param protocol The protocol, whose getters may throw.
 * @returns `true` for a `BufferedProtocol`.
 */
export function isBuffered(protocol: StreamCallbacks): boolean {
  return typeof protocol.getBuffer === "function" && typeof protocol.bufferUpdated === "function";
}

/** Takes what a handle reads to the protocol, or holds it while reading is paused. */
export class StreamReceiver implements StreamSink, Lender {
  /** Set while a data callback runs: what it writes leaves when it returns. */
  dispatching = false;
  paused = false;

  #loop: LoopContext;
  #host: ReceiverHost & Transport;
  #protocol: StreamCallbacks;
  #buffered: boolean;
  #stopped = false;

  /** Memory of ours that nothing is being read into. */
  #window: Uint8Array | null = null;
  #windowSize: ReceiveWindow;
  /** How many windows may still be lent on trust; those that come back raise it, the others lower it. */
  #trust = 2;
  /** What the handle is reading into, and the protocol that gave it (`null`: it is our window). */
  #target: Uint8Array | null = null;
  #targetOwner: StreamCallbacks | null = null;

  /** Writes of the protocol's own memory that are not done; nothing is read into it until they are. */
  #loans = 0;
  /** Who waits for them, once the connection is somebody else's. */
  #heir: StreamReceiver | null = null;
  /** Reading has come to a halt for that. */
  #halted = false;
  /** Made for the first loan: most connections never need it, and an idle one should be small. */
  #onSettled: (() => void) | null = null;

  /** What arrived while paused, in this order. One read is in flight at most, so there is one of each. */
  #heldCount = 0;
  #heldChunk: Uint8Array | null = null;
  #heldEnd = false;
  /** The transport has been told of the end: there is nothing more to read. */
  #ended = false;
  #heldError: Error | null = null;
  /** Who gets what the handle still delivers here, once the connection is somebody else's. */
  #successor: StreamSink | null = null;

  constructor(
    loop: LoopContext,
    host: ReceiverHost & Transport,
    protocol: StreamCallbacks,
    windowSize: ReceiveWindow,
    buffered: boolean,
  ) {
    this.#loop = loop;
    this.#host = host;
    this.#windowSize = windowSize;
    this.#protocol = protocol;
    this.#buffered = buffered;
  }

  /** The protocol that rides with the transport now. */
  get protocol(): StreamCallbacks {
    return this.#protocol;
  }

  set protocol(protocol: StreamCallbacks) {
    // First, for where it throws nothing changes.
    this.#buffered = isBuffered(protocol);
    this.#protocol = protocol;
  }

  /** No callback runs from now on, whatever still arrives. */
  stop(): void {
    this.#stopped = true;
    this.#heldChunk = this.#heldError = null;
    this.#heldCount = 0;
  }

  /**
   * Ends this receiver's work: what was held, and what a read in flight still brings, goes to another sink.
   *
   * @param successor The sink. It copies what it is given at once, which may be the protocol's memory.
   */
  divert(successor: StreamSink): void {
    const count = this.#heldCount;
    const chunk = this.#heldChunk;
    this.#successor = successor;
    if (chunk !== null) successor.chunk(chunk);
    else if (count > 0) this.filled(count);
    if (this.#heldError !== null) successor.failed(this.#heldError);
    else if (this.#heldEnd) successor.end();
    this.stop();
  }

  /**
   * Delivers what was held while reading was paused.
   *
   * @returns Whether to read on.
   */
  release(): boolean {
    const count = this.#heldCount;
    const chunk = this.#heldChunk;
    this.#heldCount = 0;
    this.#heldChunk = null;
    if (chunk !== null) this.#dispatchChunk(chunk);
    else if (count > 0) this.filled(count);
    if (this.paused || this.#stopped || this.#ended || this.#mustHalt()) return false;
    if (this.#heldError !== null) this.failed(this.#heldError);
    else if (this.#heldEnd) this.end();
    else return true;
    return false;
  }

  /**
   * Waits in another one's place for memory that its protocol has given away: that is this one's protocol now, perhaps.
   *
   * @param former The one that had the connection before.
   */
  inherit(former: StreamReceiver): void {
    this.#loans += former.#loans;
    former.#heir = this;
  }

  lent(): void {
    this.#loans++;
  }

  settled(): void {
    if (this.#heir !== null) {
      this.#heir.settled();
      return;
    }
    if (--this.#loans > 0 || !this.#halted) return;
    // In a microtask of its own, for readAgain() runs callbacks.
    queueMicrotask(
      this.#onSettled ??= () => {
        if (this.#loans === 0 && !this.#stopped) this.#host.readAgain();
      },
    );
  }

  windowSent(window: Uint8Array): void {
    if (this.#window === null && !this.paused && !this.#stopped) this.#window = window;
    else giveSeenBuffer(window);
  }

  allocate(sizeHint: number): Uint8Array | null {
    if (this.#stopped || this.#mustHalt()) return null;
    if (this.#buffered) {
      // Noted first, for getBuffer() may call setProtocol().
      this.#targetOwner = this.#protocol;
      this.#target = this.#askBuffer(sizeHint);
      // getBuffer() may have closed the transport.
      return this.#stopped ? null : this.#target;
    }
    // Of another size now and then. A protocol has seen it, so no other connection may use it.
    if (this.#window !== null && this.#window.length !== this.#windowSize.size) this.#window = null;
    this.#window ??= takeBuffer(this.#windowSize.size);
    this.#targetOwner = null;
    return this.#target = this.#window;
  }

  filled(count: number): void {
    if (this.#successor !== null) this.#successor.chunk(this.#target!.subarray(0, count));
    if (this.#stopped || this.#successor !== null) return;
    if (this.paused) {
      this.#heldCount = count;
      return;
    }
    const target = this.#target!;
    const owner = this.#targetOwner;
    if (owner === null) {
      this.#windowSize.fit(target.length, count);
      if (this.#buffered) {
        this.#window = null;
        this.#dispatchChunk(target.subarray(0, count));
      } else {
        this.#dispatchWindow(target, count);
      }
    } else if (owner === this.#protocol) {
      this.#dispatchUpdate(target, count);
    } else {
      // setProtocol() came between: the memory is the old protocol's, the bytes are the new one's.
      this.#dispatchForeign(target, count);
    }
  }

  chunk(data: Uint8Array): void {
    if (this.#stopped) return;
    // Keeps a few bytes from holding on to the source's whole buffer.
    const own = data.length * 2 < data.buffer.byteLength ? copyBytes(data) : data;
    if (this.paused) this.#heldChunk = own;
    else this.#dispatchChunk(own);
  }

  end(): void {
    if (this.#stopped) return;
    if (this.paused) {
      this.#heldEnd = true;
      return;
    }
    this.#ended = true;
    this.#host.readEnded();
  }

  failed(error: Error): void {
    if (this.#stopped) return;
    if (this.paused) this.#heldError = error;
    else this.#host.fail(error);
  }

  /**
   * Gives the protocol bytes of its own: a copy of what is in the window, or the window itself where those it
   * was given before came back through `writeOwned`, or where a copy would cost more than a new window does
   * (a 100 KiB echo by `write` goes from 0.23 to 0.32 of the bare loop).
   */
  #dispatchWindow(window: Uint8Array, count: number): void {
    const handsOver = this.#trust > 0 ? count * 8 >= window.length : count >= LARGE && count * 2 >= window.length;
    if (!handsOver) {
      this.#dispatchData(copyBytes(window.subarray(0, count)));
      return;
    }
    this.#window = null;
    this.#dispatchData(window.subarray(0, count), window);
  }

  /** Takes bytes out of memory that is not ours; its owner may even have detached it meanwhile. */
  #dispatchForeign(target: Uint8Array, count: number): void {
    let bytes: Uint8Array;
    try {
      bytes = copyBytes(target.subarray(0, count));
    } catch (error) {
      this.failed(toError(error));
      return;
    }
    this.#dispatchChunk(bytes);
  }

  #askBuffer(sizeHint: number): Uint8Array | null {
    const protocol = this.#protocol;
    const startedAt = this.#loop.debug ? performance.now() : 0;
    try {
      const buffer: unknown = protocol.getBuffer!(sizeHint);
      if (startedAt !== 0) this.#reportIfSlow("getBuffer", protocol, startedAt);
      if (!(buffer instanceof Uint8Array)) adoptPromise(this.#loop, buffer, "getBuffer", this.#host, protocol);
      checkBytes(buffer, "what getBuffer() returns");
      if (buffer.length === 0) throw new RangeError("getBuffer() returned an empty buffer");
      return buffer;
    } catch (error) {
      this.#host.callbackFailed("getBuffer", toError(error));
      return null;
    }
  }

  /** Gives the protocol bytes for good, or lends it a window that they begin. */
  #dispatchData(data: Uint8Array, window: Uint8Array | null = null): void {
    const protocol = this.#protocol;
    const startedAt = this.#loop.debug ? performance.now() : 0;
    let failure: Error | null = null;
    this.dispatching = true;
    if (window !== null) lendWindow(data, window, this);
    try {
      const result = protocol.dataReceived?.(data as Uint8Array<ArrayBuffer>) as unknown;
      if (result !== undefined) adoptPromise(this.#loop, result, "dataReceived", this.#host, protocol);
    } catch (error) {
      failure = toError(error);
    }
    // Before anything is flushed.
    if (window !== null) this.#endLoan();
    if (failure !== null) this.#host.callbackFailed("dataReceived", failure);
    this.#afterDispatch("dataReceived", protocol, startedAt);
  }

  #endLoan(): void {
    if (endWindowLoan()) this.#trust = MAX_TRUST;
    else if (this.#trust > 0) this.#trust--;
  }

  #dispatchUpdate(memory: Uint8Array, count: number): void {
    const protocol = this.#protocol;
    const startedAt = this.#loop.debug ? performance.now() : 0;
    this.dispatching = true;
    lendMemory(memory, this);
    try {
      const result = protocol.bufferUpdated!(count) as unknown;
      if (result !== undefined) adoptPromise(this.#loop, result, "bufferUpdated", this.#host, protocol);
    } catch (error) {
      this.#host.callbackFailed("bufferUpdated", toError(error));
    }
    endMemoryLoan();
    this.#afterDispatch("bufferUpdated", protocol, startedAt);
  }

  #afterDispatch(name: string, protocol: StreamCallbacks, startedAt: number): void {
    this.dispatching = false;
    if (startedAt !== 0) this.#reportIfSlow(name, protocol, startedAt);
    this.#host.afterCallback();
  }

  #reportIfSlow(name: string, protocol: StreamCallbacks, startedAt: number): void {
    this.#loop.reportIfSlow(`protocol.${name}()`, startedAt, { transport: this.#host, protocol });
  }

  /** Delivers bytes that are not in the protocol's memory, piece by piece if it gives less than they need. */
  #dispatchChunk(chunk: Uint8Array): void {
    while (chunk.length > 0 && !this.#stopped) {
      if (this.paused || this.#mustHalt()) {
        this.#heldChunk = chunk;
        break;
      }
      if (!this.#buffered) {
        this.#dispatchData(chunk);
        return;
      }
      const protocol = this.#protocol;
      const buffer = this.#askBuffer(chunk.length);
      if (buffer === null || this.#stopped) return;
      if (this.#protocol !== protocol) continue; // getBuffer() called setProtocol().
      const count = this.#copy(chunk, buffer);
      if (count === 0) return;
      chunk = chunk.subarray(count);
      this.#dispatchUpdate(buffer, count);
    }
    if (this.#mustHalt()) this.#host.readLater();
  }

  /** Fills the protocol's memory, which may be anything that passes for an array. */
  #copy(chunk: Uint8Array, buffer: Uint8Array): number {
    try {
      const count = Math.min(buffer.length, chunk.length);
      buffer.set(chunk.subarray(0, count));
      return count;
    } catch (error) {
      this.#host.callbackFailed("getBuffer", toError(error));
      return 0;
    }
  }

  /** Tells whether memory that was given away is in the way, and if so, sees to it that reading goes on later. */
  #mustHalt(): boolean {
    return this.#halted = this.#loans > 0;
  }
}
