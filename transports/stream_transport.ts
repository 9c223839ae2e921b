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
import { checkBytes, checkProtocol } from "../checks.ts";
import { adoptPromise, callProtocol } from "./callbacks.ts";
import type { LoopContext } from "./loop_context.ts";
import { describe, InvalidStateError, TimeoutError, toError } from "../errors.ts";
import { lookUpExtraInfo } from "./extra_info.ts";
import { isPromise } from "../promises.ts";
import type { StreamHandle, StreamSink } from "./stream_handle.ts";
import { ReceiveWindow } from "../memory/receive_window.ts";
import { type SenderHost, StreamSender } from "./stream_sender.ts";
import { isBuffered, type ReceiverHost, StreamReceiver } from "./stream_receiver.ts";
import type { ExtraInfo, StreamCallbacks, StreamExtraInfo, Transport, WriteBufferLimits } from "./transport.ts";

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
  /** Who keeps count of it. */
  owner?: TransportOwner | undefined;
  /**
   * As in {@linkcode StreamHandle}, for what the handle does not know.
   *
   * @default {false}
   */
  delaysWrites?: boolean;
  /**
   * What {@linkcode isBuffered} has said of the protocol, where it has been asked.
   *
   * @default {undefined} it is asked
   */
  buffered?: boolean | undefined;
}

/** Who keeps count of transports: a server. */
export interface TransportOwner {
  /** A transport's `connectionLost` has run, and its handle is closed. */
  lost(transport: StreamTransport): void;
  /** A transport has given its connection to another one. */
  replaced(transport: StreamTransport, heir: StreamTransport): void;
}

/** A transport over a stream handle. */
export class StreamTransport implements Transport, ReceiverHost, SenderHost {
  #loop: LoopContext;
  #handle: StreamHandle;
  #extra: Partial<ExtraInfo>;
  #closeTimeout: number | undefined;
  #owner: TransportOwner | undefined;
  #receiver: StreamReceiver;
  #sender: StreamSender;

  #closing = false;
  #lost = false;
  #eofWritten = false;
  #eofSent = false;
  #shuttingDown = false;
  /** `closeWhenEmpty()` has been called. */
  #closesWhenEmpty = false;
  /** `startTls()` has begun. */
  #upgrading = false;
  /** What the protocol wants of reading, while `startTls()` has paused it. */
  #wasPaused = false;
  #resuming = false;
  #closeTimer: ReturnType<typeof setTimeout> | undefined;
  /** Who has the connection now, after `startTls()`. */
  #heir: StreamTransport | null = null;

  /** `sendfile()` is at work; nobody else may take the connection. */
  sendingFile = false;

