/** Bytes that are not a frame, such as a netstring without a length. Where the next frame begins is not known. */
export class InvalidFrameError extends Error {
  /** `"InvalidFrameError"`. */
  override name = "InvalidFrameError";

  /** Creates the error. The message names what was expected. */
  constructor(message: string) {
    super(message);
  }
}
