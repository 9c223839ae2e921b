import type { StreamConnection } from "../transports/stream_connection.ts";

/**
 * The connections of a server, in any order, and when each was made, in whole milliseconds: a fraction would take 16 bytes.
 *
 * Not a `Map`. Each of its tables refers to the next one. Once one is old enough for the old generation, a collection of young
 * memory keeps all later tables, and every connection that was ever in them, until the next full collection.
 */
export class ConnectionList {
  #connections: StreamConnection[] = [];
  #madeAt: number[] = [];

  get size(): number {
    return this.#connections.length;
  }

  add(connection: StreamConnection, now: number): void {
    connection.place = this.#connections.length;
    this.#connections.push(connection);
    this.#madeAt.push(Math.floor(now));
  }

  delete(connection: StreamConnection): void {
    const { place } = connection;
    if (this.#connections[place] !== connection) return;
    const last = this.#connections.pop()!;
    const madeAt = this.#madeAt.pop()!;
    if (last === connection) return;
    this.#connections[place] = last;
    this.#madeAt[place] = madeAt;
    last.place = place;
  }

  /** Returns a copy. */
  all(): StreamConnection[] {
    return [...this.#connections];
  }

  *[Symbol.iterator](): IterableIterator<[connection: StreamConnection, madeAt: number]> {
    for (const [i, connection] of this.#connections.entries()) yield [connection, this.#madeAt[i]!];
  }
}
