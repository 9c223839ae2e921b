/**
 * A handle that encrypts what another handle moves: a socket, or TLS again.
 *
 * @module
 */
import { TimeoutError, toError } from "../errors.ts";
import { setImmediate } from "node:timers";
import { MAX_BUFFER } from "../memory/buffer_pool.ts";
import type { ReadMemory } from "../memory/read_memory.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import type { StreamHandle, StreamSink } from "../transports/stream_handle.ts";
import type { TlsEngine, TlsEngineSink, TlsSession } from "../transports/tls_provider.ts";

/** From this many bytes on, ciphertext that has been sent is freed by hand. */
const LARGE = 8 * 1024;

/** How long an alert may take to leave, in milliseconds, before the connection is closed without. */
const ALERT_TIMEOUT = 1000;

/**
 * Makes the error of a handshake that takes too long.
 *
 * @param ms How long it may take, in milliseconds.
 * @returns The error.
 */
export function handshakeTimedOut(ms: number): TimeoutError {
  return new TimeoutError(`handshakeTimeout: the TLS handshake was not done within ${ms} ms`);
}

/** A stream handle over another one, with a TLS engine between. */
export class TlsHandle implements StreamHandle {
  readonly readable = true;
  readonly writable = true;
  readonly halfCloses = false;
  readonly shutdownTimeout: number;

  #loop: LoopContext;
  #lower: StreamHandle;
  #engine: TlsEngine;
  /** What ciphertext is read into. */
  #memory: Uint8Array | null = null;

  /** Ciphertext on its way to the lower handle, and whether that is at work. */
  #outbox: Uint8Array[] = [];
  #busy = false;
  #sending: Promise<void> = Promise.resolve();
  #sendError: Error | null = null;

  #sink: StreamSink | null = null;
  #wanted = false;
  /** Cleartext that is not wanted yet; behind it comes the end, or the error, which is told once. */
  #inbox: Uint8Array[] = [];
  #ended = false;
  #error: Error | null = null;
  #told = false;

  #handshake: PromiseWithResolvers<void> | null = Promise.withResolvers<void>();
  /** The engine waits for `sni`. */
  #choosing = false;
  /** Set by `discard()`: what comes is dropped. */
  #discarding = false;
  /** Set by `shutdown()`. Settled when the other side has answered, or cannot. */
  #farewell: PromiseWithResolvers<void> | null = null;
  /** The engine is at work on what was received; what it tells comes behind the cleartext that it returns. */
  #receiving = false;
  #closed = false;

  /**
   * @param loop The loop.
   * @param lower What moves the bytes. Nobody else uses it from now on.
   * @param makeEngine Makes the engine that delivers to the sink it is given.
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
      ciphertext: (data) => {
        this.#outbox.push(data);
        if (!this.#busy) this.#sending = this.#send(null).then(() => {}, () => {});
      },
      cleartext: (data) => this.#take(data),
      ended: () => {
        this.#ended = true;
        this.#farewell?.resolve();
        if (!this.#receiving) this.#deliverEnd();
      },
      choosing: (pending) => {
        this.#choosing = pending;
        if (pending) this.#lower.readStop();
        else if (this.#handshake !== null) this.#lower.readStart(this.lowerSink);
      },
      ready: () => this.#handshake?.resolve(),
      failed: (error) => this.#fail(error),
    });
    // close() may come before anything waits for it.
    this.#handshake!.promise.catch(() => {});
    this.#engine.start();
  }

  /** Where the lower handle delivers, and what somebody else has read from it before belongs. */
  readonly lowerSink: StreamSink = {
    allocate: () => this.#memory = this.#lower.memory.take(),
    filled: (count) => {
      const memory = this.#memory!;
      this.#lower.memory.fit(memory.length, count);
      this.#receive(memory.subarray(0, count));
    },
    chunk: (data) => this.#receive(data),
    end: () => {
      const when = this.#handshake === null ? "without close_notify: bytes may be missing" : "during the handshake";
      this.#lowerFailed(new Deno.errors.UnexpectedEof(`TLS: the other side closed the connection ${when}`));
    },
    failed: (error) => this.#lowerFailed(error),
  };

  /** What the engine works with. */
  get sslObject(): object {
    return this.#engine.sslObject;
  }

