/** One of the set. It inherits from `AbortController`, to be one object. */
class Pending extends AbortController {
  previous: Pending | null = null;
  next: Pending | null = null;
}

/**
 * Connections that have no protocol yet, the oldest first: handshakes or PROXY headers that are awaited. A linked list, because
 * a `Set` would keep them until the next full garbage collection: see ConnectionList.
 */
export class PendingSet {
  #first: Pending | null = null;
  #last: Pending | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds one, and aborts the oldest for which there is no room: one that makes progress takes only a moment. */
  add(room: number, makeError: () => Error): Pending {
    while (this.#first !== null && this.#size >= room) {
      const oldest = this.#first;
      this.delete(oldest);
      oldest.abort(makeError());
    }
    const pending = new Pending();
    pending.previous = this.#last;
    if (this.#last === null) this.#first = pending;
    else this.#last.next = pending;
    this.#last = pending;
    this.#size++;
    return pending;
  }

  /** One is not pending any more. May be called again. */
  delete(pending: Pending): void {
    const { previous, next } = pending;
    if (previous === null && this.#first !== pending) return;
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    // What is removed refers to none of the others, for the sake of the garbage collector.
    pending.previous = pending.next = null;
    this.#size--;
  }

  /** Aborts all. Returns how many were not aborted before. */
  abort(reason: unknown): number {
    let count = 0;
    for (let pending = this.#first; pending !== null; pending = pending.next) {
      if (!pending.signal.aborted) count++;
      pending.abort(reason);
    }
    return count;
  }
}
