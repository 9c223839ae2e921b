/** Creates transports for connections: new ones, given ones, and those accepted elsewhere. */
import { checkOptions, namesOf } from "../check_options.ts";
import {
  checkAlone,
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
import type {
  DenoConn,
  Descriptor,
  DescriptorSettings,
  GivenDescriptor,
  TcpSettings,
  TcpTarget,
  UnixTarget,
} from "../transports/engine.ts";
import type { StreamEnd } from "../transports/stream_handle.ts";
import type { StreamConnectionOptions } from "../transports/connection_owner.ts";
import { StreamConnection } from "../transports/stream_connection.ts";
import { StreamTransport } from "../transports/stream_transport.ts";
import type { StreamCallbacks, Transport } from "../transports/transport.ts";
import { loadTls, secureStream } from "../tls/secure_stream.ts";
import type { TlsContext } from "../tls/tls_context.ts";
import { MISPLACED_OPTIONS, planTls, type TlsOptions, type TlsPlan } from "../tls/tls_options.ts";
import { takeAddressing } from "./addressing.ts";
import { checkDescriptor, isGivenDescriptor, takeDescriptor, useDescriptors } from "./descriptor.ts";
import type { LoopCore } from "./loop_core.ts";
import { formatAddress, nameAddress } from "./name_address.ts";
import { makeProtocol, type ProtocolFactory } from "./protocol_factory.ts";
import { type HeaderMaker, planProxyClient, type ProxyClientOptions, writeProxyHeader } from "./proxy_protocol.ts";

/** The options of every stream. */
export interface StreamOptions {
  /**
   * The time limit of `close()`, in milliseconds. If buffered writes, and on TLS the peer's close_notify, take longer, the
   * connection is aborted and `connectionLost` is called with a `TimeoutError`.
   *
   * @default {undefined} no limit
   */
  closeTimeout?: number | undefined;
  /**
   * Use TLS. `connectionMade` is called after the handshake. For a client, `true` trusts the CAs that Deno trusts. A server
   * needs at least `{ cert, key }`.
   *
   * @default {false}
   */
  tls?: boolean | TlsOptions | TlsContext | undefined;
}

/** The options of every TCP connection. */
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

/** The options of {@linkcode EventLoop.createConnection}. */
export interface ConnectionOptions extends TcpOptions, ProxyClientOptions {
  /**
   * A host name or an IP address.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: string | undefined;
  /** 1 to 65535. */
  port: number;
  /**
   * The local address to connect from. Without `hostname`, the system chooses the address; without `port` or with 0, the
   * port. Supported by the epoll engine only: with Deno's sockets, a value is a `Deno.errors.NotSupported`.
   *
   * @default {undefined} the system chooses
   */
  localAddr?: { hostname?: string; port?: number } | undefined;
  /**
   * Try the next address of a name before the attempt at the last one has failed (Happy Eyeballs, RFC 8305). With `false`,
   * the epoll engine tries one address after the other, and Deno's sockets try the first one only.
   *
   * @default {true}
   */
  autoSelectFamily?: boolean | undefined;
  /**
   * Node's and Deno's name of `happyEyeballsDelay`.
   *
   * @default {undefined}
   */
  autoSelectFamilyAttemptDelay?: number | undefined;
  /**
   * The time before the next address is tried, in milliseconds. Changes nothing if `autoSelectFamily` is `false`.
   *
   * @default {250}
   */
  happyEyeballsDelay?: number | undefined;
  /**
   * How many addresses of the first family are tried before IPv4 and IPv6 alternate: RFC 8305's First Address Family Count.
   * With 0, the order is the resolver's. Supported by the epoll engine only.
   *
   * @default {1} 0 if `autoSelectFamily` is `false`
   */
  interleave?: number | undefined;
  /** Cancels connecting and the TLS handshake. The call then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** The options for a connection that exists. */
export interface AcceptedSocketOptions extends TcpOptions {
  /** Cancels the TLS handshake. The call then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** A connection that exists. */
export interface ExistingConnOptions extends AcceptedSocketOptions, ProxyClientOptions {
  /**
   * The connection. The transport owns it from now on: do not read, write or close it. A `Deno.TlsConn` uses Deno's own
   * TLS, with its limits: see `listener` of {@linkcode ExistingListenerOptions}.
   *
   * If the call rejects because of an argument, the connection is untouched and still yours; a certificate or key that
   * cannot be read is such an argument. If the call rejects for another reason, the connection is closed: the factory
   * throws or returns no protocol, the handshake fails, or `signal` aborts.
   */
  conn: DenoConn;
}

/** A connected socket, by its file descriptor. Supported by the epoll engine only. */
export interface ConnectionFdOptions extends AcceptedSocketOptions, ProxyClientOptions {
  /**
   * The file descriptor of a connected stream socket, or a socket of `socketPair()` of `@tandem/io/epoll`. The transport owns
   * the descriptor from now on, and closes it. The socket is made nonblocking. Do not give a descriptor of
   * Deno's own sockets, which Deno closes, too.
   *
   * If the call rejects because of an argument, the descriptor is untouched and still yours; a descriptor of the wrong kind
   * and one that is not connected are such arguments. If the call rejects for another reason, the descriptor is closed.
   */
  fd: Descriptor;
}

/** A connection that exists. */
export type GivenConn = ExistingConnOptions | ConnectionFdOptions;

/** The options of {@linkcode EventLoop.createUnixConnection}. */
export interface UnixConnectionOptions extends StreamOptions, ProxyClientOptions {
  /** The path of the socket. */
  path: string;
  /** Cancels connecting and the TLS handshake. The call then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

export const STREAM_OPTIONS: ReadonlySet<string> = namesOf<StreamOptions>({ closeTimeout: true, tls: true });
export const TCP_OPTIONS: ReadonlySet<string> = new Set([
  ...STREAM_OPTIONS,
  ...namesOf<Omit<TcpOptions, keyof StreamOptions>>({ noDelay: true, keepAlive: true }),
]);
const ACCEPTED_OPTIONS: ReadonlySet<string> = new Set([...TCP_OPTIONS, "signal"]);
/** The options that cannot be given with `conn`. */
const TCP_ADDRESS = namesOf<Omit<ConnectionOptions, keyof AcceptedSocketOptions | keyof ProxyClientOptions>>({
  hostname: true,
  port: true,
  localAddr: true,
  autoSelectFamily: true,
  autoSelectFamilyAttemptDelay: true,
  happyEyeballsDelay: true,
  interleave: true,
});
const UNIX_ADDRESS = namesOf<Omit<UnixConnectionOptions, keyof AcceptedSocketOptions | keyof ProxyClientOptions>>({
  path: true,
});
const CLIENT_OPTIONS = [...namesOf<ProxyClientOptions>({ proxyProtocol: true }), "conn", "fd", "signal"];
const CONNECTION_OPTIONS: ReadonlySet<string> = new Set([...TCP_ADDRESS, ...CLIENT_OPTIONS, ...TCP_OPTIONS]);
const UNIX_OPTIONS: ReadonlySet<string> = new Set([...UNIX_ADDRESS, ...CLIENT_OPTIONS, ...STREAM_OPTIONS]);
/** With `conn`, whose socket can be TCP. */
const UNIX_CONN_OPTIONS: ReadonlySet<string> = new Set([...UNIX_OPTIONS, ...TCP_OPTIONS]);

/** Does the work of {@linkcode EventLoop.createConnection}. */
export async function createConnection<P extends StreamCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  options: ConnectionOptions | GivenConn,
): Promise<[Transport, P]> {
  const method = "createConnection()";
  checkStreamCall(method, factory, options, CONNECTION_OPTIONS, "tcp");
  if ("fd" in options) {
    checkAlone(method, "fd", ["conn", ...TCP_ADDRESS], options);
    return await adoptFd(loop, method, factory, options.fd, options, { family: "any", accepted: false });
  }
  if ("conn" in options) {
    checkExisting(method, "conn", options.conn, [...TCP_ADDRESS], options);
    return await adopt(loop, method, factory, options.conn, options, false);
  }
  const { hostname = "127.0.0.1", port, signal } = options;
  checkPort(method, "port", port, 1);
  checkHostname(method, "hostname", hostname);
  const addressing = takeAddressing(method, options);
  const makeHeader = planProxyClient(method, options.proxyProtocol);
  const plan = planTls(method, options.tls, false, hostname);
  await loadTls(loop, plan);
  const where = { hostname, port, ...addressing, ...tcpSettings(options) };
  const end = await dial(loop, method, { transport: "tcp", ...where }, signal);
  return startClient(loop, method, factory, await prepare(loop, end, makeHeader, plan, signal), options);
}

/** Does the work of {@linkcode EventLoop.createUnixConnection}. */
export async function createUnixConnection<P extends StreamCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  options: UnixConnectionOptions | GivenConn,
): Promise<[Transport, P]> {
  const method = "createUnixConnection()";
  const given = typeof options === "object" && options !== null && "conn" in options;
  checkStreamCall(method, factory, options, given ? UNIX_CONN_OPTIONS : UNIX_OPTIONS, "unix");
  if ("fd" in options) {
    checkAlone(method, "fd", ["conn", ...UNIX_ADDRESS], options);
    return await adoptFd(loop, method, factory, options.fd, options, { family: "unix", accepted: false });
  }
  if ("conn" in options) {
    checkExisting(method, "conn", options.conn, [...UNIX_ADDRESS], options);
    return await adopt(loop, method, factory, options.conn, options, false);
  }
  const { path, signal } = options;
  checkPath(method, "path", path);
  const makeHeader = planProxyClient(method, options.proxyProtocol);
  const plan = planTls(method, options.tls, false);
  await loadTls(loop, plan);
  const end = await dial(loop, method, { transport: "unix", path }, signal);
  return startClient(loop, method, factory, await prepare(loop, end, makeHeader, plan, signal), options);
}

/** Does the work of {@linkcode EventLoop.connectAcceptedSocket}. */
export async function connectAcceptedSocket<P extends StreamCallbacks>(
  loop: LoopCore,
  factory: ProtocolFactory<P>,
  conn: DenoConn | GivenDescriptor,
  options: AcceptedSocketOptions,
): Promise<[Transport, P]> {
  const method = "connectAcceptedSocket()";
  checkStreamCall(method, factory, options, ACCEPTED_OPTIONS);
  if (isGivenDescriptor(conn)) {
    const fd = takeDescriptor(method, conn);
    return await adoptFd(loop, method, factory, fd, options, { family: "any", accepted: true });
  }
  if (typeof conn === "number") {
    throw new TypeError(`${method}: conn must be a Deno.Conn or, on EpollEngine, { fd: ${conn} }, got number ${conn}`);
  }
  checkExisting(method, "conn", conn, [], options);
  return await adopt(loop, method, factory, conn, options, true);
}

/** Creates a transport for a connection that exists. The caller owns the connection until all arguments are checked. */
async function adopt<P extends StreamCallbacks>(
  loop: LoopCore,
  method: string,
  factory: ProtocolFactory<P>,
  conn: DenoConn,
  options: AcceptedSocketOptions & ProxyClientOptions,
  serverSide: boolean,
): Promise<[Transport, P]> {
  const makeHeader = planProxyClient(method, options.proxyProtocol);
  const plan = planTls(method, options.tls, serverSide);
  await loadTls(loop, plan);
  const { signal } = options;
  const end = loop.engine.adopt(conn, tcpSettings(options));
  if (makeHeader !== null && end.handshake !== undefined) {
    throw new TypeError(
      `${method}: proxyProtocol cannot be given with a Deno.TlsConn, which sends nothing before its TLS`,
    );
  }
  return startClient(loop, method, factory, await prepare(loop, end, makeHeader, plan, signal), options);
}

/** Does the same for a file descriptor. */
async function adoptFd<P extends StreamCallbacks>(
  loop: LoopCore,
  method: string,
  factory: ProtocolFactory<P>,
  fd: unknown,
  options: AcceptedSocketOptions & ProxyClientOptions,
  kind: Pick<DescriptorSettings, "family" | "accepted">,
): Promise<[Transport, P]> {
  checkDescriptor(method, fd);
  const makeHeader = planProxyClient(method, options.proxyProtocol);
  const plan = planTls(method, options.tls, kind.accepted);
  await loadTls(loop, plan);
  const settings = { ...tcpSettings(options), ...kind };
  const end = useDescriptors(loop, method, (descriptors) => descriptors.connection(fd, settings));
  return startClient(loop, method, factory, await prepare(loop, end, makeHeader, plan, options.signal), options);
}

/** Sends the PROXY header, and does the TLS handshake. */
async function prepare(
  loop: LoopCore,
  end: StreamEnd,
  makeHeader: HeaderMaker | null,
  plan: TlsPlan | null,
  signal: AbortSignal | undefined,
): Promise<StreamEnd> {
  if (makeHeader !== null) await writeProxyHeader(loop, end, makeHeader, signal);
  return plan === null && end.handshake === undefined ? end : await secureStream(loop, end, plan, signal);
}

/** Connects. Errors name the address. */
async function dial(
  loop: LoopCore,
  method: string,
  target: TcpTarget | UnixTarget,
  signal: AbortSignal | undefined,
): Promise<StreamEnd> {
  try {
    return await loop.engine.connect(target, signal);
  } catch (error) {
    if (signal?.aborted) throw error; // The signal's reason.
    const hostname = target.transport === "tcp" ? target.hostname : undefined;
    throw nameAddress(error, method, "connect to", formatAddress(target), hostname);
  }
}

/** Checks the arguments that all methods for streams have. */
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

export function tcpSettings({ noDelay = true, keepAlive }: TcpOptions): TcpSettings {
  return { noDelay, keepAlive };
}

/**
 * Creates the protocol and the transport of a stream, without calling `connectionMade` or reading. Owns the handle. The
 * connections of a server share their options.
 */
export function makeConnection<P extends StreamCallbacks>(
  loop: LoopCore,
  method: string,
  factory: ProtocolFactory<P>,
  end: StreamEnd,
  options: StreamConnectionOptions<StreamConnection>,
): [StreamConnection, P] {
  try {
    const protocol = makeProtocol(loop, method, factory, "stream");
    const connection = new StreamConnection(loop, end.handle, protocol, options);
    new StreamTransport(connection, end);
    return [connection, protocol];
  } catch (error) {
    end.handle.close(true);
    throw error;
  }
}

/** Creates the protocol and the transport of a stream, calls `connectionMade`, and reads from the next turn on. */
export function startClient<P extends StreamCallbacks>(
  loop: LoopCore,
  method: string,
  factory: ProtocolFactory<P>,
  end: StreamEnd,
  options: AcceptedSocketOptions,
): [Transport, P] {
  let closeTimeout: number | undefined;
  try {
    options.signal?.throwIfAborted();
    closeTimeout = options.closeTimeout;
  } catch (error) {
    end.handle.close(true);
    throw error;
  }
  const [connection, protocol] = makeConnection(loop, method, factory, end, { closeTimeout });
  connection.start();
  connection.startReadingSoon();
  return [connection.transport, protocol];
}
