/**
 * Checks of arguments. A value of the wrong type is a `TypeError`, a number out of range a `RangeError`. The message begins
 * with `method`, as in `"createServer()"`, and `name`, the name of the argument.
 *
 * @module
 */
import { describe, isClass } from "./errors.ts";
import { isPromise } from "./promises.ts";

/** The longest path of a Unix socket, in bytes: `sun_path` in the system's sys/un.h without its final zero. */
export const MAX_PATH: number = Deno.build.os === "linux" || Deno.build.os === "android" ? 107 : 103;

/** The longest delay of a timer, in milliseconds. A longer timer would fire at once. */
export const MAX_TIMEOUT: number = 2 ** 31 - 1;

/** Throws unless a factory is a function. A class is not one: it cannot be called without `new`. */
export function checkFactory(method: string, factory: unknown): void {
  const what = "a function that returns a protocol";
  checkFunction(method, "factory", factory, what);
  if (!isClass(factory)) return;
  const name = /^class ([\w$]+)$/.exec(describe(factory))?.[1] ?? "MyProtocol";
  throw new TypeError(`${wrongKind(method, "factory", what, factory).message}; write () => new ${name}()`);
}

/** Throws unless a value is a function. */
export function checkFunction(method: string, name: string, value: unknown, what = "a function"): void {
  if (typeof value !== "function") throw wrongKind(method, name, what, value);
}

/** Throws unless a value is a whole number within a range. */
export function checkInteger(
  method: string,
  name: string,
  value: unknown,
  lowest: number,
  highest: number = Number.MAX_SAFE_INTEGER,
  unit = "",
): asserts value is number {
  if (Number.isSafeInteger(value) && (value as number) >= lowest && (value as number) <= highest) return;
  const range = highest === Number.MAX_SAFE_INTEGER ? `, ${lowest} or more` : ` from ${lowest} to ${highest}`;
  throw wrongNumber(method, name, `a whole number${unit === "" ? "" : ` of ${unit}`}${range}`, value);
}

/** Throws unless a value is a port. `lowest` is 0 if the system can choose the port. */
export function checkPort(method: string, name: string, port: unknown, lowest: 0 | 1): asserts port is number {
  checkInteger(method, name, port, lowest, 65535);
}

/** Throws unless a value can be the path of a Unix socket. */
export function checkPath(method: string, name: string, path: unknown): asserts path is string {
  checkString(method, name, path);
  const length = new TextEncoder().encode(path).length;
  if (length > MAX_PATH) {
    throw new TypeError(`${method}: ${name} must have at most ${MAX_PATH} bytes, got ${length} bytes`);
  }
  if (hasZeroByte(path)) throw wrongKind(method, name, "a path without a zero byte", path);
}

/** Reports whether a path has a zero byte, at which the kernel would end it. An abstract name, which begins with one, may. */
export function hasZeroByte(path: string): boolean {
  return path.lastIndexOf("\0") > 0 && !path.startsWith("\0");
}

/** Throws unless a hostname is a non-empty string. */
export function checkHostname(method: string, name: string, hostname: unknown): asserts hostname is string {
  if (typeof hostname !== "string" || hostname === "") {
    throw wrongKind(method, name, "a host name or an IP address", hostname);
  }
}

/** Throws unless a signal is an `AbortSignal` or left out. */
export function checkSignal(method: string, signal: unknown): asserts signal is AbortSignal | undefined {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw wrongKind(method, "signal", "an AbortSignal", signal);
  }
}

/** The options that replace an address, and the members that Tandem uses of their values. */
const EXISTING = {
  conn: { type: "Deno.Conn", members: ["read", "write", "close", "localAddr", "remoteAddr"] },
  listener: { type: "Deno.Listener", members: ["accept", "close", "addr"] },
};

/** Throws unless the option `conn` or `listener` has the members of one, and no option of `rivals` is given with it. */
export function checkExisting(
  method: string,
  name: keyof typeof EXISTING,
  value: unknown,
  rivals: readonly string[],
  options: object,
): void {
  const { type, members } = EXISTING[name];
  if (value !== undefined) checkAlone(method, name, rivals, options);
  if (typeof value !== "object" || value === null || !members.every((member) => member in value)) {
    throw wrongKind(method, name, `a ${type}`, value);
  }
}

/** Throws if an option of `rivals` is given with the option `name`. */
export function checkAlone(method: string, name: string, rivals: Iterable<string>, options: object): void {
  const given = options as Record<string, unknown>;
  for (const rival of rivals) {
    if (given[rival] !== undefined) throw new TypeError(`${method}: ${name} and ${rival} cannot both be given`);
  }
}

