/**
 * The state machine of every byte stream: TCP, Unix sockets, pipes, over whatever handle moves the bytes.
 *
 * ```text
 * open --writeEof()--> half-closed --close()--> closing --buffer empty--> lost
 *   \--close()------------------------------------^         ^
 *    \--abort(), fatal error------------------------------ /
 * ```
 *
 * @module
 */
import { adoptPromise, callProtocol } from "./callbacks.ts";
import type { LoopContext } from "./context.ts";
import {
  checkBytes,
  checkProtocol,
  describe,
  DrainInterrupted,
  InvalidStateError,
  TimeoutError,
  toError,
} from "./errors.ts";
import { lookUpExtraInfo } from "./extra_info.ts";
import { FlowControl } from "./flow_control.ts";
import type { StreamHandle } from "./stream_handle.ts";
import { type ReceiverHost, StreamReceiver } from "./stream_receiver.ts";
import type { ExtraInfo, StreamCallbacks, StreamExtraInfo, Transport, WriteBufferLimits } from "./transport.ts";
import { WriteQueue } from "./write_queue.ts";

/** What a stream transport is made with. */
export interface StreamTransportOptions {
  /** What {@linkcode BaseTransport.getExtraInfo} answers. */
  extra: Partial<ExtraInfo>;
  /**
   * How long `close()` may take to flush, in milliseconds, before it becomes an abort.
   *
   * @default {undefined} as long as it takes
   */
  closeTimeout?: number | undefined;
  /** Runs after `connectionLost`, when the handle is closed. */
  onLost?: (() => void) | undefined;
}

/** A transport over a stream handle. */
export class StreamTransport implements Transport, ReceiverHost {
  #loop: LoopContext;
  #handle: StreamHandle;
  #extra: Partial<ExtraInfo>;
  #closeTimeout: number | undefined;
  #onLost: (() => void) | undefined;
  #receiver: StreamReceiver;
  #queue = new WriteQueue();
  #flow = new FlowControl();

  #closing = false;
  #lost = false;
  /** How many bytes were accepted that will never be written. */
  #dropped = 0;
  #eofWritten = false;
  #eofSent = false;
  #resuming = false;
  /** A write is in the handle's hands. */
  #writing = false;
  #flushScheduled = false;
  #closeTimer: ReturnType<typeof setTimeout> | undefined;
  #drainWaiter: { level: number; resolve(): void; reject(error: DrainInterrupted): void } | null = null;

