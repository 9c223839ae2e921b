/**
 * Checks of arguments, one spelling of each. Every message names the method that was called.
 *
 * A value of the wrong kind is a `TypeError`, a number out of range a `RangeError`.
 *
 * @module
 */
import { describe } from "./errors.ts";
import { isPromise } from "./promises.ts";

/** The longest path of a Unix socket in bytes: `sun_path` in the system's sys/un.h, less its final zero. */
export const MAX_PATH: number = Deno.build.os === "linux" || Deno.build.os === "android" ? 107 : 103;

/** The longest time that a timer can wait, in milliseconds; a longer one would fire at once. */
export const MAX_TIMEOUT: number = 2 ** 31 - 1;

/**
 * Throws unless a factory is a function.
 *
 * @param method The method that was called, as in `"createServer()"`.
 * @param factory The argument.
 * @throws {TypeError} If it is not a function.
 */
export function checkFactory(method: string, factory: unknown): void {
  checkFunction(method, "factory", factory, "a function that returns a protocol");
}

/**
 * Throws unless a value is a function.
 *
 * @param method The method that was called.
 * @param name The argument's name.
 * @param value The argument.
 * @param what What it must be, for the message.
 * @throws {TypeError} If it is not a function.
 */
export function checkFunction(method: string, name: string, value: unknown, what = "a function"): void {
  if (typeof value !== "function") throw wrongKind(method, name, what, value);
}

/**
 * Throws unless a value is a whole number within a range.
 *
 * @param method The method that was called.
 * @param name The argument's name.
 * @param value The argument.
 * @param lowest The smallest number allowed.
 * @param highest The largest number allowed.
 * @param unit What is counted, for the message.
 * @throws {TypeError} If it is not a number.
 * @throws {RangeError} If it is not a whole number, or out of range.
 */
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

/**
 * Throws unless a port is one.
 *
 * @param method The method that was called.
 * @param name The argument's name.
 * @param port The argument.
 * @param lowest 0 where the system may choose one, 1 otherwise.
 * @throws {TypeError} If it is not a number.
 * @throws {RangeError} If it is not a whole number, or out of range.
 */
export function checkPort(method: string, name: string, port: unknown, lowest: 0 | 1): asserts port is number {
  checkInteger(method, name, port, lowest, 65535);
}

/**
 * Throws unless a path can be that of a Unix socket.
 *
 * @param method The method that was called.
 * @param name The argument's name.
 * @param path The argument.
 * @throws {TypeError} If it is not a string, or empty, or longer than the system allows.
 */
export function checkPath(method: string, name: string, path: unknown): asserts path is string {
  checkString(method, name, path);
  const length = new TextEncoder().encode(path).length;
  if (length > MAX_PATH) {
    throw new TypeError(`${method}: ${name} must have at most ${MAX_PATH} bytes, got ${length} bytes`);
  }
}

/**
 * Throws unless a hostname can be one.
 *
 * @param method The method that was called.
 * @param name The argument's name.
 * @param hostname The argument.
 * @throws {TypeError} If it is not a string, or empty.
 */
export function checkHostname(method: string, name: string, hostname: unknown): asserts hostname is string {
  if (typeof hostname !== "string" || hostname === "") {
    throw wrongKind(method, name, "a host name or an IP address", hostname);
  }
}

/**
 * Throws unless a signal is an `AbortSignal` or left out.
 *
 * @param method The method that was called.
 * @param signal The argument.
 * @throws {TypeError} If it is given and not an `AbortSignal`.
 */
export function checkSignal(method: string, signal: unknown): asserts signal is AbortSignal | undefined {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw wrongKind(method, "signal", "an AbortSignal", signal);
  }
}

/** What can be given instead of an address, and what is used of it. */
const EXISTING = {
  conn: { type: "Deno.Conn", members: ["read", "write", "close", "localAddr", "remoteAddr"] },
  listener: { type: "Deno.Listener", members: ["accept", "close", "addr"] },
};

/**
 * Throws unless a connection or listener that was given instead of an address is one.
 *
 * @param method The method that was called.
 * @param name The option.
 * @param value Its value.
 * @param rivals Options that cannot be given as well.
 * @param options All options.
 * @throws {TypeError} If it lacks a member that is used, or a rival is given as well.
 */
export function checkExisting(
  method: string,
  name: keyof typeof EXISTING,
  value: unknown,
  rivals: readonly string[],
  options: object,
): void {
  const { type, members } = EXISTING[name];
  const given = options as Record<string, unknown>;
  const rival = value === undefined ? undefined : rivals.find((rival) => given[rival] !== undefined);
  if (rival !== undefined) throw new TypeError(`${method}: ${name} and ${rival} cannot both be given`);
  if (typeof value !== "object" || value === null || !members.every((member) => member in value)) {
    throw wrongKind(method, name, `a ${type}`, value);
  }
}

