import type { StreamHandle, StreamSink } from "../../transports/stream_handle.ts";
import { WindowMemory } from "../../memory/window_memory.ts";
import { microtasks } from "../streams/kit.ts";

/** A ready handle: it takes so many bytes at once, and lets the test play the kernel. */
export class ReadyHandle implements StreamHandle {
  readonly readable = true;
  readonly writable = true;
  readonly memory = new WindowMemory();
  sink!: StreamSink;
  /** How many bytes it takes at each call; an error is thrown. */
  room: number | Error = Infinity;
  readonly tried: number[] = [];
  readonly written: Uint8Array[] = [];
  closeWrites = 0;
  #blocked: PromiseWithResolvers<number> | null = null;
  #waiting: Uint8Array | null = null;

  readStart(sink: StreamSink): void {
    this.sink = sink;
  }

  readStop(): void {}

  tryWrite(data: Uint8Array): number {
    this.tried.push(data.length);
    return this.#take(data);
  }

  write(data: Uint8Array): number | Promise<number> {
    const count = this.#take(data);
    if (count > 0) return count;
    this.#waiting = data;
    this.#blocked = Promise.withResolvers();
    return this.#blocked.promise;
  }

  /** There is room again. */
  async unblock(): Promise<void> {
    this.room = Infinity;
    this.#blocked!.resolve(this.#take(this.#waiting!));
    await microtasks();
  }

  closeWrite(): void {
    this.closeWrites++;
  }

  close(): void {
    this.#blocked?.reject(new Deno.errors.Interrupted("closed"));
  }

  #take(data: Uint8Array): number {
    if (this.room instanceof Error) throw this.room;
    const count = Math.min(this.room, data.length);
    this.room -= count;
    if (count > 0) this.written.push(data.slice(0, count));
    return count;
  }
}
