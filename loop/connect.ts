/**
 * Making pairs over connections: dialled, given, or accepted elsewhere.
 *
 * @module
 */
import {
  checkBoolean,
  checkExisting,
  checkHostname,
  checkPath,
  checkPort,
  checkStreamCall,
  checkTimeout,
} from "../checks.ts";
import type { DenoConn, TcpSettings } from "../transports/engine.ts";
import type { StreamEnd } from "../transports/stream_handle.ts";
import { type ConnectionOwner, StreamConnection } from "../transports/stream_connection.ts";
import { StreamTransport } from "../transports/stream_transport.ts";
import type { StreamCallbacks, Transport } from "../transports/transport.ts";
import { secureStream } from "../tls/handshake.ts";
import type { TlsContext } from "../tls/tls_context.ts";
import { planTls, type TlsOptions } from "../tls/tls_options.ts";
import type { LoopCore } from "./loop_core.ts";
import { makeProtocol, type ProtocolFactory } from "./protocol_factory.ts";

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
  /** The local address. Deno cannot choose it: anything but `undefined` is `Deno.errors.NotSupported`. */
  localAddr?: { hostname?: string; port?: number } | undefined;
  /**
   * Try the addresses of a name in parallel (Happy Eyeballs, RFC 8305).
   *
   * @default {true}
   */
  autoSelectFamily?: boolean | undefined;
  /**
   * How long to wait for one address before the next one is tried, in milliseconds: asyncio's `happy_eyeballs_delay`.
   *
   * @default {250}
   */
  autoSelectFamilyAttemptDelay?: number | undefined;
  /** Cancels the attempt; the call then rejects with the signal's reason. */
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
  conn: DenoConn;
}

/** How to dial a Unix connection. */
export interface UnixConnectionOptions extends StreamOptions {
  /** The path of the socket. */
  path: string;
  /** Calls the attempt off; the call then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** Does the work of {@linkcode EventLoop.createConnection}. */
export async function createConnection<P extends StreamCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  options: ConnectionOptions | ExistingConnOptions,
): Promise<[Transport, P]> {
  checkStreamCall(factory, options);
  if ("conn" in options) {
    checkExisting("conn", options.conn, "port", options);
    return await adopt(loop, factory, options, false);
  }
  checkPort(options.port, 1);
  const { hostname = "127.0.0.1", port, signal, localAddr, autoSelectFamily, autoSelectFamilyAttemptDelay } = options;
  checkHostname(hostname);
  checkBoolean(autoSelectFamily, "autoSelectFamily");
  checkTimeout(autoSelectFamilyAttemptDelay, "autoSelectFamilyAttemptDelay");
  const plan = planTls(options.tls, false, hostname);
  await plan?.context.load();
  const addressing = { hostname, port, localAddr, autoSelectFamily, autoSelectFamilyAttemptDelay };
  const end = await loop.engine.connect({ transport: "tcp", ...addressing, ...tcpSettings(options) }, signal);
  return startClient(loop, factory, plan === null ? end : await secureStream(loop, end, plan, signal), options);
}

/** Does the work of {@linkcode EventLoop.createUnixConnection}. */
export async function createUnixConnection<P extends StreamCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  options: UnixConnectionOptions | ExistingConnOptions,
): Promise<[Transport, P]> {
  checkStreamCall(factory, options);
  if ("conn" in options) {
    checkExisting("conn", options.conn, "path", options);
    return await adopt(loop, factory, options, false);
  }
  const { path, signal } = options;
  checkPath(path);
  const plan = planTls(options.tls, false);
  await plan?.context.load();
  const end = await loop.engine.connect({ transport: "unix", path }, signal);
  return startClient(loop, factory, plan === null ? end : await secureStream(loop, end, plan, signal), options);
}

/** Does the work of {@linkcode EventLoop.connectAcceptedSocket}. */
export async function connectAcceptedSocket<P extends StreamCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  options: ExistingConnOptions,
): Promise<[Transport, P]> {
  checkStreamCall(factory, options);
  checkExisting("conn", options.conn, "port", options);
  return await adopt(loop, factory, options, true);
}

/** Makes a pair over a connection that exists; until the arguments are known to be good, it is the caller's. */
async function adopt<P extends StreamCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  options: ExistingConnOptions,
  serverSide: boolean,
): Promise<[Transport, P]> {
  const plan = planTls(options.tls, serverSide);
  await plan?.context.load();
  const { conn, signal } = options;
  const end = loop.engine.adopt(conn, tcpSettings(options));
  const isPlain = plan === null && end.handshake === undefined;
  return startClient(loop, factory, isPlain ? end : await secureStream(loop, end, plan, signal), options);
}

/**
 * Returns what sockets are set to.
 *
 * @param options What was asked for.
 * @returns The settings.
 */
export function tcpSettings({ noDelay = true, keepAlive }: TcpOptions): TcpSettings {
  return { noDelay, keepAlive };
}

/**
 * Makes a pair over a stream. Neither `connectionMade` has been called nor has reading started.
 *
 * @typeParam P The protocol's type.
 * @param loop The loop.
 * @param factory Makes the protocol.
 * @param end The stream.
 * @param options What was asked for.
 * @param owner Who counts the connection.
 * @returns The pair.
 * @throws What the factory throws, or a getter of the protocol; the stream is then closed.
 */
export function makeConnection<P extends StreamCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  { handle, extra }: StreamEnd,
  options: StreamOptions,
  owner?: ConnectionOwner,
): [StreamConnection, P] {
  try {
    const { closeTimeout } = options;
    const protocol = makeProtocol(factory);
    const connection = new StreamConnection(loop, handle, protocol, { closeTimeout, owner });
    new StreamTransport(connection, extra);
    return [connection, protocol];
  } catch (error) {
    handle.close(true);
    throw error;
  }
}

/**
 * Makes a pair over a stream, and starts it.
 *
 * @typeParam P The protocol's type.
 * @param loop The loop.
 * @param factory Makes the protocol.
 * @param end The stream.
 * @param options What was asked for.
 * @returns The pair, after `connectionMade`.
 * @throws What the factory throws, or the reason of `signal`; the stream is then closed.
 */
export function startClient<P extends StreamCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  end: StreamEnd,
  options: AcceptedSocketOptions,
): [Transport, P] {
  try {
    options.signal?.throwIfAborted();
  } catch (error) {
    end.handle.close(true);
    throw error;
  }
  const [connection, protocol] = makeConnection(loop, factory, end, options);
  connection.start();
  // In the next turn, so that the caller who awaits this pair is there before the first bytes are.
  loop.callSoon(() => connection.startReading());
  return [connection.transport, protocol];
}
