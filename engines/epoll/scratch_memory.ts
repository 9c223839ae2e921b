/**
 * The memory that the connections of an engine read into. Memory is taken when bytes have arrived and is free when the
 * callback returns, so an idle connection needs none of its own. There are three kinds:
 *
 * - Scratch memory, for the first message of a connection, whose size is unknown. It is copied out of it.
 * - Fresh memory, for the messages of protocols that keep them or pass them to `write`. It saves the copy, which took 25 ns
 *   of 1 KiB.
 * - Windows, for protocols that return messages by `writeOwned`. Each belongs to one connection, so that a view that a
 *   protocol keeps, against the rules, never shows bytes of another connection. There are at most 4 MiB of them.
 */
import { copyBytes, giveSeenBuffer, MAX_BUFFER, takeBuffer } from "../../memory/buffer_pool.ts";
import type { ReadMemory } from "../../memory/read_memory.ts";
import { markAsUntransferable } from "node:worker_threads";

/** The size of the scratch memory and of most windows, in bytes. */
const SCRATCH_SIZE = 64 * 1024;
/** Memory of this size or less shares a slab as large as that of copies, so a message of any size may stay in it. */
const SMALL_SIZE = 8 * 1024;
/**
 * Fresh memory is a part of a slab: the system and the garbage collector have less to do than for an array of each message
 * (0.60 instead of 0.53 of C at 100 KiB by `write`). A slab suits the messages up to a size.
 */
const SLABS: readonly [limit: number, size: number][] = [
  [SMALL_SIZE, 64 * 1024],
  [20 * 1024, 256 * 1024],
  [40 * 1024, 512 * 1024],
  [72 * 1024, 1024 * 1024],
  [MAX_BUFFER, 2048 * 1024],
];
/** A message keeps at most so many times its size of a slab alive. Smaller ones are copied. */
const MAX_KEPT = 64;
/** A window is of use to messages that fill at least this part of it: others are not lent (see StreamReceiver). */
const MIN_LENT_PART = 8;
/** The most bytes that windows take. */
const MAX_WINDOWS = 4 * 1024 * 1024;
/** The size shrinks after this many reads in a row of which each would fit half of it. */
const SMALL_READS = 16;
/** The size of fresh memory is a multiple of this. */
const PAGE = 4 * 1024;

/** Memory that several messages share. */
class Slab {
  readonly limit: number;
  readonly size: number;
  #memory = new ArrayBuffer(0);
  /** Full at first, so that the first message allocates memory. */
  #used: number;

  constructor(limit: number, size: number) {
    this.limit = limit;
    this.size = this.#used = size;
  }

