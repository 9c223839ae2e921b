/**
 * Bytes that are lent to a protocol for one callback, and may come back by `writeOwned`.
 *
 * An echo or a proxy that passes on what it was given thus moves every byte without a copy and without fresh
 * memory. What `dataReceived` was given, returned whole, is read into again once it is sent, by the same connection:
 * its lender gets it back. What `bufferUpdated` was told of stays in the protocol's memory, which is not read into
 * until it is sent.
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
  /** A window that was returned has been sent. No callback may run inside. */
  windowSent(window: Uint8Array): void;
}

/** Something that holds returned bytes until they are sent. */
export interface LoanHolder {
  /** The window of ours that they lie in, to be used again afterwards; `null` where there is none. */
  window: Uint8Array | null;
  /** Called afterwards; a window without a lender goes to the pool. */
  lender: Lender | null;
}

/** A window's bytes, as the protocol was given them. */
let lentData: Uint8Array | null = null;
let lentWindow: Uint8Array | null = null;
let windowLender: Lender | null = null;
/** Who was first given bytes of the window. */
let holder: LoanHolder | null = null;
/** The memory of a protocol that has just been filled. */
let lentMemory: Uint8Array | null = null;
let memoryLender: Lender | null = null;

/**
 * Lends a window for the callback that follows.
 *
 * @param lender Who gets it back; `null` for the pool, if no protocol sees it.
 */
export function lendWindow(data: Uint8Array, window: Uint8Array, lender: Lender | null): void {
  lentData = data;
  lentWindow = window;
  windowLender = lender;
  holder = null;
}

/** Ends that. Nothing may be flushed before, lest the window be read into while parts of it are still given away. */
export function endWindowLoan(): boolean {
  const returned = holder !== null && holder.window !== null;
  lentData = lentWindow = null;
  windowLender = holder = null;
  return returned;
}

/** Notes for the callback that follows that a protocol's own memory has been filled. */
export function lendMemory(memory: Uint8Array, lender: Lender): void {
  lentMemory = memory;
  memoryLender = lender;
}

/** Ends that. */
export function endMemoryLoan(): void {
  lentMemory = memoryLender = null;
}

/** Takes note of bytes that a protocol has given away for good. */
export function returnLoan(data: Uint8Array, by: LoanHolder): void {
  if (lentWindow !== null && data.buffer === lentWindow.buffer) {
    if (holder !== null) {
      // Given away twice, or a part of it: then it belongs to none, and each sends what it was given.
      holder.window = holder.lender = null;
    } else {
      holder = by;
      if (data === lentData) {
        by.window = lentWindow;
        by.lender = windowLender;
      }
    }
  } else if (lentMemory !== null && data.buffer === lentMemory.buffer) {
    // Also where it is another part, for getBuffer() may give that part next.
    by.lender = memoryLender;
    by.lender!.lent();
  }
}
