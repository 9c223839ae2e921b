import type { Lane, Runnable } from "./lane.ts";
import type { Reactor, Watched } from "./reactor.ts";

/**
 * A descriptor that the reactor watches. It owns the descriptor. A base class, not a part, because that saves an object for
 * each connection.
 */
export abstract class Source implements Watched {
  readonly reactor: Reactor;
  lane: Lane;
  /** The descriptor; -1 after `closeFd()`, so that its number is never used for the next owner. */
  fd: number;
  token = 0;
  /** What the kernel watches: EPOLLIN, EPOLLOUT, both or nothing. */
  interest = 0;
  /** Whether the source keeps the process alive while it waits for events. */
  holds = true;
  /** The events of this batch, and the next source in it. Of the lane. */
  readyEvents = 0;
  nextReady: Runnable | null = null;

  /** `owned` is false if the program owns the descriptor. */
  constructor(reactor: Reactor, lane: Lane, fd: number, owned = true) {
    if (owned) reactor.own(fd, this);
    this.reactor = reactor;
    this.lane = lane;
    this.fd = fd;
  }

  /** Handles events. Never throws. */
  abstract ready(events: number): void;

  /** Starts or stops watching for events. */
  want(events: number): void {
    if (this.fd !== -1 && events !== this.interest) this.reactor.setInterest(this, events);
  }

  ref(): void {
    this.reactor.setHolds(this, true);
  }

  unref(): void {
    this.reactor.setHolds(this, false);
  }

  /** Gives the descriptor up without closing it; -1 if the source has none. */
  protected releaseFd(): number {
    this.want(0);
    const { fd } = this;
    if (fd !== -1) this.reactor.owned[fd] = undefined;
    this.fd = -1;
    return fd;
  }

  /** Closes the descriptor, once. */
  protected closeFd(): void {
    const fd = this.releaseFd();
    if (fd !== -1) this.reactor.libc.close(fd);
  }
}
