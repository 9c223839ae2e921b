import { clearTimeout, setTimeout } from "node:timers";
import { toError } from "../../errors.ts";
import type { DatagramHandle, DatagramSink } from "../../transports/datagram_handle.ts";
import { EAGAIN, EINTR, EPOLLIN, EPOLLOUT, MSG_DONTWAIT, MSG_ERRQUEUE } from "./constants.ts";
import { DatagramSocket } from "./datagram_socket.ts";
import { lastError } from "./errors.ts";
import { Lane } from "./lane.ts";
import type { Reactor } from "./reactor.ts";
import { Source } from "./source.ts";

/** The pause before a datagram is sent again that the system does not take although the socket is writable, in ms. */
const RETRY_DELAY = 1;

/** A datagram that waits until the system takes it. */
interface PendingSend {
  data: Uint8Array;
  addr: Deno.Addr;
  resolve(): void;
  reject(error: Error): void;
}

/** What UDP and Unix datagram sockets have in common: when they send and receive. */
export abstract class DatagramSource extends Source implements DatagramHandle {
  readonly addr: Deno.Addr;
  readonly socket: DatagramSocket;
  abstract readonly remoteAddr: Deno.Addr | null;
  protected sink: DatagramSink | null = null;
  #pending: PendingSend | null = null;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(reactor: Reactor, fd: number, family: number, addr: Deno.Addr) {
    super(reactor, new Lane(), fd);
    this.addr = addr;
    this.socket = new DatagramSocket(this, family);
  }

  /** Sends at once. Returns whether the system has taken the datagram. */
  abstract trySend(data: Uint8Array, addr: Deno.Addr): boolean;
  /** Receives one batch. Returns whether there was one. */
  protected abstract receive(sink: DatagramSink): boolean;
  /** Prepares sending to an address that `trySend()` does not know, such as a name. */
  protected prepare?(addr: Deno.Addr): Promise<void> | null;

  receiveStart(sink: DatagramSink): void {
    this.sink = sink;
    try {
      this.want(this.interest | EPOLLIN);
    } catch (error) {
      // For example, no memory for one more descriptor. Nothing is delivered inside receiveStart().
      queueMicrotask(() => this.sink?.failed(toError(error)));
    }
  }

  send(data: Uint8Array, addr: Deno.Addr): void | Promise<void> {
    const preparing = this.prepare?.(addr) ?? null;
    if (preparing === null && this.trySend(data, addr)) return;
    return new Promise((resolve, reject) => {
      this.#pending = { data, addr, resolve, reject };
      if (preparing === null) this.#sendWhenWritable();
      else preparing.then(() => this.#sendPending(), (error) => this.#settle(toError(error)));
    });
  }

  close(): void {
    this.sink = null;
    clearTimeout(this.#retryTimer);
    this.closeFd();
    this.#settle(null);
  }

  ready(events: number): void {
    if ((events & EPOLLOUT) !== 0) this.#sendPending();
    if ((events & EPOLLIN) === 0 || this.sink === null) return;
    // An error in the queue of errors wakes the socket until it is read.
    if (!this.receive(this.sink) && this.fd !== -1) {
      this.reactor.libc.recv(this.fd, new Uint8Array(1), 1n, MSG_ERRQUEUE | MSG_DONTWAIT);
    }
  }

  /** Calls a function that sends, again if a signal interrupts it. */
  protected transmit(call: () => number): boolean {
    for (;;) {
      if (call() >= 0) return true;
      const errno = this.reactor.libc.errno();
      if (errno === EAGAIN) return false;
      if (errno !== EINTR) throw lastError(this.reactor.libc);
    }
  }

  #sendPending(): void {
    // Closed while the name was resolved.
    if (this.#pending === null) return;
    try {
      if (this.trySend(this.#pending.data, this.#pending.addr)) this.#settle(null);
      else this.#sendLater();
    } catch (error) {
      this.#settle(toError(error));
    }
  }

  #sendWhenWritable(): void {
    try {
      this.want(this.interest | EPOLLOUT);
    } catch (error) {
      this.#settle(toError(error));
    }
  }

  /** A Unix socket without a remote address counts as writable, also while the receiver's queue is full. */
  #sendLater(): void {
    this.want(this.interest & ~EPOLLOUT);
    this.#retryTimer = setTimeout(() => this.#sendWhenWritable(), RETRY_DELAY);
    if (!this.holds) this.#retryTimer.unref();
  }

  #settle(error: Error | null): void {
    const pending = this.#pending;
    this.#pending = null;
    this.want(this.interest & ~EPOLLOUT);
    if (error === null) pending?.resolve();
    else pending?.reject(error);
  }
}

/** Returns the error for a datagram that was cut. */
export function tooLong(length: number, room: number): Error {
  const message = `a datagram of ${length} bytes was dropped: the receive memory holds ${room} bytes`;
  return Object.assign(new Error(message), { code: "EMSGSIZE" });
}
