import { describe } from "../errors.ts";

/** The stream ended, and a read needed more bytes. Python's `EOFError` is Deno's `UnexpectedEof`. */
export class IncompleteReadError extends Deno.errors.UnexpectedEof {
  /** `"IncompleteReadError"`. */
  override name = "IncompleteReadError";
  /** The bytes that came before the end. They are yours, and are no longer in the reader. */
  readonly partial: Uint8Array<ArrayBuffer>;
  /** The number of bytes that `readExactly()` was called with; `null` from `readUntil()`. */
  readonly expected: number | null;

  /** Creates the error. */
  constructor(partial: Uint8Array<ArrayBuffer>, expected: number | null) {
    const wanted = expected === null ? "a separator" : `${expected} bytes`;
    super(`the stream ended after ${partial.length} bytes, before ${wanted}`);
    this.partial = partial;
    this.expected = expected;
  }
}

/** The separator was not found within the limit. `readUntil()` leaves the bytes in the reader; `readLine()` drops them. */
export class LimitOverrunError extends Error {
  /** `"LimitOverrunError"`. */
  override name = "LimitOverrunError";
  /** The number of bytes before the separator, or that can be dropped because they hold no part of one. */
  readonly consumed: number;

  /** Creates the error. */
  constructor(message: string, consumed: number) {
    super(message);
    this.consumed = consumed;
  }
}

/** Returns the error of an argument of the wrong kind. */
export function wrongArgument(method: string, name: string, what: string, value: unknown): TypeError {
  return new TypeError(`${method}: ${name} must be ${what}, got ${describe(value)}`);
}
