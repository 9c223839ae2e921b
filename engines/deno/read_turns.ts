/**
 * Connections that deliver large reads one after another.
 *
 * Each takes its turn with the few microtasks in which what it wrote may leave, so that all copy through the same
 * memory while that is in the cache. Ten connections that echo 100 KiB from a BufferedProtocol by write() go from
 * 0.68 to 0.80 of the bare loop; at 16 KiB it gains nothing (bench/, echo-10x100k and echo-50x16k).
 *
 * @module
 */

/** Reads of this many bytes and more take turns. */
export const TAKES_TURNS = 20 * 1024;

let taken = false;
/** Connections that wait for their turn. */
const queue: (() => void)[] = [];

/**
 * Takes a turn.
 *
 * @returns A promise that resolves when it has come, or `null` if it has.
 */
export function takeTurn(): Promise<void> | null {
  if (taken) return new Promise((resolve) => queue.push(resolve));
  taken = true;
  return null;
}

/** Ends it, in a few microtasks at the most: a peer that does not read holds up nobody. */
export function passTurn(): void {
  const next = queue.shift();
  if (next === undefined) taken = false;
  else next();
}
