/**
 * The errors that Tandem makes itself. Those of the operating system stay Deno's own.
 *
 * @module
 */
/** An operation that the object's state does not allow, such as a write after `writeEof()`. */
export class InvalidStateError extends DOMException {
  /**
   * Makes the error.
   *
   * @param message What was tried and why it is not possible.
   */
  constructor(message: string) {
    super(message, "InvalidStateError");
  }
}

/** A limit in time was passed, such as `closeTimeout`. */
export class TimeoutError extends DOMException {
  /**
   * Makes the error.
   *
   * @param message What took too long, and the limit.
   */
  constructor(message: string) {
    super(message, "TimeoutError");
  }
}

/** A signal was sent to a child process that has already ended. */
export class ProcessLookupError extends Deno.errors.NotFound {
  /** {@inheritDoc Error.name} */
  override name = "ProcessLookupError";
  /** The operating system's name for it. */
  readonly code = "ESRCH";
}

/**
 * A `sendfile` ended before its time. `cause` is the file's error, or the one that `connectionLost` gets; after `close()`
 * and `abort()` there is none.
 */
export class SendfileError extends Error {
  /** {@inheritDoc Error.name} */
  override name = "SendfileError";
  /** How many bytes of the file the kernel had taken until then. */
  readonly bytesSent: number;

  /**
   * Makes the error.
   *
   * @param message What happened.
   * @param bytesSent How many bytes the kernel had taken.
   * @param options Where it came from.
   */
  constructor(message: string, bytesSent: number, options?: ErrorOptions) {
    super(message, options);
    this.bytesSent = bytesSent;
  }
}

/** The bytes that somebody waited for cannot leave any more. */
export class DrainInterrupted extends Error {
  /** How many bytes had not left. */
  readonly remaining: number;
  /** What ended the transport; `null` for `abort()`. */
  readonly error: Error | null;

  constructor(remaining: number, error: Error | null) {
    super("the transport was lost before its buffer had drained");
    this.remaining = remaining;
    this.error = error;
  }
}

/**
 * Makes an error of whatever was thrown.
 *
 * @param thrown The value of a `catch`.
 * @returns It, or an error that says what it was.
 */
export function toError(thrown: unknown): Error {
  try {
    return thrown instanceof Error ? thrown : new Error(`thrown: ${describe(thrown)}`, { cause: thrown });
  } catch {
    return new Error("thrown: a value that cannot be looked at", { cause: thrown }); // A revoked proxy, say.
  }
}

/**
 * Names a value's kind for an error message. Never throws.
 *
 * @param value Any value.
 * @returns For example `null`, `string "abc"`, `ArrayBuffer`.
 */
export function describe(value: unknown): string {
  try {
    return nameOf(value);
  } catch {
    return `${typeof value} that cannot be looked at`; // A getter or a proxy may throw.
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
