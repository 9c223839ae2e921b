import { ByteQueue } from "./byte_queue.ts";
import { brokenPipe, connectionReset } from "./system_errors.ts";

/** The number of bytes that a direction of a stream holds while its reader does not read. */
export const PIPE_CAPACITY: number = 64 * 1024;

/** What the two streams of a pipe do when it has changed. */
export interface PipeEnds {
  /** Bytes, the end or a failure can be read. */
  readable(): void;
  /** There is room, or writing fails. */
  writable(): void;
  /** Bytes came for a reader that is closed: the writer's connection is reset. */
  refused(): void;
}

/** One direction of a stream in memory. */
export class MemoryPipe {
  ends!: PipeEnds;
  #arrived = new ByteQueue();
  /** The writer has ended. */
  #ending = false;
  #ended = false;
  #failure: Error | null = null;
  /** The reader is closed. */
  #closed = false;
  /** Bytes came after that. */
  #refused = false;

  /** The number of bytes that can be read. */
  get count(): number {
    return this.#arrived.count;
  }

  /** Whether the reader gets the end after these bytes. */
  get ended(): boolean {
    return this.#ended;
  }

  /** What the reader gets after these bytes instead. */
  get failure(): Error | null {
    return this.#failure;
  }

  /** Takes bytes, as far as there is room, and returns how many. */
  send(data: Uint8Array): number {
    if (this.#refused || this.#ending) throw brokenPipe();
    if (this.#closed) {
      this.#refused = true;
      this.ends.refused();
      return data.length;
    }
    const room = PIPE_CAPACITY - this.#arrived.count;
    if (room <= 0) return 0;
    const taken = data.length > room ? data.subarray(0, room) : data;
    this.#arrived.push(taken);
    this.ends.readable();
    return taken.length;
  }

  /** Moves bytes to the start of `memory`, and returns their number. */
  read(memory: Uint8Array): number {
    const count = this.#arrived.read(memory);
    this.ends.writable();
    return count;
  }

  /** Ends the stream after the bytes. */
  end(): void {
    if (this.#ending) return;
    this.#ending = this.#ended = true;
    this.ends.readable();
  }

  /** Resets the connection of the reader, which still gets the bytes. After the end, it does not get the error. */
  reset(): void {
    this.#ending = true;
    if (!this.#ended) this.#failure = connectionReset();
    this.ends.readable();
  }

  /** Closes the reading end, and returns whether bytes were left. */
  close(): boolean {
    const left = this.#arrived.count > 0;
    this.#closed = true;
    this.#arrived.clear();
    this.ends.writable();
    return left;
  }
}
