import type { LoopContext } from "./loop_context.ts";
import type { Transport } from "./transport.ts";

/** The connection, for its receiver. */
export interface ReceiverHost {
  readonly loop: LoopContext;
  readonly transport: Transport;
  /** A data callback threw. */
  callbackFailed(callback: string, error: Error): void;
  /** The handle failed to read. */
  fail(error: Error): void;
  /** `eofReceived` was called and returned `keepOpen`. */
  readEnded(keepOpen: boolean): void;
  /** A data callback has returned. */
  afterCallback(): void;
  /** Stops reading, because memory of the protocol is being sent. */
  haltReading(): void;
  /** Resumes reading, because memory of the protocol has been sent. */
  readAgain(): void;
}
