/** The testing kit: protocols that record what happens to them, and pairs that clean up after themselves. */
import { Buffer } from "node:buffer";
import {
  type BaseTransport,
  BufferedProtocol,
  type ConnectionOptions,
  type EventLoop,
  type ExceptionContext,
  getRunningLoop,
  Protocol,
  type Server,
  type ServerOptions,
  type Transport,
} from "../mod.ts";
import { VirtualClock } from "../testing/mod.ts";

/** The loop of the tests. */
export let loop = getRunningLoop();

/** Runs something with another loop as `loop`. */
export async function withLoop<T>(other: EventLoop, run: () => Promise<T>): Promise<T> {
  const before = loop;
  loop = other;
  try {
    return await run();
  } finally {
    loop = before;
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Text as bytes. */
export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** Bytes as text. */
export function text(data: Uint8Array): string {
  return decoder.decode(data);
}

/** `length` bytes whose values tell their place: byte `i` is `(i * 7 + seed) % 251`. */
export function pattern(length: number, seed = 0): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(length);
  let filled = Math.min(length, 251);
  for (let i = 0; i < filled; i++) data[i] = (i * 7 + seed) % 251;
  // It repeats itself every 251 bytes, and copies are much cheaper than divisions.
  for (; filled < length; filled *= 2) data.copyWithin(filled, 0, filled);
  return data;
}

/** Makes a source of numbers from 0 up to a limit, the same ones for the same seed (mulberry32). */
export function makeRandom(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Joins pieces. */
export function concat(pieces: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.length;
  }
  return whole;
}

/** Asserts that bytes are the same; `assertEquals` takes seconds for megabytes. */
export function assertBytes(actual: Uint8Array, expected: Uint8Array, message = ""): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const place = actual.findIndex((byte, i) => byte !== expected[i]);
  const where = place < 0 ? "they end early" : `they differ at ${place}`;
  throw new Error(`${message} ${actual.length} bytes instead of ${expected.length}: ${where}`.trim());
}

/** A list of events that can be waited for. */
export class EventLog {
  readonly entries: string[] = [];
  #waiters: { done: () => boolean; resolve: () => void }[] = [];

  /** Adds an event and wakes who waits for it. */
  add(entry: string): void {
    this.entries.push(entry);
    this.changed();
  }

  /** Wakes who waits for something that has become true. */
  changed(): void {
    for (const waiter of this.#waiters.slice()) {
      if (!waiter.done()) continue;
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      waiter.resolve();
    }
  }

  /** Waits until a condition holds; it is asked again after every event. */
  until(done: () => boolean): Promise<void> {
    if (done()) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ done, resolve }));
  }

  /** Waits for an event that starts with `prefix`. */
  has(prefix: string): Promise<void> {
    return this.until(() => this.entries.some((entry) => entry.startsWith(prefix)));
  }
}

/** A stream protocol that records its callbacks and keeps what it is given. */
export class Recorder extends Protocol {
  readonly log = new EventLog();
  readonly pieces: Uint8Array[] = [];
  received = 0;
  transport!: Transport;
  /** What `connectionLost` was given; `undefined` before. */
  error: Error | null | undefined;
  /** What `eofReceived` returns. */
  keepOpen: boolean;

  constructor(options: { keepOpen?: boolean } = {}) {
    super();
    this.keepOpen = options.keepOpen ?? false;
  }

  override connectionMade(transport: Transport): void {
    this.transport = transport;
    this.log.add("connectionMade");
  }

  override dataReceived(data: Uint8Array): void {
    this.pieces.push(data);
    this.received += data.length;
    this.log.add(`dataReceived ${data.length}`);
  }

  override eofReceived(): boolean {
    this.log.add("eofReceived");
    return this.keepOpen;
  }

  override pauseWriting(): void {
    this.log.add("pauseWriting");
  }

  override resumeWriting(): void {
    this.log.add("resumeWriting");
  }

  override connectionLost(error: Error | null): void {
    this.error = error;
    this.log.add(`connectionLost ${error === null ? "null" : error.name}`);
  }

  /** All that was received. */
  get data(): Uint8Array {
    return concat(this.pieces);
  }

  /** All that was received, as text. */
  get text(): string {
    return text(this.data);
  }

  /** Waits until so many bytes have been received. */
  untilReceived(count: number): Promise<void> {
    return this.log.until(() => this.received >= count);
  }

  /** Waits for `connectionLost`. */
  untilLost(): Promise<void> {
    return this.log.has("connectionLost");
  }
}

/** The same for a protocol that owns its memory. */
export class BufferedRecorder extends BufferedProtocol {
  readonly log = new EventLog();
  readonly pieces: Uint8Array[] = [];
  received = 0;
  transport!: Transport;
  error: Error | null | undefined;
  readonly buffer: Uint8Array;

  constructor(size = 64 * 1024) {
    super();
    this.buffer = new Uint8Array(size);
  }

  override connectionMade(transport: Transport): void {
    this.transport = transport;
    this.log.add("connectionMade");
  }

