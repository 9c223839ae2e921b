/**
 * Making pairs over connections: dialled, given, or accepted elsewhere.
 *
 * @module
 */
import { checkOptions, namesOf } from "../check_options.ts";
import {
  checkBoolean,
  checkExisting,
  checkFactory,
  checkHostname,
  checkOneOf,
  checkPath,
  checkPort,
  checkSignal,
  checkTimeout,
} from "../checks.ts";
import type { DenoConn, TcpSettings, TcpTarget, UnixTarget } from "../transports/engine.ts";
import type { StreamEnd } from "../transports/stream_handle.ts";
import { type ConnectionOwner, StreamConnection } from "../transports/stream_connection.ts";
import { StreamTransport } from "../transports/stream_transport.ts";
import type { StreamCallbacks, Transport } from "../transports/transport.ts";
import { loadTls, secureStream } from "../tls/secure_stream.ts";
import type { TlsContext } from "../tls/tls_context.ts";
import { MISPLACED_OPTIONS, planTls, type TlsOptions } from "../tls/tls_options.ts";
import type { LoopCore } from "./loop_core.ts";
import { formatAddress, nameAddress } from "./name_address.ts";
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

/** The names of the options of streams that are accepted or taken over. */
export const STREAM_OPTIONS: ReadonlySet<string> = namesOf<StreamOptions>({ closeTimeout: true, tls: true });
/** The same for TCP. */
export const TCP_OPTIONS: ReadonlySet<string> = new Set([
  ...STREAM_OPTIONS,
  ...namesOf<Omit<TcpOptions, keyof StreamOptions>>({ noDelay: true, keepAlive: true }),
]);
const ACCEPTED_OPTIONS: ReadonlySet<string> = new Set([...TCP_OPTIONS, "signal"]);
/** Where to connect to, which a connection that exists excludes. */
const TCP_ADDRESS = namesOf<Omit<ConnectionOptions, keyof AcceptedSocketOptions>>({
  hostname: true,
  port: true,
  localAddr: true,
  autoSelectFamily: true,
  autoSelectFamilyAttemptDelay: true,
});
const UNIX_ADDRESS = namesOf<Omit<UnixConnectionOptions, keyof AcceptedSocketOptions>>({ path: true });
const CONNECTION_OPTIONS: ReadonlySet<string> = new Set([...TCP_ADDRESS, "conn", ...ACCEPTED_OPTIONS]);
// A socket of `conn` can be TCP.
const UNIX_OPTIONS: ReadonlySet<string> = new Set([...UNIX_ADDRESS, "conn", ...STREAM_OPTIONS, "signal"]);
const UNIX_CONN_OPTIONS: ReadonlySet<string> = new Set([...UNIX_OPTIONS, ...TCP_OPTIONS]);
const LOCAL_ADDR = namesOf<NonNullable<ConnectionOptions["localAddr"]>>({ hostname: true, port: true });

/** Does the work of {@linkcode EventLoop.createConnection}. */
export async function createConnection<P extends StreamCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  options: ConnectionOptions | ExistingConnOptions,
): Promise<[Transport, P]> {
  const method = "createConnection()";
  checkStreamCall(method, factory, options, CONNECTION_OPTIONS, "tcp");
  if ("conn" in options) {
    checkExisting(method, "conn", options.conn, [...TCP_ADDRESS], options);
    return await adopt(loop, method, factory, options.conn, options, false);
  }
  const { hostname = "127.0.0.1", port, signal, localAddr, autoSelectFamily, autoSelectFamilyAttemptDelay } = options;
  checkPort(method, "port", port, 1);
  checkHostname(method, "hostname", hostname);
  if (localAddr !== undefined) {
    checkOptions(method, localAddr, LOCAL_ADDR, { prefix: "localAddr.", name: "localAddr", tolerated: ["transport"] });
  }
  checkBoolean(method, "autoSelectFamily", autoSelectFamily);
  checkTimeout(method, "autoSelectFamilyAttemptDelay", autoSelectFamilyAttemptDelay);
  const plan = planTls(method, options.tls, false, hostname);
  await loadTls(loop, plan);
  const addressing = { hostname, port, localAddr, autoSelectFamily, autoSelectFamilyAttemptDelay };
  const end = await dial(loop, method, { transport: "tcp", ...addressing, ...tcpSettings(options) }, signal);
  const secured = plan === null ? end : await secureStream(loop, end, plan, signal);
  return startClient(loop, method, factory, secured, options);
}