  take(size: number): Uint8Array {
    if (this.#used + size > this.size) {
      this.#memory = new ArrayBuffer(this.size);
      // Transferring the buffer of one message would detach all messages in the slab. Now it is a DataCloneError.
      markAsUntransferable(this.#memory);
      this.#used = 0;
    }
    // The constructor takes two thirds of the time of subarray().
    return new Uint8Array(this.#memory, this.#used, size);
  }

  give(count: number): Uint8Array {
    const message = new Uint8Array(this.#memory, this.#used, count);
    this.#used += count + 7 & ~7;
    return message;
  }
}

/** The memory of one engine. */
export class ScratchPool {
  readonly scratch: Uint8Array = new Uint8Array(SCRATCH_SIZE);
  #slabs = SLABS.map(([limit, size]) => new Slab(limit, size));
  /** The connections with a window, the one with the oldest window first, and its size, which a protocol may set to 0. */
  #owners = new Map<ScratchMemory, number>();
  #windows = 0;

  /** Returns fresh memory. Until `giveFresh()`, it is returned again. */
  takeFresh(size: number): Uint8Array {
    return this.#slabFor(size).take(size);
  }

  /** Gives the first bytes of fresh memory of a size away, and returns them. */
  giveFresh(size: number, count: number): Uint8Array {
    return this.#slabFor(size).give(count);
  }

  /** Reports whether so few bytes would keep too much memory alive: more than a copy of them would. */
  wastes(memory: Uint8Array, count: number): boolean {
    return memory.length > SMALL_SIZE && count * MAX_KEPT < this.#slabFor(memory.length).size;
  }

  #slabFor(size: number): Slab {
    let i = 0;
    while (size > this.#slabs[i]!.limit) i++;
    return this.#slabs[i]!;
  }

  /** Returns a new window, or that of another connection if there are too many. */
  takeWindow(size: number): Uint8Array {
    let stolen: Uint8Array | null = null;
    for (const oldest of this.#owners.keys()) {
      if (this.#windows + size <= MAX_WINDOWS) break;
      const window = oldest.dropWindow()!;
      if (window.length === size) stolen ??= window;
    }
    // Transferred, which detaches the views that the other protocol may have kept. It takes 200 ns, whatever the size.
    return stolen === null ? takeBuffer(size) : new Uint8Array((stolen.buffer as ArrayBuffer).transfer());
  }

  addOwner(owner: ScratchMemory, size: number): void {
    this.#owners.set(owner, size);
    this.#windows += size;
  }

  removeOwner(owner: ScratchMemory): void {
    this.#windows -= this.#owners.get(owner)!;
    this.#owners.delete(owner);
  }
}

/** The memory of one connection. */
export class ScratchMemory implements ReadMemory {
  #pool: ScratchPool;
  /** The window of this connection, if it has one and is not using it. */
  #window: Uint8Array | null = null;
  /** The size of memory that suits the messages. */
  #size = 0;
  #smallReads = 0;

  constructor(pool: ScratchPool) {
    this.#pool = pool;
  }

  get shared(): true {
    return true;
  }

  take(lends: boolean): Uint8Array {
    if (lends) {
      let size = SCRATCH_SIZE;
      while (size < this.#size) size *= 2;
      const length = this.#window?.length ?? 0;
      // One that is larger than necessary stays while it is of use: large messages arrive in pieces of any size. To drop it for
      // a smaller one and back took 9 MB of garbage a second in a 100 KiB echo over TLS.
      if (length === size || length > size && this.#size * MIN_LENT_PART >= length) return this.#window!;
      this.dropWindow();
      this.#window = this.#pool.takeWindow(size);
      this.#pool.addOwner(this, size);
      return this.#window;
    }
    return this.#size > 0 ? this.#pool.takeFresh(this.#size) : this.#pool.scratch;
  }

  fit(size: number, count: number): void {
    // Full memory may be too small. One page more than a message needs shows that the message has ended.
    const suits = count === size ? Math.min(2 * size, MAX_BUFFER) : Math.min((count & -PAGE) + 2 * PAGE, MAX_BUFFER);
    if (suits * 2 > this.#size) this.#smallReads = 0;
    // A message can arrive in pieces, so the size grows at once and shrinks late.
    if (suits > this.#size || ++this.#smallReads > SMALL_READS) this.#size = suits;
  }

  keep(memory: Uint8Array, count: number): Uint8Array {
    if (memory === this.#pool.scratch || memory === this.#window || this.#pool.wastes(memory, count)) {
      return copyBytes(memory.subarray(0, count));
    }
    return this.#pool.giveFresh(memory.length, count);
  }

  giveAway(): void {
    this.#window = null;
    this.#pool.removeOwner(this);
  }

  takeBack(memory: Uint8Array): void {
    if (this.#window !== null) {
      giveSeenBuffer(memory);
      return;
    }
    this.#window = memory;
    this.#pool.addOwner(this, memory.length);
  }

  reset(): void {
    this.#size = 0;
  }

  /** Gives up the window, if there is one, and returns it. */
  dropWindow(): Uint8Array | null {
    const window = this.#window;
    if (window !== null) this.giveAway();
    return window;
  }
}
