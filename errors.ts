/**
 * Tandem's own error classes. Errors of the operating system keep Deno's classes and their `code`.
 *
 * @module
 */

/** Thrown if an object's state does not allow the call, such as `write()` after `writeEof()`. */
export class InvalidStateError extends DOMException {
  /** Creates the error. The message names the call and the reason. */
  constructor(message: string) {
    super(message, "InvalidStateError");
  }
}

/** A time limit was exceeded, such as `closeTimeout` or `handshakeTimeout`. */
export class TimeoutError extends DOMException {
  /** Creates the error. The message names the time limit and the pending operation. */
  constructor(message: string) {
    super(message, "TimeoutError");
  }
}

/** The limit of a server that was reached: the name of an option of {@linkcode LimitOptions}. */
export type LimitName =
  | "idleTimeout"
  | "lifetime"
  | "maxConnections"
  | "maxConnectionsPerPeer"
  | "maxHandshakes"
  | "progress"
  | "writeTimeout";

/**
 * A limit of a server was reached. `connectionLost` is called with the error if the limit ends a connection, and
 * {@linkcode LimitOptions.onLimit} for each limit.
 */
export class LimitError extends DOMException {
  /** The limit. */
  readonly limit: LimitName;
  /** The address of the peer. `null`: the engine does not know it. */
  readonly peername: Deno.Addr | null;

  /** Creates the error. The message names the limit, the peer and what the peer did. */
  constructor(message: string, limit: LimitName, peername: Deno.Addr | null) {
    super(message, "LimitError");
    this.limit = limit;
    this.peername = peername;
  }
}

/** Thrown if a signal is sent to a child process after its `connectionLost`. */
export class ProcessLookupError extends Deno.errors.NotFound {
  /** `"ProcessLookupError"`, as in Python. */
  override name = "ProcessLookupError";
  /** The operating system's name of the error. */
  readonly code = "ESRCH";
}

/**
 * Rejects a `sendfile()` that has not sent the whole file. `cause` is the error of the file, or the error of
 * `connectionLost`; after `close()` or `abort()` there is no `cause`.
 */
export class SendfileError extends Error {
  /** `"SendfileError"`. */
  override name = "SendfileError";
  /** The number of bytes of the file that the kernel has taken. */
  readonly bytesSent: number;

  /** Creates the error. */
  constructor(message: string, bytesSent: number, options?: ErrorOptions) {
    super(message, options);
    this.bytesSent = bytesSent;
  }
}

/** Rejects a wait for an empty write buffer because the transport has ended. Internal. */
export class DrainInterrupted extends Error {
  /** The number of bytes that were not sent. */
  readonly remaining: number;
  /** The error that ended the transport; `null` after `abort()`. */
  readonly error: Error | null;

  constructor(remaining: number, error: Error | null) {
    super("the transport ended before its write buffer was empty");
    this.remaining = remaining;
    this.error = error;
  }
}

/** Returns a thrown value if it is an `Error`, otherwise an error that has the value as its `cause`. Never throws. */
export function toError(thrown: unknown): Error {
  try {
    return thrown instanceof Error
      ? thrown
      : new Error(`a value that is not an Error was thrown: ${describe(thrown)}`, { cause: thrown });
  } catch {
    return new Error("a value that cannot be inspected was thrown", { cause: thrown }); // Such as a revoked proxy.
  }
}

/** Returns an error of the same class and `code` with another message. `cause` is the error, or another one. */
export function withMessage(error: Error, message: string, cause: Error = error): Error {
  const Class = error.constructor as new (message: string, options: ErrorOptions) => Error;
  const code = codeOf(error);
  return Object.assign(new Class(message, { cause }), code !== undefined && { code });
}

/** Returns the `code` of an error of the system. */
export function codeOf(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** Describes a value for an error message, such as `null`, `string "abc"` or `ArrayBuffer`. Never throws. */
export function describe(value: unknown): string {
  try {
    return nameOf(value);
  } catch {
    return `${typeof value} that cannot be inspected`; // A getter or a proxy may throw.
  }
}

/** Reports whether a value is a class, by its source text. A method that is named `class` is not one. */
export function isClass(value: unknown): boolean {
  return typeof value === "function" && /^class\b(?!\s*\()/.test(Function.prototype.toString.call(value));
}

function nameOf(value: unknown): string {
  switch (typeof value) {
    case "function":
      return `${isClass(value) ? "class" : "function"} ${value.name || "(anonymous)"}`;
    case "object":
      return value === null ? "null" : `${value.constructor?.name || "object"}`;
    case "string":
      return `string ${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value)}`;
    case "undefined":
      return "undefined";
    default:
      return `${typeof value} ${String(value)}`;
  }
}
