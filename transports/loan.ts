/**
 * A receive window that is lent to a protocol for one `dataReceived`, and may come back by `writeOwned`.
 *
 * An echo or a proxy that owns what it was given and passes it on whole thus moves every byte without a copy
 * and without fresh memory. Only a loan returned within the callback counts: that takes two comparisons,
 * where finding out later would take a weak map and its cost at every garbage collection.
 *
 * @module
 */

/** Something that holds a returned loan and gives its memory back to the pool when all is sent. */
export interface LoanHolder {
  /** The window that the bytes lie in; `null` if it must not be used again. */
  window: Uint8Array | null;
}

/** What is lent now, if anything. */
let lent: Uint8Array | null = null;
/** The window that it lies in. */
let lentWindow: Uint8Array | null = null;
let holder: LoanHolder | null = null;

/**
 * Lends a window for the callback that follows.
 *
 * @param data The bytes that the protocol is given.
 * @param window The window that they begin.
 */
export function beginLoan(data: Uint8Array, window: Uint8Array): void {
  lent = data;
  lentWindow = window;
  holder = null;
}

/**
 * Ends it.
 *
 * @returns Whether the window comes back; if not, it is the protocol's.
 */
export function endLoan(): boolean {
  const returned = holder !== null && holder.window !== null;
  lent = lentWindow = holder = null;
  return returned;
}

/**
 * Takes note of bytes that a protocol has given away for good.
 *
 * @param data The bytes.
 * @param by Who sends them.
 */
export function returnLoan(data: Uint8Array, by: LoanHolder): void {
  if (data !== lent) return;
  if (holder === null) {
    holder = by;
    by.window = lentWindow;
  } else {
    // Given away twice, say to each of several transports. Then it is nobody's, and each sends what it was given.
    holder.window = null;
  }
}
