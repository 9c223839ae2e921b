/** Bytes with a plain buffer. */
export type Bytes = Uint8Array<ArrayBuffer>;

const EMPTY: Bytes = new Uint8Array(0);
/** Pieces up to this size are copied into a shared block, because a view of its own would take more memory than they do. */
const SMALL = 1024;
const BLOCK = 8 * 1024;

/** Bytes in the order of their arrival. What is taken out is a view of what was put in, unless it spans several pieces. */
export class ByteQueue {
  /** The first piece; its bytes from `#start` to `#end` are in the queue. */
  #head: Bytes = EMPTY;
  #start = 0;
  #end = 0;
  /** The memory behind `#end` is free. */
  #spare = false;
  /** The other pieces, from `#first` on. */
  #tail: Bytes[] = [];
  #first = 0;
  /** Where small pieces are collected: memory of the last piece of the tail. */
  #block: Bytes | null = null;
  #blockUsed = 0;
  #size = 0;

  /** The number of bytes. */
  get size(): number {
    return this.#size;
  }

  /** The number of bytes that are contiguous at the front. */
  get headSize(): number {
    return this.#end - this.#start;
  }

  /** Adds bytes at the end. They belong to the queue from now on. */
  push(bytes: Bytes): void {
    const { length } = bytes;
    if (length === 0) return;
    if (this.#size === 0) this.#setHead(bytes);
    else if (length <= SMALL) this.#collect(bytes);
    else {
      this.#block = null;
      this.#tail.push(bytes);
    }
    this.#size += length;
  }

  /** Puts bytes back to the front. */
  unshift(bytes: Bytes): void {
    if (bytes.length === 0) return;
    if (this.#size > 0) {
      const rest = this.#head.subarray(this.#start, this.#end);
      this.#tail = [rest, ...this.#tail.slice(this.#first)];
      this.#first = 0;
    }
    this.#setHead(bytes);
    this.#size += bytes.length;
  }

  /** Takes the first `count` bytes, which the queue must have. */
  take(count: number): Bytes {
    const head = this.#head;
    const start = this.#start;
    if (count <= this.#end - start) {
      const bytes = start === 0 && count === head.length ? head : head.subarray(start, start + count);
      this.#skip(count);
      return bytes;
    }
    const bytes = new Uint8Array(count);
    this.takeInto(bytes);
    return bytes;
  }

  /** Takes as many bytes as `target` has room for, and returns their number. */
  takeInto(target: Uint8Array): number {
    let filled = 0;
    while (filled < target.length && this.#size > 0) {
      const count = Math.min(this.headSize, target.length - filled);
      target.set(this.#head.subarray(this.#start, this.#start + count), filled);
      this.#skip(count);
      filled += count;
    }
    return filled;
  }

  /** Takes the contiguous bytes at the front, in a buffer that holds nothing else that is in use, so it can be transferred. */
  takeTransferable(): Bytes {
    const head = this.#head;
    const isAlone = this.#start === 0 && head.byteOffset === 0 && this.#end * 2 >= head.buffer.byteLength;
    const bytes = this.take(this.headSize);
    return isAlone ? bytes : bytes.slice();
  }

  /** Returns the first `count` bytes, which the queue must have, and leaves them in it. */
  peek(count: number): Bytes {
    while (this.headSize < count) this.gather();
    // A copy, because the buffer of the head may be transferred later.
    return this.#head.slice(this.#start, this.#start + count);
  }

  /** Drops the first `count` bytes. */
  drop(count: number): void {
    while (count > 0 && this.#size > 0) {
      const step = Math.min(count, this.headSize);
      this.#skip(step);
      count -= step;
    }
  }

  /** Makes more bytes contiguous at the front. Returns `false` if all are. */
  gather(): boolean {
    if (this.#first === this.#tail.length) return false;
    const next = this.#nextPiece();
    const end = this.#end + next.length;
    if (this.#spare && end <= this.#head.length) {
      this.#head.set(next, this.#end);
      this.#end = end;
      return true;
    }
    const size = this.headSize;
    const needed = size + next.length;
    // Twice the size if this is not the first time, so that many pieces cost no more than two copies of each byte.
    const memory = new Uint8Array(this.#spare || next.length <= BLOCK ? needed * 2 : needed);
    memory.set(this.#head.subarray(this.#start, this.#end));
    memory.set(next, size);
    this.#head = memory;
    this.#start = 0;
    this.#end = needed;
    this.#spare = true;
    return true;
  }

  /** Returns the place of a byte among the contiguous ones at the front, from `offset` on; -1 if it is not there. */
  indexOf(byte: number, offset: number): number {
    const head = this.#end === this.#head.length ? this.#head : this.#head.subarray(0, this.#end);
    const found = head.indexOf(byte, this.#start + offset);
    return found < 0 ? -1 : found - this.#start;
  }

  /** Does the same for several bytes. The match must end before `end`. */
  search(bytes: Uint8Array, offset: number, end: number = this.headSize): number {
    const head = this.#head;
    const start = this.#start;
    const first = bytes[0]!;
    const { length } = bytes;
    const last = start + Math.min(end, this.headSize) - length;
    for (let i = start + offset; i <= last; i++) {
      if (head[i] !== first) continue;
      let j = 1;
      while (j < length && head[i + j] === bytes[j]) j++;
      if (j === length) return i - start;
    }
    return -1;
  }

  #setHead(bytes: Bytes): void {
    this.#head = bytes;
    this.#start = 0;
    this.#end = bytes.length;
    this.#spare = false;
  }

  #skip(count: number): void {
    this.#start += count;
    this.#size -= count;
    if (this.#start < this.#end) return;
    this.#setHead(this.#first < this.#tail.length ? this.#nextPiece() : EMPTY);
  }

  #nextPiece(): Bytes {
    const next = this.#tail[this.#first]!;
    this.#tail[this.#first++] = EMPTY;
    if (this.#first === this.#tail.length) {
      this.#tail = [];
      this.#first = 0;
      // The block's memory is in use at the front now.
      this.#block = null;
    } else if (this.#first >= 64) {
      this.#tail.splice(0, this.#first);
      this.#first = 0;
    }
    return next;
  }

  #collect(bytes: Bytes): void {
    const end = this.#blockUsed + bytes.length;
    if (this.#block === null || end > this.#block.length) {
      this.#block = new Uint8Array(BLOCK);
      this.#blockUsed = bytes.length;
      this.#block.set(bytes);
      this.#tail.push(this.#block.subarray(0, bytes.length));
      return;
    }
    this.#block.set(bytes, this.#blockUsed);
    this.#blockUsed = end;
    this.#tail[this.#tail.length - 1] = this.#block.subarray(0, end);
  }
}
