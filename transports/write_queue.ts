import { giveBuffer, MAX_BUFFER, takeBuffer } from "../memory/buffer_pool.ts";
import { type Lender, type LoanHolder, returnLoan } from "../memory/loan.ts";

/** The least memory for bytes to which others can be joined: growing it by copies took 60 ns of 16 writes of 64 bytes. */
const MIN_JOINED = 2048;
/** Owned arrays below this size are joined with their neighbours: a copy is cheaper than a system write. */
const JOIN_BELOW = 4096;

/** Bytes for one system write. */
interface Chunk extends LoanHolder {
  bytes: Uint8Array;
  start: number;
  end: number;
  /** Whether bytes can be added: the memory is from the pool. */
  joinable: boolean;
  next: Chunk | null;
}

/** A queue of bytes to write. Small writes are joined into one chunk. Large owned arrays are not copied. */
export class WriteQueue {
  #size = 0;
  /** A linked list: an array would take 150 bytes for each idle connection. */
  #head: Chunk | null = null;
  #tail: Chunk | null = null;
  /** Whether the head is being written, so that nothing can be joined to it. */
  #sealed = false;
  /** The lender of memory that the kernel may still read after `clear()`. */
  #unsettled: Lender | null = null;

  /** The number of bytes in the queue, those being written included. */
  get size(): number {
    return this.#size;
  }

  /** Adds a copy of one or more bytes. `expected`: how many are added now and next, so that memory for them is taken once. */
  pushCopy(data: Uint8Array, expected = 0): void {
    const length = data.length;
    this.#size += length;
    const tail = this.#openTail();
    if (tail !== null && this.#makeRoom(tail, length)) {
      tail.bytes.set(data, tail.end);
      tail.end += length;
    } else if (length <= MAX_BUFFER) {
      const bytes = takeBuffer(Math.max(length, MIN_JOINED, expected <= MAX_BUFFER ? expected : 0));
      bytes.set(data);
      this.#append({ bytes, start: 0, end: length, joinable: true, window: bytes, lender: null, next: null });
    } else {
      // Unlike slice(), the constructor does not zero the copy first.
      const bytes = new Uint8Array(data);
      this.#append({ bytes, start: 0, end: length, joinable: false, window: null, lender: null, next: null });
    }
  }

  /** Adds bytes without a copy, and owns them. */
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

  /** Returns the next bytes to write, which do not change until `advance()`. The queue must not be empty. */
  next(): Uint8Array {
    const chunk = this.#head!;
    this.#sealed = true;
    return chunk.start === 0 && chunk.end === chunk.bytes.length
      ? chunk.bytes
      : chunk.bytes.subarray(chunk.start, chunk.end);
  }

  /** Removes bytes that were written. */
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
   * Removes everything. Memory of the pool is left to the garbage collector, because the kernel may still read it. If a
   * write is pending, the caller calls `settle()` when it has ended.
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

  /** Ends the loan of memory whose write was pending at `clear()`. */
  settle(): void {
    this.#unsettled?.settled();
    this.#unsettled = null;
  }

  #append(chunk: Chunk): void {
    if (this.#tail === null) this.#head = chunk;
    else this.#tail.next = chunk;
    this.#tail = chunk;
  }

  /** Returns the last chunk if bytes can be joined to it, after copying a small owned one to the pool's memory. */
  #openTail(): Chunk | null {
    const tail = this.#tail;
    if (tail === null || (this.#sealed && tail === this.#head)) return null;
    if (!tail.joinable && tail.end < JOIN_BELOW) {
      // The former owner has detached or resized the array. Sending it fails.
      if (tail.bytes.length !== tail.end) return null;
      const bytes = takeBuffer(Math.max(tail.end, MIN_JOINED));
      bytes.set(tail.bytes);
      // A window is not taken back: its protocol can still send the rest of it in this callback.
      if (tail.window === null) tail.lender?.settled();
      tail.bytes = tail.window = bytes;
      tail.lender = null;
      tail.joinable = true;
    }
    return tail.joinable ? tail : null;
  }

  /** Reports whether a chunk has room for more bytes, after moving it to a larger buffer if necessary. */
  #makeRoom(chunk: Chunk, length: number): boolean {
    const needed = chunk.end + length;
    if (needed <= chunk.bytes.length) return true;
    if (needed > MAX_BUFFER) return false;
    // Four times as large: on average each of many small writes is copied 1.33 times.
    const larger = takeBuffer(Math.min(MAX_BUFFER, Math.max(needed, 4 * chunk.bytes.length)));
    larger.set(chunk.bytes.subarray(0, chunk.end));
    giveBuffer(chunk.bytes);
    chunk.bytes = chunk.window = larger;
    return true;
  }
}
