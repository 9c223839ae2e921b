/**
 * The reading half of a stream: whose memory is read into, and which callback is called.
 *
 * @module
 */
import { checkBytes } from "../checks.ts";
import { toError } from "../errors.ts";
import { copyBytes, giveSeenBuffer } from "../memory/buffer_pool.ts";
import { endMemoryLoan, endWindowLoan, type Lender, lendMemory, lendWindow } from "../memory/loan.ts";
import type { ReadMemory } from "../memory/read_memory.ts";
import { isPromise } from "../promises.ts";
import { adoptPromise } from "./callbacks.ts";
import type { LoopContext } from "./loop_context.ts";
import type { StreamSink } from "./stream_handle.ts";
import type { StreamCallbacks, Transport } from "./transport.ts";

/** From this many bytes on, a window that is half full is handed over rather than copied. */
const LARGE = 32 * 1024;

/** So many windows in a row that do not come back end the lending. */
const MAX_TRUST = 8;

/** What the receiver asks of its connection. */
export interface ReceiverHost {
  /** What the protocol knows the connection by. */
  readonly transport: Transport;
  /** A callback threw: the connection is over. */
  callbackFailed(callback: string, error: Error): void;
  /** The handle failed to read. */
  fail(error: Error): void;
  /** The protocol has been given the end, and answered whether to stay open for writing. */
  readEnded(keepOpen: boolean): void;
  /** A data callback has returned; what it wrote may leave. */
  afterCallback(): void;
  /** Stop reading: the protocol's memory is being sent. */
  haltReading(): void;
  /** Read on, if nothing else is in the way: the protocol's memory has been sent. */
  readAgain(): void;
}

/** Reports whether a protocol reads into memory of its own. */
export function isBuffered(protocol: StreamCallbacks): boolean {
  return typeof protocol.getBuffer === "function" && typeof protocol.bufferUpdated === "function";
}

/** Takes what a handle reads to the protocol, or holds it while reading is paused. */
export class StreamReceiver implements StreamSink, Lender {
  /** Set while a data callback runs: what it writes leaves when it returns. */
  dispatching = false;
  paused = false;

  #loop: LoopContext;
  #host: ReceiverHost;
  #memory: ReadMemory;
  #protocol: StreamCallbacks;
  #buffered: boolean;
  #stopped = false;

  /** How many windows may still be lent on trust; those that come back raise it, the others lower it. */
  #trust = 2;
  /** What the handle is to read into, until it is filled, and the protocol that gave it (`null`: `#memory` did). */
  #target: Uint8Array | null = null;
  #targetOwner: StreamCallbacks | null = null;

  /** Writes of the protocol's own memory that are not done; nothing is read into it until they are. */
  #loans = 0;
  /** The receiver that has the connection after `startTls()`, and waits for them from then on. */
  #heir: StreamReceiver | null = null;
  /** Reading has come to a halt for that. */
  #halted = false;
  /** Made for the first loan: most connections never need it, and an idle one should be small. */
  #onSettled: (() => void) | null = null;

  /** What arrived while paused, in this order: bytes in the protocol's memory, or others, and then the end. */
  #heldCount = 0;
  #heldChunk: Uint8Array | null = null;
  #heldEnd = false;
  #heldError: Error | null = null;
  /** The end has been delivered: there is nothing more to read. */
  #ended = false;
  /** Where goes what the handle still delivers here after `startTls()`. */
  #successor: StreamSink | null = null;

  constructor(loop: LoopContext, host: ReceiverHost, protocol: StreamCallbacks, memory: ReadMemory, buffered: boolean) {
    this.#loop = loop;
    this.#host = host;
    this.#protocol = protocol;
    this.#memory = memory;
    this.#buffered = buffered;
  }

  /** The protocol of the connection. */
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