  override getBuffer(_sizeHint: number): Uint8Array {
    return this.buffer;
  }

  override bufferUpdated(nbytes: number): void {
    this.pieces.push(this.buffer.slice(0, nbytes));
    this.received += nbytes;
    this.log.add(`bufferUpdated ${nbytes}`);
  }

  override eofReceived(): boolean {
    this.log.add("eofReceived");
    return false;
  }

  override connectionLost(error: Error | null): void {
    this.error = error;
    this.log.add(`connectionLost ${error === null ? "null" : error.name}`);
  }

  get data(): Uint8Array {
    return concat(this.pieces);
  }

  untilReceived(count: number): Promise<void> {
    return this.log.until(() => this.received >= count);
  }

  untilLost(): Promise<void> {
    return this.log.has("connectionLost");
  }
}

/** A TCP server and one client of it; leaving the scope aborts what is left of both and waits for the end. */
export class Pair<S, C> implements AsyncDisposable {
  readonly server: Server;
  readonly serverSide: S;
  readonly clientSide: C;
  readonly clientTransport: Transport;
  #loop: EventLoop;

  constructor(server: Server, serverSide: S, clientSide: C, clientTransport: Transport, onLoop = loop) {
    this.server = server;
    this.serverSide = serverSide;
    this.clientSide = clientSide;
    this.clientTransport = clientTransport;
    this.#loop = onLoop;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
    this.server.abortClients();
    this.clientTransport.abort();
    await this.server.waitClosed();
    // connectionLost of the client runs in a turn of its own, and closes its socket.
    await turn(this.#loop);
  }
}

/** Connects two protocols over TCP on loopback; resolves when `connectionMade` has run on both. */
export async function connect<S extends object, C extends object>(
  makeServerSide: () => S,
  makeClientSide: () => C,
  options: { server?: Partial<ServerOptions>; client?: Partial<ConnectionOptions>; loop?: EventLoop } = {},
): Promise<Pair<S, C>> {
  const { loop: onLoop = loop } = options;
  const made = Promise.withResolvers<S>();
  const factory = () => {
    const protocol = makeServerSide();
    // Resolved a turn later, after connectionMade has run.
    onLoop.callSoon(() => made.resolve(protocol));
    return protocol;
  };
  const server = await onLoop.createServer(factory, { hostname: "127.0.0.1", port: 0, ...options.server });
  const [transport, client] = await onLoop.createConnection(makeClientSide, {
    hostname: "127.0.0.1",
    port: portOf(server),
    ...options.client,
  });
  return new Pair(server, await made.promise, client, transport, onLoop);
}

/** Whether this machine has IPv6. */
export function hasIpv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

/** A port that is free at an address, or at all of them. The system does not choose it by itself: it starts at 32768. */
export function freePort(hostname = "0.0.0.0"): number {
  for (;;) {
    const port = 10_000 + Math.floor(20_000 * Math.random());
    try {
      Deno.listen({ hostname, port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** The port of a server's first address. */
export function portOf(server: Server): number {
  return (server.addresses[0] as Deno.NetAddr).port;
}

/** A clock that stands still until a test moves it, for `new EventLoop({ clock })`. */
export class ManualClock extends VirtualClock {
  /** Waits until the loop has set a timer. */
  async untilSet(onLoop: EventLoop): Promise<void> {
    while (this.due === null) await turn(onLoop);
  }

  /** Moves on, and has the loop run what becomes due on the way. */
  override async advance(ms: number, onLoop = loop): Promise<void> {
    await super.advance(ms);
    await turn(onLoop);
  }
}

/** Waits for the next turn of the loop: everything scheduled with `callSoon` until now has run then. */
export function turn(onLoop = loop): Promise<void> {
  return new Promise((resolve) => void onLoop.callSoon(resolve));
}

/** Collects what the exception handler is told; leaving the scope puts the former handler back. */
export function captureExceptions(onLoop = loop): Disposable & { contexts: ExceptionContext[]; log: EventLog } {
  const before = onLoop.getExceptionHandler();
  const contexts: ExceptionContext[] = [];
  const log = new EventLog();
  onLoop.setExceptionHandler((context) => {
    contexts.push(context);
    log.add(context.message);
  });
  return { contexts, log, [Symbol.dispose]: () => onLoop.setExceptionHandler(before) };
}

/** A path in a directory of its own; leaving the scope removes it all. */
export function tempPath(name = "socket"): Disposable & { path: string; directory: string } {
  const directory = Deno.makeTempDirSync({ prefix: "tandem-test-" });
  return {
    path: `${directory}/${name}`,
    directory,
    [Symbol.dispose]: () => Deno.removeSync(directory, { recursive: true }),
  };
}

/** Closes a transport and waits until its protocol has been told. */
export async function closed(transport: BaseTransport, protocol: { log: EventLog }): Promise<void> {
  transport.close();
  await protocol.log.has("connectionLost");
  await turn();
}
