/**
 * The error for a connection without a valid PROXY header: the header is malformed, too long or cut off, or its sender is not
 * trusted.
 */
export class ProxyHeaderError extends Error {
  /** Creates an error with a message. */
  constructor(message: string) {
    super(message);
    this.name = "ProxyHeaderError";
  }
}
