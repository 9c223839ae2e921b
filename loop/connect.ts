/**
 * Making pairs over connections: dialled, given, or accepted elsewhere.
 *
 * @module
 */
import { makeProtocol, type ProtocolFactory } from "./protocol_factory.ts";
import { setImmediate } from "node:timers";
import type { LoopContext } from "../transports/loop_context.ts";
import { StreamTransport, type TransportOwner } from "../transports/stream_transport.ts";
import type { TlsContext } from "../tls/tls_context.ts";
import type { StreamCallbacks, Transport } from "../transports/transport.ts";
import { checkExisting, checkHostname, checkPath, checkPort, checkStreamCall } from "../checks.ts";
import { plainStream, secureStream, type Stream } from "./make_stream.ts";
import { planTls, type TlsOptions } from "../tls/tls_options.ts";

/** What every stream may be given. */
export interface StreamOptions {
  /**
   * How long `close()` may take to flush, and on TLS to take leave, in milliseconds, before it becomes an abort with a
   * `TimeoutError`.
   *
   * @default {undefined} as long as it takes
   */
  closeTimeout?: number | undefined;
  /**
   * Speak TLS, and how. `connectionMade` runs after the handshake. `true` will do for a client whose server's
   * certificate Deno trusts; a server needs `{ cert, key }` at least.
   *
   * @default {false}
   */
  tls?: boolean | TlsOptions | TlsContext | undefined;
}

/** What every TCP connection may be given. */
export interface TcpOptions extends StreamOptions {
  /**
   * Send small segments at once (`TCP_NODELAY`).
   *
   * @default {true}
   */
  noDelay?: boolean | undefined;
  /**
   * Probe an idle connection (`SO_KEEPALIVE`).
   *
   * @default {false}
   */
  keepAlive?: boolean | undefined;
}

