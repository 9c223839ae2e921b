/** The limits of a server at work: which connections are let in, and for how long. */
import { AsyncLocalStorage } from "node:async_hooks";
import { LimitError, type LimitName } from "../errors.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import type { StreamConnection } from "../transports/stream_connection.ts";
import type { StreamEnd } from "../transports/stream_handle.ts";
import { Deadlines } from "./deadlines.ts";
import { formatPeer, LimitReports } from "./limit_reports.ts";
import type { LimitPlan } from "./limits.ts";
import { peerKey } from "./peer_key.ts";
import { Visitor } from "./visitor.ts";

/** The server, for its limits. */
export interface GuardHost {
  /** Stops accepting. A connection can still be delivered. */
  pauseAccepting(): void;
  resumeAccepting(): void;
  /** Serves a connection that has waited. Calls `admit()` again. */
  serve(end: StreamEnd): void;
}

/** Counts the connections of a server, and ends those that reach a limit. */
export class LimitGuard {
  /** The server is full, and does not accept. */
  full = false;

  #plan: LimitPlan;
  #host: GuardHost;
  #reports: LimitReports;
  #deadlines: Deadlines;
  #count = 0;
  /** The number of connections of each peer. */
  #peers = new Map<string, number>();
  #visitors = new Map<StreamConnection, Visitor>();
  /** Connections that a listener has delivered although it should stop: at most one for each. */
  #held: StreamEnd[] = [];
  #closed = false;
  /** Accepts in the context of `createServer()`, also if the end of a connection makes room. */
  #inContext = AsyncLocalStorage.snapshot();

  constructor(loop: LoopContext, method: string, plan: LimitPlan, host: GuardHost) {
    this.#plan = plan;
    this.#host = host;
    this.#reports = new LimitReports(loop, method, plan.onLimit);
    this.#deadlines = new Deadlines(loop, plan, this.#visitors, (error) => this.#reports.call(error));
  }

  get maxHandshakes(): number | undefined {
    return this.#plan.maxHandshakes;
  }

  /** Lets a connection in. `null`: it is refused, or served later. */
  admit(end: StreamEnd): Visitor | null {
    const { maxConnections = Infinity, maxConnectionsPerPeer = Infinity, whenFull } = this.#plan;
    const { peername = null } = end.extra;
    const key = maxConnectionsPerPeer === Infinity ? null : peerKey(peername);
    const ofPeer = key === null ? 0 : this.#peers.get(key) ?? 0;
    if (ofPeer >= maxConnectionsPerPeer) {
      this.#refuse(end, "maxConnectionsPerPeer", `${key} has ${connections(ofPeer)}`);
      return null;
    }
    if (this.#count >= maxConnections) {
      if (this.#closed) end.handle.close(true);
      else if (whenFull === "wait") this.#held.push(end);
      else this.#refuse(end, "maxConnections", thereAre(this.#count));
      return null;
    }
    this.#count++;
    if (key !== null) this.#peers.set(key, ofPeer + 1);
    if (whenFull === "wait" && this.#count >= maxConnections) {
      this.full = true;
      this.#host.pauseAccepting();
      this.#report("maxConnections", `${thereAre(this.#count)}, so the next ones wait`, peername);
    }
    return new Visitor(key, peername);
  }

  /** A connection that was let in has ended. */
  release({ key }: Visitor): void {
    this.#count--;
    if (key !== null) {
      const count = this.#peers.get(key)! - 1;
      if (count > 0) this.#peers.set(key, count);
      else this.#peers.delete(key);
    }
    if (!this.full || this.#closed) return;
    this.full = false;
    this.#inContext(() => {
      // Serving may fill the server again, or close it.
      while (!this.full && this.#held.length > 0) this.#host.serve(this.#held.shift()!);
      if (!this.full && !this.#closed) this.#host.resumeAccepting();
    });
  }

  /** A connection has a protocol, whose `connectionMade` is called next. */
  begin(connection: StreamConnection, visitor: Visitor): void {
    this.#visitors.set(connection, visitor);
    this.#deadlines.begin(visitor);
  }

  paused(connection: StreamConnection): void {
    const visitor = this.#visitors.get(connection);
    if (visitor !== undefined) this.#deadlines.pause(visitor);
  }

  resumed(connection: StreamConnection): void {
    const visitor = this.#visitors.get(connection);
    if (visitor !== undefined) this.#deadlines.resume(visitor);
  }

  /** The protocol of a connection was told that it is lost. */
  lost(connection: StreamConnection): void {
    const visitor = this.#visitors.get(connection)!;
    this.#visitors.delete(connection);
    this.#deadlines.end();
    this.release(visitor);
  }

  /** A handshake was aborted for newer ones. Returns whether that was reported. */
  crowdedOut(visitor: Visitor, error: Error): boolean {
    const { peername } = visitor;
    const message = `limits.maxHandshakes: ${formatPeer(peername)}: ${error.message}`;
    return this.#reports.call(new LimitError(message, "maxHandshakes", peername));
  }

  /** The server is closed: nothing is let in from now on. */
  close(): void {
    this.#closed = true;
    for (const { handle } of this.#held.splice(0)) handle.close(true);
  }

  #refuse(end: StreamEnd, limit: LimitName, reason: string): void {
    end.handle.close(true);
    const { peername = null } = end.extra;
    this.#report(limit, `${formatPeer(peername)} was refused: ${reason}`, peername);
  }

  #report(limit: LimitName, text: string, peername: Deno.Addr | null): void {
    this.#reports.refused(new LimitError(`limits.${limit}: ${text}`, limit, peername));
  }
}

function connections(count: number): string {
  return count === 1 ? "1 connection" : `${count} connections`;
}

function thereAre(count: number): string {
  return `there ${count === 1 ? "is" : "are"} ${connections(count)}`;
}
