/**
 * Streams: what a transport needs of a connection, plain or after a TLS handshake.
 *
 * @module
 */
import { ConnHandle } from "../engines/deno/conn_handle.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import { DuplexEngine } from "../tls/node/duplex_engine.ts";
import { describe, toError } from "../errors.ts";
import { NativeTlsHandle } from "../engines/deno/tls_conn_handle.ts";
import { toPromise } from "../promises.ts";
import type { StreamHandle } from "../transports/stream_handle.ts";
import { chosenContext, clientContext, materialOf, serverContext, TlsContext } from "../tls/tls_context.ts";
import { type LegacyCertificate, loadNodeTls, type NodeTls } from "../tls/node/node_tls.ts";
import type { TlsEngineOptions, TlsSession } from "../tls/tls_engine.ts";
import { tellsOfStrangers } from "../tls/node/canary.ts";
import { toTlsError } from "../tls/tls_error.ts";
import { handshakeTimedOut, TlsHandle } from "../tls/tls_handle.ts";
import { toPeerCertificate } from "../tls/peer_certificate.ts";
import type { ExtraInfo, PeerCertificate } from "../transports/transport.ts";
import { WrapEngine } from "../tls/node/wrap_engine.ts";
import { HANDSHAKE_TIMEOUT, SHUTDOWN_TIMEOUT, type TlsPlan } from "../tls/tls_options.ts";

/** A connection as a transport needs it. */
export interface Stream {
  /** What moves its bytes. */
  handle: StreamHandle;
  /** What is known about it. */
  extra: Partial<ExtraInfo>;
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
 * @param loop The loop.
 * @param conn The connection, which is closed if it fails.
 * @param plan What to do; `null` for a `Deno.TlsConn` that somebody else has made.
 * @param addresses Addresses that are better than the connection's own.
 * @param signal Calls it off.
 * @returns The stream.
 * @throws {TlsError} If the handshake fails.
 */
export async function secureStream(
  loop: LoopContext,
  conn: Deno.Conn,
  plan: TlsPlan | null,
  addresses?: Partial<ExtraInfo>,
  signal?: AbortSignal,
): Promise<Stream> {
  const extra = { ...socketInfo(conn), ...addresses };
  if (plan === null) {
    const handle = new NativeTlsHandle(conn, SHUTDOWN_TIMEOUT);
    const known = await orClose(handle, signal, () => nativeHandshake(conn as Deno.TlsConn));
    return { handle, extra: { ...extra, ...known } };
  }
  const lower = new ConnHandle(conn, { readable: true, writable: true });
  const handle = await orClose(lower, signal, async () => makeTlsHandle(await loadTls(loop, plan), lower, plan));
  const known = await orClose(handle, signal, () => handshake(handle, plan));
  return { handle, extra: { ...extra, ...known } };
}

/**
 * Loads what TLS needs, and says in debug mode what that is.
 *
 * @param loop The loop.
 * @param plan What to do.
 * @returns The module.
 * @throws {TypeError} If certificates or keys cannot be read.
 */
export async function loadTls(loop: LoopContext, plan: TlsPlan): Promise<NodeTls> {
  await plan.context.load();
  const tls = await loadNodeTls();
  const verifies = !plan.serverSide && materialOf(plan.context).options.rejectUnauthorized !== false;
  if (verifies && tls.hasWrap && !tellsOfStrangers(tls)) {
    const what = `Deno ${Deno.version.deno} does not tell what is wrong with a certificate`;
    throw new Deno.errors.NotSupported(`tls: ${what}, so that no server can be verified`);
  }
  if (loop.debug && !informed.has(loop)) {
    informed.add(loop);
    const engine = tls.hasWrap
      ? "the rustls connection inside its TLSSocket"
      : "a TLSSocket over a Duplex, which is slower";
    console.debug(`Tandem: TLS is node:tls, by ${engine}`);
  }
  return tls;
}

/** Loops that have said so. */
const informed = new WeakSet<LoopContext>();

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
    ...plan.serverSide ? serverContext(tls, material) : clientContext(tls, material),
    serverHostname: plan.serverHostname,
    alpnProtocols,
    requestCert,
    rejectUnauthorized,
    ciphers,
    authorities: material.authorities!,
    sni: sni && (async (name) => {
      const context = await toPromise(sni(name));
      if (context === null) return null;
      if (!(context instanceof TlsContext) || materialOf(context).options.cert === undefined) {
        throw new TypeError(`sni must return a TlsContext with cert and key, or null, got ${describe(context)}`);
      }
      await context.load();
      return chosenContext(tls, material, materialOf(context)).secureContext;
    }),
  };
  const Engine = tls.hasWrap ? WrapEngine : DuplexEngine;
  return new TlsHandle(lower, (sink) => new Engine(tls, sink, options), plan.shutdownTimeout);
}

/**
 * Does the handshake of such a handle.
 *
 * @param handle The handle.
 * @param plan What to do.
 * @param elapsed How much of `handshakeTimeout` is over, in milliseconds.
 * @returns What `getExtraInfo` knows afterwards.
 * @throws {TlsError} If it fails.
 */
export async function handshake(handle: TlsHandle, plan: TlsPlan, elapsed = 0): Promise<Partial<ExtraInfo>> {
  const { handshakeTimeout } = plan;
  const session = await handle.handshake(Math.max(0, handshakeTimeout - elapsed), handshakeTimeout);
  return tlsInfo(session, plan.context, handle.sslObject);
}

/** Does Deno's handshake. One that fails by its time limit keeps its socket: Deno closes that when the peer has. */
async function nativeHandshake(conn: Deno.TlsConn): Promise<Partial<ExtraInfo>> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(handshakeTimedOut(HANDSHAKE_TIMEOUT)), HANDSHAKE_TIMEOUT);
  try {
    const { alpnProtocol } = await Promise.race([conn.handshake(), late.promise]);
    const peercert = await nativeCertificate(conn);
    return tlsInfo({ cipher: null, peercert, alpnProtocol }, undefined, conn);
  } catch (error) {
    throw toTlsError(toError(error));
  } finally {
    clearTimeout(timer);
  }
}

/** What Deno's own node:https asks a connection for, under a symbol that has no other name. */
async function nativeCertificate(conn: Deno.TlsConn): Promise<PeerCertificate | null> {
  const prototype = Object.getPrototypeOf(conn);
  const symbol = Object.getOwnPropertySymbols(prototype).find(({ description }) =>
    description === "getPeerCertificate"
  );
  const get = symbol && prototype[symbol] as unknown;
  if (typeof get !== "function") return null;
  const certificate = get.call(conn) as LegacyCertificate | null;
  return certificate?.raw === undefined
    ? null
    : toPeerCertificate(new Uint8Array(certificate.raw), (await loadNodeTls()).sha256);
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
