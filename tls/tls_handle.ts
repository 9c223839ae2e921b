/** A handle that encrypts what another handle moves: a socket, or TLS again. */
import { setImmediate } from "node:timers";
import { TimeoutError, toError } from "../errors.ts";
import { MAX_BUFFER } from "../memory/buffer_pool.ts";
import type { ReadMemory } from "../memory/read_memory.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import type { StreamHandle, StreamSink } from "../transports/stream_handle.ts";
import type { TlsEngine, TlsEngineSink, TlsSession } from "../transports/tls_provider.ts";
import { TlsError } from "./tls_error.ts";

/** The memory of ciphertext is freed once it has been written, if the piece has at least this many bytes. */
const LARGE = 8 * 1024;

/** How many pieces of what the engine sends by itself wait for a peer that does not read: answers to messages of TLS. */
const MAX_WAITING = 1024;

/** How long the write of an alert may take, in milliseconds, before the connection is closed without it. */
const ALERT_TIMEOUT = 1000;

/** Makes the error of a handshake that takes too long. `ms`: how long it may take, in milliseconds. */
export function handshakeTimedOut(ms: number): TimeoutError {
  return new TimeoutError(`handshakeTimeout: the TLS handshake did not complete within ${ms} ms`);
}

/** A stream handle over another one, with a TLS engine between them. */
export class TlsHandle implements StreamHandle {
  readonly readable = true;
  readonly writable = true;
  readonly halfCloses = false;
  readonly shutdownTimeout: number;
  /** The number of bytes of ciphertext that the lower handle has taken. */
  progress = 0;

  #loop: LoopContext;
  #lower: StreamHandle;
  #engine: TlsEngine;
  /** The memory that ciphertext is read into. */
  #memory: Uint8Array | null = null;

  /** Ciphertext that is not written yet, and how many bytes of the first piece are. */
  #outbox: Uint8Array[] = [];
  #written = 0;
  /** The engine encrypts, or the lower handle writes. */
  #sending = false;
  /** Settled when nothing is being sent. Made only if something waits for it. */
  #sent: PromiseWithResolvers<void> | null = null;
  #sendError: Error | null = null;
  /** How much cleartext the last `write()` has taken. */
  #accepted = 0;
  /** Rejects the `write()` that waits for the engine. */
  #rejectWrite: ((error: Error) => void) | null = null;

  #sink: StreamSink | null = null;
  #wanted = false;
  /** Cleartext that is not wanted yet. Behind it comes the end or the error, which is delivered once. */
  #inbox: Uint8Array[] = [];
  #ended = false;
  #error: Error | null = null;
  #endDelivered = false;

  #handshake: PromiseWithResolvers<void> | null = Promise.withResolvers<void>();
  /** The engine waits for `sni`. */
  #choosing = false;
  /** Set by `discard()`: cleartext is dropped. */
  #discarding = false;
  /** Made by `shutdown()`. Settled when the peer has sent close_notify, or cannot. */
  #peerEnded: PromiseWithResolvers<void> | null = null;
  /** The engine decrypts. What it reports meanwhile comes after the cleartext that it returns. */
  #decrypting = false;
  #closed = false;

  /**
   * @param loop The loop.
   * @param lower The handle below, which this one owns from now on.
   * @param makeEngine Makes the engine, which delivers to the sink that it is given.
   * @param shutdownTimeout How long closing may take, in milliseconds.
   */
  constructor(
    loop: LoopContext,
    lower: StreamHandle,
    makeEngine: (sink: TlsEngineSink) => TlsEngine,
    shutdownTimeout: number,
  ) {
    this.#loop = loop;
    this.#lower = lower;
    this.shutdownTimeout = shutdownTimeout;
    this.#engine = makeEngine({
      ciphertext: (data) => this.#sendOwn(data),
      cleartext: (data) => this.#take(data),
      ended: () => {
        this.#ended = true;
        this.#peerEnded?.resolve();
        if (!this.#decrypting) this.#deliverEnd();
      },
      choosing: (pending) => {
        this.#choosing = pending;
        if (pending) this.#lower.readStop();
        else if (this.#handshake !== null) this.#lower.readStart(this.lowerSink);
      },
      ready: () => this.#handshake?.resolve(),
      failed: (error) => this.#fail(error),
      report: (message, error) => loop.report({ message, error }),
    });
    // close() may come before anything waits for the handshake.
    this.#handshake!.promise.catch(() => {});
    this.#engine.start();
  }

