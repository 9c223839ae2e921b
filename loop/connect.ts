/**
 * Making pairs over connections: dialled, given, or accepted elsewhere.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { ConnHandle } from "../transports/conn_handle.ts";
import type { LoopContext } from "../transports/context.ts";
import { StreamTransport } from "../transports/stream_transport.ts";
import type { ExtraInfo, StreamCallbacks, Transport } from "../transports/transport.ts";
import { checkExisting, checkHostname, checkPath, checkPort, checkStreamCall, makeProtocol } from "./factory.ts";
import type { ProtocolFactory } from "./factory.ts";

/** What every stream may be given. */
export interface StreamOptions {
  /**
   * How long `close()` may take to flush, in milliseconds, before it becomes an abort with a `TimeoutError`.
   *
   * @default {undefined} as long as it takes
   */
  closeTimeout?: number | undefined;
  /** Reserved for TLS; anything true is `Deno.errors.NotSupported` for now. */
  tls?: unknown;
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

/** A connection that exists already. The transport owns it from now on. */
export interface ExistingConnOptions extends TcpOptions {
  /** The connection, with nothing being read from it or written to it. */
  conn: Deno.Conn;
}

/** How to dial a Unix connection. */
export interface UnixConnectionOptions extends StreamOptions {
  /** The path of the socket. */
  path: string;
  /** Calls the attempt off; the call then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** What a connection is known by where it does not know better itself. */
type Addresses = Pick<Partial<ExtraInfo>, "peername" | "sockname">;

/** {@inheritDoc EventLoop.createConnection} */
export async function createConnection<P extends StreamCallbacks>(
  loop: LoopContext,
  factory: ProtocolFactory<P>,
  options: ConnectionOptions | ExistingConnOptions,
): Promise<[Transport, P]> {
  checkStreamCall(factory, options);
  if ("conn" in options) {
    checkExisting("conn", options.conn, "read", "port", options);
    return startClient(loop, factory, options.conn, options);
  }
  checkPort(options.port, 1);
  if (options.localAddr !== undefined) {
    throw new Deno.errors.NotSupported("localAddr: Deno.connect cannot choose the local address");
  }
  const { hostname = "127.0.0.1", port } = options;
  checkHostname(hostname);
  const conn = await dial(options.signal, (signal) => Deno.connect({ hostname, port, ...signal && { signal } }));
  return startClient(loop, factory, conn, options);
}

/** {@inheritDoc EventLoop.createUnixConnection} */
export async function createUnixConnection<P extends StreamCallbacks>(
  loop: LoopContext,
  factory: ProtocolFactory<P>,
  options: UnixConnectionOptions | ExistingConnOptions,
): Promise<[Transport, P]> {
  checkStreamCall(factory, options);
  if ("conn" in options) {
    checkExisting("conn", options.conn, "read", "path", options);
    return startClient(loop, factory, options.conn, options);
  }
  const { path } = options;
  checkPath(path);
  const conn = await dial(options.signal, () => Deno.connect({ transport: "unix", path }));
  // A server may have bound the socket under another name and moved it here.
  return startClient(loop, factory, conn, options, { peername: { transport: "unix", path } });
}

/**
 * Makes a pair over a connection. Reading has not started.
 *
 * @typeParam P The protocol's type.
 * @param loop The loop.
 * @param factory Makes the protocol; if it throws, the connection is closed.
 * @param conn The connection.
 * @param options What was asked for.
 * @param addresses Addresses that are better than the connection's own.
 * @param onLost Runs when the transport has gone.
 * @returns The pair.
 */
export function makeStream<P extends StreamCallbacks>(
  loop: LoopContext,
  factory: ProtocolFactory<P>,
  conn: Deno.Conn,
  options: TcpOptions,
  addresses?: Addresses,
  onLost?: (transport: StreamTransport) => void,
): [StreamTransport, P] {
  const handle = new ConnHandle(conn, { readable: true, writable: true });
  let protocol: P;
  try {
    protocol = makeProtocol(factory);
    setTcpOptions(conn, options);
  } catch (error) {
    handle.close();
    throw error;
  }
  const transport: StreamTransport = new StreamTransport(loop, handle, protocol, {
    extra: { peername: named(conn.remoteAddr), sockname: named(conn.localAddr), socket: conn, ...addresses },
    closeTimeout: options.closeTimeout,
    onLost: onLost === undefined ? undefined : () => onLost(transport),
  });
  return [transport, protocol];
}

function startClient<P extends StreamCallbacks>(
  loop: LoopContext,
  factory: ProtocolFactory<P>,
  conn: Deno.Conn,
  options: TcpOptions,
  addresses?: Addresses,
): [Transport, P] {
  const [transport, protocol] = makeStream(loop, factory, conn, options, addresses);
  transport.connected();
  // In the next turn, so that whoever awaits this call is there before the first bytes are.
  loop.callSoon(() => transport.startReading());
  return [transport, protocol];
}

/** Gives a Unix socket that is not bound the empty path that asyncio gives it; Deno's types promise a string. */
function named(addr: Deno.Addr): Deno.Addr {
  return "path" in addr && addr.path === null ? { ...addr, path: "" } : addr;
}

function setTcpOptions(conn: Deno.Conn, { noDelay = true, keepAlive }: TcpOptions): void {
  if (!("setNoDelay" in conn)) return;
  const tcp = conn as Deno.TcpConn;
  try {
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
