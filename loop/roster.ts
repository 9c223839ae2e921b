import { describeStream } from "../transports/describe_stream.ts";
import type { LoopInfo, ServerState, TransportInfo, TransportState } from "../transports/inspection.ts";
import type { StreamConnection } from "../transports/stream_connection.ts";

/** The connections of a server, which have no entries of their own, to keep idle connections small. */
export type Connections = Iterable<[connection: StreamConnection, madeAt: number]>;

/** The entry of one transport or server. */
class Entry<T extends object> {
  readonly subject: WeakRef<T>;
  readonly describe: (subject: T, now: number) => TransportState | ServerState;
  readonly createdAt: number;
  /** Of a server. */
  readonly connectionsOf: ((subject: T) => Connections) | undefined;

  constructor(subject: T, describe: Entry<T>["describe"], now: number, connectionsOf: Entry<T>["connectionsOf"]) {
    this.subject = new WeakRef(subject);
    this.describe = describe;
    this.createdAt = now;
    this.connectionsOf = connectionsOf;
  }
}

/** The entries of dead subjects are looked for when there are so many entries. */
const MIN_SWEEP = 1024;

/** The open transports and servers of a loop, which it does not keep alive. */
export class Roster {
  #entries = new Set<Entry<object>>();
  #sweepAt = MIN_SWEEP;
  /** The number of bytes that the last look has found of a transport, and the first look that has found so many. */
  #moves = new WeakMap<object, { bytes: number; at: number }>();

  get size(): number {
    return this.#entries.size;
  }

  /** Adds a transport, or a server with its connections. Returns what `leave()` takes. */
  enter<T extends object>(
    subject: T,
    describe: (subject: T, now: number) => TransportState | ServerState,
    now: number,
    connectionsOf?: (subject: T) => Connections,
  ): object {
    if (this.#entries.size >= this.#sweepAt) this.#sweep();
    const entry = new Entry(subject, describe, now, connectionsOf);
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
      const { createdAt } = entry;
      const state = entry.describe(subject, now);
      if ("addresses" in state) info.servers.push({ ...state, age: now - createdAt });
      else info.transports.push(this.#withTimes(subject, state, createdAt, now));
      for (const [connection, madeAt] of entry.connectionsOf?.(subject) ?? []) {
        info.transports.push(this.#withTimes(connection, describeStream(connection, now), madeAt, now));
      }
    }
    info.transports.sort((a, b) => b.age - a.age);
    return info;
  }

  #withTimes(subject: object, state: TransportState, createdAt: number, now: number): TransportInfo {
    const bytes = state.bytesReceived + state.bytesSent;
    let moved = this.#moves.get(subject);
    if (moved === undefined || moved.bytes !== bytes) {
      moved = { bytes, at: bytes === 0 ? createdAt : now };
      this.#moves.set(subject, moved);
    }
    return { ...state, age: now - createdAt, idle: now - moved.at };
  }

  /** Removes what was collected without being closed. At most half of the work of adding, because the limit grows. */
  #sweep(): void {
    for (const entry of this.#entries) {
      if (entry.subject.deref() === undefined) this.#entries.delete(entry);
    }
    this.#sweepAt = Math.max(MIN_SWEEP, 2 * this.#entries.size);
  }
}
