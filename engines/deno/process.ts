import type { SpawnOptions } from "../../transports/engine.ts";
import type { ProcessHandle } from "../../transports/process_handle.ts";
import type { StreamHandle } from "../../transports/stream_handle.ts";
import { spawnMerged } from "./spawn_merged.ts";
import { ReadableStreamHandle, WritableStreamHandle } from "./web_stream_handle.ts";

/** Deno's exit code of a child that signal N has ended is 128 + N, as a shell's. */
const SIGNAL_BASE = 128;

/** A process handle over a `Deno.ChildProcess`. */
class ChildHandle implements ProcessHandle {
  readonly subprocess: Deno.ChildProcess;
  readonly pipes: ReadonlyMap<number, StreamHandle>;
  readonly exited: Promise<number>;

  constructor(child: Deno.ChildProcess, pipes: ReadonlyMap<number, StreamHandle>) {
    this.subprocess = child;
    this.pipes = pipes;
    this.exited = child.status.then(
      ({ code, signal }) => signal === null ? code : SIGNAL_BASE - code,
      // Deno has no name for a real-time signal, and rejects with its number in the message.
      (error: Error) => -Number(/Invalid signal: (\d+)/.exec(error.message)?.[1] ?? 1),
    );
  }

  get pid(): number {
    return this.subprocess.pid;
  }

  kill(signal: Deno.Signal | number): boolean {
    try {
      this.subprocess.kill(signal as Deno.Signal);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || (error as Error).message.includes("already terminated")) {
        return false;
      }
      throw error;
    }
  }

  ref(): void {
    this.subprocess.ref();
  }

  unref(): void {
    this.subprocess.unref();
  }
}

/** Starts a child process. */
export async function spawn(program: string | URL, options: SpawnOptions): Promise<ProcessHandle> {
  const { stdin, stdout, stderr, ...rest } = options;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  const child = stderr === "stdout"
    ? await spawnMerged(program, { ...given, stdin, stdout })
    : new Deno.Command(program, { ...given, stdin, stdout, stderr }).spawn();
  const pipes = new Map<number, StreamHandle>();
  if (stdin === "piped") pipes.set(0, new WritableStreamHandle(child.stdin, false));
  if (stdout === "piped") pipes.set(1, new ReadableStreamHandle(child.stdout));
  if (stderr === "piped") pipes.set(2, new ReadableStreamHandle(child.stderr));
  return new ChildHandle(child, pipes);
}
