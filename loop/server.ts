import { checkOptions, namesOf } from "../check_options.ts";
import { checkSignal } from "../checks.ts";
import { InvalidStateError, toError } from "../errors.ts";
import { secureStream } from "../tls/secure_stream.ts";
import { TlsError } from "../tls/tls_error.ts";
import { MAX_HANDSHAKES, type TlsPlan } from "../tls/tls_options.ts";
import type { StreamEnd } from "../transports/stream_handle.ts";
import type { ServerState } from "../transports/inspection.ts";
import type { ListenHandle } from "../transports/listen_handle.ts";
import type { ConnectionOwner } from "../transports/connection_owner.ts";
import type { StreamConnection } from "../transports/stream_connection.ts";
import type { StreamCallbacks } from "../transports/transport.ts";
import { Acceptor } from "./acceptor.ts";
import { ConnectionList } from "./connection_list.ts";
import { makeConnection } from "./connect.ts";
import { LimitGuard } from "./limit_guard.ts";
import type { LimitOptions, LimitPlan } from "./limits.ts";
import { Drain, type DrainCounts, type DrainOptions } from "./drain.ts";
import type { LoopCore } from "./loop_core.ts";
import { PendingSet } from "./pending_set.ts";
import type { ProtocolFactory } from "./protocol_factory.ts";
import type { Connections } from "./roster.ts";
import { ProxyGate, type ProxyPlan, type ProxyProtocolOptions } from "./proxy_protocol.ts";
import type { Visitor } from "./visitor.ts";

/** Aborts handshakes and PROXY headers in `closeClients()` and `abortClients()`. It is not reported. */
const GIVEN_UP = new DOMException("the server ends its connections", "AbortError");

/** The options of all servers. */
export interface ServeOptions {
  /**
   * Accept connections at once. Otherwise call `startServing()` or `serveForever()`.
   *
   * @default {true}
   */
  startServing?: boolean | undefined;
  /**
   * Read a header of the PROXY protocol, version 1 or 2, from trusted proxies, before TLS and `connectionMade`. `peername` and
   * `sockname` of `getExtraInfo` are then those of the proxy's client; `proxyPeername` and `proxySockname` are the addresses of
   * the socket, and `proxyProtocol` is the header.
   *
   * A connection whose header is malformed, too long or late is closed, and the exception handler is called. A
   * `Deno.TlsListener` does not support this option.
   *
   * @default {undefined} no peer is a proxy
   */
  proxyProtocol?: ProxyProtocolOptions | undefined;
  /**
   * How many connections may be open, and how long they may be idle, make no progress, last, or not read.
   *
   * @default {undefined} no limits but `maxHandshakes` of `tls`
   */
  limits?: LimitOptions | undefined;
}

/** The options of a server, checked. */
export interface ServePlan {
  startServing: boolean;
  closeTimeout: number | undefined;
  proxy: ProxyPlan | null;
  limits: LimitPlan | null;
}

const FOREVER_OPTIONS = namesOf<{ signal?: AbortSignal }>({ signal: true });

let describeServer: (server: Server) => ServerState;
let connectionsOf: (server: Server) => Connections;

/**
 * Accepts connections and creates a protocol for each. {@linkcode EventLoop.createServer} creates servers.
 *
 * @example Usage
 * ```ts ignore
 * const server = await loop.createServer(() => new Echo(), { port: 0 });
 * console.log(server.addresses);
 * server.close(); // stops accepting; connections go on
 * server.closeClients();
 * await server.waitClosed();
 * ```
 */
export class Server implements AsyncDisposable {
  /** The addresses of the server, with the ports that the system has chosen. */
  readonly addresses: Deno.Addr[];
  /**
   * The listening sockets: with the default engine each a `Deno.Listener`, from which you must not accept, and which you must
   * not close; with the epoll engine a `Socket`.
   */
  readonly sockets: readonly object[];

