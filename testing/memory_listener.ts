import type { AcceptSink, ListenHandle, StreamEnd } from "../transports/mod.ts";
import type { Wake } from "./event_queue.ts";

/** A listener in memory. */
export class MemoryListener implements ListenHandle {
  readonly addr: Deno.Addr;
  /** Runs events in the context of `createServer()`, those of its connections too. */
  readonly wake: Wake;
  #release: () => void;
  #limit: number;
  #backlog: StreamEnd[] = [];
  #sink: AcceptSink | null = null;
  #wanted = false;
  #closed = false;
  /** Clients that wait for room in the backlog. */
  #waiters: (() => void)[] = [];
  #event: () => void = () => this.#ready();

  constructor(addr: Deno.Addr, backlog: number | undefined, wake: Wake, release: () => void) {
    this.addr = addr;
    this.wake = wake;
    this.#limit = backlog ?? 511;
    this.#release = release;
  }

  /** Whether no connection can be added until one is accepted. */
  get full(): boolean {
    return !this.#closed && this.#backlog.length > this.#limit;
  }

  /** Calls back when `full` may have changed. */
  onRoom(callback: () => void): void {
    this.#waiters.push(callback);
  }

  add(end: StreamEnd): void {
    this.#backlog.push(end);
    this.wake(this.#event);
  }

  acceptStart(sink: AcceptSink): void {
    this.#sink = sink;
    this.#wanted = true;
    this.wake(this.#event);
  }

  acceptStop(): void {
    this.#wanted = false;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#release();
    for (const { handle } of this.#backlog.splice(0)) {
      handle.reset?.();
      handle.close(true);
    }
    this.#callWaiters();
    const sink = this.#sink;
    this.#sink = null;
    sink?.closed();
  }

  #ready(): void {
    // A callback may stop accepting, or close the listener.
    while (this.#wanted && this.#sink !== null && this.#backlog.length > 0) {
      this.#sink.accepted(this.#backlog.shift()!);
    }
    this.#callWaiters();
  }

  #callWaiters(): void {
    for (const callback of this.#waiters.splice(0)) callback();
  }
}
