import type { LoopInfo, ServerState, TransportState } from "../transports/inspection.ts";

/** The entry of one transport or server. */
class Entry<T extends object> {
  readonly subject: WeakRef<T>;
  readonly describe: (subject: T, now: number) => TransportState | ServerState;
  readonly createdAt: number;
  /** The number of bytes that the last look has found, and the first look that has found so many. */
  bytes = 0;
  movedAt: number;

  constructor(subject: T, describe: Entry<T>["describe"], now: number) {
    this.subject = new WeakRef(subject);
    this.describe = describe;
    this.createdAt = this.movedAt = now;
  }
}

/** The entries of dead subjects are looked for when there are so many entries. */
const MIN_SWEEP = 1024;

/** The open transports and servers of a loop, which it does not keep alive. */
export class Roster {
  #entries = new Set<Entry<object>>();
  #sweepAt = MIN_SWEEP;

  get size(): number {
    return this.#entries.size;
  }

  /** Adds a transport or a server. Returns what `leave()` takes. */
  enter<T extends object>(
    subject: T,
    describe: (subject: T, now: number) => TransportState | ServerState,
    now: number,
  ): object {
    if (this.#entries.size >= this.#sweepAt) this.#sweep();
    const entry = new Entry(subject, describe, now);
    this.#entries.add(entry as unknown as Entry<object>);
    return entry;
  }

  leave(entry: object | undefined): void {
    this.#entries.delete(entry as Entry<object>);
  }

  inspect(now: number): LoopInfo {
    const info: LoopInfo = { transports: [], servers: [] };
    for (const entry of this.#entries) {
      const subject = entry.subject.deref();
      if (subject === undefined) {
        this.#entries.delete(entry);
        continue;
      }
      const state = entry.describe(subject, now);
      const age = now - entry.createdAt;
      if ("addresses" in state) {
        info.servers.push({ ...state, age });
        continue;
      }
      const bytes = state.bytesReceived + state.bytesSent;
      if (bytes !== entry.bytes) {
        entry.bytes = bytes;
        entry.movedAt = now;
      }
      info.transports.push({ ...state, age, idle: now - entry.movedAt });
    }
    return info;
  }

  /** Removes what was collected without being closed. At most half of the work of adding, because the limit grows. */
  #sweep(): void {
    for (const entry of this.#entries) {
      if (entry.subject.deref() === undefined) this.#entries.delete(entry);
    }
    this.#sweepAt = Math.max(MIN_SWEEP, 2 * this.#entries.size);
  }
}
