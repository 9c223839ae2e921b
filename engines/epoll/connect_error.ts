/** Errors of connecting and binding that name the addresses. */
import { codeOf, withMessage } from "../../errors.ts";

/** An address, and why it cannot be used. */
export interface Failure {
  address: string;
  error: Error;
}

/** The errors of a missing address family or route. An error of a peer says more. */
const UNREACHABLE = new Set(["ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"]);

/**
 * Returns one error for all addresses. Its class and `code` are those of the last error that came from a peer, or of the last
 * one; its message has every address with its reason, and its cause all errors.
 */
export function combineFailures(failures: readonly Failure[]): Error {
  const errors = failures.map(({ error }) => error);
  const telling = errors.findLast((error) => !UNREACHABLE.has(codeOf(error) ?? "")) ?? errors.at(-1)!;
  const message = failures.map(({ address, error }) => `${address}: ${error.message}`).join("; ");
  return withMessage(telling, message, new AggregateError(errors, message));
}