/** How to dial a TCP connection. */
export interface ConnectionOptions extends TcpOptions {
  /**
   * A name or a literal address.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: string | undefined;
  /** 1 to 65535. */
  port: number;
  /** Where to dial from. Deno cannot choose that: anything but `undefined` is `Deno.errors.NotSupported`. */
  localAddr?: { hostname?: string; port?: number };
  /** Calls the attempt off; the call then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** How to take a connection over. */
export interface AcceptedSocketOptions extends TcpOptions {
  /** Calls the attempt off, such as a handshake that is under way; the call then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** A connection that exists already. */
export interface ExistingConnOptions extends AcceptedSocketOptions {
  /**
   * The connection. Nothing else may read from it or write to it: the transport owns it from now on. A `Deno.TlsConn`
   * brings Deno's own TLS, and its limits: see `listener` of {@linkcode ExistingListenerOptions}.
   *
   * If the call rejects because of an argument, the connection is untouched and still yours; a certificate or key that
   * cannot be read is such an argument. If it rejects for any other reason, the connection is closed: the factory
   * throws or returns no protocol, the handshake fails, or `signal` aborts.
   */
  conn: Deno.Conn;
}

/** How to dial a Unix connection. */
export interface UnixConnectionOptions extends StreamOptions {
  /** The path of the socket. */
  path: string;
  /** Calls the attempt off; the call then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** {@inheritDoc EventLoop.createConnection} */
export async function createConnection<P extends StreamCallbacks>(
  loop: LoopContext,
  factory: ProtocolFactory<P>,
  options: ConnectionOptions | ExistingConnOptions,
): Promise<[Transport, P]> {
  checkStreamCall(factory, options);
  if ("conn" in options) {
    checkExisting("conn", options.conn, "port", options);
    return startClient(loop, factory, await takeConn(loop, options, false), options);
  }
  checkPort(options.port, 1);
  if (options.localAddr !== undefined) {
    throw new Deno.errors.NotSupported("localAddr: Deno.connect cannot choose the local address");
  }
  const { hostname = "127.0.0.1", port, signal } = options;
  checkHostname(hostname);
  const plan = planTls(options.tls, false, hostname);
  await plan?.context.load();
  const conn = await dial(signal, (signal) => Deno.connect({ hostname, port, ...signal && { signal } }));
  setTcpOptions(conn, options);
  const stream = plan === null ? plainStream(conn) : await secureStream(loop, conn, plan, {}, signal);
  return startClient(loop, factory, stream, options);
}

/** {@inheritDoc EventLoop.createUnixConnection} */
export async function createUnixConnection<P extends StreamCallbacks>(
  loop: LoopContext,
  factory: ProtocolFactory<P>,
  options: UnixConnectionOptions | ExistingConnOptions,
): Promise<[Transport, P]> {
  checkStreamCall(factory, options);
  if ("conn" in options) {
    checkExisting("conn", options.conn, "path", options);
    return startClient(loop, factory, await takeConn(loop, options, false), options);
  }
  const { path, signal } = options;
  checkPath(path);
  const plan = planTls(options.tls, false);
  await plan?.context.load();
  const conn = await dial(signal, () => Deno.connect({ transport: "unix", path }));
  // A server may have bound the socket under another name and moved it here.
  const addresses = { peername: { transport: "unix", path } } as const;
  const stream = plan === null ? plainStream(conn, addresses) : await secureStream(loop, conn, plan, addresses, signal);
  return startClient(loop, factory, stream, options);
}

/** {@inheritDoc EventLoop.connectAcceptedSocket} */
export async function connectAcceptedSocket<P extends StreamCallbacks>(
  loop: LoopContext,
  factory: ProtocolFactory<P>,
  options: ExistingConnOptions,
): Promise<[Transport, P]> {
  checkStreamCall(factory, options);
  checkExisting("conn", options.conn, "port", options);
  return startClient(loop, factory, await takeConn(loop, options, true), options);
}

/** Makes a stream of a connection that exists; until the arguments are known to be good, it is the caller's. */
async function takeConn(loop: LoopContext, options: ExistingConnOptions, serverSide: boolean): Promise<Stream> {
  const { conn, signal } = options;
  const plan = planTls(options.tls, serverSide);
  await plan?.context.load();
  setTcpOptions(conn, options);
  return plan === null && !isTlsConn(conn) ? plainStream(conn) : await secureStream(loop, conn, plan, {}, signal);
}

/**
 * Tells whether a connection is TLS that somebody else has begun.
 *
 * @param conn The connection.
 * @returns `true` for a `Deno.TlsConn`.
 */
export function isTlsConn(conn: Deno.Conn): boolean {
  return "handshake" in conn;
}

/**
 * Makes a pair over a stream. Reading has not started.
 *
 * @typeParam P The protocol's type.
 * @param loop The loop.
 * @param factory Makes the protocol.
 * @param stream The stream.
 * @param options What was asked for.
 * @param owner Who keeps count of it.
 * @returns The pair.
 * @throws What the factory throws, or a getter of the protocol; the stream is then closed.
 */
export function makeStream<P extends StreamCallbacks>(
  loop: LoopContext,
  factory: ProtocolFactory<P>,
  { handle, extra }: Stream,
  options: TcpOptions,
  owner?: TransportOwner,
): [StreamTransport, P] {
  try {
    const { closeTimeout, noDelay } = options;
    const protocol = makeProtocol(factory);
    const delaysWrites = noDelay === false;
    return [new StreamTransport(loop, handle, protocol, { extra, closeTimeout, owner, delaysWrites }), protocol];
  } catch (error) {
    handle.close(true);
    throw error;
  }
}

function startClient<P extends StreamCallbacks>(
  loop: LoopContext,
  factory: ProtocolFactory<P>,
  stream: Stream,
  options: AcceptedSocketOptions,
): [Transport, P] {
  try {
    options.signal?.throwIfAborted();
  } catch (error) {
    stream.handle.close(true);
    throw error;
  }
  const [transport, protocol] = makeStream(loop, factory, stream, options);
  transport.connected();
  // In the next turn, so that whoever awaits this call is there before the first bytes are.
  loop.callSoon(() => transport.startReading());
  return [transport, protocol];
}

/**
 * Sets what TCP is asked for, where it is TCP.
 *
 * @param conn The connection.
 * @param options What was asked for.
 */
export function setTcpOptions(conn: Deno.Conn, options: TcpOptions): void {
  if (!("setNoDelay" in conn)) return;
  const tcp = conn as Deno.TcpConn;
  try {
    const { noDelay = true, keepAlive } = options;
    tcp.setNoDelay(noDelay);
    if (keepAlive !== undefined) tcp.setKeepAlive(keepAlive);
  } catch {
    // The peer has gone already; the first read tells.
  }
}

/** Connects, and sees to it that an abort leaves nothing behind. */
async function dial<C extends Deno.Conn>(
  signal: AbortSignal | undefined,
  connect: (signal?: AbortSignal) => Promise<C>,
): Promise<C> {
  if (signal === undefined) return await connect();
  signal.throwIfAborted();
  // Deno drops a connection on the floor if its signal aborts after the system has connected and before the
  // promise resolves; a turn later that cannot happen any more, and we close the connection ourselves.
  const controller = new AbortController();
  const onAbort = () => void setImmediate(() => controller.abort(signal.reason));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const conn = await connect(controller.signal);
    if (!signal.aborted) return conn;
    conn.close();
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  throw signal.reason;
}
