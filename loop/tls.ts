/**
 * TLS: its options, and the handshake that makes a handle of a connection.
 *
 * @module
 */
import { ConnHandle } from "../transports/conn_handle.ts";
import { checkTimeout, describe, toError } from "../transports/errors.ts";
import { NativeTlsHandle } from "../transports/native_tls_handle.ts";
import type { StreamHandle } from "../transports/stream_handle.ts";
import {
  chosenContext,
  clientContext,
  CONTEXT_OPTIONS,
  materialOf,
  pickContextOptions,
  serverContext,
  TlsContext,
  type TlsContextOptions,
} from "../transports/tls_context.ts";
import type { LegacyCertificate, NodeTls } from "../transports/node_tls.ts";
import { TlsEngine, type TlsEngineOptions, type TlsSession } from "../transports/tls_engine.ts";
import { toTlsError } from "../transports/tls_error.ts";
import { handshakeTimedOut, TlsHandle } from "../transports/tls_handle.ts";
import { type PeerCertificate, toPeerCertificate } from "../transports/tls_info.ts";
import type { ExtraInfo } from "../transports/transport.ts";
import { checkHostname } from "./factory.ts";

/** asyncio's SSL_HANDSHAKE_TIMEOUT and SSL_SHUTDOWN_TIMEOUT, in milliseconds. */
const HANDSHAKE_TIMEOUT = 60_000;
const SHUTDOWN_TIMEOUT = 30_000;

/** How to speak TLS over a connection. */
export interface TlsOptions extends TlsContextOptions {
  /**
   * A context that is shared with other connections, and can be reloaded. It takes the place of all options of
   * {@linkcode TlsContextOptions}, which cannot be given besides.
   *
   * @default {undefined} one of this connection's, or server's, own
   */
  context?: TlsContext | undefined;
  /**
   * Client: the name or address that the server's certificate must be for. A name is also what the server hears (SNI).
   *
   * @default {hostname} of the connection; there is none with `{ conn }`, on a Unix socket and for `startTls`
   */
  serverHostname?: string | undefined;
  /**
   * How long the handshake may take, in milliseconds, before it fails with a `TimeoutError`.
   *
   * @default {60000}
   */
  handshakeTimeout?: number | undefined;
  /**
   * How long `close()` may take to flush and to hear the other side's close_notify, in milliseconds, before it becomes
   * an abort with a `TimeoutError`.
   *
   * @default {30000}
   */
  shutdownTimeout?: number | undefined;
  /**
   * Leave TLS to `Deno.connectTls` and `Deno.listenTls`: faster for small messages, but for TCP from the first byte
   * alone, not for `startTls`, Unix sockets or `{ conn }`. `requestCert`, `rejectUnauthorized`, the versions, `ciphers`
   * and `sni` are then `Deno.errors.NotSupported`, a server does not notice `reload()`, and `getExtraInfo("cipher")`
   * knows nothing. Deno cannot set `TCP_NODELAY` on what it accepts so, hence a server's answers of more than a few
   * KiB may wait 40 ms for the client's acknowledgement; `abort()` looks like a clean end to the other side; and the
   * socket of a handshake that is given up stays open until the other side closes it.
   *
   * @default {false}
   */
  native?: boolean | undefined;
}

/** All of them; a misspelled one could mean a door left open. `startTls` has one more. */
const KNOWN_OPTIONS: ReadonlySet<string> = new Set([
  ...CONTEXT_OPTIONS,
  "context",
  "serverHostname",
  "handshakeTimeout",
  "shutdownTimeout",
  "native",
  "serverSide",
]);

/** A connection as a transport needs it. */
export interface Stream {
  /** What moves its bytes. */
  handle: StreamHandle;
  /** What is known about it. */
  extra: Partial<ExtraInfo>;
}

/** Options that have been checked. */
export interface TlsPlan {
  context: TlsContext;
  serverSide: boolean;
  /** Empty on a server, and where a client verifies nothing. */
  serverHostname: string;
  handshakeTimeout: number;
  shutdownTimeout: number;
  native: boolean;
}

