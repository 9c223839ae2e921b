/** A timer in a heap. */
export interface Timed {
  /** The time at which it is due, in milliseconds of the loop's clock. */
  readonly due: number;
  /** Orders timers that are due at the same time. */
  readonly serial: number;
  /** Its position, set by the heap. */
  index: number;
}

/** A binary heap of timers, ordered by `due` and `serial`. A cancelled timer is removed at once, so it keeps no memory. */
export class TimerHeap<T extends Timed> {
  #items: T[] = [];

  /** The timer that is due first. */
  get first(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    this.#items.push(item);
    this.#rise(this.#items.length - 1, item);
  }

  has(item: T): boolean {
    return this.#items[item.index] === item;
  }

  /** Removes a timer, and reports whether it was in the heap. */
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
