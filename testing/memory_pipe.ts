import { ByteQueue } from "./byte_queue.ts";
import type { StreamFaults } from "./faults.ts";
import { around } from "./random.ts";
import { brokenPipe, connectionReset } from "./system_errors.ts";

/** The number of bytes that a direction of a stream holds while its reader does not read. */
export const PIPE_CAPACITY: number = 64 * 1024;
/** With `bandwidth`, pieces take this time, in milliseconds. */
const PIECE_TIME = 100;

/** What the two streams of a pipe do when it has changed. */
export interface PipeEnds {
  /** Bytes, the end or a failure can be read. */
  readable(): void;
  /** There is room, or writing fails. */
  writable(): void;
  /** Bytes came for a reader that is closed: the writer's connection is reset. */
  refused(): void;
  /** The network closes the connection. */
  cut(reset: boolean): void;
}

/** A timer that can be cancelled. */
interface Timer {
  cancel(): void;
}

/** The network of a pipe. */
export interface PipeLink {
  /** Returns the faults of the direction now. */
  faults(): StreamFaults;
  now(): number;
  callLater(ms: number, callback: () => void): Timer;
  random(): number;
  /** Neither side uses the pipe any more. */
  closed(pipe: MemoryPipe): void;
}

/** What is on its way: bytes, the end, or a reset. */
type Passage = { due: number; sliced: boolean; what: Uint8Array | "end" | "reset" };

/** The faults that happen by themselves, after a time. */
const TIMED = ["timeout", "resetPeer", "halfClose"] as const;

/** One direction of a stream in memory. */
export class MemoryPipe {
  ends!: PipeEnds;
  #link: PipeLink;
  #faults: StreamFaults;
  #arrived = new ByteQueue();
  /** The sizes of pieces that are read one by one. The bytes after the last of them are read together. */
  #pieces: number[] = [];
  #piecesHead = 0;

  /** What is on its way, in order. */
  #transit: Passage[] = [];
  #transitSize = 0;
  #timer: Timer | null = null;
  /** When the last byte has left, by `bandwidth` and the slicer. */
  #freeAt = 0;
  /** The number of bytes that were sent, for `limitData`. */
  #sent = 0;
  #timers = new Map<string, { fault: object; timer: Timer }>();
  /** `halfClose` has ended the direction: bytes vanish. */
  #halfClosed = false;

  /** The writer has ended. */
  #ending = false;
  #ended = false;
  #failure: Error | null = null;
  /** The reader is closed. */
  #closed = false;
  /** Bytes came after that. */
  #refused = false;

  constructor(link: PipeLink) {
    this.#link = link;
    this.#faults = link.faults();
  }