/** Throws unless a protocol is an object that is not a promise. */
export function checkProtocol(method: string, name: string, protocol: unknown): void {
  if (typeof protocol !== "object" || protocol === null || isPromise(protocol)) {
    throw wrongKind(method, name, "a protocol", protocol);
  }
}

const TYPED_ARRAY: object = Object.getPrototypeOf(Uint8Array.prototype);
const { get: getLength } = Object.getOwnPropertyDescriptor(TYPED_ARRAY, "length")!;
const { get: getTag } = Object.getOwnPropertyDescriptor(TYPED_ARRAY, Symbol.toStringTag)!;

/** Returns the length of an array's memory, also if the array has a `length` of its own. */
export function lengthOf(data: Uint8Array): number {
  return getLength!.call(data);
}

/**
 * Throws unless data is a `Uint8Array` whose `length` is that of its memory. With another length, the kernel would read or
 * write what is next to the memory. Not by `instanceof`, which a proxy and any object with the prototype satisfy.
 */
export function checkBytes(method: string, name: string, data: unknown): asserts data is Uint8Array {
  if (!isBytes(data)) throw bytesError(method, name, data);
}

/** Throws unless each item of an array is bytes, as `checkBytes` does. */
export function checkPieces(method: string, name: string, list: unknown[]): asserts list is Uint8Array[] {
  // The name of an item is made for an error only: it takes as long as the check.
  for (let i = 0; i < list.length; i++) if (!isBytes(list[i])) throw bytesError(method, `${name}[${i}]`, list[i]);
}

function isBytes(data: unknown): boolean {
  return getTag!.call(data) === "Uint8Array" && (data as Uint8Array).length === lengthOf(data as Uint8Array);
}

function bytesError(method: string, name: string, data: unknown): TypeError {
  if (getTag!.call(data) !== "Uint8Array") return wrongKind(method, name, "a Uint8Array", data);
  const { length } = data as Uint8Array;
  const accepted = `a Uint8Array with the length of its memory, ${lengthOf(data as Uint8Array)}`;
  return new TypeError(`${method}: ${name} must be ${accepted}, got the length ${describe(length)}`);
}

/** Throws unless a value is a non-empty string. */
export function checkString(method: string, name: string, value: unknown): asserts value is string {
  if (typeof value !== "string" || value === "") throw wrongKind(method, name, "a non-empty string", value);
}

/** Throws unless a value is an array of non-empty strings. */
export function checkStrings(method: string, name: string, list: unknown): asserts list is string[] {
  if (!Array.isArray(list)) throw wrongKind(method, name, "an array of strings", list);
  // By index, because forEach() skips holes.
  for (let i = 0; i < list.length; i++) checkString(method, `${name}[${i}]`, list[i]);
}

/** Throws unless a value is a boolean or left out. */
export function checkBoolean(method: string, name: string, value: unknown): asserts value is boolean | undefined {
  if (value !== undefined && typeof value !== "boolean") throw wrongKind(method, name, "a boolean", value);
}

/** Throws unless a value is one of several strings. */
export function checkOneOf(method: string, name: string, value: unknown, accepted: readonly string[]): void {
  if (accepted.includes(value as string)) return;
  const quoted = accepted.map((one) => JSON.stringify(one));
  const last = quoted.pop()!;
  throw wrongKind(method, name, quoted.length === 0 ? last : `${quoted.join(", ")} or ${last}`, value);
}

/** Throws unless a time limit, in milliseconds, is a possible delay of a timer or left out. */
export function checkTimeout(
  method: string,
  name: string,
  ms: unknown,
  lowest = 0,
): asserts ms is number | undefined {
  if (ms === undefined || (typeof ms === "number" && ms >= lowest && ms <= MAX_TIMEOUT)) return;
  throw wrongNumber(method, name, `a number of milliseconds from ${lowest} to ${MAX_TIMEOUT}`, ms);
}

/** Throws unless a time, in milliseconds, is finite. */
export function checkTime(method: string, name: string, ms: unknown): asserts ms is number {
  if (!Number.isFinite(ms)) throw wrongNumber(method, name, "a finite number of milliseconds", ms);
}

/** Returns the error for a value of the wrong type. */
function wrongKind(method: string, name: string, what: string, value: unknown): TypeError {
  return new TypeError(`${method}: ${name} must be ${what}, got ${describe(value)}`);
}

/** Returns the error for a value that is not a number, or out of range. */
function wrongNumber(method: string, name: string, what: string, value: unknown): TypeError | RangeError {
  const error = wrongKind(method, name, what, value);
  return typeof value === "number" ? new RangeError(error.message) : error;
}
