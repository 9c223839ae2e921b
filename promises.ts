/**
 * Promises that a program's callbacks return. An unhandled rejection ends a Deno process, so each rejection is handled,
 * without calling the promise's own `then`, `catch`, `constructor` or class, which the program may have replaced.
 *
 * @module
 */
import { isPromise as isNative } from "node:util/types";

const { then } = Promise.prototype;

/** The handlers of promises that only the event `unhandledrejection` can handle. Created for the first such promise. */
let orphans: WeakMap<Promise<unknown>, (error: unknown) => void> | null = null;

/**
 * Reports whether a value is a promise, perhaps of another realm, of a subclass or in a proxy. A thenable is not a promise,
 * because its `then` may start work.
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

/** Calls a handler when a promise settles, as `then` does. Never throws. The handlers must not throw. */
export function settle<T>(
  promise: Promise<T>,
  onFulfilled: ((value: T) => void) | undefined,
  onRejected: (error: unknown) => void,
): void {
  try {
    if (isNative(promise as unknown)) settleNative(promise, onFulfilled, onRejected);
    else promise.then(onFulfilled, onRejected); // The only way for a promise in a proxy.
  } catch (error) {
    onRejected(error);
  }
}

/** Returns a promise that is safe to await for a value that a callback has returned. */
export function toPromise<T>(value: T | PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    if (isPromise(value)) settle(value as Promise<T>, resolve, reject);
    else resolve(value);
  });
}

/** Closes a resource of the program, which may be closed already. Never throws. */
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
  // `then` calls the promise's constructor, which may throw, at once or in a microtask. So it is replaced for the call.
  if (Reflect.defineProperty(promise, "constructor", { value: Promise, configurable: true })) {
    then.call(promise, onFulfilled, onRejected);
    if (own === undefined) Reflect.deleteProperty(promise, "constructor");
    else Object.defineProperty(promise, "constructor", own);
  } else {
    adopt(promise, onFulfilled === undefined ? onRejected : () => {});
    if (onFulfilled !== undefined) onRejected(new TypeError("the constructor of a promise cannot be replaced"));
  }
}

/** Handles a rejection by the event `unhandledrejection`, for a promise whose `then` cannot be used. */
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
