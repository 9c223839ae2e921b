import type { ReadMemory } from "../memory/read_memory.ts";
import type { StreamHandle, StreamSink } from "../transports/stream_handle.ts";

/** The members of a handle that it may lack. */
const OPTIONAL = [
  "tryWrite",
  "openFile",
  "discard",
  "shutdown",
  "watchReader",
  "reset",
  "explain",
  "ref",
  "unref",
] as const;

/** A handle that delivers bytes which were read ahead, and then what another handle reads. */
export class ReadAheadHandle implements StreamHandle {
  readonly readable: boolean;
  readonly writable: boolean;
  readonly memory: ReadMemory;
  readonly halfCloses?: boolean;
  readonly shutdownTimeout?: number;
  #handle: StreamHandle;
  #rest: Uint8Array | null;
  #sink: StreamSink | null = null;

  constructor(handle: StreamHandle, rest: Uint8Array) {
    this.#handle = handle;
    this.#rest = rest;
    this.readable = handle.readable;
    this.writable = handle.writable;
    this.memory = handle.memory;
    if (handle.halfCloses !== undefined) this.halfCloses = handle.halfCloses;
    if (handle.shutdownTimeout !== undefined) this.shutdownTimeout = handle.shutdownTimeout;
    for (const name of OPTIONAL) {
      const method = handle[name] as ((...args: never[]) => unknown) | undefined;
      if (method !== undefined) Object.assign(this, { [name]: method.bind(handle) });
    }
  }

  readStart(sink: StreamSink): void {
    this.#sink = sink;
    if (this.#rest === null) this.#handle.readStart(sink);
    else queueMicrotask(() => this.#deliver()); // Nothing is delivered inside readStart().
  }

  readStop(): void {
    this.#sink = null;
    if (this.#rest === null) this.#handle.readStop();
  }

  write(data: Uint8Array): number | Promise<number> {
    return this.#handle.write(data);
  }

  closeWrite(): void | Promise<void> {
    return this.#handle.closeWrite();
  }

  close(dropped: boolean): void {
    this.#sink = this.#rest = null;
    this.#handle.close(dropped);
  }

  #deliver(): void {
    const rest = this.#rest;
    if (this.#sink === null || rest === null) return;
    this.#rest = null;
    this.#sink.chunk(rest);
    // The callback may have stopped reading.
    if (this.#sink !== null) this.#handle.readStart(this.#sink);
  }
}
