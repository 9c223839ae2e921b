import type {
  DatagramEndpoint,
  DatagramHandle,
  Engine,
  EngineHost,
  ListenHandle,
  ListenTarget,
  ProcessHandle,
  StreamEnd,
  StreamHandle,
  TcpTarget,
  TlsProvider,
  UnixTarget,
} from "../transports/mod.ts";
import { checkOptions, namesOf } from "../check_options.ts";
import { describe } from "../errors.ts";
import { EventQueue } from "./event_queue.ts";
import { literal } from "./memory_addresses.ts";
import type { MemoryListener } from "./memory_listener.ts";
import { MemoryNetwork, type Route } from "./memory_network.ts";
import { MemoryPipe } from "./memory_pipe.ts";
import { MemoryStream } from "./memory_stream.ts";
import { Scratch } from "./scratch.ts";
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
}

const OPTIONS = namesOf<MemoryEngineOptions>({ hosts: true, clock: true });

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
  #turn: (() => void) | null = null;

  /**
   * Creates an engine with a network of its own.
   *
   * @param options The host names, and the clock.
   * @throws {TypeError} If an option is unknown, an address is not an IP address, or the clock is
   * not a `VirtualClock`.
   */
  constructor(options: MemoryEngineOptions = {}) {
    const method = "new MemoryEngine()";
    checkOptions(method, options, OPTIONS);
    const { hosts = {}, clock } = options;
    for (const [name, address] of Object.entries(hosts)) {
      if (typeof address === "string" && literal(address) !== undefined) continue;
      throw new TypeError(`${method}: hosts[${describe(name)}] must be an IP address, got ${describe(address)}`);
    }
    if (clock !== undefined && !(clock instanceof VirtualClock)) {
      throw new TypeError(`${method}: clock must be a VirtualClock, got ${describe(clock)}`);
    }
    this.#network = new MemoryNetwork(hosts);
    clock?.attach(this.#events);
  }

  /** Called by the loop. */
  start(host: EngineHost): void {
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
    let route = this.#network.route(target);
    while (route.listener.full) {
      await whenRoom(route.listener, signal);
      route = this.#network.route(target);
    }
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

  /** Not supported: a connection of Deno's needs a real network. */
  adopt(): StreamEnd {
    return notSupported("connections that Deno made");
  }

  /** Not supported: a listener of Deno's needs a real network. */
  adoptListener(): ListenHandle {
    return notSupported("listeners that Deno made");
  }

  /** Not supported. */
  pipe(): StreamHandle {
    return notSupported("pipes");
  }

  /** Not supported. */
  spawn(): Promise<ProcessHandle> {
    return notSupported("child processes");
  }

  #open({ listener, client, server }: Route, wake: ReturnType<EventQueue["context"]>): StreamEnd {
    const [near, far] = MemoryStream.pair(this.#memory, () => new MemoryPipe(), wake, listener.wake);
    listener.add({ handle: far, extra: server });
    return { handle: near, extra: client };
  }
}

/** Waits until the backlog of a listener may have room. */
function whenRoom(listener: MemoryListener, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = () => reject(signal!.reason);
  signal?.addEventListener("abort", abort, { once: true });
  listener.onRoom(resolve);
  return promise.finally(() => signal?.removeEventListener("abort", abort));
}

function notSupported(what: string): never {
  throw new Deno.errors.NotSupported(`a MemoryEngine does not support ${what}`);
}
