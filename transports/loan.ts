/**
 * Bytes that are lent to a protocol for one callback, and may come back by `writeOwned`.
 *
 * An echo or a proxy that passes on what it was given thus moves every byte without a copy and without fresh
 * memory. What `dataReceived` was given, returned whole, is read into again once it is sent. What
 * `bufferUpdated` was told of stays in the protocol's memory, which is not read into until it is sent.
 *
 * Only a loan returned within the callback counts: that takes a few comparisons, where finding out later would
 * take a weak map and its cost at every garbage collection.
 *
 * @module
 */

/** Who waits for bytes that were lent and returned. */
export interface Lender {
  /** Bytes of it have been returned. */
  lent(): void;
  /** They have been sent, or dropped. Called wherever that happens: no callback may run inside. */
  settled(): void;
}

/** Something that holds returned bytes until they are sent. */
export interface LoanHolder {
  /** The window of ours that they lie in, to be used again afterwards; `null` where there is none. */
  window: Uint8Array | null;
  /** Whom to tell afterwards. */
  lender: Lender | null;
}

/** A window's bytes, as the protocol was given them. */
let lentData: Uint8Array | null = null;
let lentWindow: Uint8Array | null = null;
let holder: LoanHolder | null = null;
/** The memory of a protocol that has just been filled. */
let lentMemory: Uint8Array | null = null;
let memoryLender: Lender | null = null;

/**
 * Lends a window for the callback that follows.
 *
 * @param data The bytes that the protocol is given.
 * @param window The window that they begin.
 */
export function lendWindow(data: Uint8Array, window: Uint8Array): void {
  lentData = data;
  lentWindow = window;
  holder = null;
}

/**
 * Ends that.
 *
 * @returns Whether the window comes back; if not, it is the protocol's.
 */
export function endWindowLoan(): boolean {
  const returned = holder !== null && holder.window !== null;
  lentData = lentWindow = holder = null;
  return returned;
}

/**
 * Notes for the callback that follows that a protocol's own memory has been filled.
 *
 * @param memory The memory.
 * @param lender Whom to tell when bytes of it that the protocol gives away have been sent.
 */
export function lendMemory(memory: Uint8Array, lender: Lender): void {
  lentMemory = memory;
  memoryLender = lender;
}

/** Ends that. */
export function endMemoryLoan(): void {
  lentMemory = memoryLender = null;
}

/**
 * Takes note of bytes that a protocol has given away for good.
 *
 * @param data The bytes.
 * @param by Who sends them.
 */
export function returnLoan(data: Uint8Array, by: LoanHolder): void {
  if (data === lentData) {
    if (holder === null) {
      holder = by;
      by.window = lentWindow;
    } else {
      // Given away twice, say to each of several transports. Then it is nobody's, and each sends what it was given.
      holder.window = null;
    }
  } else if (lentMemory !== null && data.buffer === lentMemory.buffer) {
    // Also where it is another part, for getBuffer() may give that part next.
    by.lender = memoryLender;
    by.lender!.lent();
  }
}
