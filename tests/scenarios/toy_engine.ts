/**
 * An engine in memory, of the ready kind: a handle gets an event when bytes are there, asks for memory then, and its writes
 * end at once, or wait while the pipe is full. It has streams and servers, and shows that the seam is one.
 */
import { setImmediate } from "node:timers";
import type * as seam from "../../transports/mod.ts";

/** How many bytes a pipe holds while its reader does not read. */
const CAPACITY = 64 * 1024;

/** One piece of memory for all streams of a loop: it is in use only while a callback runs. */
class Scratch implements seam.ReadMemory {
  #memory: Uint8Array | null = null;
  take = () => this.#memory ??= new Uint8Array(CAPACITY);
  giveAway = () => void (this.#memory = null);
  takeBack = (memory: Uint8Array) => void (this.#memory ??= memory);
  fit() {}
  reset() {}
}

class ToyStream implements seam.StreamHandle {
  readonly readable = true;
  readonly writable = true;
  readonly memory: seam.ReadMemory;
  peer!: ToyStream;
  #wake: () => void;
  #inbox = new Uint8Array(CAPACITY);
  #count = 0;
  #ended = false;
  #closed = false;
  #sink: seam.StreamSink | null = null;
  /** A write that waits for room in the peer's inbox. */
  #blocked: PromiseWithResolvers<void> | null = null;

  constructor(engine: ToyEngine, memory: seam.ReadMemory) {
    this.memory = memory;
    const ready = () => this.#ready();
    this.#wake = () => engine.wake(ready);
  }

  readStart(sink: seam.StreamSink): void {
    this.#sink = sink;
    this.#wake();
  }

  readStop(): void {
    this.#sink = null;
  }

  tryWrite(data: Uint8Array): number {
    const { peer } = this;
    if (peer.#closed || this.#closed) throw new Deno.errors.BrokenPipe("the pipe is closed");
    const taken = data.subarray(0, CAPACITY - peer.#count);
    peer.#inbox.set(taken, peer.#count);
    peer.#count += taken.length;
    peer.#wake();
    return taken.length;
  }

  write(data: Uint8Array): number | Promise<number> {
    return this.tryWrite(data) || (this.#blocked = Promise.withResolvers()).promise.then(() => this.write(data));
  }

  closeWrite(): void {
    this.peer.#ended = true;
    this.peer.#wake();
  }

  close(): void {
    this.#closed = true;
    this.#sink = null;
    this.closeWrite();
    for (const side of [this, this.peer]) side.#blocked?.resolve();
  }

  /** Bytes, the end, or a sink are there: reads once, and comes back if there is more. */
  #ready(): void {
    const sink = this.#sink;
    if (sink === null) return;
    if (this.#count === 0) {
      if (!this.#ended) return;
      this.#sink = null;
      sink.end();
      return;
    }
    const memory = sink.allocate(this.#count);
    if (memory === null) return;
    const count = Math.min(this.#count, memory.length);
    memory.set(this.#inbox.subarray(0, count));
    this.#inbox.copyWithin(0, count, this.#count);
    this.#count -= count;
    this.#wake();
    this.peer.#blocked?.resolve();
    sink.filled(count);
  }
}

class ToyListener implements seam.ListenHandle {
  readonly addr: Deno.NetAddr;
  #wake: () => void;
  #release: () => void;
  #backlog: seam.StreamEnd[] = [];
  #sink: seam.AcceptSink | null = null;

  constructor(engine: ToyEngine, port: number, release: () => void) {
    this.addr = { transport: "tcp", hostname: "127.0.0.1", port };
    this.#wake = () => engine.wake(() => this.#ready());
    this.#release = release;
  }

  add(end: seam.StreamEnd): void {
    this.#backlog.push(end);
    this.#wake();
  }

  acceptStart(sink: seam.AcceptSink): void {
    this.#sink = sink;
    this.#wake();
  }

  acceptStop(): void {
    this.#sink = null;
  }

  #ready(): void {
    for (let end; this.#sink !== null && (end = this.#backlog.shift()) !== undefined;) this.#sink.accepted(end);
  }

  close(): void {
    this.#release();
    for (const { handle } of this.#backlog.splice(0)) handle.close(true);
    this.#sink?.closed();
    this.#sink = null;
  }
}

/** The engine. Loops that have one of their own cannot reach each other. */
export class ToyEngine implements seam.Engine {
  readonly name = "toy";
  #memory = new Scratch();
  #listeners = new Map<number, ToyListener>();
  #nextPort = 1024;
  #events = new Set<() => void>();
  #turn: (() => void) | null = null;
  #host!: seam.EngineHost;

  start(host: seam.EngineHost): void {
    this.#host = host;
  }

  soon(): void {
    this.#turn = () => this.#host.turn();
    this.wake(() => {});
  }

  /** Calls back after the events at hand, once for each function. */
  wake(event: () => void): void {
    if (this.#events.size === 0) setImmediate(() => this.#run());
    this.#events.add(event);
  }

  // deno-lint-ignore require-await -- what it throws becomes a rejection
  async connect(target: seam.TcpTarget | seam.UnixTarget, signal?: AbortSignal): Promise<seam.StreamEnd> {
    signal?.throwIfAborted();
    const listener = target.transport === "tcp" ? this.#listeners.get(target.port) : undefined;
    if (listener === undefined) throw new Deno.errors.ConnectionRefused("nothing listens there");
    const [near, far] = [new ToyStream(this, this.#memory), new ToyStream(this, this.#memory)];
    [near.peer, far.peer] = [far, near];
    const [here, there] = [{ ...listener.addr, port: this.#nextPort++ }, listener.addr];
    listener.add({ handle: far, extra: { sockname: there, peername: here } });
    return { handle: near, extra: { sockname: here, peername: there } };
  }

  // deno-lint-ignore require-await -- what it throws becomes a rejection
  async listen(target: seam.ListenTarget): Promise<seam.ListenHandle> {
    if (target.transport !== "tcp") return this.#unsupported();
    const port = target.port || this.#nextPort++;
    if (this.#listeners.has(port)) throw new Deno.errors.AddrInUse(`port ${port}`);
    const listener = new ToyListener(this, port, () => this.#listeners.delete(port));
    this.#listeners.set(port, listener);
    return listener;
  }

  adopt = this.#unsupported;
  adoptListener = this.#unsupported;
  datagram = this.#unsupported;
  pipe = this.#unsupported;
  spawn = this.#unsupported;

  #unsupported(): never {
    throw new Deno.errors.NotSupported("the toy engine has streams and servers only");
  }

  /** The events at hand, then the callbacks that are due. */
  #run(): void {
    const events = [...this.#events];
    this.#events.clear();
    for (const event of events) event();
    const turn = this.#turn;
    this.#turn = null;
    turn?.();
  }
}