  /** The number of bytes that can be read at once. */
  get count(): number {
    if (this.#faults.neverReads === true) return 0;
    return this.#pieces[this.#piecesHead] ?? this.#arrived.count;
  }

  /** Whether the reader gets the end now. */
  get ended(): boolean {
    return this.#ended && this.#arrived.count === 0 && this.#faults.neverReads !== true;
  }

  /** What the reader gets after the bytes. */
  get failure(): Error | null {
    return this.#failure;
  }

  /** Applies the faults as they are now. */
  update(): void {
    this.#faults = this.#link.faults();
    for (const name of TIMED) this.#arm(name);
    if (this.#faults.timeout === undefined) this.#deliver();
    this.ends.readable();
  }

  /** Takes bytes, as far as there is room, and returns how many. */
  send(data: Uint8Array): number {
    if (this.#refused || this.#ending) throw brokenPipe();
    if (this.#halfClosed) return data.length;
    let room = PIPE_CAPACITY - this.#arrived.count - this.#transitSize;
    const { limitData } = this.#faults;
    const left = limitData === undefined ? Infinity : Math.max(0, limitData.bytes - this.#sent);
    room = Math.min(room, left);
    const taken = data.length > room ? data.subarray(0, Math.max(0, room)) : data;
    this.#sent += taken.length;
    if (taken.length > 0) this.#pass(taken);
    if (taken.length === left) {
      // The bytes beyond the limit are taken, and lost with the connection.
      this.#cutAfterTransit();
      return data.length;
    }
    return taken.length;
  }

  /** Moves bytes to the start of `memory`, and returns their number. */
  read(memory: Uint8Array): number {
    const size = this.count;
    const count = this.#arrived.read(memory.length > size ? memory.subarray(0, size) : memory);
    if (this.#piecesHead < this.#pieces.length) this.#takeFromPiece(count);
    this.ends.writable();
    return count;
  }

  /** Ends the stream after the bytes. */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#enqueue("end", this.#faults.slowClose?.delay ?? 0);
  }

  /** Resets the connection of the reader, which still gets the bytes. After the end, it does not get the error. */
  reset(): void {
    this.#ending = true;
    this.#enqueue("reset", 0);
  }

  /** The network closes the direction: what is on its way is lost. */
  cut(reset: boolean): void {
    this.#dropTransit();
    this.#ending = true;
    this.#arrive(reset ? "reset" : "end", false);
    this.ends.writable();
  }

  /** Closes the reading end, and returns whether bytes were left. */
  close(): boolean {
    const left = this.#arrived.count > 0 || this.#transitSize > 0;
    this.#closed = true;
    this.#arrived.clear();
    this.#pieces = [];
    this.#piecesHead = 0;
    this.#dropTransit();
    for (const { timer } of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    this.ends.writable();
    this.#link.closed(this);
    return left;
  }

  /** Sends bytes on their way, in pieces if a fault says so. */
  #pass(data: Uint8Array): void {
    const { slicer, bandwidth } = this.#faults;
    if (slicer === undefined && bandwidth === undefined) {
      this.#enqueue(data, 0);
      return;
    }
    const most = bandwidth === undefined ? Infinity : Math.max(1, Math.round(bandwidth.rate * PIECE_TIME / 1000));
    const now = this.#link.now();
    for (let offset = 0; offset < data.length;) {
      const sliced = slicer === undefined
        ? Infinity
        : around(slicer.averageSize, slicer.sizeVariation ?? 0, () => this.#link.random());
      const piece = data.subarray(offset, offset + Math.max(1, Math.min(most, Math.round(sliced))));
      offset += piece.length;
      this.#freeAt = Math.max(now, this.#freeAt);
      if (bandwidth !== undefined) this.#freeAt += piece.length * 1000 / bandwidth.rate;
      this.#enqueue(piece, this.#freeAt - now, slicer !== undefined);
      this.#freeAt += slicer?.delay ?? 0;
    }
  }

  #enqueue(what: Passage["what"], delay: number, sliced = false): void {
    const { latency } = this.#faults;
    if (latency !== undefined) {
      delay += Math.max(0, around(latency.latency, latency.jitter ?? 0, () => this.#link.random()));
    }
    const now = this.#link.now();
    const due = Math.max(now + delay, this.#transit.at(-1)?.due ?? 0);
    if (this.#transit.length === 0 && due <= now && this.#faults.timeout === undefined) {
      this.#arrive(what, sliced);
      return;
    }
    // A copy, because the sender's memory is its own again.
    this.#transit.push({ due, sliced, what: typeof what === "string" ? what : what.slice() });
    if (typeof what !== "string") this.#transitSize += what.length;
    this.#schedule();
  }

  #schedule(): void {
    const next = this.#transit[0];
    if (this.#timer !== null || next === undefined || this.#faults.timeout !== undefined) return;
    this.#timer = this.#link.callLater(Math.max(0, next.due - this.#link.now()), () => {
      this.#timer = null;
      this.#deliver();
    });
  }

  /** Delivers what is due. */
  #deliver(): void {
    if (this.#faults.timeout !== undefined) return;
    const now = this.#link.now();
    let count = 0;
    for (const { due, what, sliced } of this.#transit) {
      if (due > now) break;
      count++;
      if (typeof what !== "string") this.#transitSize -= what.length;
      this.#arrive(what, sliced);
    }
    this.#transit.splice(0, count);
    this.#schedule();
  }

  #arrive(what: Passage["what"], sliced: boolean): void {
    if (what === "end") {
      this.#ended = true;
    } else if (what === "reset") {
      if (!this.#ended) this.#failure = connectionReset();
    } else if (this.#closed) {
      this.#refused = true;
      this.ends.refused();
    } else {
      if (sliced || this.#piecesHead < this.#pieces.length) {
        // Bytes that were not sliced and wait are a piece, too.
        if (this.#pieces.length === 0 && this.#arrived.count > 0) this.#pieces.push(this.#arrived.count);
        this.#pieces.push(what.length);
      }
      this.#arrived.push(what);
    }
    this.ends.readable();
  }

  #takeFromPiece(count: number): void {
    const left = this.#pieces[this.#piecesHead]! - count;
    if (left > 0) this.#pieces[this.#piecesHead] = left;
    else if (++this.#piecesHead === this.#pieces.length) {
      this.#pieces = [];
      this.#piecesHead = 0;
    }
  }

  #dropTransit(): void {
    this.#transit = [];
    this.#transitSize = 0;
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Closes the connection once the bytes that are on their way have arrived. */
  #cutAfterTransit(): void {
    this.#ending = true;
    const delay = Math.max(0, (this.#transit.at(-1)?.due ?? 0) - this.#link.now());
    this.#link.callLater(delay, () => this.ends.cut(false));
  }

  /** Starts, replaces or cancels the timer of a fault. */
  #arm(name: typeof TIMED[number]): void {
    const fault = this.#closed ? undefined : this.#faults[name];
    const armed = this.#timers.get(name);
    if (armed?.fault === fault) return;
    armed?.timer.cancel();
    this.#timers.delete(name);
    if (fault === undefined) return;
    const ms = "timeout" in fault ? fault.timeout : fault.delay;
    // Silence for ever.
    if (name === "timeout" && ms === 0) return;
    const timer = this.#link.callLater(ms, () => this.#strike(name));
    this.#timers.set(name, { fault, timer });
  }

  #strike(name: typeof TIMED[number]): void {
    if (name === "halfClose") {
      this.#halfClosed = true;
      this.#dropTransit();
      this.#arrive("end", false);
    } else {
      this.ends.cut(name === "resetPeer");
    }
  }
}
