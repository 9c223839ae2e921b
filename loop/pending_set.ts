/** Connections that have no protocol yet, the oldest first: handshakes or PROXY headers that are awaited. */
export class PendingSet {
  #controllers = new Set<AbortController>();

  get size(): number {
    return this.#controllers.size;
  }

  /** Adds one, and aborts the oldest for which there is no room: one that makes progress takes only a moment. */
  add(room: number, makeError: () => Error): AbortController {
    for (const oldest of this.#controllers) {
      if (this.#controllers.size < room) break;
      this.#controllers.delete(oldest);
      oldest.abort(makeError());
    }
    const controller = new AbortController();
    this.#controllers.add(controller);
    return controller;
  }

  /** One is not pending any more. */
  delete(controller: AbortController): void {
    this.#controllers.delete(controller);
  }

  /** Aborts all. Returns how many were not aborted before. */
  abort(reason: unknown): number {
    let count = 0;
    for (const controller of this.#controllers) {
      if (!controller.signal.aborted) count++;
      controller.abort(reason);
    }
    return count;
  }
}
