/**
 * TLS over a stream: the handshake, and what is known after it.
 *
 * @module
 */
import { describe, toError } from "../errors.ts";
import { toPromise } from "../promises.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import type { StreamEnd, StreamHandle } from "../transports/stream_handle.ts";
import type { ExtraInfo } from "../transports/transport.ts";
import { tellsOfStrangers } from "./node/canary.ts";
import { DuplexEngine } from "./node/duplex_engine.ts";
import { loadNodeTls, type NodeTls } from "./node/node_tls.ts";
import { WrapEngine } from "./node/wrap_engine.ts";
import { chosenContext, clientContext, materialOf, serverContext, TlsContext } from "./tls_context.ts";
import type { TlsEngineOptions, TlsSession } from "./tls_engine.ts";
import { toTlsError } from "./tls_error.ts";
import { handshakeTimedOut, TlsHandle } from "./tls_handle.ts";
import { HANDSHAKE_TIMEOUT, type TlsPlan } from "./tls_options.ts";

/**
 * Does the TLS handshake of a stream.
 *
 * @param loop The loop.
 * @param end The stream, which is closed if the handshake fails.
 * @param plan What to do; `null` for a stream that brings its own TLS.
 * @param signal Cancels it.
 * @returns The stream of cleartext.
 * @throws {TlsError} If the handshake fails.
 */
export async function secureStream(
  loop: LoopContext,
  end: StreamEnd,
  plan: TlsPlan | null,
  signal?: AbortSignal,
): Promise<StreamEnd> {
  const { handle: lower, extra } = end;
  if (plan === null) {
    const known = await orClose(lower, signal, () => ownHandshake(loop, end.handshake!));
    return { handle: lower, extra: { ...extra, ...known } };
  }
  const handle = await orClose(lower, signal, async () => makeTlsHandle(loop, await loadTls(loop, plan), lower, plan));
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
 * @param loop The loop.
 * @param tls What `loadTls` gave.
 * @param lower The handle.
 * @param plan What to do.
 * @returns The handle that encrypts, before its handshake.
 */
export function makeTlsHandle(loop: LoopContext, tls: NodeTls, lower: StreamHandle, plan: TlsPlan): TlsHandle {
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
  return new TlsHandle(loop, lower, (sink) => new Engine(tls, sink, options), plan.shutdownTimeout);
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

/** Does the handshake of a stream's own TLS. */
async function ownHandshake(
  loop: LoopContext,
  handshake: () => Promise<Partial<ExtraInfo>>,
): Promise<Partial<ExtraInfo>> {
  const late = Promise.withResolvers<never>();
  const timer = loop.callLater(HANDSHAKE_TIMEOUT, () => late.reject(handshakeTimedOut(HANDSHAKE_TIMEOUT)));
  try {
    return await Promise.race([handshake(), late.promise]);
  } catch (error) {
    throw toTlsError(toError(error));
  } finally {
    timer.cancel();
  }
}

/**
 * Puts what is known of a session under the keys of `getExtraInfo`: only what there is, so that all else takes its default.
 *
 * @param session What the handshake has settled.
 * @param sslcontext The context it was made with, where there is one.
 * @param sslObject What does the work.
 * @returns What `getExtraInfo` knows.
 */
export function tlsInfo(
  session: TlsSession,
  sslcontext: TlsContext | undefined,
  sslObject: object,
): Partial<ExtraInfo> {
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
