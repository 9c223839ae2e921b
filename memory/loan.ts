/**
 * Memory that is lent to a protocol for one callback, and that the protocol can return by `writeOwned`. An echo or a proxy
 * then moves bytes without copies and allocations.
 *
 * - An array of `dataReceived` that is returned whole is recycled for the same connection after it was sent.
 * - In `bufferUpdated`, the protocol's own memory is not read into until it was sent.
 *
 * Only memory returned within the callback counts. That costs a few comparisons; detecting a later return would need a
 * weak map, at a cost for every garbage collection.
 */

/** Waits for lent memory to be sent. Its methods must not call callbacks. */
export interface Lender {
  /** Memory of the protocol was returned. */
  lent(): void;
  /** That memory was sent or dropped. */
  settled(): void;
  /** A returned window was sent. */
  windowSent(window: Uint8Array): void;
}

/** Holds returned memory until it is sent. */
export interface LoanHolder {
  /** The window to recycle afterwards, if the bytes are a whole window. */
  window: Uint8Array | null;
  /** Called afterwards. Without a lender, the window goes to the pool. */
  lender: Lender | null;
}

/** The array that `dataReceived` is called with. */
let lentData: Uint8Array | null = null;
let lentWindow: Uint8Array | null = null;
let windowLender: Lender | null = null;
/** The first holder of bytes of the window. */
let holder: LoanHolder | null = null;
/** A copy that `dataReceived` is called with, and whether it was returned. */
let shownCopy: Uint8Array | null = null;
let copyReturned = false;
/** The memory that `bufferUpdated` is called for. */
let lentMemory: Uint8Array | null = null;
let memoryLender: Lender | null = null;

/** Lends a window for the callback that follows. Without a lender, the window goes to the pool; no protocol may see it. */
export function lendWindow(data: Uint8Array, window: Uint8Array, lender: Lender | null): void {
  lentData = data;
  lentWindow = window;
  windowLender = lender;
  holder = null;
}

/** Ends the loan, and reports whether the window was returned. Until then, nothing may be flushed: see StreamReceiver. */
export function endWindowLoan(): boolean {
  const returned = holder !== null && holder.window !== null;
  lentData = lentWindow = null;
  windowLender = holder = null;
  return returned;
}

/** Watches whether the callback that follows returns a copy. Then the protocol would return a window, too. */
export function showCopy(data: Uint8Array): void {
  shownCopy = data;
  copyReturned = false;
}

/** Ends the watch, and reports whether the copy was returned. */
export function endShownCopy(): boolean {
  shownCopy = null;
  return copyReturned;
}

/** Lends a protocol's own memory for the callback that follows. */
export function lendMemory(memory: Uint8Array, lender: Lender): void {
  lentMemory = memory;
  memoryLender = lender;
}

export function endMemoryLoan(): void {
  lentMemory = memoryLender = null;
}

/** Makes `by` the holder if `data`, which a protocol has given to `writeOwned`, is in lent memory. */
export function returnLoan(data: Uint8Array, by: LoanHolder): void {
  if (lentWindow !== null && data.buffer === lentWindow.buffer) {
    if (holder !== null) {
      // Parts of the window are sent more than once: the window is not recycled.
      holder.window = holder.lender = null;
    } else {
      holder = by;
      if (data === lentData) {
        by.window = lentWindow;
        by.lender = windowLender;
      }
    }
  } else if (lentMemory !== null && data.buffer === lentMemory.buffer) {
    // Any part of the memory counts, because getBuffer() may return that part next.
    by.lender = memoryLender;
    by.lender!.lent();
  } else if (data === shownCopy) {
    copyReturned = true;
  }
}
