const EMPTY = new Uint8Array(0);
const SMALLEST = 256;
/** An empty queue keeps memory of this size at most. */
const KEPT = 4 * 1024;

/** A queue of bytes in a ring that grows. */
export class ByteQueue {
  #ring = EMPTY;
  #head = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  push(data: Uint8Array): void {
    if (this.#count + data.length > this.#ring.length) this.#grow(this.#count + data.length);
    const ring = this.#ring;
    const at = (this.#head + this.#count) % ring.length;
    const first = Math.min(data.length, ring.length - at);
    ring.set(data.subarray(0, first), at);
    if (first < data.length) ring.set(data.subarray(first), 0);
    this.#count += data.length;
  }

  /** Moves bytes to the start of `memory`, and returns their number. */
  read(memory: Uint8Array): number {
    const count = Math.min(this.#count, memory.length);
    this.#copy(memory, count);
    this.#count -= count;
    if (this.#count === 0) this.#empty();
    else this.#head = (this.#head + count) % this.#ring.length;
    return count;
  }

  clear(): void {
    this.#count = 0;
    this.#empty();
  }

  #empty(): void {
    this.#head = 0;
    if (this.#ring.length > KEPT) this.#ring = EMPTY;
  }

  #copy(memory: Uint8Array, count: number): void {
    const first = Math.min(count, this.#ring.length - this.#head);
    memory.set(this.#ring.subarray(this.#head, this.#head + first));
    if (first < count) memory.set(this.#ring.subarray(0, count - first), first);
  }

  #grow(size: number): void {
    const ring = new Uint8Array(Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(size))));
    this.#copy(ring, this.#count);
    this.#ring = ring;
    this.#head = 0;
  }
}
