import { checkTime } from "../checks.ts";
import type { ExceptionContext, Handle, TimerHandle } from "../transports/loop_context.ts";
import type { ExceptionHandler } from "./exceptions.ts";
import type { LoopInfo } from "../transports/inspection.ts";
import type { FileDescriptor } from "../transports/watcher.ts";
import type { LoopCore } from "./loop_core.ts";
import { Signals } from "./signals.ts";
import { addWatch, removeWatch } from "./watch.ts";

/**
 * The part of {@linkcode EventLoop} that runs callbacks and timers, and handles signals and exceptions.
 *
 * A callback runs in the `AsyncLocalStorage` context of the code that scheduled it. Its exception, or the rejection of a
 * promise that it returns, goes to the exception handler.
 *
 * @example Usage
 * ```ts
 * import { getRunningLoop } from "@tandem/io";
 *
 * const loop = getRunningLoop();
 * loop.callSoon(console.log, "in the next turn");
 * loop.callLater(1000, console.log, "a second later");
 * const timer = loop.callAt(loop.time() + 250, console.log, "never");
 * timer.cancel();
 * loop.addSignalHandler("SIGINT", () => Deno.exit(130));
 * loop.setDebug(true);
 * loop.slowCallbackDuration = 20;
 * loop.setExceptionHandler((context) => {
 *   if (context.transport === undefined) loop.defaultExceptionHandler(context);
 * });
 * ```
 */
export class BaseEventLoop {
  #core: LoopCore;
  #signals: Signals;

  /** Called by {@linkcode EventLoop}. */
  constructor(core: LoopCore) {
    this.#core = core;
    this.#signals = new Signals(core);
  }

  /**
   * Runs a callback in the next turn of the loop, after those scheduled before.
   *
   * @typeParam A The types of the arguments.
   * @param callback The callback.
   * @param args Its arguments.
   * @returns A handle that can cancel the callback.
   * @throws {TypeError} If `callback` is not a function.
   */
  callSoon<A extends unknown[]>(callback: (...args: A) => unknown, ...args: A): Handle {
    return this.#core.scheduler.callSoon(callback, args);
  }

  /**
   * Runs a callback after a delay, never early.
   *
   * @typeParam A The types of the arguments.
   * @param delayMs The delay, in milliseconds. With zero or less, the callback runs soon, but not in the next turn.
   * @param callback The callback.
   * @param args Its arguments.
   * @returns A handle that can cancel the callback.
   * @throws {TypeError} If `callback` is not a function, or `delayMs` not a number.
   * @throws {RangeError} If `delayMs` is not finite.
   */
  callLater<A extends unknown[]>(delayMs: number, callback: (...args: A) => unknown, ...args: A): TimerHandle {
    checkTime("callLater()", "delayMs", delayMs);
    return this.#core.scheduler.callAt(this.time() + delayMs, callback, args, "callLater()");
  }

  /**
   * Runs a callback at a time of the loop's clock, never early. Callbacks for the same time run in the order of the calls.
   *
   * @typeParam A The types of the arguments.
   * @param whenMs The time, in milliseconds of {@linkcode time}.
   * @param callback The callback.
   * @param args Its arguments.
   * @returns A handle that can cancel the callback.
   * @throws {TypeError} If `callback` is not a function, or `whenMs` not a number.
   * @throws {RangeError} If `whenMs` is not finite.
   */
  callAt<A extends unknown[]>(whenMs: number, callback: (...args: A) => unknown, ...args: A): TimerHandle {
    checkTime("callAt()", "whenMs", whenMs);
    return this.#core.scheduler.callAt(whenMs, callback, args, "callAt()");
  }

  /** Returns the time of the loop's clock: milliseconds since a fixed moment. The clock never goes back. */
  time(): number {
    return this.#core.scheduler.time();
  }

  /**
   * Creates a promise with its resolve functions, as `Promise.withResolvers()` does.
   *
   * @typeParam T The type of the value.
   * @returns The promise and the functions that settle it.
   */
  createFuture<T>(): PromiseWithResolvers<T> {
    return Promise.withResolvers<T>();
  }

  /**
   * Runs a callback, in a turn of the loop, each time a signal arrives. Replaces the signal's earlier callback.
   *
   * @typeParam A The types of the arguments.
   * @param signal The signal's name.
   * @param callback The callback.
   * @param args Its arguments.
   * @throws {TypeError} If `callback` is not a function, or the system does not know the signal or cannot handle it.
   */
  addSignalHandler<A extends unknown[]>(signal: Deno.Signal, callback: (...args: A) => void, ...args: A): void {
    this.#signals.add(signal, callback, args);
  }

  /** Removes a signal's callback, and reports whether there was one. */
  removeSignalHandler(signal: Deno.Signal): boolean {
    return this.#signals.remove(signal);
  }