/** Does the work of {@linkcode EventLoop.createUnixConnection}. */
export async function createUnixConnection<P extends StreamCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  options: UnixConnectionOptions | ExistingConnOptions,
): Promise<[Transport, P]> {
  const method = "createUnixConnection()";
  const given = typeof options === "object" && options !== null && "conn" in options;
  checkStreamCall(method, factory, options, given ? UNIX_CONN_OPTIONS : UNIX_OPTIONS, "unix");
  if ("conn" in options) {
    checkExisting(method, "conn", options.conn, [...UNIX_ADDRESS], options);
    return await adopt(loop, method, factory, options.conn, options, false);
  }
  const { path, signal } = options;
  checkPath(method, "path", path);
  const plan = planTls(method, options.tls, false);
  await loadTls(loop, plan);
  const end = await dial(loop, method, { transport: "unix", path }, signal);
  const secured = plan === null ? end : await secureStream(loop, end, plan, signal);
  return startClient(loop, method, factory, secured, options);
}

/** Does the work of {@linkcode EventLoop.connectAcceptedSocket}. */
export async function connectAcceptedSocket<P extends StreamCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  conn: DenoConn,
  options: AcceptedSocketOptions,
): Promise<[Transport, P]> {
  const method = "connectAcceptedSocket()";
  checkStreamCall(method, factory, options, ACCEPTED_OPTIONS);
  checkExisting(method, "conn", conn, [], options);
  return await adopt(loop, method, factory, conn, options, true);
}

/** Makes a pair over a connection that exists; until the arguments are known to be good, it is the caller's. */
async function adopt<P extends StreamCallbacks>(
  loop: LoopCore,
  method: string,
  factory: ProtocolFactory<P>,
  conn: DenoConn,
  options: AcceptedSocketOptions,
  serverSide: boolean,
): Promise<[Transport, P]> {
  const plan = planTls(method, options.tls, serverSide);
  await loadTls(loop, plan);
  const { signal } = options;
  const end = loop.engine.adopt(conn, tcpSettings(options));
  const isPlain = plan === null && end.handshake === undefined;
  const secured = isPlain ? end : await secureStream(loop, end, plan, signal);
  return startClient(loop, method, factory, secured, options);
}

/** Connects; an error names the address. */
async function dial(
  loop: LoopCore,
  method: string,
  target: TcpTarget | UnixTarget,
  signal: AbortSignal | undefined,
): Promise<StreamEnd> {
  try {
    return await loop.engine.connect(target, signal);
  } catch (error) {
    if (signal?.aborted) throw error; // The signal's reason, whatever that is.
    const hostname = target.transport === "tcp" ? target.hostname : undefined;
    throw nameAddress(error, method, "connect to", formatAddress(target), hostname);
  }
}

/** Checks what all calls that make streams are given. */
export function checkStreamCall(
  method: string,
  factory: unknown,
  options: TcpOptions & { signal?: AbortSignal | undefined },
  known: ReadonlySet<string>,
  transport?: "tcp" | "unix",
): void {
  checkFactory(method, factory);
  const tolerated = transport === undefined ? [] : ["transport"];
  checkOptions(method, options, known, { foreign: MISPLACED_OPTIONS, tolerated });
  if (transport !== undefined && "transport" in options) {
    checkOneOf(method, "transport", options.transport, [transport]);
  }
  checkTimeout(method, "closeTimeout", options.closeTimeout);
  checkBoolean(method, "noDelay", options.noDelay);
  checkBoolean(method, "keepAlive", options.keepAlive);
  if (known.has("signal")) checkSignal(method, options.signal);
}

/** Returns what sockets are set to. */
export function tcpSettings({ noDelay = true, keepAlive }: TcpOptions): TcpSettings {
  return { noDelay, keepAlive };
}

/** Makes a pair over a stream. Neither `connectionMade` has been called nor has reading started. */
export function makeConnection<P extends StreamCallbacks>(
  loop: LoopCore,
  method: string,
  factory: ProtocolFactory<P>,
  { handle, extra }: StreamEnd,
  options: StreamOptions,
  owner?: ConnectionOwner,
): [StreamConnection, P] {
  try {
    const { closeTimeout } = options;
    const protocol = makeProtocol(loop, method, factory, "stream");
    const connection = new StreamConnection(loop, handle, protocol, { closeTimeout, owner });
    new StreamTransport(connection, extra);
    return [connection, protocol];
  } catch (error) {
    handle.close(true);
    throw error;
  }
}

/** Makes a pair over a stream, and starts it. */
export function startClient<P extends StreamCallbacks>(
  loop: LoopCore,
  method: string,
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
  const [connection, protocol] = makeConnection(loop, method, factory, end, options);
  connection.start();
  // In the next turn, so that the caller who awaits this pair is there before the first bytes are.
  loop.callSoon(() => connection.startReading());
  return [connection.transport, protocol];
}
