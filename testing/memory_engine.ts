import type {
  DatagramEndpoint,
  DatagramHandle,
  DenoConn,
  Engine,
  EngineHost,
  ListenHandle,
  ListenTarget,
  ProcessHandle,
  ReadablePipe,
  StreamEnd,
  StreamHandle,
  TcpSettings,
  TcpTarget,
  TlsProvider,
  UnixTarget,
  WritablePipe,
} from "../transports/mod.ts";
import { DenoEngine } from "../engines/deno/mod.ts";
import { checkOptions, namesOf } from "../check_options.ts";
import { describe } from "../errors.ts";
import { checkInteger } from "../checks.ts";
import { DatagramCarrier } from "./datagram_carrier.ts";
import { EventQueue, type Wake } from "./event_queue.ts";
import { type Destination, type Fault, FaultSet } from "./fault_set.ts";
import { checkFaults, type FaultOptions } from "./faults.ts";
import { literal } from "./memory_addresses.ts";
import { MemoryNetwork, type Route } from "./memory_network.ts";
import { MemoryPipe } from "./memory_pipe.ts";
import { MemoryStream } from "./memory_stream.ts";
import { drawSeed, makeRandom } from "./random.ts";
import { Scratch } from "./scratch.ts";
import { connectionRefused } from "./system_errors.ts";
import { VirtualClock } from "./virtual_clock.ts";

/** The options of a {@linkcode MemoryEngine}. */
export interface MemoryEngineOptions {
  /**
   * The IP addresses of host names. A name that a server binds gets an address by itself, so you rarely need this.
   *
   * @default {{ localhost: "127.0.0.1" }}
   */
  hosts?: Readonly<Record<string, string>> | undefined;
  /**
   * The clock of the loop. It then moves only when the engine has no pending events.
   *
   * @default {undefined}
   */
  clock?: VirtualClock | undefined;
  /**
   * Decides all that is random: jitter, the sizes of slices, and which datagrams are lost. See {@linkcode withSeed}.
   *
   * @default {undefined} drawn at random; see {@linkcode MemoryEngine.seed}
   */
  seed?: number | undefined;
}

const OPTIONS = namesOf<MemoryEngineOptions>({ hosts: true, clock: true, seed: true });
/** Spreads the seeds of directions. */
const GOLDEN = 0x9e3779b9;
const DIRECTIONS = ["upstream", "downstream"] as const;

/**
 * An engine whose network is in memory: TCP and Unix streams, their servers, and UDP and Unix datagrams. The transports
 * are the real ones, and the methods of the loop are the same. It needs no permission, and uses no socket.
 *
 * - A server can bind any host name, any IP address and any port. A client reaches it by that name, that address, or a
 *   wildcard that covers it. Port 0 is replaced by a free one.
 * - Errors have the class and the `code` of the system's: `ConnectionRefused`, `ConnectionReset`, `BrokenPipe`, `AddrInUse`,
 *   and `NotFound` for a Unix path.
 * - As on Linux, a connection that is closed before it has read all bytes is reset, and so is one that receives bytes after
 *   its end.
 * - A stream holds 64 KiB in each direction while its reader does not read.
 * - TLS works over it, by Deno's `node:tls`.
 * - `{ conn }` and pipes work as with the default engine, so web streams do. A virtual clock does not wait for what is
 *   outside of the program: see {@linkcode VirtualClock.hold}.
 * - Two engines are two networks: their loops cannot reach each other.
 *
 * Pending events keep the process alive, but an open server or connection does not: nothing can reach it from outside. If a
 * test waits for what never happens, Deno reports that the promise stays pending, and the test does not hang.
 *
 * @example Connect by a name
 * ```ts
 * import { EventLoop, Protocol, type Transport } from "@tandem/io";
 * import { MemoryEngine } from "@tandem/io/testing";
 *
 * class Greeter extends Protocol {
 *   override connectionMade(transport: Transport) {
 *     transport.write(new TextEncoder().encode("hello"));
 *     transport.close();
 *   }
 * }
 *
 * const loop = new EventLoop({ engine: new MemoryEngine() });
 * await using server = await loop.createServer(() => new Greeter(), { hostname: "db.test", port: 5432 });
 * await loop.createConnection(() => new Protocol(), { hostname: "db.test", port: 5432 });
 * ```
 */