  /** Where the lower handle delivers. `startTls()` gives it what the transport has read before. */
  readonly lowerSink: StreamSink = {
    allocate: () => this.#memory = this.#lower.memory.take(false),
    filled: (count) => {
      const memory = this.#memory!;
      this.#lower.memory.fit(memory.length, count);
      this.#receive(memory.subarray(0, count));
    },
    chunk: (data) => this.#receive(data),
    end: () => {
      const when = this.#handshake === null ? "without close_notify; bytes may be missing" : "during the handshake";
      this.#lowerFailed(new Deno.errors.UnexpectedEof(`TLS: the peer closed the connection ${when}`));
    },
    failed: (error) => this.#lowerFailed(error),
  };

  /** What encrypts, for `getExtraInfo("sslObject")`. */
  get sslObject(): object {
    return this.#engine.sslObject;
  }

  /** The memory of the lower handle. Cleartext comes in memory of its own. */
  get memory(): ReadMemory {
    return this.#lower.memory;
  }

  /**
   * Does the handshake. Cleartext that arrives with its last message is kept until `readStart()`. `timeout`: how long
   * the handshake may take from now on, in milliseconds. `limit`: the whole time limit in milliseconds, for the
   * message.
   */
  async handshake(timeout: number, limit: number = timeout): Promise<TlsSession> {
    const { promise, reject } = this.#handshake!;
    const timer = this.#loop.callLater(timeout, () => reject(handshakeTimedOut(limit)));
    timer.unref(); // The socket keeps the process alive, unless the program has let go of it.
    try {
      // startTls() may have delivered the ClientHello before, and the engine may wait for sni.
      if (!this.#choosing) this.#lower.readStart(this.lowerSink);
      await promise;
      return this.#engine.session();
    } catch (error) {
      // The peer gets the alert, unless it does not even read that.
      const late = this.#loop.callLater(ALERT_TIMEOUT, () => this.#lower.close(true));
      await this.#whenSent();
      late.cancel();
      throw error;
    } finally {
      timer.cancel();
      this.#handshake = null;
      this.#lower.memory.reset(); // The sizes of handshake messages say nothing about later ones.
      this.#lower.readStop();
    }
  }

  /** Returns a handle that takes the place of this one, if there is a faster one. Called once, after the handshake. */
  direct(): StreamHandle | null {
    if (this.#sending || this.#closed || this.#isOver()) return null;
    return this.#engine.direct?.(this.#lower, this.#inbox, this.shutdownTimeout) ?? null;
  }

  readStart(sink: StreamSink): void {
    this.#sink = sink;
    this.#wanted = true;
    if (this.#inbox.length > 0 || this.#isOver()) queueMicrotask(() => this.#deliver());
    else this.#lower.readStart(this.lowerSink);
  }

  readStop(): void {
    this.#wanted = false;
    this.#lower.readStop();
  }

  write(data: Uint8Array): number | Promise<number> {
    // What the engine sends by itself goes first.
    if (this.#sending) return this.#whenSent().then(() => this.write(data));
    if (this.#closed) throw connectionClosed();
    if (this.#sendError !== null) throw this.#sendError;
    // The transport writes the rest when this is sent, so that its buffer size counts what waits.
    const part = data.length > MAX_BUFFER ? data.subarray(0, MAX_BUFFER) : data;
    this.#accepted = part.length;
    this.#sending = true;
    const ciphertext = this.#engine.encrypt(part);
    if (!(ciphertext instanceof Uint8Array)) return this.#sendLater(ciphertext);
    if (ciphertext.length > 0) this.#outbox.push(ciphertext);
    return this.#send();
  }

  closeWrite(): void {
    throw new Deno.errors.NotSupported("TLS cannot end one direction alone");
  }

  discard(): void {
    this.#wanted = false;
    this.#discarding = true;
    this.#inbox = [];
    if (this.#handshake === null && !this.#isOver()) this.#lower.readStart(this.lowerSink);
  }

  /** Sends close_notify after the last write, and waits for the peer's. */
  async shutdown(): Promise<void> {
    if (this.#handshake !== null) return;
    const { promise, resolve } = this.#peerEnded = Promise.withResolvers<void>();
    this.discard();
    if (this.#error === null) await this.#engine.closeNotify();
    this.#whenSent().then(() => {
      if (this.#isOver()) resolve();
    });
    await promise;
    await this.#lower.shutdown?.();
  }

  reset(): void {
    if (this.#lower.reset === undefined) {
      throw new Deno.errors.NotSupported("abort(): reset is not supported under this TLS");
    }
    this.#lower.reset();
  }

  ref(): void {
    this.#lower.ref?.();
  }

  unref(): void {
    this.#lower.unref?.();
  }

  close(dropped: boolean): void {
    this.#closed = true;
    this.#wanted = false;
    this.#inbox = [];
    this.#outbox = [];
    this.#fail(connectionClosed());
    this.#rejectWrite?.(connectionClosed());
    this.#engine.destroy();
    this.#lower.close(dropped);
  }

  #isOver(): boolean {
    return this.#ended || this.#error !== null || this.#sendError !== null;
  }

  #receive(ciphertext: Uint8Array): void {
    this.#decrypting = true;
    const cleartext = this.#engine.decrypt(ciphertext);
    this.#decrypting = false;
    if (cleartext !== null) this.#take(cleartext);
    this.#deliverEnd();
  }

  #take(cleartext: Uint8Array): void {
    if (this.#discarding) return;
    if (this.#wanted && this.#inbox.length === 0) this.#sink!.chunk(cleartext);
    else this.#inbox.push(cleartext);
  }

  #deliverEnd(): void {
    if (this.#wanted && this.#isOver()) this.#deliver();
  }

  #deliver(): void {
    while (this.#wanted && this.#inbox.length > 0) this.#sink!.chunk(this.#inbox.shift()!);
    if (!this.#wanted) return;
    if (!this.#ended && this.#error === null) {
      this.#lower.readStart(this.lowerSink);
    } else if (!this.#endDelivered) {
      this.#endDelivered = true;
      if (this.#ended) this.#sink!.end();
      else this.#sink!.failed(this.#error!);
    }
  }

  #lowerFailed(error: Error): void {
    // An engine may report an alert or close_notify, and deliver the bytes before it, some ticks late.
    setImmediate(() => this.#fail(error));
  }

  #fail(error: Error): void {
    // After close_notify an error does no harm. After an error, others are its consequences.
    if (this.#ended || this.#error !== null) return;
    this.#error = error;
    this.#handshake?.reject(error);
    this.#peerEnded?.resolve();
    if (this.#wanted) this.#deliver();
  }

  /** Sends what the engine sends by itself: messages of the handshake, an alert, close_notify. */
  #sendOwn(ciphertext: Uint8Array): void {
    if (ciphertext.length === 0 || this.#sendError !== null || this.#closed) return;
    if (this.#outbox.length >= MAX_WAITING) {
      this.#fail(new TlsError("FAILED", "TLS: the peer does not read the answers to its messages"));
      return;
    }
    this.#outbox.push(ciphertext);
    if (this.#sending) return;
    try {
      const result = this.#send();
      if (typeof result !== "number") result.catch(() => {});
    } catch {
      // `#sendError` has it.
    }
  }

  /** Sends what the engine delivers until the promise resolves. */
  #sendLater(encrypted: Promise<void>): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#rejectWrite = reject;
    encrypted.then(() => this.#send()).then(resolve, reject);
    return promise;
  }

  /** Writes the outbox. Makes no promise if the lower handle makes none, and one if that makes one. */
  #send(): number | Promise<number> {
    this.#sending = true;
    try {
      if (this.#closed) throw connectionClosed();
      for (let piece = this.#outbox[0]; piece !== undefined; piece = this.#outbox[0]) {
        const taken = this.#lower.write(this.#written === 0 ? piece : piece.subarray(this.#written));
        if (typeof taken !== "number") return taken.then(this.#onTaken, this.#onFailed);
        this.#advance(taken);
      }
    } catch (error) {
      this.#onFailed(error);
    }
    this.#settle();
    return this.#accepted;
  }

  // Bound once for each connection, so that a write makes no closure.
  #onTaken = (count: number): number | Promise<number> => {
    try {
      this.#advance(count);
    } catch (error) {
      this.#onFailed(error);
    }
    return this.#send();
  };

  #onFailed = (error: unknown): never => {
    this.#sendError ??= toError(error);
    this.#outbox = [];
    this.#settle();
    throw this.#sendError;
  };

  #advance(count: number): void {
    if (count === 0) throw new Deno.errors.WriteZero("a write took no bytes");
    this.#written += count;
    this.progress += count;
    const [piece] = this.#outbox;
    if (piece === undefined || this.#written < piece.length) return;
    this.#written = 0;
    this.#outbox.shift();
    // The garbage collector would free it 64 MB later, when it is no longer in the processor's cache. This makes an echo
    // of 16 KiB a tenth faster, and one of 100 KiB a third.
    if (piece.length >= LARGE) (piece.buffer as ArrayBuffer).transfer(0);
  }

  #settle(): void {
    this.#sending = false;
    this.#sent?.resolve();
    this.#sent = null;
  }

  /** Resolves when nothing is being sent, whether that has succeeded or not. */
  #whenSent(): Promise<void> {
    if (!this.#sending) return Promise.resolve();
    this.#sent ??= Promise.withResolvers();
    return this.#sent.promise;
  }
}

function connectionClosed(): Error {
  return new Deno.errors.ConnectionAborted("TLS: the connection was closed");
}
