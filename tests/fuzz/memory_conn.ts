/** Connections and listeners of no system: what arrives, and when, and what is taken, is the fuzzer's. */

/** What becomes of what is written to a connection. */
export interface FarEnd {
  /** Bytes have been written; they are the caller's again afterwards. */
  written(data: Uint8Array): void;
  /** Nothing more will be. */
  ended?(): void;
  /** The connection is closed. */
  closed?(): void;
}

let ports = 1;

/** A `Deno.Conn` in memory. */
export class MemoryConn {
  /** Those that are not closed. */
  static readonly open: Set<MemoryConn> = new Set();

  readonly localAddr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  readonly remoteAddr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: ports++ };
  readonly rid = -1;
  /** The most that one write takes. */
  takes = Infinity;
  closed = false;
  /** A read takes as much as has come, as one from a socket does, or one piece of it. */
  joins = true;
  #far: FarEnd;
  #arrived: Uint8Array[] = [];
  #over: Error | "end" | null = null;
  #reading: { buffer: Uint8Array; promise: PromiseWithResolvers<number | null> } | null = null;
  #held: PromiseWithResolvers<void> | null = null;

  constructor(far: FarEnd) {
    this.#far = far;
    MemoryConn.open.add(this);
  }

  /** Bytes arrive. */
  deliver(data: Uint8Array): void {
    if (this.#over !== null || this.closed || data.length === 0) return;
    this.#arrived.push(data);
    this.#settle();
  }

  /** The stream ends, or breaks. */
  finish(over: Error | "end"): void {
    if (this.#over !== null || this.closed) return;
    this.#over = over;
    this.#settle();
  }

  /** From now on writes wait. */
  hold(): void {
    this.#held ??= Promise.withResolvers();
    this.#held.promise.catch(() => {});
  }

  /** They wait no longer. */
  release(): void {
    this.#held?.resolve();
    this.#held = null;
  }

  read(buffer: Uint8Array): Promise<number | null> {
    if (this.closed) return Promise.reject(new Deno.errors.BadResource("Bad resource ID"));
    if (this.#reading !== null) return Promise.reject(new Deno.errors.Busy("two reads at a time"));
    const promise = Promise.withResolvers<number | null>();
    this.#reading = { buffer, promise };
    this.#settle();
    return promise.promise;
  }

  async write(data: Uint8Array): Promise<number> {
    if (this.#held !== null) await this.#held.promise;
    if (this.closed) throw new Deno.errors.BadResource("Bad resource ID");
    if (this.#over instanceof Error) throw new Deno.errors.BrokenPipe("Broken pipe");
    const count = Math.min(data.length, this.takes);
    this.#far.written(data.subarray(0, count));
    return count;
  }

  closeWrite(): Promise<void> {
    this.#far.ended?.();
    return Promise.resolve();
  }

  close(): void {
    if (this.closed) throw new Deno.errors.BadResource("Bad resource ID");
    this.closed = true;
    MemoryConn.open.delete(this);
    this.#held?.reject(new Deno.errors.Interrupted("operation canceled"));
    this.#reading?.promise.reject(new Deno.errors.Interrupted("operation canceled"));
    this.#reading = null;
    this.#far.closed?.();
  }

  #settle(): void {
    if (this.#reading === null || (this.#arrived.length === 0 && this.#over === null)) return;
    const { buffer, promise } = this.#reading;
    this.#reading = null;
    const [first] = this.#arrived;
    if (first === undefined) {
      if (this.#over === "end") promise.resolve(null);
      else promise.reject(this.#over);
      return;
    }
    let filled = 0;
    while (filled < buffer.length && this.#arrived.length > 0) {
      const piece = this.#arrived[0]!;
      const count = Math.min(piece.length, buffer.length - filled);
      buffer.set(piece.subarray(0, count), filled);
      filled += count;
      if (count === piece.length) this.#arrived.shift();
      else this.#arrived[0] = piece.subarray(count);
      if (!this.joins) break;
    }
    promise.resolve(filled);
  }
}

/** Takes it for a connection of Deno's. */
export function asConn(conn: MemoryConn): Deno.Conn {
  return conn as unknown as Deno.Conn;
}

/** Two ends of one connection. */
export function memoryPair(): [MemoryConn, MemoryConn] {
  const make = (other: () => MemoryConn) =>
    new MemoryConn({
      written: (data) => other().deliver(new Uint8Array(data)),
      ended: () => other().finish("end"),
      closed: () => other().finish("end"),
    });
  const near: MemoryConn = make(() => far);
  const far: MemoryConn = make(() => near);
  return [near, far];
}

/** A `Deno.Listener` of such connections. */
export class MemoryListener {
  readonly addr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  #waiting: MemoryConn[] = [];
  #accepting: PromiseWithResolvers<Deno.Conn> | null = null;
  #closed = false;

  /** Somebody connects. */
  push(conn: MemoryConn): void {
    if (this.#accepting === null) {
      this.#waiting.push(conn);
      return;
    }
    this.#accepting.resolve(asConn(conn));
    this.#accepting = null;
  }

  accept(): Promise<Deno.Conn> {
    if (this.#closed) return Promise.reject(new Deno.errors.BadResource("Bad resource ID"));
    const conn = this.#waiting.shift();
    if (conn !== undefined) return Promise.resolve(asConn(conn));
    this.#accepting = Promise.withResolvers();
    return this.#accepting.promise;
  }

  close(): void {
    this.#closed = true;
    this.#accepting?.reject(new Deno.errors.Interrupted("operation canceled"));
  }
}
