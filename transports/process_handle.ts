/**
 * The seam under a child process.
 *
 * @module
 */
import type { StreamHandle } from "./stream_handle.ts";
import type { ExtraInfo } from "./transport.ts";

/** A child process. */
export interface ProcessHandle {
  /** The process id. */
  readonly pid: number;
  /** What `getExtraInfo("subprocess")` returns. */
  readonly subprocess: ExtraInfo["subprocess"];
  /** The handles of its pipes by descriptor; without those that are not piped. */
  readonly pipes: ReadonlyMap<number, StreamHandle>;
  /** Resolves with the return code when the child has ended: its exit code, or -N if signal N ended it. Never rejects. */
  readonly exited: Promise<number>;
  /**
   * Sends a signal.
   *
   * @param signal The signal's name or number.
   * @returns Whether the child was still there to get it.
   * @throws {TypeError} If the system does not know the signal.
   */
  kill(signal: Deno.Signal | number): boolean;
  /** Keeps the process alive while the child runs, which is the default. */
  ref?(): void;
  /** Lets the process end while the child runs. */
  unref?(): void;
}
