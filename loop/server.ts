/**
 * Servers: the loops that accept connections, and the connections that came of it.
 *
 * @module
 */
import type { ProtocolFactory } from "./protocol_factory.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import { InvalidStateError, toError } from "../errors.ts";
import { closeQuietly } from "../promises.ts";
import type { StreamTransport, TransportOwner } from "../transports/stream_transport.ts";
import { TlsError } from "../tls/tls_error.ts";
import type { ExtraInfo, StreamCallbacks } from "../transports/transport.ts";
import { isTlsConn, makeStream, setTcpOptions, type TcpOptions } from "./connect.ts";
import { checkOptions, checkSignal } from "../checks.ts";
import { startSignalThread } from "../engines/deno/signal_thread.ts";
import { plainStream, secureStream, type Stream } from "./make_stream.ts";
import { MAX_HANDSHAKES, type TlsPlan } from "../tls/tls_options.ts";

/** How long to wait after the system has run out of something, in milliseconds; asyncio's ACCEPT_RETRY_DELAY. */
const ACCEPT_RETRY_DELAY = 1000;

/**
 * Errors of accept() that belong to the connection, not to the listener: accept(2) names them as to be tried again
 * at once. A peer that has reset by the time Deno asks for its address gives NotConnected besides.
 */
const CONNECTION_ERRORS: ReadonlySet<string> = new Set([
  "EPERM",
  "EPROTO",
  "ENOPROTOOPT",
  "ENETDOWN",
  "ENETUNREACH",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENONET",
  "EOPNOTSUPP",
]);

/** Why a handshake ends that the server itself gives up; not an error of the peer's. */
const GIVEN_UP = new DOMException("the server ends its connections", "AbortError");

/** What servers of both kinds may be given. */
export interface ServeOptions {
  /**
   * Accept connections at once; otherwise `startServing()` or `serveForever()` does.
   *
   * @default {true}
   */
  startServing?: boolean | undefined;
}

/** A listener, the address it is known by, and what to do when it closes. */
export interface Served {
  listener: Deno.Listener;
  address: Deno.Addr;
  onClose?: (() => void) | undefined;
}

/**
 * Accepts connections and makes a protocol for each.
 *
 * @example Usage
 * ```ts ignore
 * const server = await loop.createServer(() => new Echo(), { port: 0 });
 * console.log(server.addresses);
 * server.close(); // accepts no more, leaves connections alone
 * server.closeClients();
 * await server.waitClosed();
 * ```
 */
export class Server implements AsyncDisposable {
  /** The addresses served, with real ports where 0 was asked for. */
  readonly addresses: Deno.Addr[];