/**
 * Checks what is asked for.
 *
 * @param tls The option, or `startTls`'s options.
 * @param serverSide Which side to be.
 * @param hostname The name that is dialled, where one is.
 * @returns What to do, or `null` for no TLS.
 * @throws {TypeError} If an option is of the wrong kind, or one is missing.
 * @throws {RangeError} If a time limit is not a number of milliseconds.
 * @throws {Deno.errors.NotSupported} If `native` does not go with the others.
 */
export function planTls(
  tls: boolean | TlsOptions | TlsContext | undefined,
  serverSide: boolean,
  hostname?: string,
): TlsPlan | null {
  if (tls === undefined || tls === false) return null;
  const options: TlsOptions = tls === true ? {} : tls instanceof TlsContext ? { context: tls } : tls;
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`tls must be true or an object with options, got ${describe(options)}`);
  }
  checkTimeout(options.handshakeTimeout, "handshakeTimeout");
  checkTimeout(options.shutdownTimeout, "shutdownTimeout");
  const context = contextOf(options);
  const { cert, sni, rejectUnauthorized } = materialOf(context).options;
  if (serverSide && cert === undefined && sni === undefined) {
    throw new TypeError("tls: a server must have cert and key, or sni");
  }
  const { serverHostname = hostname, native = false } = options;
  if (!serverSide && serverHostname === undefined && rejectUnauthorized !== false) {
    const message = "serverHostname must be given where no hostname is: the server's certificate must be for it";
    throw new TypeError(`${message} (or serverSide: true, to be the server)`);
  }
  if (native) checkNative(materialOf(context).options);
  return {
    context,
    serverSide,
    serverHostname: serverSide || serverHostname === undefined ? "" : toServerName(serverHostname),
    handshakeTimeout: options.handshakeTimeout ?? HANDSHAKE_TIMEOUT,
    shutdownTimeout: options.shutdownTimeout ?? SHUTDOWN_TIMEOUT,
    native,
  };
}

/** Puts a host's name in the one form that is sent, and compared to the certificate's. */
function toServerName(hostname: string): string {
  checkHostname(hostname, "serverHostname");
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  let name = bare;
  // deno-lint-ignore no-control-regex -- all of ASCII
  if (/[^\x00-\x7f]/.test(bare)) {
    try {
      name = new URL(`https://${bare}`).hostname;
    } catch {
      name = "";
    }
  }
  // The certificate may have wildcards, a server has a name; the dot of the root may end it (RFC 1034, 3.1).
  const isName = name.replace(/\.$/, "").split(".").every((label) => /^[^*]{1,63}$/.test(label));
  if (isName) return name;
  throw new TypeError(`serverHostname must be a host's name or address, got ${describe(hostname)}`);
}

function contextOf(options: TlsOptions): TlsContext {
  const unknown = Object.keys(options).find((name) => !KNOWN_OPTIONS.has(name));
  if (unknown !== undefined) {
    throw new TypeError(`tls.${unknown} is not an option; there are ${[...KNOWN_OPTIONS].join(", ")}`);
  }
  const { context } = options;
  if (context === undefined) return new TlsContext(options);
  if (!(context instanceof TlsContext)) {
    throw new TypeError(`tls.context must be a TlsContext, got ${describe(context)}`);
  }
  const [besides] = Object.keys(pickContextOptions(options));
  if (besides !== undefined) throw new TypeError(`tls.context and tls.${besides} cannot both be given`);
  return context;
}

function checkNative(options: TlsContextOptions): void {
  for (const name of ["requestCert", "rejectUnauthorized", "minVersion", "maxVersion", "ciphers", "sni"] as const) {
    if (options[name] !== undefined) {
      throw new Deno.errors.NotSupported(`tls.${name} is not to be had with tls.native: Deno cannot be told`);
    }
  }
}

/**
 * Makes a stream of a plain connection.
 *
 * @param conn The connection.
 * @param addresses Addresses that are better than the connection's own.
 * @returns The stream.
 */
