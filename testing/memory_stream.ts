import type { ReadMemory, StreamHandle, StreamSink } from "../transports/mod.ts";
import type { Wake } from "./event_queue.ts";
import type { MemoryPipe, PipeEnds } from "./memory_pipe.ts";
import { brokenPipe } from "./system_errors.ts";

/** One side of a stream in memory. It behaves as a TCP socket of Linux does, the resets included. */
export class MemoryStream implements StreamHandle {
  readonly readable = true;
  readonly writable = true;
  readonly memory: ReadMemory;
  #input: MemoryPipe;
  #output: MemoryPipe;
  #wake: () => void;
  #sink: StreamSink | null = null;
  #closed = false;
  #resets = false;
  /** The sink, or an exception of a write, has delivered the failure of the input. */
  #failed = false;
  /** A write that waits for room. */
  #blocked: PromiseWithResolvers<void> | null = null;

  constructor(memory: ReadMemory, input: MemoryPipe, output: MemoryPipe, wake: Wake) {
    this.memory = memory;
    this.#input = input;
    this.#output = output;
    const ready = () => this.#ready();
    this.#wake = () => wake(ready);
  }

  /** Connects two streams. Each gets its events by a `wake` of its own. */
  static pair(
    memory: ReadMemory,
    up: MemoryPipe,
    down: MemoryPipe,
    wakeClient: Wake,
    wakeServer: Wake,
  ): [client: MemoryStream, server: MemoryStream] {
    const client = new MemoryStream(memory, down, up, wakeClient);
    const server = new MemoryStream(memory, up, down, wakeServer);
    const cut = (reset: boolean) => {
      up.cut(reset);
      down.cut(reset);
    };
    up.ends = MemoryStream.#ends(client, server, cut);
    down.ends = MemoryStream.#ends(server, client, cut);
    return [client, server];
  }

  static #ends(writer: MemoryStream, reader: MemoryStream, cut: (reset: boolean) => void): PipeEnds {
    return {
      cut,
      readable: () => {
        reader.#wake();
        // The writes of a stream whose connection is reset fail.
        if (reader.#input.failure !== null) reader.#unblock();
      },
      writable: () => writer.#unblock(),
      refused: () => writer.#input.reset(),
    };
  }

  readStart(sink: StreamSink): void {
    this.#sink = sink;
    this.#wake();
  }

  readStop(): void {
    this.#sink = null;
  }

  tryWrite(data: Uint8Array): number {
    const { failure } = this.#input;
    if (failure !== null) {
      if (this.#failed) throw brokenPipe();
      this.#failed = true;
      throw failure;
    }
    if (this.#closed) throw brokenPipe();
    return this.#output.send(data);
  }

  write(data: Uint8Array): number | Promise<number> {
    const count = this.tryWrite(data);
    if (count > 0) return count;
    this.#blocked = Promise.withResolvers();
    return this.#blocked.promise.then(() => this.write(data));
  }

  closeWrite(): void {
    this.#output.end();
  }

  reset(): void {
    this.#resets = true;
  }

  close(_dropped: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sink = null;
    // Like the kernel: bytes that are never read reset the connection.
    const left = this.#input.close();
    if (left || this.#resets) this.#output.reset();
    else this.#output.end();
    this.#unblock();
  }

  #unblock(): void {
    const blocked = this.#blocked;
    this.#blocked = null;
    blocked?.resolve();
  }

  /** Bytes, the end, or a sink are there: reads once, and comes back if there is more. */
  #ready(): void {
    const sink = this.#sink;
    if (sink === null) return;
    const input = this.#input;
    if (input.count > 0) {
      const memory = sink.allocate(input.count);
      if (memory === null) return;
      const count = input.read(memory);
      this.#wake();
      sink.filled(count);
    } else if (input.failure !== null) {
      this.#sink = null;
      this.#failed = true;
      sink.failed(input.failure);
    } else if (input.ended) {
      this.#sink = null;
      sink.end();
    }
  }
}