  /**
   * Runs a callback in each turn of the loop in which a file descriptor can be read, until {@linkcode removeReader}. Replaces
   * the descriptor's earlier reader. A descriptor that has reached its end, or has failed, can be read, too.
   *
   * The callback must read, or it is called again in the next turn. The descriptor remains yours: remove its callbacks
   * before you close it. Until then, it keeps the process alive. Requires the epoll engine.
   *
   * @typeParam A The types of the arguments.
   * @param fd The descriptor of a socket, a pipe, a terminal, an eventfd or the like, or an object with it as its `fd`.
   * @param callback The callback.
   * @param args Its arguments.
   * @throws {Deno.errors.NotSupported} If the engine has no descriptors, as the default one.
   * @throws {TypeError} If `fd` is not a descriptor, or `callback` not a function.
   * @throws {Deno.errors.BadResource} If the descriptor is not open.
   * @throws {Deno.errors.PermissionDenied} If the descriptor is a regular file or a folder.
   * @throws {InvalidStateError} If a transport uses the descriptor.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   * import { install } from "@tandem/io/epoll";
   *
   * install();
   * const loop = getRunningLoop();
   * const buffer = new Uint8Array(1024);
   * loop.addReader(0, () => {
   *   const count = Deno.stdin.readSync(buffer);
   *   if (count === null) loop.removeReader(0);
   *   else console.log("read", count, "bytes");
   * });
   * ```
   */
  addReader<A extends unknown[]>(fd: FileDescriptor, callback: (...args: A) => unknown, ...args: A): void {
    addWatch(this.#core, "read", fd, callback, args);
  }

  /** Removes the reader of a file descriptor, and reports whether there was one. Throws as {@linkcode addReader} does. */
  removeReader(fd: FileDescriptor): boolean {
    return removeWatch(this.#core, "read", fd);
  }

  /**
   * Runs a callback in each turn of the loop in which a file descriptor can be written, until {@linkcode removeWriter}.
   * Otherwise as {@linkcode addReader}; a descriptor can have a reader and a writer.
   *
   * @typeParam A The types of the arguments.
   * @param fd The descriptor, or an object with it as its `fd`.
   * @param callback The callback.
   * @param args Its arguments.
   */
  addWriter<A extends unknown[]>(fd: FileDescriptor, callback: (...args: A) => unknown, ...args: A): void {
    addWatch(this.#core, "write", fd, callback, args);
  }

  /** Removes the writer of a file descriptor, and reports whether there was one. Throws as {@linkcode addReader} does. */
  removeWriter(fd: FileDescriptor): boolean {
    return removeWatch(this.#core, "write", fd);
  }

  /**
   * Sets the function that is called with exceptions of callbacks and other errors that no promise reports.
   *
   * @param handler The function, or `null` for {@linkcode defaultExceptionHandler}.
   * @throws {TypeError} If `handler` is neither a function nor `null`.
   */
  setExceptionHandler(handler: ExceptionHandler | null): void {
    this.#core.exceptions.setHandler(handler);
  }

  /**
   * Describes every transport and every server of this loop: peer, protocol, age, idle time, bytes each way, buffer, and what
   * pauses it. A transport that nothing holds any more may be missing.
   *
   * @returns Plain objects, which `JSON.stringify` takes.
   *
   * @example Print the connections at SIGUSR1
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * const loop = getRunningLoop();
   * loop.addSignalHandler("SIGUSR1", () => console.table(loop.inspect().transports));
   * ```
   */
  inspect(): LoopInfo {
    return this.#core.roster.inspect(this.time());
  }

  /** Returns the exception handler, or `null` for {@linkcode defaultExceptionHandler}. */
  getExceptionHandler(): ExceptionHandler | null {
    return this.#core.exceptions.handler;
  }

  /** Calls the exception handler. Never throws. */
  callExceptionHandler(context: ExceptionContext): void {
    this.#core.exceptions.report(context);
  }

  /** Prints a context to standard error. Never throws. */
  defaultExceptionHandler(context: ExceptionContext): void {
    this.#core.exceptions.reportByDefault(context);
  }

  /**
   * Turns debug mode on or off. In debug mode the exception handler is called for callbacks that take longer than
   * {@linkcode slowCallbackDuration}, for transports created from now on that are never closed, and for protocols with
   * suspicious callbacks.
   */
  setDebug(on: boolean): void {
    this.#core.exceptions.debug = on;
  }

  /** Reports whether debug mode is on. */
  getDebug(): boolean {
    return this.#core.exceptions.debug;
  }

  /** The time, in milliseconds, after which debug mode reports a callback as slow. By default 100, as in asyncio. */
  get slowCallbackDuration(): number {
    return this.#core.exceptions.slowCallbackDuration;
  }

  set slowCallbackDuration(ms: number) {
    checkTime("slowCallbackDuration", "its value", ms);
    this.#core.exceptions.slowCallbackDuration = ms;
  }
}
