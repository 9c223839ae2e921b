/**
 * Bytes that a protocol of this package has received and not passed on. `startTls()` takes them for TLS: otherwise what an
 * attacker has written in plain text would be delivered as if it had arrived encrypted.
 *
 * @module
 */

/** What was taken from a protocol. */
export interface UnreadBytes {
  readonly bytes: Uint8Array;
  /** Undoes it, because the upgrade did not begin. */
  putBack(): void;
}

/** Takes the bytes of a protocol; `null` if it is of another class. Throws if they cannot be taken. */
type Taker = (protocol: object) => UnreadBytes | null;

const takers: Taker[] = [];

/** Registers what takes the bytes of a class, so that a protocol of another class costs nothing. */
export function addTaker(taker: Taker): void {
  takers.push(taker);
}

/** Takes the bytes that a protocol has received and not passed on. */
export function takeUnread(protocol: object): UnreadBytes | null {
  for (const take of takers) {
    const unread = take(protocol);
    if (unread !== null) return unread;
  }
  return null;
}