  /**
   * Does the handshake. What arrives behind it is kept until it is read.
   *
   * @param timeout How long it may take, in milliseconds.
   * @param limit The same as it was asked for, for the message.
   * @returns What was agreed upon. If it rejects, only `close()` is left to do.
   */
  async handshake(timeout: number, limit: number = timeout): Promise<TlsSession> {
    const { promise, reject } = this.#handshake!;
    const timer = this.#loop.callLater(timeout, () => reject(handshakeTimedOut(limit)));
    try {
      // The ClientHello may have come before, and the engine wait for sni already.
      if (!this.#choosing) this.#lower.readStart(this.lowerSink);
      await promise;
      return this.#engine.session();
    } catch (error) {
      // An alert tells the other side why, unless it does not even take that.
      const late = this.#loop.callLater(ALERT_TIMEOUT, () => this.#lower.close(true));
      await this.#sending;
      late.cancel();
      throw error;
    } finally {
      timer.cancel();
      this.#handshake = null;
      this.#lower.memory.reset(); // What comes now says nothing of the handshake, nor that of it.
      this.#lower.readStop();
    }
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

  write(data: Uint8Array): Promise<number> {
    if (this.#busy) return this.#sending.then(() => this.write(data));
    // The rest comes again, when this has left: so the buffer's size tells how much still waits.
    return this.#send(data.length > MAX_BUFFER ? data.subarray(0, MAX_BUFFER) : data);
  }

  /** Cleartext comes in memory of its own. */
  get memory(): ReadMemory {
    return this.#lower.memory;
  }

  ref(): void {
    this.#lower.ref?.();
  }

  unref(): void {
    this.#lower.unref?.();
  }

  closeWrite(): Promise<void> {
    return Promise.reject(new Deno.errors.NotSupported("TLS cannot end one direction alone"));
  }

  discard(): void {
    this.#wanted = false;
    this.#discarding = true;
    this.#inbox = [];
    if (this.#handshake === null && !this.#isOver()) this.#lower.readStart(this.lowerSink);
  }

  /** Sends close_notify, and waits for the other side's. */
  async shutdown(): Promise<void> {
    if (this.#handshake !== null) return;
    const { promise, resolve } = this.#farewell = Promise.withResolvers<void>();
    this.discard();
    if (this.#error === null) await this.#engine.closeNotify();
    this.#sending.then(() => {
      if (this.#isOver()) resolve();
    });
    await promise;
    await this.#lower.shutdown?.();
  }

  close(dropped: boolean): void {
    this.#closed = true;
    this.#wanted = false;
    this.#inbox = [];
    this.#outbox = [];
    this.#fail(new Deno.errors.ConnectionAborted("TLS: the connection was closed"));
    this.#engine.destroy();
    this.#lower.close(dropped);
  }

  #isOver(): boolean {
    return this.#ended || this.#error !== null || this.#sendError !== null;
  }

  #receive(ciphertext: Uint8Array): void {
    this.#receiving = true;
    const cleartext = this.#engine.decrypt(ciphertext);
    this.#receiving = false;
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
    } else if (!this.#told) {
      this.#told = true;
      if (this.#ended) this.#sink!.end();
      else this.#sink!.failed(this.#error!);
    }
  }

  #lowerFailed(error: Error): void {
    // The engine may tell of an alert, of close_notify and of the bytes before it some ticks late.
    setImmediate(() => this.#fail(error));
  }

  #fail(error: Error): void {
    // What follows a close_notify cannot do harm any more, and the first error is the cause of the others.
    if (this.#ended || this.#error !== null) return;
    this.#error = error;
    this.#handshake?.reject(error);
    this.#farewell?.resolve();
    if (this.#wanted) this.#deliver();
  }

  /**
   * Sends what is in the outbox, and behind it what it is given. One at a time; a second promise for each write would
   * cost 2 %.
   *
   * @param data Cleartext, or `null`.
   * @returns How much of the cleartext was taken: all.
   */
  async #send(data: Uint8Array | null): Promise<number> {
    this.#busy = true;
    try {
      if (this.#closed) throw new Deno.errors.ConnectionAborted("TLS: the connection was closed");
      if (data !== null) {
        const ciphertext = this.#engine.encrypt(data);
        if (ciphertext instanceof Uint8Array) this.#outbox.push(ciphertext);
        else await ciphertext; // It is in the outbox.
      }
      while (this.#outbox.length > 0) {
        const piece = this.#outbox.shift()!;
        for (let start = 0; start < piece.length;) {
          const taken = this.#lower.write(start === 0 ? piece : piece.subarray(start));
          const count = typeof taken === "number" ? taken : await taken;
          if (count === 0) throw new Deno.errors.WriteZero("a write took no bytes");
          start += count;
        }
        // Left to the garbage collector, such memory comes back 64 MB later, and cold: an echo of 16 KiB is a tenth
        // faster for this, one of 100 KiB a third.
        if (piece.length >= LARGE) (piece.buffer as ArrayBuffer).transfer(0);
      }
    } catch (error) {
      this.#sendError = toError(error);
      this.#outbox = [];
    }
    this.#busy = false;
    if (this.#sendError !== null) throw this.#sendError;
    return data === null ? 0 : data.length;
  }
}
