/**
 * Bytes on their way out: small writes are joined into one chunk, owned ones are passed on as they are.
 *
 * @module
 */
import { giveBuffer, MAX_BUFFER, takeBuffer } from "../memory/buffer_pool.ts";
import { type Lender, type LoanHolder, returnLoan } from "../memory/loan.ts";

/** An owned array smaller than this is joined to its neighbours: the copy is cheaper than a system write. */
const JOIN_BELOW = 4096;

/** A run of bytes that leaves in one system write, as far as the kernel takes it. */
interface Chunk extends LoanHolder {
  bytes: Uint8Array;
  start: number;
  end: number;
  /** Whether more may be joined to it, its memory being ours from the pool. */
  joinable: boolean;
  next: Chunk | null;
}

/** A first-in, first-out queue of bytes with a size that costs nothing to know. */
export class WriteQueue {
  #size = 0;
  /** The chunks, linked: an array would keep 150 bytes for every idle connection. */
  #head: Chunk | null = null;
  #tail: Chunk | null = null;
  /** Whether the head is in the kernel's hands, and closed to joining. */
  #sealed = false;
  /** Whose memory the kernel may still read though the queue has been cleared. */
  #unsettled: Lender | null = null;

  /** How many bytes wait, those in the kernel's hands included. */
  get size(): number {
    return this.#size;
  }

  /**
   * Adds a copy.
   *
   * @param data Bytes, at least one; the caller's again afterwards.
   */
  pushCopy(data: Uint8Array): void {
    const length = data.length;
    this.#size += length;
    const tail = this.#openTail();
    if (tail !== null && this.#makeRoom(tail, length)) {
      tail.bytes.set(data, tail.end);
      tail.end += length;
    } else if (length <= MAX_BUFFER) {
      const bytes = takeBuffer(length);
      bytes.set(data);
      this.#append({ bytes, start: 0, end: length, joinable: true, window: bytes, lender: null, next: null });
    } else {
      // A copy made by the constructor skips the zeroing that slice() does first.
      const bytes = new Uint8Array(data);
      this.#append({ bytes, start: 0, end: length, joinable: false, window: null, lender: null, next: null });
    }
  }

  /** Adds bytes that are the queue's from now on. */
  pushOwned(data: Uint8Array): void {
    if (data.length < JOIN_BELOW && this.#openTail() !== null) {
      this.pushCopy(data);
      return;
    }
    this.#size += data.length;
    const end = data.length;
    const chunk: Chunk = { bytes: data, start: 0, end, joinable: false, window: null, lender: null, next: null };
    returnLoan(data, chunk);
    this.#append(chunk);
  }

  /**
   * Gives the next bytes to send. They must not change until {@linkcode advance}.
   *
   * @returns A view of the first chunk; the queue must not be empty.
   */
  next(): Uint8Array {
    const chunk = this.#head!;
    this.#sealed = true;
    return chunk.start === 0 && chunk.end === chunk.bytes.length
      ? chunk.bytes
      : chunk.bytes.subarray(chunk.start, chunk.end);
  }

  /** Drops bytes that the kernel has taken. */
  advance(count: number): void {
    const chunk = this.#head!;
    this.#size -= count;
    chunk.start += count;
    if (chunk.start < chunk.end) return;
    this.#sealed = false;
    this.#head = chunk.next;
    if (this.#head === null) this.#tail = null;
    const { window, lender } = chunk;
    if (window === null) lender?.settled();
    else if (lender === null) giveBuffer(window);
    else lender.windowSent(window);
  }

  /**
   * Drops everything. The kernel may still read a chunk, so memory of ours is left to the garbage collector.
   *
   * @param writing Whether it does; then {@linkcode settle} must follow when it has done.
   */
  clear(writing: boolean): void {
    for (let chunk = this.#head; chunk !== null; chunk = chunk.next) {
      if (chunk.window !== null) continue;
      if (writing && chunk === this.#head) this.#unsettled = chunk.lender;
      else chunk.lender?.settled();
    }
    this.#head = this.#tail = null;
    this.#sealed = false;
    this.#size = 0;
  }

  /** After {@linkcode clear}: the kernel does not read any more. */
  settle(): void {
    this.#unsettled?.settled();
    this.#unsettled = null;
  }

  #append(chunk: Chunk): void {
    if (this.#tail === null) this.#head = chunk;
    else this.#tail.next = chunk;
    this.#tail = chunk;
  }

  /** The last chunk, if bytes may still be joined to it; a small owned one is copied to make it so. */
  #openTail(): Chunk | null {
    const tail = this.#tail;
    if (tail === null || (this.#sealed && tail === this.#head)) return null;
    if (!tail.joinable && tail.end < JOIN_BELOW) {
      const bytes = takeBuffer(tail.end);
      bytes.set(tail.bytes);
      // A window that it was stays out of use: its protocol may still give away the rest in this callback.
      if (tail.window === null) tail.lender?.settled();
      tail.bytes = tail.window = bytes;
      tail.lender = null;
      tail.joinable = true;
    }
    return tail.joinable ? tail : null;
  }

  /** Sees to it that a chunk can take more bytes, in a larger buffer if need be. */
  #makeRoom(chunk: Chunk, length: number): boolean {
    const needed = chunk.end + length;
    if (needed <= chunk.bytes.length) return true;
    if (needed > MAX_BUFFER) return false;
    // Four times as large: many small writes are copied a third of a time more on average.
    const larger = takeBuffer(Math.min(MAX_BUFFER, Math.max(needed, 4 * chunk.bytes.length)));
    larger.set(chunk.bytes.subarray(0, chunk.end));
    giveBuffer(chunk.bytes);
    chunk.bytes = chunk.window = larger;
    return true;
  }
}