  // Bound once for each transport, so that a write makes no closure.
  #onWritten: (count: number) => void = (count) => this.#written(count);
  #onWriteFailed: (error: unknown) => void = (error) => {
    this.#writing = false;
    this.#queue.settle();
    this.fail(toError(error));
  };
  #onFlushDue: () => void = () => {
    this.#flushScheduled = false;
    this.#flush();
  };

  constructor(loop: LoopContext, handle: StreamHandle, protocol: StreamCallbacks, options: StreamTransportOptions) {
    this.#loop = loop;
    this.#handle = handle;
    this.#extra = options.extra;
    this.#closeTimeout = options.closeTimeout;
    this.#onLost = options.onLost;
    this.#receiver = new StreamReceiver(loop, this, protocol);
    if (loop.debug) loop.watch(this);
  }

  /** Tells the protocol that the connection is made. Called once, by the loop, before {@linkcode startReading}. */
  connected(): void {
    callProtocol(this.#loop, this, this.#receiver.protocol, "connectionMade", this);
  }

  /** Starts to read, unless the protocol has paused or closed meanwhile. Called once, by the loop. */
  startReading(): void {
    if (this.#handle.readable && this.isReading()) this.#handle.readStart(this.#receiver);
  }

  /**
   * Waits for the buffer to drain. One caller at a time.
   *
   * @param level Until no more than this many bytes wait.
   * @returns A promise that rejects with a {@linkcode DrainInterrupted} if the bytes cannot leave any more.
   */
  drained(level: number): Promise<void> {
    if (this.#lost) return Promise.reject(new DrainInterrupted(this.#dropped, null));
    if (this.#queue.size <= level) return Promise.resolve();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#drainWaiter = { level, resolve, reject };
    return promise;
  }

  /**
   * Tells whether bytes given now would be sent.
   *
   * @param method Who asks, for the message.
   * @returns `false` where they would be dropped.
   * @throws {InvalidStateError} After `writeEof()`.
   */
  acceptsWrites(method: string): boolean {
    if (this.#eofWritten) throw new InvalidStateError(`${method} cannot be called after writeEof()`);
    return !this.#closing && this.#handle.writable;
  }

  getExtraInfo<K extends keyof StreamExtraInfo, D = null>(name: K, defaultValue?: D): StreamExtraInfo[K] | D;
  getExtraInfo(name: string, defaultValue: unknown = null): unknown {
    return lookUpExtraInfo(this.#extra, name, defaultValue);
  }

  setProtocol(protocol: StreamCallbacks): void {
    checkProtocol(protocol, "setProtocol(): protocol");
    this.#receiver.protocol = protocol;
  }

  getProtocol(): StreamCallbacks {
    return this.#receiver.protocol;
  }

  isClosing(): boolean {
    return this.#closing;
  }

  close(): void {
    if (this.#closing) return;
    this.#beginClosing();
    if (this.#queue.size === 0) {
      this.#scheduleLost(null);
    } else if (this.#closeTimeout !== undefined) {
      this.#closeTimer = setTimeout(() => this.#closeTimedOut(), this.#closeTimeout);
    }
  }

  abort(): void {
    this.#forceClose(null);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  isReading(): boolean {
    return !this.#closing && !this.#receiver.paused;
  }

  pauseReading(): void {
    if (this.#closing || this.#receiver.paused) return;
    this.#receiver.paused = true;
    this.#handle.readStop();
  }

  resumeReading(): void {
    if (this.#closing || !this.#receiver.paused) return;
    this.#receiver.paused = false;
    if (this.#resuming) return;
    // In a turn of its own, so that no callback runs inside resumeReading().
    this.#resuming = true;
    this.#loop.callSoon(() => this.#resume());
  }

  write(data: Uint8Array): void {
    checkBytes(data, "write(): data");
    if (!this.acceptsWrites("write()") || data.length === 0) return;
    this.#queue.pushCopy(data);
    this.#afterPush();
  }

  writeOwned(data: Uint8Array): void {
    checkBytes(data, "writeOwned(): data");
    if (!this.acceptsWrites("writeOwned()") || data.length === 0) return;
    this.#queue.pushOwned(data);
    this.#afterPush();
  }

  writelines(pieces: Iterable<Uint8Array>): void {
    if (typeof pieces?.[Symbol.iterator] !== "function") {
      throw new TypeError(`writelines(): pieces must be iterable, got ${describe(pieces)}`);
    }
    const list = [...pieces];
    for (let i = 0; i < list.length; i++) checkBytes(list[i], `writelines(): pieces[${i}]`);
    if (!this.acceptsWrites("writelines()")) return;
    const before = this.#queue.size;
    for (const piece of list) if (piece.length > 0) this.#queue.pushCopy(piece);
    if (this.#queue.size > before) this.#afterPush();
  }

  writeEof(): void {
    if (this.#closing || this.#eofWritten) return;
    if (!this.#handle.writable) return;
    this.#eofWritten = true;
    if (!this.#handle.readable) this.close();
    else if (this.#queue.size === 0) this.#sendEof();
  }

  canWriteEof(): boolean {
    return this.#handle.writable;
  }

  getWriteBufferSize(): number {
    return this.#queue.size;
  }

  getWriteBufferLimits(): [low: number, high: number] {
    return this.#flow.limits;
  }

  setWriteBufferLimits(limits: WriteBufferLimits = {}): void {
    this.#flow.setLimits(limits);
    this.#pauseIfFull();
  }

  #afterPush(): void {
    if (!this.#writing && !this.#flushScheduled && !this.#receiver.dispatching) {
      this.#flushScheduled = true;
      queueMicrotask(this.#onFlushDue);
    }
    this.#pauseIfFull();
  }

  #pauseIfFull(): void {
    if (this.#flow.mustPause(this.#queue.size)) {
      callProtocol(this.#loop, this, this.#receiver.protocol, "pauseWriting");
    }
  }

  afterCallback(): void {
    this.#flush();
  }

  readLater(): void {
    this.#handle.readStop();
  }

  #flush(): void {
    if (this.#writing || this.#lost) return;
    while (this.#queue.size > 0) {
      let result: number | Promise<number>;
      try {
        result = this.#handle.write(this.#queue.next());
      } catch (error) {
        this.fail(toError(error)); // An owned array that its former owner has detached, say.
        return;
      }
      if (typeof result !== "number") {
        this.#writing = true;
        result.then(this.#onWritten, this.#onWriteFailed);
        return;
      }
      if (!this.#taken(result)) return;
    }
    this.#afterDrain();
  }

  /** Takes note of bytes that have left; none at all would come back for ever. */
  #taken(count: number): boolean {
    if (count > 0) this.#queue.advance(count);
    else this.fail(new Deno.errors.WriteZero("a write took no bytes"));
    return count > 0;
  }

  #written(count: number): void {
    this.#writing = false;
    if (this.#lost) {
      this.#queue.settle();
      return;
    }
    if (!this.#taken(count)) return;
    if (this.#queue.size > 0) this.#flush();
    this.#afterDrain();
  }

  /** Does what waits for the buffer to shrink. */
  #afterDrain(): void {
    const size = this.#queue.size;
    if (this.#drainWaiter !== null && size <= this.#drainWaiter.level) {
      this.#drainWaiter.resolve();
      this.#drainWaiter = null;
    }
    if (this.#flow.mustResume(size)) {
      callProtocol(this.#loop, this, this.#receiver.protocol, "resumeWriting");
    }
    // Asked anew, for resumeWriting() may have written.
    if (this.#queue.size > 0) return;
    if (this.#closing) this.#scheduleLost(null);
    else if (this.#eofWritten) this.#sendEof();
  }

  #sendEof(): void {
    if (this.#eofSent) return;
    this.#eofSent = true;
    this.#handle.closeWrite().catch((error: unknown) => this.fail(toError(error)));
  }

  #resume(): void {
    this.#resuming = false;
    this.readAgain();
  }

  readAgain(): void {
    if (this.isReading() && this.#receiver.release()) this.#handle.readStart(this.#receiver);
  }

  readEnded(): void {
    const protocol = this.#receiver.protocol;
    let keepOpen: unknown = false;
    const startedAt = this.#loop.debug ? performance.now() : 0;
    this.#receiver.dispatching = true;
    try {
      keepOpen = protocol.eofReceived?.();
      if (keepOpen instanceof Promise) {
        // An async callback by mistake: no answer in time, and none that would keep a connection open for ever.
        adoptPromise(this.#loop, keepOpen, "eofReceived", this, protocol);
        keepOpen = false;
      }
    } catch (error) {
      this.callbackFailed("eofReceived", toError(error));
    }
    this.#receiver.dispatching = false;
    if (startedAt !== 0) {
      this.#loop.reportIfSlow("protocol.eofReceived()", startedAt, { transport: this, protocol });
    }
    this.#flush();
    if (!keepOpen || !this.#handle.writable) this.close();
  }

  /** An exception in a callback that the transport cannot do without. */
  callbackFailed(callback: string, error: Error): void {
    const protocol = this.#receiver.protocol;
    const message = `Fatal error: protocol.${callback}() call failed.`;
    this.#loop.report({ message, error, transport: this, protocol });
    // What the callback wrote before it threw would have left already if writes were not joined.
    this.#flush();
    this.#forceClose(error);
  }

  /** The operating system's word that the connection is gone: no fault of the program, so no report. */
  fail(error: Error): void {
    this.#forceClose(error);
  }

  #closeTimedOut(): void {
    const message = `closeTimeout: ${this.#queue.size} bytes were not taken within ${this.#closeTimeout} ms`;
    this.#forceClose(new TimeoutError(message));
  }

  #forceClose(error: Error | null): void {
    if (this.#lost) return;
    if (!this.#closing) this.#beginClosing();
    this.#drainWaiter?.reject(new DrainInterrupted(this.#queue.size, error));
    this.#drainWaiter = null;
    this.#dropped = this.#queue.size;
    this.#queue.clear(this.#writing);
    this.#scheduleLost(error);
  }

  #beginClosing(): void {
    this.#closing = true;
    this.#receiver.stop();
    this.#handle.readStop();
  }

  #scheduleLost(error: Error | null): void {
    if (this.#lost) return;
    this.#lost = true;
    clearTimeout(this.#closeTimer);
    this.#loop.callSoon(() => this.#finish(error));
  }

  #finish(error: Error | null): void {
    callProtocol(this.#loop, this, this.#receiver.protocol, "connectionLost", error);
    this.#handle.close(this.#dropped > 0);
    this.#loop.unwatch(this);
    this.#onLost?.();
  }
}
