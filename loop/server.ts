/**
 * Servers: the loops that accept connections, and the connections that came of it.
 *
 * @module
 */
import { checkOptions, namesOf } from "../check_options.ts";
import { checkSignal } from "../checks.ts";
import { InvalidStateError, toError } from "../errors.ts";
import { secureStream } from "../tls/secure_stream.ts";
import { TlsError } from "../tls/tls_error.ts";
import { MAX_HANDSHAKES, type TlsPlan } from "../tls/tls_options.ts";
import type { StreamEnd } from "../transports/stream_handle.ts";
import type { AcceptSink, ListenHandle } from "../transports/listen_handle.ts";
import type { Handle } from "../transports/loop_context.ts";
import type { ConnectionOwner, StreamConnection } from "../transports/stream_connection.ts";
import type { StreamCallbacks } from "../transports/transport.ts";
import { makeConnection, type TcpOptions } from "./connect.ts";
import type { LoopCore } from "./loop_core.ts";
import type { ProtocolFactory } from "./protocol_factory.ts";

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

const FOREVER_OPTIONS = namesOf<{ signal?: AbortSignal }>({ signal: true });

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

  #loop: LoopCore;
  #method: string;
  #factory: ProtocolFactory<StreamCallbacks>;
  #listeners: ListenHandle[];
  #options: TcpOptions;
  #tls: TlsPlan | null;
  #serving = false;
  #closed = false;
  #servingForever = false;
  #connections = new Set<StreamConnection>();
  /** One for all, so that a connection has no closure for it. */
  #owner: ConnectionOwner = {
    lost: (connection) => {
      this.#connections.delete(connection);
      this.#settle();
    },
  };
  /** Handshakes that go on. */
  #handshakes = new Set<AbortController>();
  /** Listeners that may still deliver. */
  #accepting = 0;
  #waiters: (() => void)[] = [];
  #onClose: (() => void)[] = [];
  /** Listeners that wait after an error. */
  #retries = new Set<Handle>();

  /**
   * Called by the loop alone.
   *
   * @param loop The loop.
   * @param method The method that makes the server, for messages.
   * @param factory Makes the protocols.
   * @param listeners The listeners.
   * @param options What was asked for.
   * @param tls The same of TLS.
   */
  constructor(
    loop: LoopCore,
    method: string,
    factory: ProtocolFactory<StreamCallbacks>,
    listeners: ListenHandle[],
    options: TcpOptions & ServeOptions,
    tls: TlsPlan | null,
  ) {
    this.#loop = loop;
    this.#method = method;
    this.#factory = factory;
    this.#listeners = listeners;
    this.#options = options;
    this.#tls = tls;
    this.addresses = listeners.map(({ addr }) => addr);
    if (options.startServing ?? true) this.startServing();
  }

  /**
   * The port of the first address.
   *
   * @throws {InvalidStateError} If the server is on a Unix socket, which has no port.
   */
  get port(): number {
    const address = this.addresses[0]!;
    if ("port" in address) return address.port;
    throw new InvalidStateError("port: a Unix socket has none, see addresses");
  }

  /** Keeps the process alive while the server accepts connections, which is the default. */
  ref(): void {
    for (const listener of this.#listeners) listener.ref?.();
  }

  /** Lets the process end while the server accepts connections, once nothing else keeps it alive. */
  unref(): void {
    for (const listener of this.#listeners) listener.unref?.();
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
    this.#serving = true;
    for (const listener of this.#listeners) this.#accept(listener);
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
    checkOptions("serveForever()", options, FOREVER_OPTIONS);
    const { signal } = options;
    checkSignal("serveForever()", signal);
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
    for (const retry of this.#retries) retry.cancel();
    for (const listener of this.#listeners) listener.close();
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
    for (const connection of [...this.#connections]) connection.close();
  }

  /** Calls `abort()` on every connection's transport, and ends the handshakes that go on. */
  abortClients(): void {
    this.#abortHandshakes();
    for (const connection of [...this.#connections]) connection.abort();
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
    return this.#closed && this.#accepting === 0 && this.#connections.size === 0 && this.#handshakes.size === 0;
  }

  #settle(): void {
    if (!this.#isOver()) return;
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  #accept(listener: ListenHandle): void {
    this.#accepting++;
    const sink: AcceptSink = {
      accepted: (end) => this.#serve(end),
      failed: (error) => this.#acceptFailed(listener, sink, error),
      closed: () => {
        // Something else has closed the last listener: there is nothing left to serve.
        if (--this.#accepting === 0) this.close();
        this.#settle();
      },
    };
    listener.acceptStart(sink);
  }

  #acceptFailed(listener: ListenHandle, sink: AcceptSink, error: Error): void {
    if (isOfConnection(error)) return;
    listener.acceptStop();
    this.#loop.report({ message: `accept() failed; the next try is in ${ACCEPT_RETRY_DELAY} ms`, error });
    if (this.#closed) return;
    const retry = this.#loop.callLater(ACCEPT_RETRY_DELAY, () => {
      this.#retries.delete(retry);
      listener.acceptStart(sink);
    });
    this.#retries.add(retry);
  }

  #serve(end: StreamEnd): void {
    if (this.#closed) end.handle.close(true);
    else if (this.#tls === null && end.handshake === undefined) this.#start(end);
    else this.#startTls(end);
  }

  async #startTls(end: StreamEnd): Promise<void> {
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
      this.#start(await secureStream(this.#loop, end, this.#tls, controller.signal));
    } catch (error) {
      const { peername } = end.extra;
      const message = `TLS handshake with ${describeAddress(peername)} failed`;
      if (error !== GIVEN_UP) this.#loop.report({ message, error: toError(error), ...peername && { peername } });
    }
    this.#handshakes.delete(controller);
    this.#settle();
  }

  #abortHandshakes(): void {
    for (const controller of this.#handshakes) controller.abort(GIVEN_UP);
  }

  #start(end: StreamEnd): void {
    let connection: StreamConnection;
    try {
      [connection] = makeConnection(this.#loop, this.#method, this.#factory, end, this.#options, this.#owner);
    } catch (error) {
      this.#loop.report({ message: "Exception in a server's protocol factory", error: toError(error) });
      return;
    }
    this.#connections.add(connection);
    connection.start();
    connection.startReading();
  }
}

function describeAddress(address: Deno.Addr | undefined): string {
  return address !== undefined && "hostname" in address ? `${address.hostname} port ${address.port}` : "a client";
}

/** Whether only the connection has failed, whose peer has gone, say: nothing is wrong here. */
function isOfConnection(error: Error & { code?: string }): boolean {
  const { ConnectionAborted, ConnectionReset, NotConnected } = Deno.errors;
  return [ConnectionAborted, ConnectionReset, NotConnected].some((Class) => error instanceof Class) ||
    CONNECTION_ERRORS.has(error.code ?? "");
}
