/**
 * Promises that a program's callbacks return. A rejection that nothing handles ends a Deno process, so each is handled,
 * whatever its `then`, `catch`, `constructor` and class do: none of them is called.
 *
 * @module
 */
import { isPromise as isNative } from "node:util/types";

const { then } = Promise.prototype;

/** Rejections of promises that cannot be handled in any other way, once one has been met. */
let orphans: WeakMap<Promise<unknown>, (error: unknown) => void> | null = null;

/**
 * Reports whether a value is a promise. A thenable is none: its `then` may start work that is not wanted.
 *
 * @param value The value.
 * @returns `true` also for a promise of another realm, of a subclass or in a proxy.
 */
export function isPromise(value: unknown): value is Promise<unknown> {
  if (typeof value !== "object" || value === null) return false;
  if (isNative(value)) return true;
  try {
    return value instanceof Promise;
  } catch {
    return false; // A proxy may throw.
  }
}

/**
 * Handles a promise as its `then` would. Never throws.
 *
 * @typeParam T What it resolves to.
 * @param promise The promise.
 * @param onFulfilled Is given its value. Must not throw.
 * @param onRejected Is given its error. Must not throw.
 */
export function settle<T>(
  promise: Promise<T>,
  onFulfilled: ((value: T) => void) | undefined,
  onRejected: (error: unknown) => void,
): void {
  try {
    if (isNative(promise as unknown)) settleNative(promise, onFulfilled, onRejected);
    else promise.then(onFulfilled, onRejected); // A proxy lets nothing else through.
  } catch (error) {
    onRejected(error);
  }
}

/**
 * Makes a promise that can be awaited of something that a callback has returned.
 *
 * @typeParam T What it resolves to.
 * @param value A value or a promise of one.
 * @returns The promise.
 */
export function toPromise<T>(value: T | PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    if (isPromise(value)) settle(value as Promise<T>, resolve, reject);
    else resolve(value);
  });
}

/**
 * Closes something of the program's. Never throws, for it may be closed already, which is what was wanted.
 *
 * @param resource What to close.
 */
export function closeQuietly(resource: { close(): unknown }): void {
  try {
    const result = resource.close();
    if (isPromise(result)) settle(result, undefined, () => {});
  } catch {
    // Closed already.
  }
}

function settleNative<T>(
  promise: Promise<T>,
  onFulfilled: ((value: T) => void) | undefined,
  onRejected: (error: unknown) => void,
): void {
  const own = Object.getOwnPropertyDescriptor(promise, "constructor");
  if (own === undefined && Object.getPrototypeOf(promise) === Promise.prototype) {
    then.call(promise, onFulfilled, onRejected);
    return;
  }
  // `then` makes its result with the promise's constructor, which may throw there, or in a microtask later.
  if (Reflect.defineProperty(promise, "constructor", { value: Promise, configurable: true })) {
    then.call(promise, onFulfilled, onRejected);
    if (own === undefined) Reflect.deleteProperty(promise, "constructor");
    else Object.defineProperty(promise, "constructor", own);
  } else {
    adopt(promise, onFulfilled === undefined ? onRejected : () => {});
    if (onFulfilled !== undefined) onRejected(new TypeError("the constructor of a promise cannot be replaced"));
  }
}

/** Handles a rejection by the event that tells of it, where `then` cannot be used. */
function adopt(promise: Promise<unknown>, onRejected: (error: unknown) => void): void {
  if (orphans === null) {
    orphans = new WeakMap();
    addEventListener("unhandledrejection", (event) => {
      const onRejected = orphans!.get(event.promise);
      if (onRejected === undefined) return;
      event.preventDefault();
      onRejected(event.reason);
    });
  }
  orphans.set(promise, onRejected);
}
