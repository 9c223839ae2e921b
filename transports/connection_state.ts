import type { TimerHandle } from "./loop_context.ts";

/** What only some connections need: those that pause, send files, are upgraded or close. */
export class ConnectionState {
  /** `sendfile()` runs. */
  sendingFile = false;
  /** `startTls()` runs, and waits for what was written before. */
  upgrading = false;
  /** Whether the protocol has paused reading, while `startTls()` pauses it, too. */
  wasPaused = false;
  /** `resumeReading()` was called, and takes effect in the next turn. */
  resuming = false;
  /** `closeWhenEmpty()` was called. */
  closesWhenEmpty = false;
  closeTimer: TimerHandle | undefined;
}
