/**
 * Checks of arguments, one spelling of each.
 *
 * @module
 */
import { describe } from "./errors.ts";
import { isPromise } from "./promises.ts";

/** The longest path of a Unix socket in bytes: `sun_path` in the system's sys/un.h, less its final zero. */
export const MAX_PATH: number = Deno.build.os === "linux" || Deno.build.os === "android" ? 107 : 103;

/**
 * Insists on a factory.
 *
 * @param factory The argument.
 * @throws {TypeError} If it is not a function.
 */
export function checkFactory(factory: unknown): void {
  if (typeof factory !== "function") {
    throw new TypeError(`factory must be a function that returns a protocol, got ${describe(factory)}`);
  }
}

/**
 * Insists on a port.
 *
 * @param port The argument.
 * @param lowest 0 where the system may choose one, 1 otherwise.
 * @throws {TypeError} If it is not a number.
 * @throws {RangeError} If it is not a whole number within the range.
 */
export function checkPort(port: unknown, lowest: 0 | 1): void {
  if (Number.isInteger(port) && (port as number) >= lowest && (port as number) <= 65535) return;
  const message = `port must be a whole number from ${lowest} to 65535, got ${describe(port)}`;
  throw typeof port === "number" ? new RangeError(message) : new TypeError(message);
}

/**
 * Insists on a path.
 *
 * @param path The argument.
 * @throws {TypeError} If it is not a string, or an empty one.
 */
export function checkPath(path: unknown): void {
  if (typeof path !== "string" || path === "") {
    throw new TypeError(`path must be a non-empty string, got ${describe(path)}`);
  }
  const length = new TextEncoder().encode(path).length;
  if (length > MAX_PATH) throw new TypeError(`path must have at most ${MAX_PATH} bytes, got ${length}`);
}

/**
 * Checks what all calls that make a stream are given.
 *
 * @param factory The factory.
 * @param options The options.
 * @throws {TypeError} If `factory` is not a function, or `options` or its `signal` of another kind.
 * @throws {RangeError} If `closeTimeout` is not a number of milliseconds.
 */
export function checkStreamCall(
  factory: unknown,
  options: { closeTimeout?: number | undefined; signal?: AbortSignal | undefined },
): void {
  checkFactory(factory);
  checkOptions(options);
  // asyncio's name for it, and a door left open if it were overlooked.
  if ("ssl" in options) throw new TypeError("ssl is no option: it is called tls");
  checkTimeout(options.closeTimeout, "closeTimeout");
  checkSignal(options.signal);
}

/**
 * Insists on options.
 *
 * @param options The argument.
 * @throws {TypeError} If it is not an object.
 */
export function checkOptions(options: unknown): void {
  if (typeof options === "object" && options !== null) return;
  throw new TypeError(`options must be an object, got ${describe(options)}`);
}

/**
 * Insists on a signal, or none.
 *
 * @param signal The argument.
 * @throws {TypeError} If it is given and not an `AbortSignal`.
 */
export function checkSignal(signal: unknown): void {
  if (signal === undefined || signal instanceof AbortSignal) return;
  throw new TypeError(`signal must be an AbortSignal, got ${describe(signal)}`);
}

/** What can be given instead of an address, and what is used of it. */
const EXISTING = {
  conn: { type: "Deno.Conn", members: ["read", "write", "close", "localAddr", "remoteAddr"] },
  listener: { type: "Deno.Listener", members: ["accept", "close", "addr"] },
};

/**
 * Insists on something of Deno's that is given instead of an address.
 *
 * @param name The option.
 * @param value Its value.
 * @param rival An option that cannot be given besides.
 * @param options All options.
 * @throws {TypeError} If it lacks a member that is used, or the other option is there, too.
 */
export function checkExisting(name: keyof typeof EXISTING, value: unknown, rival: string, options: object): void {
  if (value !== undefined && (options as Record<string, unknown>)[rival] !== undefined) {
    throw new TypeError(`${name} and ${rival} cannot both be given`);
  }
  const { type, members } = EXISTING[name];
  if (typeof value === "object" && value !== null && members.every((member) => member in value)) return;
  throw new TypeError(`${name} must be a ${type}, got ${describe(value)}`);
}

/**
 * Insists on a host.
 *
 * @param hostname The argument.
 * @param name Its name, for the message.
 * @throws {TypeError} If it is not a string, or an empty one.
 */
export function checkHostname(hostname: unknown, name = "hostname"): void {
  if (typeof hostname === "string" && hostname !== "") return;
  throw new TypeError(`${name} must be a name or an address, got ${describe(hostname)}`);
}

/**
 * Insists on a protocol.
 *
 * @param protocol The argument.
 * @param name What it is called in the message.
 * @throws {TypeError} If it is not an object.
 */
export function checkProtocol(protocol: unknown, name: string): void {
  if (typeof protocol === "object" && protocol !== null && !isPromise(protocol)) return;
  throw new TypeError(`${name} must be a protocol, got ${describe(protocol)}`);
}

/**
 * Insists on bytes.
 *
 * @param data The argument.
 * @param name Its name and method, for the message.
 * @throws {TypeError} If it is not a `Uint8Array`.
 */
export function checkBytes(data: unknown, name: string): asserts data is Uint8Array {
  if (!(data instanceof Uint8Array)) {
    throw new TypeError(`${name} must be a Uint8Array, got ${describe(data)}`);
  }
}

/**
 * Insists on a string that says something.
 *
 * @param value The argument.
 * @param name Its name, for the message.
 * @throws {TypeError} If it is not a string, or an empty one.
 */
export function checkString(value: unknown, name: string): asserts value is string {
  if (typeof value === "string" && value !== "") return;
  throw new TypeError(`${name} must be a non-empty string, got ${describe(value)}`);
}

/**
 * Insists on a time limit.
 *
 * @param ms The argument.
 * @param name Its name, for the message.
 * @throws {RangeError} If it is given and not a number of milliseconds.
 */
export function checkTimeout(ms: number | undefined, name: string): void {
  // Timers of 2^31 ms and more would run at once.
  if (ms === undefined || (typeof ms === "number" && ms >= 0 && ms < 2 ** 31)) return;
  throw new RangeError(`${name} must be from 0 to ${2 ** 31 - 1} milliseconds, got ${describe(ms)}`);
}

/**
 * Insists on a time.
 *
 * @param name The argument and its method, for the message.
 * @param value The argument.
 * @throws {TypeError} If it is not a number.
 * @throws {RangeError} If it is `NaN` or infinite.
 */
export function checkTime(name: string, value: number): void {
  if (typeof value !== "number") {
    throw new TypeError(`${name} must be a number of milliseconds, got ${describe(value)}`);
  }
  if (!Number.isFinite(value)) throw new RangeError(`${name} must be a finite number of milliseconds, got ${value}`);
}

/**
 * Throws unless a value is a boolean, or is not given.
 *
 * @param value The argument.
 * @param name Its name, for the message.
 * @throws {TypeError} If it is of another kind.
 */
export function checkBoolean(value: unknown, name: string): asserts value is boolean | undefined {
  if (value === undefined || typeof value === "boolean") return;
  throw new TypeError(`${name} must be true or false, got ${describe(value)}`);
}
