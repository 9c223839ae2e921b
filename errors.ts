/**
 * Tandem's own error classes. Errors of the operating system keep Deno's classes, with their `code`.
 *
 * @module
 */
/** Thrown if an object's state does not allow the call, such as `write()` after `writeEof()`. */
export class InvalidStateError extends DOMException {
  /**
   * Creates the error.
   *
   * @param message The call, and why it is not possible.
   */
  constructor(message: string) {
    super(message, "InvalidStateError");
  }
}

/** A time limit was exceeded, such as `closeTimeout` or `handshakeTimeout`. */
export class TimeoutError extends DOMException {
  /**
   * Creates the error.
   *
   * @param message What took too long, and the limit.
   */
  constructor(message: string) {
    super(message, "TimeoutError");
  }
}

/** Thrown if a signal is sent to a child process that has ended. */
export class ProcessLookupError extends Deno.errors.NotFound {
  /** `"ProcessLookupError"`, as in Python. */
  override name = "ProcessLookupError";
  /** The operating system's name of the error. */
  readonly code = "ESRCH";
}

/**
 * Rejects `sendfile()` that could not send the whole file. `cause` is the error of the file, or the error that
 * `connectionLost` is called with; there is no `cause` after `close()` or `abort()`.
 */
export class SendfileError extends Error {
  /** `"SendfileError"`. */
  override name = "SendfileError";
  /** The number of bytes of the file that the kernel had taken by then. */
  readonly bytesSent: number;

  /**
   * Creates the error.
   *
   * @param message What happened.
   * @param bytesSent The number of bytes that the kernel had taken.
   * @param options The `cause`, if there is one.
   */
  constructor(message: string, bytesSent: number, options?: ErrorOptions) {
    super(message, options);
    this.bytesSent = bytesSent;
  }
}

/** Rejects a wait for the write buffer to drain, because the transport has ended. Internal: no caller sees it. */
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

/**
 * Returns a thrown value as an error. Never throws.
 *
 * @param thrown The value of a `catch`.
 * @returns The value itself if it is an `Error`, otherwise an error that describes it, with the value as its `cause`.
 */
export function toError(thrown: unknown): Error {
  try {
    return thrown instanceof Error
      ? thrown
      : new Error(`a value that is not an Error was thrown: ${describe(thrown)}`, { cause: thrown });
  } catch {
    return new Error("a value that cannot be inspected was thrown", { cause: thrown }); // A revoked proxy, say.
  }
}

/**
 * Describes a value for an error message. Never throws.
 *
 * @param value Any value.
 * @returns For example `null`, `string "abc"`, `ArrayBuffer`.
 */
export function describe(value: unknown): string {
  try {
    return nameOf(value);
  } catch {
    return `${typeof value} that cannot be inspected`; // A getter or a proxy may throw.
  }
}

function nameOf(value: unknown): string {
  switch (typeof value) {
    case "function":
      return `function ${value.name || "(anonymous)"}`;
    case "object":
      return value === null ? "null" : `${value.constructor?.name ?? "object"}`;
    case "string":
      return `string ${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value)}`;
    case "undefined":
      return "undefined";
    default:
      return `${typeof value} ${String(value)}`;
  }
}
