/** The reading half of a stream: the memory to read into, and the data callbacks. */
import { checkBytes } from "../checks.ts";
import { toError } from "../errors.ts";
import { copyBytes, giveSeenBuffer } from "../memory/buffer_pool.ts";
import {
  endMemoryLoan,
  endShownCopy,
  endWindowLoan,
  type Lender,
  lendMemory,
  lendWindow,
  showCopy,
} from "../memory/loan.ts";
import type { ReadMemory } from "../memory/read_memory.ts";
import { isPromise } from "../promises.ts";
import { adoptPromise } from "./callbacks.ts";
import type { ReceiverHost } from "./receiver_host.ts";
import { ReceiverState } from "./receiver_state.ts";
import type { StreamSink } from "./stream_handle.ts";
import type { StreamCallbacks } from "./transport.ts";

/** Lending ends after this many windows in a row that were not returned. */
const MAX_TRUST = 8;
/** The smallest message for which lending shared memory pays, in bytes. */
const MIN_LENT = 8 * 1024;

/** Reports whether a protocol provides the memory to read into. */
export function isBuffered(protocol: StreamCallbacks): boolean {
  return typeof protocol.getBuffer === "function" && typeof protocol.bufferUpdated === "function";
}

/**
 * Delivers what a handle reads to the protocol, or holds it while reading is paused. What most connections do without is
 * created on demand, to keep idle connections small.
 */
export class StreamReceiver implements StreamSink, Lender {
  /** A data callback runs. Its writes are sent when it returns. */
  dispatching = false;
  paused = false;
  /** Reading waits for pending writes of the protocol's own memory. */
  halted = false;
  allocatesLate = false;
  /** The number of bytes that have arrived, those of earlier receivers of the connection included. */
  received = 0;

  #host: ReceiverHost;
  #memory: ReadMemory;
  #protocol: StreamCallbacks;
  #buffered: boolean;
  #stopped = false;

  /** How many windows may be lent before one is returned. A returned window sets this to `MAX_TRUST`. */
  #trust: number;
  /** The memory that the handle reads into, and the protocol that provided it; `null` for `#memory`. */
  #target: Uint8Array | null = null;
  #targetOwner: StreamCallbacks | null = null;

  /** Pending writes of the protocol's own memory. Nothing is read into that memory until they are done. */
  #loans = 0;
  /** Created for the first loan that is waited for. */
  #onSettled: (() => void) | null = null;
  /** `eofReceived` was called. */
  #ended = false;
  #state: ReceiverState | null = null;

  constructor(host: ReceiverHost, protocol: StreamCallbacks, memory: ReadMemory, buffered: boolean) {
    this.#host = host;
    this.#protocol = protocol;
    this.#memory = memory;
    this.#trust = memory.shared ? 0 : 2;
    this.#buffered = buffered;
  }

  get protocol(): StreamCallbacks {
    return this.#protocol;
  }