export function plainStream(conn: Deno.Conn, addresses?: Partial<ExtraInfo>): Stream {
  const handle = new ConnHandle(conn, { readable: true, writable: true });
  const extra = socketInfo(conn);
  return { handle, extra: addresses === undefined ? extra : { ...extra, ...addresses } };
}

/**
 * Makes a stream of a connection by a TLS handshake.
 *
 * @param conn The connection, which is closed if it fails.
 * @param plan What to do; `null` for a `Deno.TlsConn` that somebody else has made.
 * @param addresses Addresses that are better than the connection's own.
 * @param signal Calls it off.
 * @returns The stream.
 * @throws {TlsError} If the handshake fails.
 */
export async function secureStream(
  conn: Deno.Conn,
  plan: TlsPlan | null,
  addresses?: Partial<ExtraInfo>,
  signal?: AbortSignal,
): Promise<Stream> {
  const extra = { ...socketInfo(conn), ...addresses };
  if (plan === null || plan.native) {
    const handle = new NativeTlsHandle(conn, plan?.shutdownTimeout ?? SHUTDOWN_TIMEOUT);
    const known = await orClose(handle, signal, () => nativeHandshake(conn as Deno.TlsConn, plan));
    return { handle, extra: { ...extra, ...known } };
  }
  const lower = new ConnHandle(conn, { readable: true, writable: true });
  const handle = await orClose(lower, signal, async () => makeTlsHandle(await loadTls(plan), lower, plan));
  const known = await orClose(handle, signal, () => handshake(handle, plan));
  return { handle, extra: { ...extra, ...known } };
}

/**
 * Connects with Deno's own TLS. The handshake is still to come.
 *
 * @param plan What to do.
 * @param hostname Where to.
 * @param port Where to.
 * @param signal Calls it off, where Deno can.
 * @returns The connection.
 * @throws {Deno.errors.NotSupported} If Deno cannot do both a client certificate and another name.
 */
export async function dialNative(
  plan: TlsPlan,
  hostname: string,
  port: number,
  signal: AbortSignal | undefined,
): Promise<Deno.TlsConn> {
  const { caCerts = [], cert, key, alpnProtocols } = materialOf(plan.context).options;
  const options = { caCerts, ...alpnProtocols && { alpnProtocols } };
  if (cert !== undefined && key !== undefined) {
    if (plan.serverHostname !== hostname) {
      throw new Deno.errors.NotSupported("tls.native with cert cannot have a serverHostname other than hostname");
    }
    return await Deno.connectTls({ hostname, port, cert, key, ...options });
  }
  const conn = await Deno.connect({ hostname, port, ...signal && { signal } });
  conn.setNoDelay(true);
  return await Deno.startTls(conn, { hostname: plan.serverHostname, ...options });
}

/**
 * Listens with Deno's own TLS.
 *
 * @param plan What to do.
 * @param options Where.
 * @returns The listener.
 */
export function listenNative(plan: TlsPlan, options: Deno.TcpListenOptions): Deno.TlsListener {
  const { cert, key, alpnProtocols } = materialOf(plan.context).options;
  return Deno.listenTls({ ...options, cert: cert!, key: key!, ...alpnProtocols && { alpnProtocols } });
}

/**
 * Loads what TLS needs: `node:tls` only now, for it takes 5 ms that others need not wait for.
 *
 * @param plan What to do.
 * @returns The module.
 * @throws {TypeError} If certificates or keys cannot be read.
 */
export async function loadTls(plan: TlsPlan): Promise<NodeTls> {
  await plan.context.load();
  return (await import("node:tls")).default as unknown as NodeTls;
}

/**
 * Puts TLS over a handle.
 *
 * @param tls What `loadTls` gave.
 * @param lower The handle.
 * @param plan What to do.
 * @returns The handle that encrypts, before its handshake.
 */
