/**
 * The reactor: it asks epoll for events and passes them on.
 *
 * ```text
 * polling --0.1 ms without an event--> parked --an event--> polling
 *    \---- nothing to watch ----> stopped --a descriptor to watch--> polling
 * ```
 *
 * - Polling calls `epoll_wait` with timeout 0 in each turn of Deno's loop, until there are no events or there were 64, or
 *   fewer if they take long: a turn takes 0.5 ms. Deno's timers wait for one turn, its sockets for 61 or more.
 * - Parked, a thread waits in `epoll_wait`, and the process uses no processor. To begin and to end that takes 36 µs, hence the
 *   polls before it. They go on for 0.1 ms after a turn with few events: an echo of one connection goes from 0.95 to 1.7 of
 *   C. After a turn with many, they are few.
 * - A pending call keeps the process alive. When nothing is left to watch, an eventfd ends the call.
 */
import { setImmediate, setTimeout } from "node:timers";
import {
  EINTR,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  SOCK_CLOEXEC,
  SOCK_FLAGS,
} from "./constants.ts";
import { lastError } from "./errors.ts";
import type { Libc } from "./libc.ts";
import type { Lane, Runnable } from "./lane.ts";
import { SpareMemory } from "./spare_memory.ts";

/** The most events between two turns of Deno's loop: 0.3 ms of a 1 KiB echo. A fetch() needs some 100 turns, timers one. */
const MAX_EVENTS = 64;
/** The time that the events of a turn should take at most, in milliseconds: 64 echoes of 64 KiB took 10 ms. */
const MAX_TURN = 0.5;
/** One in so many turns with events is measured, because `performance.now()` takes 0.1 µs. */
const MEASURED_TURNS = 16;
/** So many polls without an event take about 0.1 ms. */
const IDLE_POLLS = 64;
/** After so many events in a turn, the reactor parks sooner, */
const MANY_EVENTS = 8;
/** after so many polls: while a thread waits, more events come together, and a batch of many costs less. */
const IDLE_POLLS_OF_MANY = 4;
/** The time between polls while only sources are watched that do not keep the process alive, in milliseconds: when there */
const UNREF_POLL = 10;
/** was no event lately, and when there was. */
const UNREF_POLL_BUSY = 1;

/** The 32-bit words of `struct epoll_event`, which is packed on x86-64 only. */
const WORDS = Deno.build.arch === "x86_64" ? 3 : 4;
/** The place of its data, which is the descriptor and then the token. */
const DATA = WORDS - 2;

/** What the reactor watches: a descriptor and its owner. `Source` implements it. */
export interface Watched extends Runnable {
  /** The descriptor; -1 if it has been closed. */
  fd: number;
  readonly lane: Lane;
  /** Tells the events of this owner from those of an earlier owner of the descriptor's number. Set by the reactor. */
  token: number;
  interest: number;
  holds: boolean;
}

/** Watches descriptors. One for each engine. */
export class Reactor {
  readonly libc: Libc;
  #spare: SpareMemory;
  #turn: () => void;
  #turnWanted = false;
  /** The next call of `#tick()` is scheduled. */
  #scheduled = false;
  /** A thread waits for events. */
  #parked = false;
  #closed: (() => void)[] = [];
  #idlePolls = 0;
  /** So many idle polls end in parking. Adapts to the traffic. */
  #maxIdlePolls = IDLE_POLLS;
  #unrefTimer: ReturnType<typeof setTimeout> | null = null;
  /** -1 while nothing is watched. */
  #epoll = -1;
  #wakeup = -1;
  #events = new Int32Array(MAX_EVENTS * WORDS);
  #change = new Int32Array(WORDS);
  #sources: (Watched | undefined)[] = [];
  /** The descriptors that sources own. Others belong to the program. */
  readonly owned: (Watched | undefined)[] = [];
  #nextToken = 1;
  /** The sources that read again in the next turn, without an event. */
  #again = new Set<Watched>();
  /** The number of sources that are watched, and of those that keep the process alive. */
  #watched = 0;
  #holding = 0;
  /** So many events may still be delivered in this turn of Deno's loop. */
  #budget = 0;
  /** The events of this turn. */
  #turnEvents = 0;
  /** So many events may be delivered in one turn. Adapts to what they take. */
  #maxEvents = MAX_EVENTS;
  /** The measured turn is the next one with events if this is 0. */
  #untilMeasured = 0;
  /** When the events of a measured turn began, and their number; 0 in other turns. */
  #measuredSince = 0;
  #measuredEvents = 0;

  #tick = () => this.#run();
  #onDelivered = () => queueMicrotask(this.#goOn);
  #goOn = () => this.#budget > 0 && !this.#parked && this.#watched > 0 ? this.#poll() : this.#finish();
  #onParked = (count: number) => this.#unpark(count);

  constructor(libc: Libc, turn: () => void) {
    this.libc = libc;
    this.#spare = new SpareMemory(libc);
    this.#turn = turn;
  }

  /** Asks for a turn of the loop, after the events that are pending. */
  soon(): void {
    this.#turnWanted = true;
    this.#schedule();
  }

