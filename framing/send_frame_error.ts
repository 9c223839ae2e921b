const ENCODE = "encode(): ";

/** Returns an error of `encode()` that names `sendFrame()`, which is what was called. */
export function sendFrameError(error: unknown): unknown {
  if (!(error instanceof TypeError || error instanceof RangeError) || !error.message.startsWith(ENCODE)) return error;
  const message = `sendFrame(): ${error.message.slice(ENCODE.length)}`;
  return error instanceof TypeError ? new TypeError(message) : new RangeError(message);
}