export function makeTlsHandle(tls: NodeTls, lower: StreamHandle, plan: TlsPlan): TlsHandle {
  const material = materialOf(plan.context);
  const { alpnProtocols = [], requestCert = false, rejectUnauthorized = true, ciphers, sni } = material.options;
  const options: TlsEngineOptions = {
    serverSide: plan.serverSide,
    secureContext: plan.serverSide ? serverContext(tls, material) : clientContext(tls, material),
    serverHostname: plan.serverHostname,
    alpnProtocols,
    requestCert,
    rejectUnauthorized,
    ciphers,
    authorities: material.authorities!,
    sni: sni && (async (name) => {
      const context = await sni(name);
      if (context === null) return null;
      if (!(context instanceof TlsContext) || materialOf(context).options.cert === undefined) {
        throw new TypeError(`sni must return a TlsContext with cert and key, or null, got ${describe(context)}`);
      }
      await context.load();
      return chosenContext(tls, material, materialOf(context));
    }),
  };
  return new TlsHandle(lower, (sink) => new TlsEngine(tls, sink, options), plan.shutdownTimeout);
}

/**
 * Does the handshake of such a handle.
 *
 * @param handle The handle.
 * @param plan What to do.
 * @returns What `getExtraInfo` knows afterwards.
 * @throws {TlsError} If it fails.
 */
export async function handshake(handle: TlsHandle, plan: TlsPlan): Promise<Partial<ExtraInfo>> {
  const session = await handle.handshake(plan.handshakeTimeout);
  return tlsInfo(session, plan.context, handle.sslObject);
}

async function nativeHandshake(conn: Deno.TlsConn, plan: TlsPlan | null): Promise<Partial<ExtraInfo>> {
  const timeout = plan?.handshakeTimeout ?? HANDSHAKE_TIMEOUT;
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(handshakeTimedOut(timeout)), timeout);
  try {
    const { alpnProtocol } = await Promise.race([conn.handshake(), late.promise]);
    const peercert = nativeCertificate(conn);
    return tlsInfo({ cipher: null, peercert, alpnProtocol }, plan?.context, conn);
  } catch (error) {
    throw toTlsError(toError(error));
  } finally {
    clearTimeout(timer);
  }
}

/** What Deno's own node:https asks a connection for, under a symbol that has no other name. */
function nativeCertificate(conn: Deno.TlsConn): PeerCertificate | null {
  const prototype = Object.getPrototypeOf(conn);
  const symbol = Object.getOwnPropertySymbols(prototype).find(({ description }) =>
    description === "getPeerCertificate"
  );
  const get = symbol && prototype[symbol] as unknown;
  return typeof get === "function" ? toPeerCertificate(get.call(conn) as Partial<LegacyCertificate> | null) : null;
}

/** What `getExtraInfo` knows: only what there is, so that anything else takes its default. */
function tlsInfo(session: TlsSession, sslcontext: TlsContext | undefined, sslObject: object): Partial<ExtraInfo> {
  const { cipher, peercert, alpnProtocol } = session;
  return {
    compression: null,
    sslObject,
    ...sslcontext && { sslcontext },
    ...cipher && { cipher },
    ...peercert && { peercert },
    ...alpnProtocol && { alpnProtocol },
  };
}

function socketInfo(conn: Deno.Conn): Partial<ExtraInfo> {
  return { peername: named(conn.remoteAddr), sockname: named(conn.localAddr), socket: conn };
}

/** Completes what Deno leaves out of an address; its types promise it all the same. */
function named(addr: Deno.Addr): Deno.Addr {
  // A Unix socket that is not bound has the empty path in asyncio.
  if ("path" in addr && addr.path === null) return { ...addr, path: "" };
  // A Deno.TlsConn says nothing of its transport.
  return addr.transport === undefined ? { transport: "tcp", ...addr as Omit<Deno.NetAddr, "transport"> } : addr;
}

/** Closes the handle if the work fails, or is called off. */
async function orClose<T>(handle: StreamHandle, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const onAbort = () => handle.close(true);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    signal?.throwIfAborted();
    return await work();
  } catch (error) {
    handle.close(true);
    throw signal?.aborted ? signal.reason : error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}
