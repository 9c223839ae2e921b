import { toError } from "../../errors.ts";
import type { ReadMemory } from "../../memory/read_memory.ts";
import { WindowMemory } from "../../memory/window_memory.ts";
import type { StreamHandle, StreamSink } from "../../transports/stream_handle.ts";

/** Never read into, because a web stream delivers chunks in its own memory. */
const NO_MEMORY: ReadMemory = new WindowMemory();

/** A handle over a `ReadableStream`, such as a child's standard output. */
export class ReadableStreamHandle implements StreamHandle {
  readonly readable = true;
  readonly writable = false;
  readonly memory: ReadMemory = NO_MEMORY;
  #reader: ReadableStreamDefaultReader<Uint8Array>;
  #wanted = false;
  #pumping = false;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
    // read() rejects with the same error. Unhandled, this rejection would end the process.
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

/** A handle over a `WritableStream`, such as a child's standard input. */
export class WritableStreamHandle implements StreamHandle {
  readonly readable = false;
  readonly writable = true;
  readonly memory: ReadMemory = NO_MEMORY;
  #writer: WritableStreamDefaultWriter<Uint8Array>;
  #keepsChunks: boolean;

  /** With `keepsChunks`, the sink may keep a chunk after it was written, as a `TransformStream` does. */
  constructor(stream: WritableStream<Uint8Array>, keepsChunks = true) {
    this.#keepsChunks = keepsChunks;
    this.#writer = stream.getWriter();
    // write() rejects with the same errors. Unhandled, these rejections would end the process.
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
    // A sink sees an orderly end only if all bytes were written.
    const end = dropped ? this.#writer.abort() : this.#writer.close();
    end.catch(() => {});
  }
}