  #loop: LoopCore;
  #method: string;
  #factory: ProtocolFactory<StreamCallbacks>;
  #acceptor: Acceptor;
  /** Of all connections, so that none needs an object or a closure of its own. */
  #options: { closeTimeout: number | undefined; owner: ConnectionOwner<StreamConnection> };
  #tls: TlsPlan | null;
  /** `null` if no peer is a proxy. */
  #proxy: ProxyGate | null;
  #serving = false;
  #closed = false;
  #servingForever = false;
  #connections = new ConnectionList();
  #owner: ConnectionOwner<StreamConnection> = {
    lost: (connection) => {
      this.#connections.delete(connection);
      this.#guard?.lost(connection);
      this.#drain?.lost(connection);
      this.#settle();
    },
  };
  #handshakes = new PendingSet();
  #waiters: (() => void)[] = [];
  #onClose: (() => void)[] = [];
  /** `null` without limits. */
  #guard: LimitGuard | null = null;
  /** `null` before `drain()`. */
  #drain: Drain | null = null;

  /** For `loop.leave()`. */
  #entry: object;

  static {
    describeServer = (server) => ({
      addresses: server.addresses.map((address) => ({ ...address })),
      serving: server.#serving,
      draining: server.#drain?.isRunning ?? false,
      connections: server.#connections.size,
      handshakes: server.#handshakes.size,
      proxyHeaders: server.#proxy?.pending ?? 0,
    });
    connectionsOf = (server) => server.#connections;
  }

  /** Called by the loop. */
  constructor(
    loop: LoopCore,
    method: string,
    factory: ProtocolFactory<StreamCallbacks>,
    listeners: ListenHandle[],
    tls: TlsPlan | null,
    { startServing, closeTimeout, proxy, limits }: ServePlan,
  ) {
    this.#loop = loop;
    this.#method = method;
    this.#factory = factory;
    this.#acceptor = new Acceptor(loop, listeners, {
      accepted: (end) => this.#accepted(end),
      listenerClosed: () => this.#listenerClosed(),
    });
    this.#options = { closeTimeout, owner: this.#owner };
    this.#tls = tls;
    this.#proxy = proxy && new ProxyGate(loop, proxy, (end) => this.#serve(end), () => this.#settle());
    this.addresses = listeners.map(({ addr }) => addr);
    this.sockets = listeners.map(({ socket }) => socket).filter((socket) => socket !== undefined);
    this.#entry = loop.enter(this, describeServer, connectionsOf);
    if (limits !== null) this.#limit(limits);
    if (startServing) this.startServing();
  }

  /**
   * The port of the first address.
   *
   * @throws {InvalidStateError} If the address is a Unix socket.
   */
  get port(): number {
    const address = this.addresses[0]!;
    if ("port" in address) return address.port;
    throw new InvalidStateError("port: a Unix socket has no port; see addresses");
  }

  /** Keeps the process alive while the server accepts connections, which is the default. */
  ref(): void {
    this.#acceptor.ref();
  }

  /** Lets the process end while the server accepts connections. A `Deno.TlsListener` does not support this. */
  unref(): void {
    this.#acceptor.unref();
  }

  /** Reports whether connections are accepted: `true` between `startServing()` and `close()`. */
  isServing(): boolean {
    return this.#serving;
  }

  /**
   * Starts accepting connections. Calling it again does nothing.
   *
   * @throws {InvalidStateError} If the server is closed.
   */
  startServing(): void {
    if (this.#closed) throw new InvalidStateError("startServing() cannot be called on a closed server");
    if (this.#serving) return;
    this.#serving = true;
    this.#acceptor.start();
  }

  /**
   * Starts accepting connections and waits until the server is closed. Connections can outlive the server.
   *
   * @param options A `signal` that closes the server.
   * @throws {TypeError} If `signal` is not an `AbortSignal`.
   * @throws {InvalidStateError} If the server is closed, or `serveForever` already runs.
   */
  async serveForever(options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    checkOptions("serveForever()", options, FOREVER_OPTIONS);
    const { signal } = options;
    checkSignal("serveForever()", signal);
    if (this.#servingForever) throw new InvalidStateError("serveForever() is already running");
    this.#servingForever = true;
    const close = () => this.close();
    try {
      // Before serving, because the program may have replaced members of the signal by ones that throw.
      const aborted = signal?.aborted;
      signal?.addEventListener("abort", close, { once: true });
      this.startServing();
      if (aborted) this.close();
      else await new Promise<void>((resolve) => this.#onClose.push(resolve));
    } finally {
      this.#servingForever = false;
      signal?.removeEventListener("abort", close);
    }
  }

  /** Stops accepting connections. Accepted connections go on. Calling it again does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#serving = false;
    this.#acceptor.close();
    this.#guard?.close();
    this.#drain?.stopped();
    for (const resolve of this.#onClose.splice(0)) resolve();
    this.#settle();
  }

  /** Waits until the server is closed and its last connection is lost. */
  waitClosed(): Promise<void> {
    if (this.#isOver()) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Closes the transports of all connections, and aborts those whose handshake or PROXY header is pending. */
  closeClients(): void {
    this.#abortPending();
    for (const connection of this.#connections.all()) connection.close();
  }

  /** Aborts the transports of all connections, and those whose handshake or PROXY header is pending. */
  abortClients(): void {
    this.#abortPending();
    for (const connection of this.#connections.all()) connection.abort();
  }

  /**
   * Ends the server in order: goes on for `delay`, stops accepting, calls `drain` of each protocol that has it, closes the
   * other connections after their buffered writes, and after `grace` aborts what is left.
   *
   * Pending TLS handshakes and PROXY headers go on, and their connections are treated as the others. `close()` ends `delay`.
   * Calling `drain` again waits for the same end; it can shorten `delay` and `grace`, and its `signal` counts, too.
   *
   * @param options The times, and a signal that forces the end.
   * @returns How the connections have ended, when the last is lost.
   * @throws {TypeError} If an option is unknown or of the wrong type.
   * @throws {RangeError} If a time is not a possible delay of a timer.
   *
   * @example End on SIGTERM, and at once on a second SIGTERM
   * ```ts ignore
   * const forced = new AbortController();
   * loop.addSignalHandler("SIGTERM", () => {
   *   loop.addSignalHandler("SIGTERM", () => forced.abort());
   *   server.drain({ delay: 5_000, grace: 20_000, signal: forced.signal }).then(console.log);
   * });
   * ```
   */
  // deno-lint-ignore require-await -- wrong arguments reject, too
  async drain(options: DrainOptions = {}): Promise<DrainCounts> {
    this.#drain ??= new Drain(this.#loop, {
      connections: this.#connections,
      isClosed: () => this.#closed,
      close: () => this.close(),
      abortPending: () => this.#abortPending(),
      waitClosed: () => this.waitClosed(),
    });
    return this.#drain.run(options);
  }

  /** Calls `close()` and `closeClients()`, and waits as {@linkcode waitClosed} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    this.closeClients();
    await this.waitClosed();
  }

  #isOver(): boolean {
    return this.#closed && !this.#acceptor.isBusy && this.#connections.size === 0 && this.#handshakes.size === 0 &&
      !this.#proxy?.pending;
  }

  #settle(): void {
    if (!this.#isOver()) return;
    this.#loop.leave(this.#entry);
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  /** The program may have closed its listener itself. Without listeners, the server is closed. */
  #listenerClosed(): void {
    if (!this.#acceptor.isBusy) this.close();
    this.#settle();
  }

  #accepted(end: StreamEnd): void {
    if (this.#closed) end.handle.close(true);
    else if (this.#proxy === null) this.#serve(end);
    else this.#proxy.accept(end, GIVEN_UP);
  }

  #serve(end: StreamEnd): void {
    const visitor = this.#guard?.admit(end);
    if (visitor === null) return;
    if (this.#tls === null && end.handshake === undefined) this.#start(end, visitor);
    else this.#startTls(end, visitor);
  }

  async #startTls(end: StreamEnd, visitor: Visitor | undefined): Promise<void> {
    const maxHandshakes = this.#guard?.maxHandshakes ?? this.#tls?.maxHandshakes ?? MAX_HANDSHAKES;
    const pending = this.#handshakes.add(maxHandshakes, () => {
      return new TlsError("FAILED", `TLS: the handshake was aborted for newer ones (maxHandshakes: ${maxHandshakes})`);
    });
    try {
      const secured = await secureStream(this.#loop, end, this.#tls, pending.signal);
      // Aborted after the handshake was complete, and before this.
      if (pending.signal.aborted) secured.handle.close(true);
      pending.signal.throwIfAborted();
      this.#start(secured, visitor);
    } catch (error) {
      if (visitor !== undefined) this.#guard!.release(visitor);
      const { peername } = end.extra;
      const message = `TLS handshake with ${describeAddress(peername)} failed`;
      const crowdedOut = error instanceof TlsError && error === pending.signal.reason;
      const isReported = error === GIVEN_UP || (crowdedOut && visitor && this.#guard!.crowdedOut(visitor, error));
      if (!isReported) this.#loop.report({ message, error: toError(error), ...peername && { peername } });
    }
    this.#handshakes.delete(pending);
    this.#settle();
  }

  /** Aborts what has no protocol yet. Returns the numbers of those that were not aborted before. */
  #abortPending(): { handshakes: number; proxyHeaders: number } {
    return { proxyHeaders: this.#proxy?.abort(GIVEN_UP) ?? 0, handshakes: this.#handshakes.abort(GIVEN_UP) };
  }

  #limit(limits: LimitPlan): void {
    const guard = this.#guard = new LimitGuard(this.#loop, this.#method, limits, {
      pauseAccepting: () => this.#acceptor.pause(),
      resumeAccepting: () => this.#acceptor.resume(),
      serve: (end) => this.#serve(end),
    });
    this.#owner.paused = (connection) => guard.paused(connection);
    this.#owner.resumed = (connection) => guard.resumed(connection);
  }

  #start(end: StreamEnd, visitor: Visitor | undefined): void {
    let connection: StreamConnection;
    try {
      [connection] = makeConnection(this.#loop, this.#method, this.#factory, end, this.#options);
    } catch (error) {
      this.#loop.report({ message: "Exception in a server's protocol factory", error: toError(error) });
      if (visitor !== undefined) this.#guard!.release(visitor);
      return;
    }
    this.#connections.add(connection, this.#loop.time());
    if (visitor !== undefined) this.#guard!.begin(connection, visitor);
    connection.start(false); // The server lists it.
    connection.startReading();
    this.#drain?.made(connection);
  }
}

function describeAddress(address: Deno.Addr | undefined): string {
  return address !== undefined && "hostname" in address ? `${address.hostname} port ${address.port}` : "a client";
}
