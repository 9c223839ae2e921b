import type { Lender } from "../memory/loan.ts";
import type { StreamSink } from "./stream_handle.ts";

/** What only some receivers need: those that have paused, or whose connection has been upgraded. */
export class ReceiverState {
  /** When reading was paused last. */
  pausedAt = 0;
  /** What arrived while reading was paused: bytes in the protocol's memory or in a chunk, then the end or an error. */
  heldCount = 0;
  heldChunk: Uint8Array | null = null;
  heldEnd = false;
  heldError: Error | null = null;
  /** After `startTls()`, the receiver that waits for pending writes of the protocol's own memory instead, */
  heir: Lender | null = null;
  /** and the sink of what the handle still delivers here. */
  successor: StreamSink | null = null;
}
