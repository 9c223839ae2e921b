/**
 * The memory that all connections of an engine read into: it is in use only while one callback runs. So an idle connection
 * has no receive memory, and a message is in memory that is still in the processor's cache.
 */
import { giveSeenBuffer, MAX_BUFFER } from "../../memory/buffer_pool.ts";
import type { ReadMemory } from "../../memory/read_memory.ts";

/** The size for most connections, in bytes. */
const SMALL = 64 * 1024;
/** A connection goes back to small memory after this many reads in a row that small memory would have held. */
const SMALL_READS = 16;

/** One piece of memory. */
class Scratch {
  readonly size: number;
  /** `null` while a protocol or a write buffer owns it. */
  #memory: Uint8Array | null = null;
  /** The connection whose protocol has seen the memory. */
  #seenBy: ScratchMemory | null = null;

  constructor(size: number) {
    this.size = size;
  }

  take(by: ScratchMemory): Uint8Array {
    if (this.#memory === null) {
      this.#memory = new Uint8Array(this.size);
    } else if (this.#seenBy !== null && this.#seenBy !== by) {
      // Detaches the views that the former protocol has kept, against the rules: they would show bytes of another connection.
      // That takes 170 ns, whatever the size.
      this.#memory = new Uint8Array((this.#memory.buffer as ArrayBuffer).transfer());
    }
    this.#seenBy = null;
    return this.#memory;
  }

  giveAway(): void {
    this.#memory = null;
  }

  takeBack(memory: Uint8Array, seenBy: ScratchMemory): void {
    if (this.#memory !== null || memory.length !== this.size) {
      giveSeenBuffer(memory);
      return;
    }
    this.#memory = memory;
    this.#seenBy = seenBy;
  }
}

/** The memory of one engine. */
export class ScratchPool {
  readonly small: Scratch = new Scratch(SMALL);
  readonly large: Scratch = new Scratch(MAX_BUFFER);
  /** The piece that was taken last. Only one is in use at a time. */
  current: Scratch = this.small;
}

/** The share of one connection: it knows which size suits it. */
export class ScratchMemory implements ReadMemory {
  readonly shared = true;
  #pool: ScratchPool;
  #large = false;
  #smallReads = 0;

  constructor(pool: ScratchPool) {
    this.#pool = pool;
  }

  take(): Uint8Array {
    const pool = this.#pool;
    return (pool.current = this.#large ? pool.large : pool.small).take(this);
  }

  giveAway(): void {
    this.#pool.current.giveAway();
  }

  takeBack(memory: Uint8Array): void {
    const { small, large } = this.#pool;
    (memory.length === SMALL ? small : large).takeBack(memory, this);
  }

  fit(size: number, count: number): void {
    if (count >= SMALL) {
      this.#large = true;
      this.#smallReads = 0;
    } else if (this.#large && count * 8 < size && ++this.#smallReads === SMALL_READS) {
      this.reset();
    }
  }

  reset(): void {
    this.#large = false;
    this.#smallReads = 0;
  }
}
