/** What speed is made of, as far as it can be counted: system calls, memory and promises for each message. */
import { BufferedProtocol, Protocol, type StreamCallbacks, type Transport } from "../../mod.ts";
import { MAX_BUFFER, MIN_BUFFER } from "../../memory/buffer_pool.ts";
import { assertEquals, assertLessOrEqual } from "../std.ts";
import { loop, turn } from "../kit.ts";
import { WindowMemory } from "../../memory/window_memory.ts";
import { FakeHandle, makeTransport } from "./kit.ts";

const KIB = 1024;

/** A connection whose kernel is the test: it takes every write at once, and gives the bytes that `deliver` puts there. */
class CountedConn implements Deno.Conn {
  /** The memory that each read was posted with. */
  readonly posted: Uint8Array[] = [];
  /** How many bytes each read gave. */
  readonly reads: number[] = [];
  /** The size of each write. */
  readonly writes: number[] = [];
  /** The memory that each write was given. */
  readonly written: ArrayBufferLike[] = [];
  /** What waits for writes: the callbacks of each `then`. */
  readonly writeCallbacks: unknown[] = [];
  /** How often somebody asked a read's promise for another one. */
  readThens = 0;
  readonly localAddr: Deno.Addr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  readonly remoteAddr: Deno.Addr = { transport: "tcp", hostname: "127.0.0.1", port: 2 };
  readonly readable: Deno.Conn["readable"] = new ReadableStream();
  readonly writable: Deno.Conn["writable"] = new WritableStream();
  #available = 0;
  #pending: { buffer: Uint8Array; resolve(count: number): void; reject(error: Error): void } | null = null;
  #idle: (() => void) | null = null;