  set protocol(protocol: StreamCallbacks) {
    // First, because a getter may throw. Then nothing has changed.
    [this.#buffered, this.allocatesLate] = [isBuffered(protocol), protocol.suppliesLate === true];
    this.#protocol = protocol;
  }

  /** When `paused` was set last. */
  get pausedAt(): number {
    return this.#state?.pausedAt ?? 0;
  }

  set pausedAt(time: number) {
    this.#needState().pausedAt = time;
  }

  /** Whether `eofReceived` was called: nothing more arrives. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Drops what is held and what still arrives: no callback is called from now on. */
  stop(): void {
    this.#stopped = true;
    const state = this.#state;
    if (state === null) return;
    state.heldChunk = state.heldError = null;
    state.heldCount = 0;
  }

  /** Passes what is held, and the bytes of a pending read, to another sink. */
  divert(heir: StreamReceiver, successor: StreamSink): void {
    const state = this.#needState();
    const { heldCount: count, heldChunk: chunk } = state;
    state.heir = heir;
    heir.#loans += this.#loans;
    state.successor = successor;
    if (chunk !== null) successor.chunk(chunk);
    else if (count > 0) this.filled(count);
    if (state.heldError !== null) successor.failed(state.heldError);
    else if (state.heldEnd) successor.end();
    this.stop();
  }

  /** Delivers what was held while reading was paused. */
  release(): boolean {
    const state = this.#needState();
    const { heldCount: count, heldChunk: chunk } = state;
    state.heldCount = 0;
    state.heldChunk = null;
    if (chunk !== null) this.#dispatchChunk(chunk);
    else if (count > 0) this.filled(count);
    if (this.paused || this.#stopped || this.#ended || this.#mustHalt()) return false;
    if (state.heldError !== null) this.failed(state.heldError);
    else if (state.heldEnd) this.end();
    else return true;
    return false;
  }

  lent(): void {
    this.#loans++;
  }

  settled(): void {
    const heir = this.#state?.heir;
    if (heir) return heir.settled();
    if (--this.#loans > 0 || !this.halted) return;
    // In a microtask, because readAgain() calls callbacks.
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
      return this.#target = this.#memory.take(this.#trust > 0);
    }
    return this.#takeBuffer(sizeHint);
  }

  filled(count: number): void {
    const target = this.#target!;
    const successor = this.#state === null ? null : this.#state.successor;
    if (successor !== null) successor.chunk(target.subarray(0, count));
    if (this.#stopped || successor !== null || count === 0) return;
    const owner = this.#targetOwner;
    if (owner === null) this.#memory.fit(target.length, count);
    if (this.paused && owner !== null) return void (this.#needState().heldCount = count);
    this.received += count;
    if (this.paused) {
      this.#needState().heldChunk = this.#keep(target, count);
      return;
    }
    this.#target = null;
    if (owner === null) {
      if (this.#buffered) this.#dispatchChunk(this.#keep(target, count));
      else this.#dispatchWindow(target, count);
    } else if (owner === this.#protocol) {
      this.#dispatchUpdate(target, count);
    } else {
      // setProtocol() was called meanwhile: the memory belongs to the old protocol, the bytes go to the new one.
      this.#dispatchForeign(target, count);
    }
  }

  chunk(data: Uint8Array): void {
    if (this.#stopped) return;
    this.received += data.length;
    // Copied if a small chunk would keep a large buffer alive, or if another thread could change the bytes.
    const keeps = data.length * 2 >= data.buffer.byteLength && data.buffer instanceof ArrayBuffer;
    const own = keeps ? data : copyBytes(data);
    if (this.paused) this.#needState().heldChunk = own;
    else this.#dispatchChunk(own);
  }

  end(): void {
    if (this.#stopped) return;
    if (this.paused) return void (this.#needState().heldEnd = true);
    this.#ended = true;
    this.#dispatchEnd();
  }

  failed(error: Error): void {
    if (this.#stopped) return;
    if (this.paused) this.#needState().heldError = error;
    else this.#host.fail(error);
  }

  /**
   * Calls `dataReceived` with the window itself if the protocol has returned earlier ones by `writeOwned`, and otherwise with
   * bytes that are not read into again.
   */
  #dispatchWindow(window: Uint8Array, count: number): void {
    const memory = this.#memory;
    if (this.#trust > 0 && count * 8 >= window.length) {
      memory.giveAway();
      this.#dispatchData(window.subarray(0, count), window);
      return;
    }
    const data = this.#keep(window, count);
    const watches = memory.shared === true && this.#trust === 0 && count >= MIN_LENT;
    if (watches) showCopy(data);
    this.#dispatchData(data);
    if (watches && endShownCopy()) this.#trust = MAX_TRUST;
  }

  /** Returns the bytes of a window in memory that is not read into again. */
  #keep(window: Uint8Array, count: number): Uint8Array {
    const memory = this.#memory;
    if (memory.keep !== undefined) return memory.keep(window, count);
    const bytes = window.subarray(0, count);
    if (count * 2 < window.length) return copyBytes(bytes);
    memory.giveAway();
    return bytes;
  }

  /** Copies bytes out of the old protocol's memory, which that protocol may have detached. */
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

  /** Returns memory of the protocol, or `null` if `getBuffer` failed. `getBuffer` may have changed the protocol. */
  #takeBuffer(sizeHint: number): Uint8Array | null {
    // Memory that was not filled is used again, unless the protocol has detached it.
    const pending = this.#targetOwner === this.#protocol ? this.#target : null;
    if (pending !== null && pending.length > 0) return pending;
    // Set first, because getBuffer() may call setProtocol().
    this.#targetOwner = this.#protocol;
    this.#target = this.#askBuffer(sizeHint);
    // getBuffer() may have closed the transport.
    return this.#stopped ? null : this.#target;
  }

  #askBuffer(sizeHint: number): Uint8Array | null {
    const protocol = this.#protocol;
    const startedAt = this.#host.loop.debug ? this.#host.loop.time() : -1;
    try {
      const buffer: unknown = protocol.getBuffer!(sizeHint);
      if (startedAt !== -1) this.#reportIfSlow("getBuffer", protocol, startedAt);
      if (!(buffer instanceof Uint8Array)) {
        adoptPromise(this.#host.loop, buffer, "getBuffer", this.#host.transport, protocol);
      }
      checkBytes("getBuffer()", "the result", buffer);
      if (buffer.length === 0) throw new RangeError("getBuffer() returned an empty buffer");
      return buffer;
    } catch (error) {
      this.#host.callbackFailed("getBuffer", toError(error));
      return null;
    }
  }

  /** Calls `dataReceived`. A window that the bytes are in is lent for the callback. */
  #dispatchData(data: Uint8Array, window: Uint8Array | null = null): void {
    const protocol = this.#protocol;
    const startedAt = this.#host.loop.debug ? this.#host.loop.time() : -1;
    let failure: Error | null = null;
    this.dispatching = true;
    if (window !== null) lendWindow(data, window, this);
    try {
      const result = protocol.dataReceived?.(data as Uint8Array<ArrayBuffer>) as unknown;
      if (result !== undefined) adoptPromise(this.#host.loop, result, "dataReceived", this.#host.transport, protocol);
    } catch (error) {
      failure = toError(error);
    }
    // Before the flush: a handle that writes at once would take back a window that is still lent.
    if (window !== null) this.#endLoan();
    this.#afterDispatch("dataReceived", protocol, startedAt, failure);
  }

  #endLoan(): void {
    if (endWindowLoan()) this.#trust = MAX_TRUST;
    else if (this.#trust > 0) this.#trust = this.#memory.shared ? 0 : this.#trust - 1;
  }

  #dispatchUpdate(memory: Uint8Array, count: number): void {
    const protocol = this.#protocol;
    const startedAt = this.#host.loop.debug ? this.#host.loop.time() : -1;
    let failure: Error | null = null;
    this.dispatching = true;
    lendMemory(memory, this);
    try {
      const result = protocol.bufferUpdated!(count) as unknown;
      if (result !== undefined) adoptPromise(this.#host.loop, result, "bufferUpdated", this.#host.transport, protocol);
    } catch (error) {
      failure = toError(error);
    }
    endMemoryLoan();
    this.#afterDispatch("bufferUpdated", protocol, startedAt, failure);
  }

  #dispatchEnd(): void {
    const protocol = this.#protocol;
    const startedAt = this.#host.loop.debug ? this.#host.loop.time() : -1;
    let failure: Error | null = null;
    let keepOpen: unknown = false;
    this.dispatching = true;
    try {
      keepOpen = protocol.eofReceived?.();
      if (isPromise(keepOpen)) {
        // An async callback: its answer comes too late, and a promise is no answer that keeps a connection open.
        adoptPromise(this.#host.loop, keepOpen, "eofReceived", this.#host.transport, protocol);
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
    this.#host.loop.reportIfSlow(`protocol.${name}()`, startedAt, { transport: this.#host.transport, protocol });
  }

  /** Delivers bytes that are not in the protocol's memory, in several pieces if its buffers are smaller. */
  #dispatchChunk(chunk: Uint8Array): void {
    while (chunk.length > 0 && !this.#stopped) {
      if (this.paused || this.#mustHalt()) {
        this.#needState().heldChunk = chunk;
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

  /** Fills the protocol's memory, whose methods the protocol may have replaced. */
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

  /** Reports whether reading must wait until memory of the protocol has been sent. */
  #mustHalt(): boolean {
    return this.halted = this.#loans > 0;
  }

  #needState(): ReceiverState {
    return this.#state ??= new ReceiverState();
  }
}