  /** Lets a source read again in the next turn of Deno's loop, if it still wants to: it has bytes that the kernel has no more. */
  again(source: Watched): void {
    this.#again.add(source);
    this.#schedule();
  }

  /** Ends the events of this turn of Deno's loop, after those at hand. */
  spend(): void {
    this.#budget -= MAX_EVENTS;
  }

  /** Changes what is watched of a source. A source without interest is not in the set: EPOLLHUP would wake it again and again. */
  setInterest(source: Watched, interest: number): void {
    if (interest === 0) return this.forget(source);
    const operation = source.interest === 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (operation === EPOLL_CTL_ADD) {
      if (this.#epoll === -1) this.#open();
      // A new token for each time in the set: an event of an earlier time is not this source's.
      source.token = this.#nextToken;
      this.#nextToken = this.#nextToken % 0x7fffffff + 1;
    }
    try {
      this.#control(operation, source.fd, interest, source.token);
    } catch (error) {
      // Less interest never fails, because transports end by it. The program has closed the descriptor, as a rule.
      if ((interest & ~source.interest) !== 0) {
        this.#schedule(); // Closes the set if it has no sources.
        throw error;
      }
    }
    source.interest = interest;
    if (operation === EPOLL_CTL_ADD) this.#added(source);
  }

  /** A source takes ownership of a descriptor. */
  own(fd: number, source: Watched): void {
    // The program has closed a descriptor of this number without removeReader().
    const stale = this.#sources[fd];
    if (stale !== undefined) this.forget(stale);
    // It has closed that of a transport, which must not close this one.
    const former = this.owned[fd];
    if (former !== undefined) former.fd = -1;
    this.owned[fd] = source;
  }

  /** Stops watching a source whose descriptor may be closed. */
  forget(source: Watched): void {
    if (source.interest === 0) return;
    // The system has removed a closed descriptor; then this fails.
    this.libc.epoll_ctl(this.#epoll, EPOLL_CTL_DEL, source.fd, this.#change);
    source.interest = 0;
    this.#removed(source);
  }

  /** Sets whether a source keeps the process alive. */
  setHolds(source: Watched, holds: boolean): void {
    if (source.holds === holds) return;
    source.holds = holds;
    if (source.interest !== 0) this.#hold(holds ? 1 : -1);
  }

  /**
   * Runs a callback after the close of a source: at once, or when the parking that this has ended is over. So do the turns.
   * A test that waits for either would end with a pending call otherwise, which Deno's op sanitizer takes for a leak.
   */
  afterClose(callback: () => void): void {
    if (this.#isEndingParking) this.#closed.push(callback);
    else callback();
  }

  /** The thread is about to return, which takes some 0.05 ms. */
  get #isEndingParking(): boolean {
    return this.#parked && this.#holding === 0;
  }

  #control(operation: number, fd: number, events: number, token: number): void {
    const change = this.#change;
    change[0] = events;
    change[DATA] = fd;
    change[DATA + 1] = token;
    if (this.libc.epoll_ctl(this.#epoll, operation, fd, change) === -1) throw lastError(this.libc);
  }

  #open(): void {
    const { libc } = this;
    this.#epoll = libc.epoll_create1(SOCK_CLOEXEC);
    if (this.#epoll === -1) throw lastError(libc);
    try {
      this.#wakeup = libc.eventfd(0, SOCK_FLAGS);
      if (this.#wakeup === -1) throw lastError(libc);
      this.#control(EPOLL_CTL_ADD, this.#wakeup, EPOLLIN, 0);
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  #close(): void {
    if (this.#wakeup !== -1) this.libc.close(this.#wakeup);
    this.libc.close(this.#epoll);
    this.#epoll = this.#wakeup = -1;
  }

  #added(source: Watched): void {
    this.#sources[source.fd] = source;
    this.#watched++;
    this.#hold(source.holds ? 1 : 0);
  }

  #removed(source: Watched): void {
    this.#sources[source.fd] = undefined;
    this.#watched--;
    this.#hold(source.holds ? -1 : 0);
  }

  #hold(change: 1 | 0 | -1): void {
    this.#holding += change;
    if (!this.#parked) this.#schedule();
    else if (this.#holding === 0) this.#wake();
  }

  /** Ends `epoll_wait` of the thread. */
  #wake = () => this.libc.write(this.#wakeup, new BigUint64Array([1n]), 8n);

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#tick);
  }

  #run(): void {
    this.#scheduled = false;
    this.#budget = this.#maxEvents;
    this.#turnEvents = 0;
    if (this.#again.size > 0) this.#readAgain();
    else if (!this.#parked && this.#watched > 0) this.#poll();
    else this.#finish();
  }

  /** Takes half of a turn at most, and leaves an event to others, however many sources read again. */
  #readAgain(): void {
    const sources = [...this.#again].slice(0, Math.max(1, this.#budget >> 1));
    this.#budget = Math.max(1, this.#budget - sources.length);
    this.#turnEvents += sources.length;
    this.#idlePolls = 0;
    for (const source of sources) this.#again.delete(source);
    for (const source of sources) source.lane.add(source, EPOLLIN);
    if (this.#again.size > 0) this.#schedule();
    queueMicrotask(this.#onDelivered);
  }

  /** Delivers the events that are there, and then those that have come meanwhile, until there are none or too many. */
  #poll(): void {
    const count = this.libc.epoll_wait(this.#epoll, this.#events, this.#budget, 0);
    if (count > 0) {
      this.#idlePolls = 0;
      if (this.#untilMeasured-- === 0) {
        this.#measuredSince = performance.now();
        this.#measuredEvents = 0;
      }
      this.#measuredEvents += count;
      this.#turnEvents += count;
      this.#budget -= count;
      if (!this.#deliver(count)) this.#rebuild();
      // Behind the microtasks of the events, and behind those that they queue: a write that has waited is settled by one.
      queueMicrotask(this.#onDelivered);
      return;
    }
    this.#idlePolls++;
    if (count === -1 && this.libc.errno() !== EINTR) throw lastError(this.libc);
    this.#finish();
  }

  #finish(): void {
    if (this.#turnEvents > 0) this.#maxIdlePolls = idlePollsAfter(this.#turnEvents);
    if (this.#measuredSince !== 0) this.#adapt();
    if (this.#turnWanted && !this.#isEndingParking) {
      this.#turnWanted = false;
      // The callbacks run as microtasks, after those of the events.
      this.#turn();
    }
    if (!this.#parked && !this.#scheduled) this.#next();
  }

  /** Sets how many events a turn has, by what those of a measured turn have taken. */
  #adapt(): void {
    const elapsed = performance.now() - this.#measuredSince;
    this.#maxEvents = Math.max(1, Math.min(MAX_EVENTS, Math.floor(this.#measuredEvents * MAX_TURN / elapsed)));
    this.#untilMeasured = elapsed > MAX_TURN ? 0 : MEASURED_TURNS;
    this.#measuredSince = 0;
  }

  #next(): void {
    if (this.#holding > 0) {
      if (this.#idlePolls < this.#maxIdlePolls) this.#schedule();
      else this.#park();
    } else if (this.#watched > 0) {
      this.#unrefTimer ??= setTimeout(() => {
        this.#unrefTimer = null;
        this.#schedule();
      }, this.#idlePolls < IDLE_POLLS ? UNREF_POLL_BUSY : UNREF_POLL).unref();
    } else if (this.#epoll !== -1) {
      this.#close();
    }
  }

  #park(): void {
    this.#parked = true;
    this.#spare.parked(this.#watched);
    this.libc.epoll_park(this.#epoll, this.#events, MAX_EVENTS, -1).then(this.#onParked);
  }

  #unpark(count: number): void {
    this.#parked = false;
    this.#spare.unparked();
    this.#idlePolls = 0;
    for (const callback of this.#closed.splice(0)) callback();
    // On -1, errno is the thread's and cannot be read. Polling meets the same error. Events of sources that were removed
    // meanwhile are dropped.
    if (count > 0) this.#deliver(count);
    this.#maxIdlePolls = idlePollsAfter(count);
    this.#schedule();
  }

  /** Passes events on. Reports whether all of them had a source. */
  #deliver(count: number): boolean {
    const events = this.#events;
    let known = true;
    for (let i = 0, at = 0; i < count; i++, at += WORDS) {
      const fd = events[at + DATA]!;
      const source = this.#sources[fd];
      if (source !== undefined && source.token === events[at + DATA + 1]) {
        const happened = events[at]!;
        // recv and send report errors and hangups, so these count as readable and writable.
        const failed = (happened & (EPOLLERR | EPOLLHUP)) !== 0;
        source.lane.add(source, failed ? happened | EPOLLIN | EPOLLOUT : happened);
      } else if (fd === this.#wakeup) {
        this.libc.read(fd, new BigUint64Array(1), 8n);
      } else {
        known = false;
      }
    }
    return known;
  }

  /**
   * Makes the set anew. It has a descriptor that the program has closed before `removeReader()`, while a duplicate of it was
   * open: the system keeps it, reports it again and again, and cannot remove it.
   */
  #rebuild(): void {
    const { libc } = this;
    const [former, epoll] = [this.#epoll, libc.epoll_create1(SOCK_CLOEXEC)];
    if (epoll === -1) return; // Tried again at the next such event.
    this.#epoll = epoll;
    try {
      this.#control(EPOLL_CTL_ADD, this.#wakeup, EPOLLIN, 0);
    } catch {
      this.#epoll = former;
      libc.close(epoll);
      return;
    }
    libc.close(former);
    for (const source of this.#sources) {
      if (source === undefined) continue;
      try {
        this.#control(EPOLL_CTL_ADD, source.fd, source.interest, source.token);
      } catch {
        this.forget(source); // Closed by the program, too.
      }
    }
  }
}

/** Returns how many polls without an event end in parking, after a turn with so many events. */
const idlePollsAfter = (events: number) => events < MANY_EVENTS ? IDLE_POLLS : IDLE_POLLS_OF_MANY;