export class MemoryEngine implements Engine {
  /** The name of the engine. */
  readonly name = "memory";
  /** The TLS of its loop. Assign a provider before you make the loop to replace Deno's. */
  tls?: TlsProvider | undefined;
  #events = new EventQueue();
  #memory = new Scratch();
  #network: MemoryNetwork;
  #host: EngineHost | null = null;
  #turn: (() => void) | null = null;
  #faults = new FaultSet();
  #pipes = new Set<MemoryPipe>();
  #pipeCount = 0;
  #deno: DenoEngine | null = null;
  /** Decides all that is random. The same seed gives the same faults. */
  readonly seed: number;

  /**
   * Creates an engine with a network of its own.
   *
   * @param options The host names, the clock and the seed.
   * @throws {TypeError} If an option is unknown, an address is not an IP address, or the clock is
   * not a `VirtualClock`.
   */
  constructor(options: MemoryEngineOptions = {}) {
    const method = "new MemoryEngine()";
    checkOptions(method, options, OPTIONS);
    const { hosts = {}, clock, seed = drawSeed() } = options;
    checkInteger(method, "seed", seed, 0, 2 ** 32 - 1);
    if (typeof hosts !== "object" || hosts === null || Array.isArray(hosts)) {
      throw new TypeError(`${method}: hosts must be an object of names and IP addresses, got ${describe(hosts)}`);
    }
    for (const [name, address] of Object.entries(hosts)) {
      if (typeof address === "string" && literal(address) !== undefined) continue;
      throw new TypeError(`${method}: hosts[${describe(name)}] must be an IP address, got ${describe(address)}`);
    }
    if (clock !== undefined && !(clock instanceof VirtualClock)) {
      throw new TypeError(`${method}: clock must be a VirtualClock, got ${describe(clock)}`);
    }
    this.seed = seed;
    const callLater = (ms: number, callback: () => void) => void this.#callLater(ms, callback);
    this.#network = new MemoryNetwork(hosts, new DatagramCarrier(this.#faults, makeRandom(seed), callLater));
    this.#faults.watch(() => {
      for (const pipe of [...this.#pipes]) pipe.update();
    });
    clock?.attach(this.#events);
  }

  /**
   * Injects faults into the network, for connections that exist, too. Faults that are injected later win over earlier ones of
   * the same name.
   *
   * @param options The faults.
   * @returns An object to change and to remove them.
   * @throws {TypeError} If an option is wrong.
   * @throws {RangeError} If a number is out of range.
   *
   * @example Slow replies, byte by byte
   * ```ts
   * import { MemoryLoop } from "@tandem/io/testing";
   *
   * const loop = new MemoryLoop({ seed: 1 });
   * const fault = loop.engine.inject({
   *   to: { hostname: "db.test" },
   *   downstream: { latency: { latency: 200, jitter: 50 }, slicer: { averageSize: 1 } },
   * });
   * fault.set({ refuses: true });
   * fault.remove();
   * ```
   */
  inject(options: FaultOptions): Fault {
    checkFaults("inject()", options);
    return this.#faults.add(options);
  }

  /** Called by the loop. */
  start(host: EngineHost): void {
    this.#host = host;
    this.#turn = () => host.turn();
  }

  /** Called by the loop. */
  soon(): void {
    this.#events.soon(this.#turn!);
  }

  /** Called by the loop. */
  async connect(target: TcpTarget | UnixTarget, signal?: AbortSignal): Promise<StreamEnd> {
    signal?.throwIfAborted();
    const wake = this.#events.context();
    await this.#events.next();
    signal?.throwIfAborted();
    await this.#crossNetwork(target, signal);
    let route = this.#network.route(target);
    while (route.listener.full) {
      const { listener } = route;
      await abortable((resolve) => listener.onRoom(resolve), signal);
      route = this.#network.route(target);
    }
    if (this.#faults.refuses(route.destination)) throw connectionRefused();
    return this.#open(route, wake);
  }

  /** Called by the loop. */
  // deno-lint-ignore require-await -- what it throws becomes a rejection
  async listen(target: ListenTarget): Promise<ListenHandle | ListenHandle[]> {
    return this.#network.listen(target, this.#events.context());
  }

  /** Called by the loop. */
  // deno-lint-ignore require-await -- what it throws becomes a rejection
  async datagram(endpoint: DatagramEndpoint): Promise<DatagramHandle> {
    return this.#network.openDatagram(endpoint, this.#events.context());
  }

  /** Takes a connection that exists: that of `fromStreams()`, a stand-in of a test, or one of Deno's. */
  adopt(conn: DenoConn, settings: TcpSettings): StreamEnd {
    return this.#outside.adopt(conn, settings);
  }

  /** Not supported: a listener of Deno's needs a real network. */
  adoptListener(): ListenHandle {
    return notSupported("listeners that Deno made");
  }

  /** Takes a web stream or another pipe. */
  pipe(pipe: ReadablePipe | WritablePipe, direction: "read" | "write"): StreamHandle {
    return this.#outside.pipe(pipe, direction);
  }

  /** Not supported. */
  spawn(): Promise<ProcessHandle> {
    return notSupported("child processes");
  }

  /** The engine of what a program brings along. */
  get #outside(): DenoEngine {
    return this.#deno ??= new DenoEngine();
  }

  /** Waits as long as the faults make a connection attempt take. */
  async #crossNetwork(target: TcpTarget | UnixTarget, signal: AbortSignal | undefined): Promise<void> {
    const destination = this.#network.destination(target);
    const faults = () => DIRECTIONS.map((direction) => this.#faults.stream(direction, destination));
    const delay = faults().reduce((sum, { latency }) => sum + (latency?.latency ?? 0), 0);
    if (delay > 0) {
      await abortable((resolve) => {
        const timer = this.#callLater(delay, resolve);
        return () => timer.cancel();
      }, signal);
    }
    while (faults().some(({ timeout }) => timeout !== undefined)) {
      await abortable((resolve) => this.#faults.watch(resolve), signal);
    }
  }

  #open({ listener, client, server, destination }: Route, wake: Wake): StreamEnd {
    const up = this.#makePipe("upstream", destination);
    const down = this.#makePipe("downstream", destination);
    const [near, far] = MemoryStream.pair(this.#memory, up, down, wake, listener.wake);
    // Starts the timers of faults.
    if (this.#faults.version > 0) { for (const pipe of [up, down]) pipe.update(); }
    listener.add({ handle: far, extra: server });
    return { handle: near, extra: client };
  }

  #makePipe(direction: "upstream" | "downstream", destination: Destination): MemoryPipe {
    // Of its own, so that connections do not change each other's draws.
    const random = makeRandom(this.seed + ++this.#pipeCount * GOLDEN);
    const pipe = new MemoryPipe({
      faults: () => this.#faults.stream(direction, destination),
      now: () => this.#host?.time?.() ?? performance.now(),
      callLater: (ms, callback) => this.#callLater(ms, callback),
      random,
      closed: () => void this.#pipes.delete(pipe),
    });
    this.#pipes.add(pipe);
    return pipe;
  }

  #callLater(ms: number, callback: () => void): { cancel(): void } {
    if (this.#host?.callLater !== undefined) return this.#host.callLater(ms, callback);
    const id = setTimeout(callback, ms);
    return { cancel: () => clearTimeout(id) };
  }
}

/** Waits for a call of `resolve`, or rejects with the reason of the signal. What `start` returns is called then. */
async function abortable(
  start: (resolve: () => void) => void | (() => void),
  signal: AbortSignal | undefined,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = () => reject(signal!.reason);
  signal?.addEventListener("abort", abort, { once: true });
  const stop = start(resolve);
  try {
    await promise;
  } finally {
    stop?.();
    signal?.removeEventListener("abort", abort);
  }
}

function notSupported(what: string): never {
  throw new Deno.errors.NotSupported(`a MemoryEngine does not support ${what}`);
}
