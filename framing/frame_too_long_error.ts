/** A frame is longer than the limit. The connection is closed, unless frames that are too long are skipped. */
export class FrameTooLongError extends Error {
  /** `"FrameTooLongError"`. */
  override name = "FrameTooLongError";
  /** The limit, in bytes. */
  readonly limit: number;
  /** The length of the frame in bytes; `null` if it is not known, as for a line. */
  readonly length: number | null;

  /**
   * Creates the error.
   *
   * @param limit The limit, in bytes.
   * @param length The length of the frame in bytes, or `null`.
   */
  constructor(limit: number, length: number | null) {
    super(`a frame${length === null ? "" : ` of ${length} bytes`} is longer than the limit of ${limit} bytes`);
    this.limit = limit;
    this.length = length;
  }
}