/**
 * Throws unless a protocol is an object.
 *
 * @param method The method that was called.
 * @param name What is checked, such as `"protocol"` or `"what factory returns"`.
 * @param protocol The argument.
 * @throws {TypeError} If it is not an object, or is a promise.
 */
export function checkProtocol(method: string, name: string, protocol: unknown): void {
  if (typeof protocol !== "object" || protocol === null || isPromise(protocol)) {
    throw wrongKind(method, name, "a protocol", protocol);
  }
}

/**
 * Throws unless data is bytes.
 *
 * @param method The method that was called.
 * @param name The argument's name.
 * @param data The argument.
 * @throws {TypeError} If it is not a `Uint8Array`.
 */
export function checkBytes(method: string, name: string, data: unknown): asserts data is Uint8Array {
  if (!(data instanceof Uint8Array)) throw wrongKind(method, name, "a Uint8Array", data);
}

/**
 * Throws unless a value is a string that is not empty.
 *
 * @param method The method that was called.
 * @param name The argument's name.
 * @param value The argument.
 * @throws {TypeError} If it is not a string, or empty.
 */
export function checkString(method: string, name: string, value: unknown): asserts value is string {
  if (typeof value !== "string" || value === "") throw wrongKind(method, name, "a non-empty string", value);
}

/**
 * Throws unless a value is an array of strings that are not empty.
 *
 * @param method The method that was called.
 * @param name The argument's name.
 * @param list The argument.
 * @throws {TypeError} If it is not an array, or one of its elements is not a string, or empty.
 */
export function checkStrings(method: string, name: string, list: unknown): asserts list is string[] {
  if (!Array.isArray(list)) throw wrongKind(method, name, "an array of strings", list);
  // By index, for forEach() skips holes.
  for (let i = 0; i < list.length; i++) checkString(method, `${name}[${i}]`, list[i]);
}

/**
 * Throws unless a value is a boolean or left out.
 *
 * @param method The method that was called.
 * @param name The argument's name.
 * @param value The argument.
 * @throws {TypeError} If it is given and not a boolean.
 */
export function checkBoolean(method: string, name: string, value: unknown): asserts value is boolean | undefined {
  if (value !== undefined && typeof value !== "boolean") throw wrongKind(method, name, "a boolean", value);
}

/**
 * Throws unless a value is one of several strings.
 *
 * @param method The method that was called.
 * @param name The argument's name.
 * @param value The argument.
 * @param accepted The strings.
 * @throws {TypeError} If it is not one of them.
 */
export function checkOneOf(method: string, name: string, value: unknown, accepted: readonly string[]): void {
  if (accepted.includes(value as string)) return;
  const quoted = accepted.map((one) => JSON.stringify(one));
  const last = quoted.pop()!;
  throw wrongKind(method, name, quoted.length === 0 ? last : `${quoted.join(", ")} or ${last}`, value);
}

/**
 * Throws unless a time limit is one or left out.
 *
 * @param method The method that was called.
 * @param name The argument's name.
 * @param ms The argument, in milliseconds.
 * @throws {TypeError} If it is given and not a number.
 * @throws {RangeError} If it is negative, `NaN`, or more than a timer can wait.
 */
export function checkTimeout(method: string, name: string, ms: unknown): asserts ms is number | undefined {
  if (ms === undefined || (typeof ms === "number" && ms >= 0 && ms <= MAX_TIMEOUT)) return;
  throw wrongNumber(method, name, `a number of milliseconds from 0 to ${MAX_TIMEOUT}`, ms);
}

/**
 * Throws unless a time is finite.
 *
 * @param method The method that was called.
 * @param name The argument's name.
 * @param ms The argument, in milliseconds.
 * @throws {TypeError} If it is not a number.
 * @throws {RangeError} If it is `NaN` or infinite.
 */
export function checkTime(method: string, name: string, ms: unknown): asserts ms is number {
  if (!Number.isFinite(ms)) throw wrongNumber(method, name, "a finite number of milliseconds", ms);
}

/** The error for a value of the wrong kind. */
function wrongKind(method: string, name: string, what: string, value: unknown): TypeError {
  return new TypeError(`${method}: ${name} must be ${what}, got ${describe(value)}`);
}

/** The error for a value that is not a number, or not one of those allowed. */
function wrongNumber(method: string, name: string, what: string, value: unknown): TypeError | RangeError {
  const error = wrongKind(method, name, what, value);
  return typeof value === "number" ? new RangeError(error.message) : error;
}
