/**
 * The limits of a server that are times. Connections count bytes, and one timer of the server compares the counts: so a
 * message costs an addition, and a connection needs no timer.
 */
import { LimitError, type LimitName } from "../errors.ts";
import type { LoopContext, TimerHandle } from "../transports/loop_context.ts";
import type { StreamConnection } from "../transports/stream_connection.ts";
import { formatPeer } from "./limit_reports.ts";
import type { LimitPlan } from "./limits.ts";
import type { Visitor } from "./visitor.ts";

/** How often the shortest time is checked. A check sees activity up to one interval late, and acts up to another one late. */
const CHECKS = 16;
/** The interval between two checks, in milliseconds. */
const MIN_INTERVAL = 5;
const MAX_INTERVAL = 5000;

/** Ends connections that have reached a time limit. */
export class Deadlines {
  #loop: LoopContext;
  #plan: LimitPlan;
  #visitors: ReadonlyMap<StreamConnection, Visitor>;
  #reached: (error: LimitError) => void;
  /** `null` if no limit is a time. */
  #interval: number | null;
  #timer: TimerHandle | null = null;
  /** How long the event loop was blocked, in milliseconds. */
  #blocked = 0;
  /** The last check was late. */
  #late = false;

  /** `visitors` has the connections to check. `reached` is called when one has ended. */
  constructor(
    loop: LoopContext,
    plan: LimitPlan,
    visitors: ReadonlyMap<StreamConnection, Visitor>,
    reached: (error: LimitError) => void,
  ) {
    this.#loop = loop;
    this.#plan = plan;
    this.#visitors = visitors;
    this.#reached = reached;
    const { idleTimeout, lifetime, writeTimeout, progress } = plan;
    const times = [idleTimeout, lifetime, writeTimeout, progress?.within].filter((ms) => ms !== undefined);
    const shortest = Math.min(...times);
    this.#interval = times.length === 0 ? null : Math.min(MAX_INTERVAL, Math.max(MIN_INTERVAL, shortest / CHECKS));
  }

  /** A connection begins. It is among the visitors. */
  begin(visitor: Visitor): void {
    if (this.#interval === null) return;
    visitor.startedAt =
      visitor.activeAt =
      visitor.takenAt =
      visitor.windowAt =
        this.#now();
    if (this.#timer === null) this.#arm(this.#interval);
  }

  /** A connection is no longer among the visitors. */
  end(): void {
    if (this.#visitors.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** The connection reads no more for now. */
  pause(visitor: Visitor): void {
    if (this.#interval !== null) visitor.pausedAt ??= this.#now();
  }

  /** The connection reads again. */
  resume(visitor: Visitor): void {
    if (visitor.pausedAt === null) return;
    const now = this.#now();
    if (visitor.windowAt !== null) visitor.windowAt += Math.max(0, now - visitor.pausedAt);
    visitor.activeAt = now;
    visitor.pausedAt = null;
  }

  /** The time without that in which the event loop was blocked. */
  #now(): number {
    return this.#loop.time() - this.#blocked;
  }

  #arm(interval: number): void {
    this.#timer = this.#loop.callLater(interval, () => this.#check(interval));
    this.#timer.unref(); // The connections keep the process alive.
  }

  #check(interval: number): void {
    const late = this.#loop.time() - this.#timer!.when();
    this.#timer = null;
    // What arrived while the program blocked the loop is not read yet. Time goes on if every check of a busy loop is late.
    const wasLate = this.#late;
    this.#late = late > interval;
    if (this.#late) this.#blocked += wasLate ? late : late + interval;
    if (!this.#late || wasLate) this.#checkAll(this.#now());
    // A callback may have begun a connection, or ended the last one.
    if (this.#timer === null && this.#visitors.size > 0) this.#arm(interval);
  }

  #checkAll(now: number): void {
    for (const [connection, visitor] of this.#visitors) {
      const reached = this.#examine(connection, visitor, now);
      if (reached === null) continue;
      const [limit, text] = reached;
      const message = `limits.${limit}: ${formatPeer(visitor.peername)} ${text}`;
      const error = new LimitError(message, limit, visitor.peername);
      connection.fail(error);
      this.#reached(error);
    }
  }

  /** Compares the counts of a connection with those of the last check. Returns the limit that it has reached, and how. */
  #examine(connection: StreamConnection, visitor: Visitor, now: number): [LimitName, string] | null {
    const { idleTimeout, lifetime, writeTimeout, progress: least } = this.#plan;
    const { currentSender, sent, progress, receiver: { received, ended } } = connection;
    const waiting = currentSender?.waiting ?? false;
    // Over, also by a limit, or TLS waits for close_notify, which has a limit of its own.
    if (connection.isClosing && !waiting) return null;
    const reads = visitor.pausedAt === null && !connection.isClosing;
    const hasReceived = received !== visitor.received;
    const hasTaken = sent !== visitor.sent || (waiting && progress !== visitor.progress);
    if (visitor.windowAt === null && hasReceived) {
      visitor.windowAt = now;
      visitor.windowFrom = visitor.received;
    }
    visitor.received = received;
    visitor.sent = sent;
    visitor.progress = progress;
    // What has begun since the last check counts from now on, so that no time is counted that has not passed.
    const waits = waiting && visitor.waited;
    visitor.waited = waiting;
    if (!waits || hasTaken) visitor.takenAt = now;
    // Reading that is paused while bytes wait is paused because the peer does not read.
    if (hasReceived || hasTaken || (!reads && !waits)) visitor.activeAt = now;

    if (lifetime !== undefined && now - visitor.startedAt >= lifetime) {
      return ["lifetime", `has been connected for ${lifetime} ms`];
    }
    if (writeTimeout !== undefined && now - visitor.takenAt >= writeTimeout) {
      return ["writeTimeout", `took none of the bytes that wait for it within ${writeTimeout} ms`];
    }
    if (idleTimeout !== undefined && now - visitor.activeAt >= idleTimeout) {
      return ["idleTimeout", `sent and took no bytes for ${idleTimeout} ms`];
    }
    if (least === undefined || visitor.windowAt === null) return null;
    const { bytes, within } = least;
    const count = received - visitor.windowFrom;
    if (ended || count >= bytes) visitor.windowAt = null;
    else if (reads && now - visitor.windowAt >= within) {
      return ["progress", `sent ${count} bytes within ${within} ms, of at least ${bytes}`];
    }
    return null;
  }
}
