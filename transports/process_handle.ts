/** The seam below a subprocess transport. */
import type { StreamHandle } from "./stream_handle.ts";
import type { ExtraInfo } from "./transport.ts";

/** A child process. */
export interface ProcessHandle {
  /** The process id. */
  readonly pid: number;
  /** The value of `getExtraInfo("subprocess")`. */
  readonly subprocess: ExtraInfo["subprocess"];
  /** The handles of the child's pipes, by descriptor: 0, 1 and 2. */
  readonly pipes: ReadonlyMap<number, StreamHandle>;
  /** Resolves when the child has ended: with its exit code, or with -N if signal N ended it. Never rejects. */
  readonly exited: Promise<number>;
  /**
   * Sends a signal.
   *
   * @returns Whether the signal was sent; `false` if the child has ended.
   * @throws {TypeError} If the system does not know the signal.
   */
  kill(signal: Deno.Signal | number): boolean;
  /** Keeps the process alive while the child runs, which is the default. */
  ref?(): void;
  /** Lets the process end while the child runs. */
  unref?(): void;
}
