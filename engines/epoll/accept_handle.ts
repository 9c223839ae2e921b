import { toError } from "../../errors.ts";
import type { AcceptSink, ListenHandle } from "../../transports/listen_handle.ts";
import type { StreamEnd } from "../../transports/stream_handle.ts";
import { EAGAIN, EINTR, EPOLLIN, SOCK_FLAGS } from "./constants.ts";
import { lastError } from "./errors.ts";
import { Lane } from "./lane.ts";
import type { Reactor } from "./reactor.ts";
import { MAX_SOCKADDR } from "./sockaddr.ts";
import { Socket } from "./socket.ts";
import { Source } from "./source.ts";

/** The most connections that one event accepts, so that a flood of them does not starve other descriptors. */
const MAX_ACCEPTS = 64;

/** What makes streams of the descriptors that a listener accepts. */
export interface Accepted {
  /** Makes a stream of a connected socket. `address` is the peer's, in memory that is filled again by the next accept. */
  (fd: number, lane: Lane, address: Uint8Array, length: number): StreamEnd;
}

/** A listening socket. */
export class AcceptHandle extends Source implements ListenHandle {
  readonly addr: Deno.Addr;
  readonly socket = new Socket(this);
  #accepted: Accepted;
  #onClose: (() => void) | undefined;
  #sink: AcceptSink | null = null;
  #address = new Uint8Array(MAX_SOCKADDR);
  #length = new Int32Array(1);

  /** `onClose` removes the file of a Unix socket. */
  constructor(reactor: Reactor, fd: number, addr: Deno.Addr, accepted: Accepted, onClose?: () => void) {
    super(reactor, new Lane(), fd);
    this.addr = addr;
    this.#accepted = accepted;
    this.#onClose = onClose;
  }

  acceptStart(sink: AcceptSink): void {
    this.#sink = sink;
    // The connections' callbacks run in the context of this call.
    this.lane = new Lane();
    try {
      this.want(EPOLLIN);
    } catch (error) {
      queueMicrotask(() => this.#sink?.failed(toError(error)));
    }
  }

  acceptStop(): void {
    this.want(0);
  }

  close(): void {
    if (this.fd === -1) return;
    this.#onClose?.();
    this.closeFd();
    const sink = this.#sink;
    this.#sink = null;
    if (sink !== null) this.reactor.afterClose(() => sink.closed());
  }

  ready(): void {
    // Each accept looks again, because its callbacks may stop or close the listener.
    for (let i = 0; i < MAX_ACCEPTS && (this.interest & EPOLLIN) !== 0; i++) {
      if (!this.#accept()) return;
    }
  }

  #accept(): boolean {
    const { libc } = this.reactor;
    this.#length[0] = MAX_SOCKADDR;
    const fd = libc.accept4(this.fd, this.#address, this.#length, SOCK_FLAGS);
    if (fd === -1) {
      const errno = libc.errno();
      if (errno === EAGAIN) return false;
      if (errno === EINTR) return true;
      this.#sink!.failed(lastError(libc));
      return true;
    }
    let end: StreamEnd;
    try {
      end = this.#accepted(fd, this.lane, this.#address, this.#length[0]);
    } catch (error) {
      libc.close(fd);
      this.#sink!.failed(toError(error));
      return true;
    }
    this.#sink!.accepted(end);
    return true;
  }
}
