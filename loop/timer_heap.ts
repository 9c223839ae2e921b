/**
 * Timers in the order of their time, and of their making where times are equal.
 *
 * @module
 */

/** What can lie in the heap. */
export interface Timed {
  /** When it is due, in milliseconds of the loop's clock. */
  readonly due: number;
  /** A number that grows with each one made. */
  readonly serial: number;
  /** Where it lies; the heap keeps this. */
  index: number;
}

/** A binary heap that can also give up what lies in its middle, so that a cancelled timer holds nothing. */
export class TimerHeap<T extends Timed> {
  #items: T[] = [];

  /** The next one due, if there is one. */
  get first(): T | undefined {
    return this.#items[0];
  }

  /** Adds one. */
  push(item: T): void {
    this.#items.push(item);
    this.#rise(this.#items.length - 1, item);
  }

  /** Reports whether one lies in the heap. */
  has(item: T): boolean {
    return this.#items[item.index] === item;
  }

  /** Removes one, and reports whether it was there. */
  remove(item: T): boolean {
    const index = item.index;
    if (!this.has(item)) return false;
    const last = this.#items.pop()!;
    if (last !== item) {
      this.#rise(index, last);
      this.#sink(last.index, last);
    }
    return true;
  }

  #rise(index: number, item: T): void {
    while (index > 0) {
      const above = (index - 1) >> 1;
      const other = this.#items[above]!;
      if (!before(item, other)) break;
      this.#place(index, other);
      index = above;
    }
    this.#place(index, item);
  }

  #sink(index: number, item: T): void {
    const length = this.#items.length;
    for (let below = 2 * index + 1; below < length; below = 2 * index + 1) {
      if (below + 1 < length && before(this.#items[below + 1]!, this.#items[below]!)) below++;
      const other = this.#items[below]!;
      if (!before(other, item)) break;
      this.#place(index, other);
      index = below;
    }
    this.#place(index, item);
  }

  #place(index: number, item: T): void {
    this.#items[index] = item;
    item.index = index;
  }
}

function before(a: Timed, b: Timed): boolean {
  return a.due < b.due || (a.due === b.due && a.serial < b.serial);
}