  constructor(loop: LoopContext, handle: StreamHandle, protocol: StreamCallbacks, options: StreamTransportOptions) {
    this.#loop = loop;
    this.#handle = handle;
    this.#extra = options.extra;
    this.#closeTimeout = options.closeTimeout;
    this.#owner = options.owner;
    this.#receiver = new StreamReceiver(
      loop,
      this,
      protocol,
      new ReceiveWindow(handle.delaysWrites ?? options.delaysWrites),
      options.buffered ?? isBuffered(protocol),
    );
    this.#sender = new StreamSender(handle, this);
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
    return this.#sender.drained(level);
  }

  /**
   * Tells whether bytes given now would be sent.
   *
   * @param method Who asks, for the message.
   * @returns `false` where they would be dropped.
   * @throws {InvalidStateError} After `writeEof()`.
   */
  acceptsWrites(method: string): boolean {
    if (this.#upgrading) throw new InvalidStateError(`${method}: startTls() has taken the connection over`);
    if (this.#eofWritten) throw new InvalidStateError(`${method} cannot be called after writeEof()`);
    return !this.#closing && this.#handle.writable;
  }

  /** Whether it has a reading half. */
  get readable(): boolean {
    return this.#handle.readable;
  }

  /** Whether it has a writing half. */
  get writable(): boolean {
    return this.#handle.writable;
  }

  /**
   * Prepares for another transport to take the connection over: nothing more is delivered or accepted.
   *
   * @throws {InvalidStateError} If the transport is closing, or half closed, or being taken over already.
   * @returns Undoes it.
   */
  beginUpgrade(): () => void {
    if (this.#upgrading) throw new InvalidStateError("startTls() has taken the connection over already");
    if (this.#closing) throw new InvalidStateError("startTls(): the transport is closing");
    if (this.#eofWritten) throw new InvalidStateError("startTls(): the transport is half closed");
    if (this.sendingFile) throw new InvalidStateError("startTls() cannot be called during sendfile()");
    const paused = this.#receiver.paused;
    this.pauseReading();
    this.#wasPaused = paused;
    this.#upgrading = true;
    return () => {
      this.#upgrading = false;
      if (!this.#wasPaused) this.resumeReading();
    };
  }

  /**
   * Gives the connection away, after `beginUpgrade()`, and once the buffer has drained. This transport is dead from
   * now on; `close()` and `abort()` go to the heir.
   *
   * @param makeHeir Makes the transport that has the connection from now on, of what this one was made with, and
   * gives the sink that takes what this one's handle has read already. If it throws, the connection ends here, with
   * `connectionLost`.
   * @returns The heir.
   */
  giveUp(
    makeHeir: (handle: StreamHandle, options: StreamTransportOptions) => [StreamTransport, StreamSink],
  ): StreamTransport {
    const options = { extra: { ...this.#extra }, closeTimeout: this.#closeTimeout, owner: this.#owner };
    let heir: StreamTransport, sink: StreamSink;
    try {
      [heir, sink] = makeHeir(this.#handle, options);
    } catch (error) {
      this.#upgrading = false;
      this.#forceClose(toError(error));
      throw error;
    }
    this.#closing = this.#lost = true;
    this.#sender.stop();
    this.#loop.unwatch(this);
    this.#heir = heir;
    this.#owner?.replaced(this, heir);
    heir.#receiver.inherit(this.#receiver);
    this.#receiver.divert(sink);
    return heir;
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
    this.#heir?.close();
    if (this.#closing) return;
    this.#beginClosing();
    this.#handle.discard?.();
    const { shutdownTimeout = Infinity } = this.#handle;
    const closeTimeout = this.#closeTimeout ?? Infinity;
    const limit = Math.min(shutdownTimeout, closeTimeout);
    if (limit < Infinity) {
      const name = limit === closeTimeout ? "closeTimeout" : "shutdownTimeout";
      this.#closeTimer = setTimeout(() => this.#closeTimedOut(name, limit), limit);
    }
    if (this.#sender.size === 0) this.#finishClosing();
  }

  /** Calls `close()` once nothing waits. More may be written until a turn after that, in which async writers go on. */
  closeWhenEmpty(): void {
    this.#closesWhenEmpty = true;
    if (this.#sender.size > 0) return;
    this.#loop.callSoon(() => {
      if (this.#sender.size === 0) this.close();
    });
  }

  abort(): void {
    this.#heir?.abort();
    this.#forceClose(null);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  isReading(): boolean {
    return !this.#closing && !this.#receiver.paused;
  }

  pauseReading(): void {
    this.#wasPaused = true;
    if (this.#closing || this.#receiver.paused) return;
    this.#receiver.paused = true;
    this.#handle.readStop();
  }

  resumeReading(): void {
    this.#wasPaused = false;
    if (this.#closing || this.#upgrading || !this.#receiver.paused) return;
    this.#receiver.paused = false;
    if (this.#resuming) return;
    // In a turn of its own, so that no callback runs inside resumeReading().
    this.#resuming = true;
    this.#loop.callSoon(() => this.#resume());
  }

  write(data: Uint8Array): void {
    checkBytes(data, "write(): data");
    if (this.acceptsWrites("write()")) this.#sender.copy(data);
  }

  writeOwned(data: Uint8Array): void {
    checkBytes(data, "writeOwned(): data");
    if (this.acceptsWrites("writeOwned()")) this.#sender.own(data);
  }

  writelines(pieces: Iterable<Uint8Array>): void {
    if (typeof pieces?.[Symbol.iterator] !== "function") {
      throw new TypeError(`writelines(): pieces must be iterable, got ${describe(pieces)}`);
    }
    const list = [...pieces];
    for (let i = 0; i < list.length; i++) checkBytes(list[i], `writelines(): pieces[${i}]`);
    if (this.acceptsWrites("writelines()")) this.#sender.copyAll(list);
  }

  writeEof(): void {
    if (this.#handle.halfCloses === false) {
      throw new Deno.errors.NotSupported("writeEof(): TLS cannot end one direction alone; close() ends both");
    }
    if (this.#upgrading) throw new InvalidStateError("writeEof(): startTls() has taken the connection over");
    if (this.#closing || this.#eofWritten || !this.#handle.writable) return;
    this.#eofWritten = true;
    if (!this.#handle.readable) this.close();
    else if (this.#sender.size === 0) this.#sendEof();
  }

  canWriteEof(): boolean {
    return this.#handle.writable && this.#handle.halfCloses !== false && !this.#upgrading;
  }

  getWriteBufferSize(): number {
    return this.#sender.size;
  }

  getWriteBufferLimits(): [low: number, high: number] {
    return this.#sender.limits;
  }

  setWriteBufferLimits(limits: WriteBufferLimits = {}): void {
    this.#sender.setLimits(limits);
  }

  get dispatching(): boolean {
    return this.#receiver.dispatching;
  }

  callFlowControl(name: "pauseWriting" | "resumeWriting"): void {
    callProtocol(this.#loop, this, this.#receiver.protocol, name);
  }

  emptied(): void {
    if (this.#closing) this.#finishClosing();
    else if (this.#closesWhenEmpty) this.closeWhenEmpty();
    else if (this.#eofWritten) this.#sendEof();
  }

  afterCallback(): void {
    this.#sender.flush();
  }

  readLater(): void {
    this.#handle.readStop();
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
      if (isPromise(keepOpen)) {
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
    this.#sender.flush();
    if (!keepOpen || !this.canWriteEof()) this.close();
  }

  /** An exception in a callback that the transport cannot do without. */
  callbackFailed(callback: string, error: Error): void {
    const protocol = this.#receiver.protocol;
    const message = `Fatal error: protocol.${callback}() call failed.`;
    this.#loop.report({ message, error, transport: this, protocol });
    // What the callback wrote before it threw would have left already if writes were not joined.
    this.#sender.flush();
    this.#forceClose(error);
  }

  /** The operating system's word that the connection is gone: no fault of the program, so no report. */
  fail(error: Error): void {
    this.#forceClose(this.#handle.explain?.(error) ?? error);
  }

  #closeTimedOut(option: string, ms: number): void {
    const stuck = this.#shuttingDown
      ? "the other side did not answer close_notify"
      : `${this.#sender.size} bytes were not taken`;
    this.#forceClose(new TimeoutError(`${option}: ${stuck} within ${ms} ms`));
  }

  #forceClose(error: Error | null): void {
    if (this.#lost) return;
    if (!this.#closing) this.#beginClosing();
    this.#sender.drop(error);
    this.#scheduleLost(error);
  }

  #beginClosing(): void {
    this.#closing = true;
    this.#receiver.stop();
    this.#handle.readStop();
  }

  /** All has been written: tells the other side so where the handle can. */
  #finishClosing(): void {
    // After abort() the stream must look cut off.
    if (this.#shuttingDown || this.#lost) return;
    if (this.#handle.shutdown === undefined) {
      this.#scheduleLost(null);
      return;
    }
    this.#shuttingDown = true;
    this.#handle.shutdown().then(() => this.#scheduleLost(null), (error: unknown) => this.fail(toError(error)));
  }

  #scheduleLost(error: Error | null): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#sender.stop();
    clearTimeout(this.#closeTimer);
    this.#loop.callSoon(() => this.#finish(error));
  }

  #finish(error: Error | null): void {
    callProtocol(this.#loop, this, this.#receiver.protocol, "connectionLost", error);
    this.#handle.close(this.#sender.dropped > 0);
    this.#loop.unwatch(this);
    this.#owner?.lost(this);
  }
}
