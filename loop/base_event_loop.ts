/**
 * The half of the loop that runs callbacks: scheduling, signals, exceptions, debugging.
 *
 * @module
 */
import { checkTime } from "../checks.ts";
import type { ExceptionContext, Handle, TimerHandle } from "../transports/loop_context.ts";
import type { ExceptionHandler } from "./exceptions.ts";
import type { LoopCore } from "./loop_core.ts";
import { Signals } from "./signals.ts";

/** What {@linkcode EventLoop} does besides making pairs; it is never made alone. */
export class BaseEventLoop {
  #core: LoopCore;
  #signals: Signals;

  /**
   * Called by {@linkcode EventLoop} alone.
   *
   * @param core The inside of the loop.
   */
  constructor(core: LoopCore) {
    this.#core = core;
    this.#signals = new Signals(core);
  }

  /**
   * Runs a callback in the next turn, after those already waiting.
   *
   * @typeParam A The types of its arguments.
   * @param callback What to run. What it throws goes to the exception handler.
   * @param args With what.
   * @returns A handle to call it off.
   * @throws {TypeError} If `callback` is not a function.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * getRunningLoop().callSoon(console.log, "in a moment");
   * ```
   */
  callSoon<A extends unknown[]>(callback: (...args: A) => unknown, ...args: A): Handle {
    return this.#core.scheduler.callSoon(callback, args);
  }

  /**
   * Runs a callback after a delay.
   *
   * @typeParam A The types of its arguments.
   * @param delayMs How long to wait, in milliseconds; zero or less is the next turn but one.
   * @param callback What to run.
   * @param args With what.
   * @returns A handle to call it off.
   * @throws {TypeError} If `callback` is not a function, or `delayMs` not a number.
   * @throws {RangeError} If `delayMs` is not finite.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * const timer = getRunningLoop().callLater(1000, console.log, "a second later");
   * timer.cancel();
   * ```
   */
  callLater<A extends unknown[]>(delayMs: number, callback: (...args: A) => unknown, ...args: A): TimerHandle {
    checkTime("callLater()", "delayMs", delayMs);
    return this.#core.scheduler.callAt(this.time() + delayMs, callback, args, "callLater()");
  }

  /**
   * Runs a callback at a time of the loop's clock. Never early; in order of time, then of calling.
   *
   * @typeParam A The types of its arguments.
   * @param whenMs When, on the clock of {@linkcode time}.
   * @param callback What to run.
   * @param args With what.
   * @returns A handle to call it off.
   * @throws {TypeError} If `callback` is not a function, or `whenMs` not a number.
   * @throws {RangeError} If `whenMs` is not finite.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * const loop = getRunningLoop();
   * loop.callAt(loop.time() + 250, console.log, "a quarter of a second later");
   * ```
   */
  callAt<A extends unknown[]>(whenMs: number, callback: (...args: A) => unknown, ...args: A): TimerHandle {
    checkTime("callAt()", "whenMs", whenMs);
    return this.#core.scheduler.callAt(whenMs, callback, args, "callAt()");
  }

  /**
   * Reads the loop's clock, which never goes back.
   *
   * @returns Milliseconds since some fixed moment.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * console.log(getRunningLoop().time());
   * ```
   */
  time(): number {
    return this.#core.scheduler.time();
  }

  /**
   * Makes a promise that others resolve.
   *
   * @typeParam T What it resolves to.
   * @returns The promise and the functions that settle it.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * const { promise, resolve } = getRunningLoop().createFuture<number>();
   * resolve(42);
   * console.log(await promise);
   * ```
   */
  createFuture<T>(): PromiseWithResolvers<T> {
    return Promise.withResolvers<T>();
  }

  /**
   * Runs a callback, in a turn of the loop, whenever a signal arrives. Replaces the one before.
   *
   * @typeParam A The types of its arguments.
   * @param signal The signal's name.
   * @param callback What to run.
   * @param args With what.
   * @throws {TypeError} If the system does not know the signal, or does not let it be handled.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * getRunningLoop().addSignalHandler("SIGINT", () => Deno.exit(130));
   * ```
   */
  addSignalHandler<A extends unknown[]>(signal: Deno.Signal, callback: (...args: A) => void, ...args: A): void {
    this.#signals.add(signal, callback, args);
  }

  /**
   * Takes a signal's callback away.
   *
   * @param signal The signal's name.
   * @returns Whether there was one.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * getRunningLoop().removeSignalHandler("SIGINT");
   * ```
   */
  removeSignalHandler(signal: Deno.Signal): boolean {
    return this.#signals.remove(signal);
  }

  /**
   * Says who is told of exceptions that nobody awaits.
   *
   * @param handler The function, or `null` for {@linkcode defaultExceptionHandler}.
   * @throws {TypeError} If it is neither.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * getRunningLoop().setExceptionHandler(({ message, error }) => console.warn(message, error));
   * ```
   */
  setExceptionHandler(handler: ExceptionHandler | null): void {
    this.#core.exceptions.setHandler(handler);
  }

  /**
   * Tells who is told of exceptions.
   *
   * @returns The function, or `null` for the default one.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * console.log(getRunningLoop().getExceptionHandler());
   * ```
   */
  getExceptionHandler(): ExceptionHandler | null {
    return this.#core.exceptions.handler;
  }

  /**
   * Tells the exception handler of something. Never throws.
   *
   * @param context What happened.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * getRunningLoop().callExceptionHandler({ message: "this should not happen" });
   * ```
   */
  callExceptionHandler(context: ExceptionContext): void {
    this.#core.exceptions.report(context);
  }

  /**
   * Prints what happened to standard error.
   *
   * @param context What happened.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * const loop = getRunningLoop();
   * loop.setExceptionHandler((context) => {
   *   if (context.transport === undefined) loop.defaultExceptionHandler(context);
   * });
   * ```
   */
  defaultExceptionHandler(context: ExceptionContext): void {
    this.#core.exceptions.reportByDefault(context);
  }

  /**
   * Switches debug mode: the exception handler then hears of callbacks that take longer than
   * {@linkcode slowCallbackDuration}, and of transports made from now on that are never closed.
   *
   * @param on Whether it is on.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * const loop = getRunningLoop();
   * loop.setDebug(true);
   * loop.slowCallbackDuration = 20;
   * ```
   */
  setDebug(on: boolean): void {
    this.#core.exceptions.debug = on;
  }

  /**
   * Tells whether debug mode is on.
   *
   * @returns `true` if so.
   *
   * @example Usage
   * ```ts
   * import { getRunningLoop } from "@tandem/io";
   *
   * console.log(getRunningLoop().getDebug());
   * ```
   */
  getDebug(): boolean {
    return this.#core.exceptions.debug;
  }

  /** How many milliseconds a callback may take before debug mode tells of it; 100 to begin with, as in asyncio. */
  get slowCallbackDuration(): number {
    return this.#core.exceptions.slowCallbackDuration;
  }

  set slowCallbackDuration(ms: number) {
    checkTime("slowCallbackDuration", "its value", ms);
    this.#core.exceptions.slowCallbackDuration = ms;
  }
}