  #loop: LoopContext;
  #factory: ProtocolFactory<StreamCallbacks>;
  #served: Served[];
  #options: TcpOptions;
  #serving = false;
  #closed = false;
  #servingForever = false;
  #tls: TlsPlan | null;
  #transports = new Set<StreamTransport>();
  /** One for all, so that a connection has no closure for it. */
  #owner: TransportOwner = {
    lost: (transport) => {
      this.#transports.delete(transport);
      this.#settle();
    },
    replaced: (transport, heir) => {
      this.#transports.delete(transport);
      this.#transports.add(heir);
    },
  };
  /** Handshakes that go on. */
  #handshakes = new Set<AbortController>();
  /** Accept loops that have not ended. */
  #accepting = 0;
  #waiters: (() => void)[] = [];
  #onClose: (() => void)[] = [];
  #retries = new Map<ReturnType<typeof setTimeout>, () => void>();

  /**
   * Only the loop makes these.
   *
   * @param loop The loop.
   * @param factory Makes the protocols.
   * @param served The listeners.
   * @param options What was asked for.
   * @param tls The same of TLS.
   */
  constructor(
    loop: LoopContext,
    factory: ProtocolFactory<StreamCallbacks>,
    served: Served[],
    options: TcpOptions & ServeOptions,
    tls: TlsPlan | null,
  ) {
    this.#tls = tls;
    this.#loop = loop;
    this.#factory = factory;
    this.#served = served;
    this.#options = options;
    this.addresses = served.map(({ address }) => address);
    if (options.startServing ?? true) this.startServing();
  }

  /**
   * Tells whether connections are accepted.
   *
   * @returns `false` before `startServing()` and after `close()`.
   */
  isServing(): boolean {
    return this.#serving;
  }

  /**
   * Starts to accept connections. Idempotent.
   *
   * @throws {InvalidStateError} If the server is closed.
   */
  startServing(): void {
    if (this.#closed) throw new InvalidStateError("startServing() cannot be called on a closed server");
    if (this.#serving) return;
    startSignalThread();
    this.#serving = true;
    for (const served of this.#served) this.#accept(served);
  }

  /**
   * Serves until the server is closed.
   *
   * @param options `signal` closes the server.
   * @returns A promise that resolves once it is closed; connections may go on.
   * @throws {TypeError} If `signal` is not an `AbortSignal`.
   * @throws {InvalidStateError} If the server is closed, or this is running already.
   */
  async serveForever(options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    checkOptions(options);
    const { signal } = options;
    checkSignal(signal);
    if (this.#servingForever) throw new InvalidStateError("serveForever() is already running");
    this.#servingForever = true;
    const close = () => this.close();
    try {
      // Both before anything is served: a signal may have been given methods that throw.
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

  /** Stops accepting and leaves connections alone. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#serving = false;
    for (const { listener, onClose } of this.#served) {
      onClose?.();
      closeQuietly(listener);
    }
    for (const [timer, resume] of this.#retries) {
      clearTimeout(timer);
      resume();
    }
    for (const resolve of this.#onClose.splice(0)) resolve();
    this.#settle();
  }

  /**
   * Waits until the server is closed and its last connection lost.
   *
   * @returns A promise that resolves then.
   */
  waitClosed(): Promise<void> {
    if (this.#isOver()) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Calls `close()` on every connection's transport, and ends the handshakes that go on. */
  closeClients(): void {
    this.#abortHandshakes();
    for (const transport of [...this.#transports]) transport.close();
  }

  /** Calls `abort()` on every connection's transport, and ends the handshakes that go on. */
  abortClients(): void {
    this.#abortHandshakes();
    for (const transport of [...this.#transports]) transport.abort();
  }

  /**
   * Closes the server and its connections, and waits as {@linkcode waitClosed} does.
   *
   * @returns A promise that resolves when the last connection is lost.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    this.closeClients();
    await this.waitClosed();
  }

  #isOver(): boolean {
    return this.#closed && this.#accepting === 0 && this.#transports.size === 0 && this.#handshakes.size === 0;
  }

  #settle(): void {
    if (!this.#isOver()) return;
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  async #accept(served: Served): Promise<void> {
    this.#accepting++;
    while (!this.#closed) {
      try {
        this.#serve(await served.listener.accept(), served);
      } catch (error) {
        if (this.#closed || isGone(error)) break;
        await this.#acceptFailed(toError(error));
      }
    }
    this.#accepting--;
    // Somebody else has closed the last listener: there is nothing left to serve.
    if (this.#accepting === 0) this.close();
    this.#settle();
  }

  async #acceptFailed(error: Error): Promise<void> {
    if (isOfConnection(error)) return;
    this.#loop.report({ message: `accept() failed; the next try is in ${ACCEPT_RETRY_DELAY} ms`, error });
    if (this.#closed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#retries.delete(timer);
        resolve();
      }, ACCEPT_RETRY_DELAY);
      this.#retries.set(timer, resolve);
    });
  }

  #serve(conn: Deno.Conn, served: Served): void {
    if (this.#closed) {
      conn.close();
      return;
    }
    let addresses: Partial<ExtraInfo> | undefined;
    // The name a Unix socket was bound under is not the one it is known by.
    if (served.address.transport === "unix") addresses = { sockname: served.address };
    setTcpOptions(conn, this.#options);
    if (this.#tls === null && !isTlsConn(conn)) this.#start(plainStream(conn, addresses));
    else this.#startTls(conn, addresses);
  }

  async #startTls(conn: Deno.Conn, addresses: Partial<ExtraInfo> | undefined): Promise<void> {
    // The oldest gives way: one that goes well takes a moment, whatever the others wait for.
    const { maxHandshakes } = this.#tls ?? { maxHandshakes: MAX_HANDSHAKES };
    for (const oldest of this.#handshakes) {
      if (this.#handshakes.size < maxHandshakes) break;
      this.#handshakes.delete(oldest);
      oldest.abort(
        new TlsError("FAILED", `TLS: the handshake gave way to newer ones (maxHandshakes: ${maxHandshakes})`),
      );
    }
    const controller = new AbortController();
    this.#handshakes.add(controller);
    try {
      this.#start(await secureStream(this.#loop, conn, this.#tls, addresses, controller.signal));
    } catch (error) {
      const peername = conn.remoteAddr;
      const message = `TLS handshake with ${describeAddress(peername)} failed`;
      if (error !== GIVEN_UP) this.#loop.report({ message, error: toError(error), peername });
    }
    this.#handshakes.delete(controller);
    this.#settle();
  }

  #abortHandshakes(): void {
    for (const controller of this.#handshakes) controller.abort(GIVEN_UP);
  }

  #start(stream: Stream): void {
    let transport: StreamTransport;
    try {
      [transport] = makeStream(this.#loop, this.#factory, stream, this.#options, this.#owner);
    } catch (error) {
      this.#loop.report({ message: "Exception in a server's protocol factory", error: toError(error) });
      return;
    }
    this.#transports.add(transport);
    transport.connected();
    transport.startReading();
  }
}

function describeAddress(address: Deno.Addr): string {
  return "hostname" in address ? `${address.hostname} port ${address.port}` : "a client";
}

/** Whether only the connection has failed, whose peer has gone, say: nothing is wrong here. */
function isOfConnection(error: Error & { code?: string }): boolean {
  const { ConnectionAborted, ConnectionReset, NotConnected } = Deno.errors;
  return [ConnectionAborted, ConnectionReset, NotConnected].some((Class) => error instanceof Class) ||
    CONNECTION_ERRORS.has(error.code ?? "");
}

/** Whether the listener itself is closed. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted;
}
