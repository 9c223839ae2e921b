import type { LoopContext } from "./loop_context.ts";
import type { StreamHandle } from "./stream_handle.ts";

/** Does what a stream needs before it has a transport. Closes the handle if the work fails or is cancelled. */
export async function orClose<T>(
  loop: LoopContext,
  handle: Pick<StreamHandle, "close">,
  signal: AbortSignal | undefined,
  work: () => T | Promise<T>,
): Promise<T> {
  const onAbort = () => handle.close(true);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    signal?.throwIfAborted();
    return await work();
  } catch (error) {
    handle.close(true);
    // In a later turn, when the engine has let go of the socket.
    await new Promise<void>((resolve) => void loop.callSoon(resolve));
    throw signal?.aborted ? signal.reason : error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}