  /** Lets bytes arrive; resolves when all were read and the next read is posted. */
  deliver(count: number): Promise<void> {
    this.#available += count;
    const idle = new Promise<void>((resolve) => this.#idle = resolve);
    this.#complete();
    return idle;
  }

  read(buffer: Uint8Array): Promise<number | null> {
    this.posted.push(buffer);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#pending = { buffer, resolve, reject };
    if (this.#available > 0) this.#complete();
    else this.#idle?.();
    return watchThen(promise, () => this.readThens++);
  }

  write(data: Uint8Array): Promise<number> {
    this.writes.push(data.length);
    this.written.push(data.buffer);
    return watchThen(Promise.resolve(data.length), (...callbacks) => this.writeCallbacks.push(...callbacks));
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#pending?.reject(new Deno.errors.Interrupted("closed"));
    this.#pending = null;
  }

  ref(): void {}

  unref(): void {}

  [Symbol.dispose](): void {
    this.close();
  }

  #complete(): void {
    if (this.#pending === null) return;
    const { buffer, resolve } = this.#pending;
    const count = Math.min(this.#available, buffer.length);
    this.#pending = null;
    this.#available -= count;
    this.reads.push(count);
    resolve(count);
  }
}

/** Tells of each `then` that a program calls; an `await` calls none. */
function watchThen<T>(promise: Promise<T>, onThen: (...callbacks: unknown[]) => void): Promise<T> {
  const value = (...callbacks: Parameters<Promise<T>["then"]>) => {
    onThen(...callbacks);
    return Promise.prototype.then.apply(promise, callbacks);
  };
  return Object.defineProperty(promise, "then", { value });
}

/** A transport over a counted connection, whose first read is posted. */
class Counted implements AsyncDisposable {
  readonly conn: CountedConn;
  #transport: Transport;

  private constructor(conn: CountedConn, transport: Transport) {
    this.conn = conn;
    this.#transport = transport;
  }

  static async connect(protocol: StreamCallbacks, options: { noDelay?: boolean } = {}): Promise<Counted> {
    const conn = new CountedConn();
    const idle = conn.deliver(0);
    const [transport] = await loop.createConnection(() => protocol, { conn, ...options });
    await idle;
    return new Counted(conn, transport);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#transport.abort();
    await turn();
  }
}

class Connected extends Protocol {
  protected transport!: Transport;
  override connectionMade(transport: Transport): void {
    this.transport = transport;
  }
}

class Echo extends Connected {
  override dataReceived(data: Uint8Array): void {
    this.transport.write(data);
  }
}

class OwnedEcho extends Connected {
  override dataReceived(data: Uint8Array): void {
    this.transport.writeOwned(data);
  }
}

class BufferedEcho extends BufferedProtocol {
  readonly buffer = new Uint8Array(256 * KIB);
  #transport!: Transport;
  override connectionMade(transport: Transport): void {
    this.#transport = transport;
  }
  override getBuffer(): Uint8Array {
    return this.buffer;
  }
  override bufferUpdated(count: number): void {
    this.#transport.write(this.buffer.subarray(0, count));
  }
}

/** After so many messages a connection is busy. The first one finds the window too small. */
const UNTIL_BUSY = 1 + 64;

/** Delivers messages one at a time, and gives the number of reads that each took. */
async function readsPerMessage(conn: CountedConn, size: number, messages: number): Promise<number[]> {
  const counts: number[] = [];
  for (let i = 0; i < messages; i++) {
    const before = conn.reads.length;
    await conn.deliver(size);
    counts.push(conn.reads.length - before);
  }
  return counts;
}

/** How many pieces of memory reads were posted with, the first `skip` aside. */
function distinctBuffers(conn: CountedConn, skip: number): number {
  return new Set(conn.posted.slice(skip).map(({ buffer }) => buffer)).size;
}

for (const Kind of [Protocol, BufferedProtocol]) {
  Deno.test(`write() of sixteen small pieces by a ${Kind.name} is one system write a batch`, async () => {
    let transport!: Transport;
    const answer = () => {
      for (let i = 0; i < 16; i++) transport.write(new Uint8Array(64));
    };
    const protocol = Object.assign(new Kind(), {
      connectionMade: (made: Transport) => void (transport = made),
      ...(Kind === Protocol ? { dataReceived: answer } : { bufferUpdated: answer }),
    });
    await using counted = await Counted.connect(protocol);
    for (let i = 0; i < 20; i++) await counted.conn.deliver(64);
    assertEquals(counted.conn.writes, new Array(20).fill(16 * 64));
  });
}

for (const Kind of [Echo, OwnedEcho, BufferedEcho]) {
  Deno.test(`${Kind.name}: a message of 512 bytes is one read and one write, from the first on`, async () => {
    await using counted = await Counted.connect(new Kind());
    assertEquals(await readsPerMessage(counted.conn, 512, 100), new Array(100).fill(1));
    assertEquals(counted.conn.writes, new Array(100).fill(512));
  });

  Deno.test(`${Kind.name}: a message of 1 KiB is one read and one write, from the second on`, async () => {
    await using counted = await Counted.connect(new Kind());
    await readsPerMessage(counted.conn, KIB, 1);
    const written = counted.conn.writes.length;
    assertEquals(await readsPerMessage(counted.conn, KIB, 100), new Array(100).fill(1));
    assertEquals(counted.conn.writes.slice(written), new Array(100).fill(KIB));
  });

  Deno.test(`${Kind.name}: a message of 100 KiB is one read and one write once the connection is busy`, async () => {
    await using counted = await Counted.connect(new Kind());
    await readsPerMessage(counted.conn, 100 * KIB, UNTIL_BUSY);
    const written = counted.conn.writes.length;
    assertEquals(await readsPerMessage(counted.conn, 100 * KIB, 100), new Array(100).fill(1));
    assertEquals(counted.conn.writes.slice(written), new Array(100).fill(100 * KIB));
  });

  // A protocol that keeps what it is given is given large windows themselves, so there the memory changes.
  for (const kib of Kind === Echo ? [1, 16] : [1, 16, 100]) {
    Deno.test(`${Kind.name}: messages of ${kib} KiB are all read into the same memory`, async () => {
      await using counted = await Counted.connect(new Kind());
      // Windows of all sizes come and go, and trust is found or lost.
      await readsPerMessage(counted.conn, kib * KIB, 2 * UNTIL_BUSY);
      const warmUp = counted.conn.posted.length;
      await readsPerMessage(counted.conn, kib * KIB, 1000);
      assertEquals(distinctBuffers(counted.conn, warmUp), 1);
    });
  }

  Deno.test(`${Kind.name}: a message costs one promise in addition to Deno's two, and no closure`, async () => {
    await using counted = await Counted.connect(new Kind());
    await readsPerMessage(counted.conn, 512, 100);
    assertEquals(counted.conn.readThens, 0);
    // Two callbacks a write, the same two each time.
    assertEquals(counted.conn.writeCallbacks.length, 200);
    assertEquals(new Set(counted.conn.writeCallbacks).size, 2);
  });
}

for (const kib of [1, 16, 100]) {
  Deno.test(`writeOwned() of messages of ${kib} KiB sends from the very memory that they were read into`, async () => {
    await using counted = await Counted.connect(new OwnedEcho());
    const { conn } = counted;
    await readsPerMessage(conn, kib * KIB, 2 * UNTIL_BUSY);
    const { posted, written } = conn;
    const [read, sent] = [posted.length, written.length];
    await readsPerMessage(conn, kib * KIB, 100);
    assertEquals(new Set(written.slice(sent)), new Set(posted.slice(read).map(({ buffer }) => buffer)));
  });
}

Deno.test("getBuffer() gives the very memory of every read", async () => {
  const protocol = new BufferedEcho();
  await using counted = await Counted.connect(protocol);
  for (const size of [1, KIB, 100 * KIB, 1000 * KIB]) await counted.conn.deliver(size);
  assertEquals(counted.conn.posted.every((buffer) => buffer === protocol.buffer), true);
  assertEquals(counted.conn.reads, [1, KIB, 100 * KIB, ...[256, 256, 256, 232].map((kib) => kib * KIB)]);
});

/** The sizes of the window, from the one of an idle connection to that of a busy one. */
const WINDOWS: number[] = [];
for (let size = MIN_BUFFER; size <= MAX_BUFFER; size *= 2) WINDOWS.push(size);
/** So many bytes fill all but the largest. */
const ALL_BUT_LARGEST = MAX_BUFFER - MIN_BUFFER;

Deno.test("the window doubles up to 256 KiB while reads fill it", async () => {
  await using counted = await Counted.connect(new Protocol());
  await counted.conn.deliver(ALL_BUT_LARGEST + 2 * MAX_BUFFER + 1);
  const sizes = counted.conn.posted.map(({ length }) => length);
  // The last read but one is not filled; the last one has nothing to read, and waits with little.
  assertEquals(sizes, [...WINDOWS, MAX_BUFFER, MAX_BUFFER, 4 * KIB]);
  assertEquals(MAX_BUFFER, 256 * KIB);
});

/** Makes a connection busy, its window the largest. */
async function makeBusy({ conn }: Counted): Promise<void> {
  await conn.deliver(ALL_BUT_LARGEST);
  await readsPerMessage(conn, 64 * KIB, UNTIL_BUSY);
  assertEquals(conn.posted.at(-1)!.length, MAX_BUFFER);
}

Deno.test("the window shrinks to what is needed after 16 reads in a row that fill little of it", async () => {
  await using counted = await Counted.connect(new Protocol());
  await makeBusy(counted);
  const { posted } = counted.conn;
  const start = posted.length - 1;
  await readsPerMessage(counted.conn, 64, 20);
  const sizes = posted.slice(start).map(({ length }) => length);
  assertEquals(sizes, [...new Array<number>(16).fill(MAX_BUFFER), ...new Array<number>(5).fill(MIN_BUFFER)]);
});

Deno.test("the window stays as it is while now and then a read needs it", async () => {
  await using counted = await Counted.connect(new Protocol());
  await makeBusy(counted);
  const start = counted.conn.posted.length;
  for (let i = 0; i < 10; i++) {
    await readsPerMessage(counted.conn, 64, 15);
    await counted.conn.deliver(33 * KIB);
  }
  const sizes = counted.conn.posted.slice(start).map(({ length }) => length);
  assertEquals(sizes, new Array(160).fill(MAX_BUFFER));
});

Deno.test("a connection that is not busy waits with 4 KiB at most, whatever it has received", async () => {
  await using counted = await Counted.connect(new Echo());
  for (const size of [1, KIB, 5 * KIB, 100 * KIB, 1000 * KIB, 7]) {
    await counted.conn.deliver(size);
    assertLessOrEqual(counted.conn.posted.at(-1)!.buffer.byteLength, 4 * KIB);
  }
});

Deno.test("a connection that is not busy takes a large message in two reads", async () => {
  await using counted = await Counted.connect(new Echo());
  await readsPerMessage(counted.conn, 100 * KIB, 2);
  assertEquals(await readsPerMessage(counted.conn, 100 * KIB, 10), new Array(10).fill(2));
  assertEquals(counted.conn.reads.slice(-2), [4 * KIB, 96 * KIB]);
});

Deno.test("a connection that is not busy takes small messages in one read, and forgets large ones after 16", async () => {
  await using counted = await Counted.connect(new Echo());
  await readsPerMessage(counted.conn, 100 * KIB, 2);
  assertEquals(await readsPerMessage(counted.conn, KIB, 16), new Array(16).fill(1));
  assertEquals(counted.conn.posted.at(-1)!.length, 2 * KIB);
});

Deno.test("a busy connection is a quiet one again after a second without anything to read", async () => {
  await using counted = await Counted.connect(new Protocol());
  await makeBusy(counted);
  const { now } = Date;
  try {
    Date.now = () => now() + 1000;
    await counted.conn.deliver(33 * KIB);
  } finally {
    Date.now = now;
  }
  assertEquals(counted.conn.posted.at(-1)!.length, 4 * KIB);
});

Deno.test("a connection whose small writes wait takes large messages in one read, busy or not", async () => {
  for (const [alwaysBusy, length] of [[true, 16 * KIB], [false, 4 * KIB]] as const) {
    const handle = Object.assign(new FakeHandle(), { memory: new WindowMemory(alwaysBusy) });
    const transport = makeTransport(new Protocol(), handle);
    while (handle.target!.length < 16 * KIB) handle.fill(handle.target!.length);
    handle.fill(9 * KIB);
    assertEquals(handle.target!.length, length);
    transport.abort();
    await turn();
  }
});

Deno.test("a connection with noDelay: false takes large messages in one read, busy or not", async () => {
  await using counted = await Counted.connect(new Protocol(), { noDelay: false });
  await readsPerMessage(counted.conn, 100 * KIB, 2);
  assertEquals(await readsPerMessage(counted.conn, 100 * KIB, 10), new Array(10).fill(1));
});