  /** Ends this receiver's work: what was held, and what a read in flight still brings, goes to another sink. */
  divert(heir: StreamReceiver, successor: StreamSink): void {
    const count = this.#heldCount;
    const chunk = this.#heldChunk;
    this.#heir = heir;
    heir.#loans += this.#loans;
    this.#successor = successor;
    if (chunk !== null) successor.chunk(chunk);
    else if (count > 0) this.filled(count);
    if (this.#heldError !== null) successor.failed(this.#heldError);
    else if (this.#heldEnd) successor.end();
    this.stop();
  }

  /** Delivers what was held while reading was paused. */
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
    if (this.paused || this.#stopped) giveSeenBuffer(window);
    else this.#memory.takeBack(window);
  }

  allocate(sizeHint: number): Uint8Array | null {
    if (this.#stopped || this.#mustHalt()) return null;
    if (!this.#buffered) {
      this.#targetOwner = null;
      return this.#target = this.#memory.take();
    }
    return this.#takeBuffer(sizeHint);
  }

  filled(count: number): void {
    const target = this.#target!;
    if (this.#successor !== null) this.#successor.chunk(target.subarray(0, count));
    if (this.#stopped || this.#successor !== null || count === 0) return;
    const owner = this.#targetOwner;
    if (owner === null) this.#memory.fit(target.length, count);
    if (this.paused) {
      if (owner === null) this.#heldChunk = this.#takeOut(target, count);
      else this.#heldCount = count;
      return;
    }
    this.#target = null;
    if (owner === null) {
      if (this.#buffered) this.#dispatchChunk(this.#takeOut(target, count));
      else this.#dispatchWindow(target, count);
    } else if (owner === this.#protocol) {
      this.#dispatchUpdate(target, count);
    } else {
      // setProtocol() came between: the memory is the old protocol's, the bytes are the new one's.
      this.#dispatchForeign(target, count);
    }
  }

  chunk(data: Uint8Array): void {
    if (this.#stopped) return;
    // Keeps a few bytes from holding on to the source's whole buffer, and another thread from changing them.
    const keeps = data.length * 2 >= data.buffer.byteLength && data.buffer instanceof ArrayBuffer;
    const own = keeps ? data : copyBytes(data);
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
    this.#dispatchEnd();
  }

  failed(error: Error): void {
    if (this.#stopped) return;
    if (this.paused) this.#heldError = error;
    else this.#host.fail(error);
  }

  /** Gives the bytes in a window a life of their own. */
  #takeOut(window: Uint8Array, count: number): Uint8Array {
    if (count * 2 < window.length) return copyBytes(window.subarray(0, count));
    this.#memory.giveAway();
    return window.subarray(0, count);
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
    this.#memory.giveAway();
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

  /** Returns the protocol's memory, unless it fails to give any. It may no longer be the protocol afterwards. */
  #takeBuffer(sizeHint: number): Uint8Array | null {
    // Nothing has been read into its last buffer, which it may have detached.
    const pending = this.#targetOwner === this.#protocol ? this.#target : null;
    if (pending !== null && pending.length > 0) return pending;
    // Noted first, for getBuffer() may call setProtocol().
    this.#targetOwner = this.#protocol;
    this.#target = this.#askBuffer(sizeHint);
    // getBuffer() may have closed the transport.
    return this.#stopped ? null : this.#target;
  }

  #askBuffer(sizeHint: number): Uint8Array | null {
    const protocol = this.#protocol;
    const startedAt = this.#loop.debug ? this.#loop.time() : -1;
    try {
      const buffer: unknown = protocol.getBuffer!(sizeHint);
      if (startedAt !== -1) this.#reportIfSlow("getBuffer", protocol, startedAt);
      if (!(buffer instanceof Uint8Array)) {
        adoptPromise(this.#loop, buffer, "getBuffer", this.#host.transport, protocol);
      }
      checkBytes("getBuffer()", "the result", buffer);
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
    const startedAt = this.#loop.debug ? this.#loop.time() : -1;
    let failure: Error | null = null;
    this.dispatching = true;
    if (window !== null) lendWindow(data, window, this);
    try {
      const result = protocol.dataReceived?.(data as Uint8Array<ArrayBuffer>) as unknown;
      if (result !== undefined) adoptPromise(this.#loop, result, "dataReceived", this.#host.transport, protocol);
    } catch (error) {
      failure = toError(error);
    }
    // Before anything is flushed: a handle that writes at once would give a window back that is still lent.
    if (window !== null) this.#endLoan();
    this.#afterDispatch("dataReceived", protocol, startedAt, failure);
  }

  #endLoan(): void {
    if (endWindowLoan()) this.#trust = MAX_TRUST;
    else if (this.#trust > 0) this.#trust--;
  }

  #dispatchUpdate(memory: Uint8Array, count: number): void {
    const protocol = this.#protocol;
    const startedAt = this.#loop.debug ? this.#loop.time() : -1;
    let failure: Error | null = null;
    this.dispatching = true;
    lendMemory(memory, this);
    try {
      const result = protocol.bufferUpdated!(count) as unknown;
      if (result !== undefined) adoptPromise(this.#loop, result, "bufferUpdated", this.#host.transport, protocol);
    } catch (error) {
      failure = toError(error);
    }
    endMemoryLoan();
    this.#afterDispatch("bufferUpdated", protocol, startedAt, failure);
  }

  #dispatchEnd(): void {
    const protocol = this.#protocol;
    const startedAt = this.#loop.debug ? this.#loop.time() : -1;
    let failure: Error | null = null;
    let keepOpen: unknown = false;
    this.dispatching = true;
    try {
      keepOpen = protocol.eofReceived?.();
      if (isPromise(keepOpen)) {
        // An async callback by mistake: no answer in time, and none that would keep a connection open for ever.
        adoptPromise(this.#loop, keepOpen, "eofReceived", this.#host.transport, protocol);
        keepOpen = false;
      }
    } catch (error) {
      failure = toError(error);
    }
    this.#afterDispatch("eofReceived", protocol, startedAt, failure);
    this.#host.readEnded(Boolean(keepOpen));
  }

  #afterDispatch(name: string, protocol: StreamCallbacks, startedAt: number, failure: Error | null): void {
    if (failure !== null) this.#host.callbackFailed(name, failure);
    this.dispatching = false;
    if (startedAt !== -1) this.#reportIfSlow(name, protocol, startedAt);
    this.#host.afterCallback();
  }

  #reportIfSlow(name: string, protocol: StreamCallbacks, startedAt: number): void {
    this.#loop.reportIfSlow(`protocol.${name}()`, startedAt, { transport: this.#host.transport, protocol });
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
      const buffer = this.#takeBuffer(chunk.length);
      if (buffer === null) return;
      if (this.#protocol !== this.#targetOwner) continue; // getBuffer() called setProtocol().
      const count = this.#copy(chunk, buffer);
      if (count === 0) return;
      this.#target = null;
      chunk = chunk.subarray(count);
      this.#dispatchUpdate(buffer, count);
    }
    if (this.#mustHalt()) this.#host.haltReading();
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

  /** Reports whether memory that was given away is in the way; if so, reading goes on when it has been sent. */
  #mustHalt(): boolean {
    return this.#halted = this.#loans > 0;
  }
}
