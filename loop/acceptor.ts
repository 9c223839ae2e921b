import type { AcceptSink, ListenHandle } from "../transports/listen_handle.ts";
import type { LoopContext, TimerHandle } from "../transports/loop_context.ts";
import type { StreamEnd } from "../transports/stream_handle.ts";
import { isOfConnection } from "./accept_errors.ts";

/** The pause after an error of the listener, such as EMFILE, in milliseconds; asyncio's ACCEPT_RETRY_DELAY. */
const ACCEPT_RETRY_DELAY = 1000;

/** The server, for its listeners. */
export interface AcceptorHost {
  accepted(end: StreamEnd): void;
  /** A listener is closed, by `close()` or by the program. */
  listenerClosed(): void;
}

/** The listeners of a server, which outlive errors of `accept()`. */
export class Acceptor {
  #loop: LoopContext;
  #listeners: readonly ListenHandle[];
  #host: AcceptorHost;
  /** The listeners that accept, or will again. */
  #sinks = new Map<ListenHandle, AcceptSink>();
  /** The timers of listeners that pause after an error. */
  #retries = new Set<TimerHandle>();
  #paused = false;
  #closed = false;
  /** Whether the listeners keep the process alive. */
  #holds = true;

  constructor(loop: LoopContext, listeners: readonly ListenHandle[], host: AcceptorHost) {
    this.#loop = loop;
    this.#listeners = listeners;
    this.#host = host;
  }

  /** Whether a listener can still deliver connections. */
  get isBusy(): boolean {
    return this.#sinks.size > 0;
  }

  /** Starts accepting. Called once. */
  start(): void {
    for (const listener of this.#listeners) {
      const sink: AcceptSink = {
        accepted: (end) => this.#host.accepted(end),
        failed: (error) => this.#failed(listener, sink, error),
        closed: () => {
          this.#sinks.delete(listener);
          this.#host.listenerClosed();
        },
      };
      this.#sinks.set(listener, sink);
      listener.acceptStart(sink);
    }
  }

  /** Stops accepting until `resume()`. A connection can still be delivered. */
  pause(): void {
    this.#paused = true;
    for (const listener of this.#sinks.keys()) listener.acceptStop();
  }

  resume(): void {
    this.#paused = false;
    for (const [listener, sink] of this.#sinks) listener.acceptStart(sink);
  }

  ref(): void {
    this.#holds = true;
    for (const listener of this.#listeners) listener.ref?.();
    for (const retry of this.#retries) retry.ref();
  }

  unref(): void {
    this.#holds = false;
    for (const listener of this.#listeners) listener.unref?.();
    for (const retry of this.#retries) retry.unref();
  }

  close(): void {
    this.#closed = true;
    for (const retry of this.#retries) retry.cancel();
    for (const listener of this.#listeners) listener.close();
  }

  #failed(listener: ListenHandle, sink: AcceptSink, error: Error): void {
    if (isOfConnection(error)) return;
    listener.acceptStop();
    this.#loop.report({ message: `accept() failed; trying again in ${ACCEPT_RETRY_DELAY} ms`, error });
    if (this.#closed) return;
    const retry = this.#loop.callLater(ACCEPT_RETRY_DELAY, () => {
      this.#retries.delete(retry);
      if (!this.#paused) listener.acceptStart(sink);
    });
    if (!this.#holds) retry.unref();
    this.#retries.add(retry);
  }
}
