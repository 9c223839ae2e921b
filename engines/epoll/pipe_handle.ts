import { WindowMemory } from "../../memory/window_memory.ts";
import { EAGAIN, EINTR, EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT } from "./constants.ts";
import { systemError } from "./errors.ts";
import { Lane } from "./lane.ts";
import { sizeOf } from "./libc.ts";
import type { Reactor } from "./reactor.ts";
import { withoutSigpipe } from "./sigpipe.ts";
import { StreamSource, WOULD_BLOCK } from "./stream_source.ts";

/** What epoll reports without interest. As interest, it keeps a descriptor in the set. */
const FAILURES = EPOLLERR | EPOLLHUP;

/** One direction of a pipe, a FIFO, a terminal or another descriptor that epoll can watch, by read(2) and write(2). */
export class PipeHandle extends StreamSource {
  readonly readable: boolean;
  readonly writable: boolean;
  #readerGone: (() => void) | null = null;

  constructor(reactor: Reactor, fd: number, direction: "read" | "write") {
    super(reactor, new Lane(), fd, new WindowMemory());
    this.readable = direction === "read";
    this.writable = direction === "write";
  }

  /** Throws if epoll cannot watch the descriptor. Then the handle has given it up. */
  probe(): void {
    try {
      this.want(EPOLLIN);
      this.want(0);
    } catch (error) {
      this.giveUp();
      throw error;
    }
  }

  /** Gives the descriptor up without closing it. */
  giveUp(): void {
    this.releaseFd();
  }

  watchReader(gone: () => void): void {
    this.#readerGone = gone;
    try {
      this.want(this.interest | FAILURES);
    } catch {
      // No memory for one more descriptor. The next write reports a reader that is gone.
    }
  }

  closeWrite(): void {
    // close() ends the only half.
  }

  override close(): void {
    this.#readerGone = null;
    super.close();
  }

  override ready(events: number): void {
    if ((events & (EPOLLIN | EPOLLOUT)) === 0) this.#readerIsGone();
    else super.ready(events);
  }

  protected receive(memory: Uint8Array): number {
    return this.resultOf(this.reactor.libc.read(this.fd, memory, sizeOf(memory)));
  }

  protected send(data: Uint8Array): number {
    const { libc } = this.reactor;
    for (;;) {
      const count = withoutSigpipe(libc, () => libc.write(this.fd, data, sizeOf(data)));
      if (count >= 0) return count;
      if (count === -EAGAIN) return WOULD_BLOCK;
      if (count !== -EINTR) throw systemError(libc, -count);
    }
  }

  /** Without interest from now on, because epoll would report it again and again. */
  #readerIsGone(): void {
    this.want(0);
    this.#readerGone?.();
    this.#readerGone = null;
  }
}
