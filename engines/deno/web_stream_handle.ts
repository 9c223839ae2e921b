/**
 * Handles over web streams, which is what Deno gives for a child's pipes.
 *
 * @module
 */
import { toError } from "../../errors.ts";
import type { ReadMemory } from "../../memory/read_memory.ts";
import { WindowMemory } from "../../memory/window_memory.ts";
import type { StreamHandle, StreamSink } from "../../transports/stream_handle.ts";

/** Chunks of a web stream come in memory of their own. */
const NO_MEMORY: ReadMemory = new WindowMemory();

/** Reads a `ReadableStream`. */
export class ReadableStreamHandle implements StreamHandle {
  readonly readable = true;
  readonly writable = false;
  readonly memory: ReadMemory = NO_MEMORY;
  #reader: ReadableStreamDefaultReader<Uint8Array>;
  #wanted = false;
  #pumping = false;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
    // The error also arrives at read(); this keeps its twin from going unhandled.
    this.#reader.closed.catch(() => {});
  }

  readStart(sink: StreamSink): void {
    this.#wanted = true;
    if (!this.#pumping) this.#pump(sink);
  }

  readStop(): void {
    this.#wanted = false;
  }

  write(): never {
    throw new TypeError("a readable stream cannot be written to");
  }

  closeWrite(): void {}

  close(): void {
    this.#wanted = false;
    this.#reader.cancel().catch(() => {});
  }

  async #pump(sink: StreamSink): Promise<void> {
    this.#pumping = true;
    try {
      while (this.#wanted) {
        let result: ReadableStreamReadResult<Uint8Array>;
        try {
          result = await this.#reader.read();
        } catch (error) {
          sink.failed(toError(error));
          break;
        }
        if (result.done) {
          sink.end();
          break;
        }
        if (!(result.value instanceof Uint8Array)) {
          sink.failed(new TypeError("the readable stream must yield Uint8Array chunks"));
          break;
        }
        if (result.value.length > 0) sink.chunk(result.value);
      }
    } finally {
      this.#pumping = false;
    }
  }
}

/** Writes a `WritableStream`. */
export class WritableStreamHandle implements StreamHandle {
  readonly readable = false;
  readonly writable = true;
  readonly memory: ReadMemory = NO_MEMORY;
  #writer: WritableStreamDefaultWriter<Uint8Array>;
  #keepsChunks: boolean;

  /**
   * @param stream The stream.
   * @param keepsChunks Whether its sink may hold on to a chunk that it has taken, as a `TransformStream` does.
   */
  constructor(stream: WritableStream<Uint8Array>, keepsChunks = true) {
    this.#keepsChunks = keepsChunks;
    this.#writer = stream.getWriter();
    // Errors arrive at write(); these keep their twins from going unhandled.
    this.#writer.closed.catch(() => {});
    this.#writer.ready.catch(() => {});
  }

  readStart(): void {}

  readStop(): void {}

  async write(data: Uint8Array): Promise<number> {
    await this.#writer.write(this.#keepsChunks ? new Uint8Array(data) : data);
    return data.length;
  }

  closeWrite(): void {}

  close(dropped: boolean): void {
    // A sink that sees its end has been given everything.
    const end = dropped ? this.#writer.abort() : this.#writer.close();
    end.catch(() => {});
  }
}
