/**
 * TLS over a stream: the handshake, and what `getExtraInfo` answers after it.
 *
 * @module
 */
import { describe, toError } from "../errors.ts";
import { toPromise } from "../promises.ts";
import type { Engine } from "../transports/engine.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import type { StreamEnd, StreamHandle } from "../transports/stream_handle.ts";
import type { TlsProvider, TlsSettings } from "../transports/tls_provider.ts";
import type { ExtraInfo } from "../transports/transport.ts";
import { defaultProvider } from "./default_provider.ts";
import { loadContext, optionsOf, TlsContext, type TlsContextOptions } from "./tls_context.ts";
import { toTlsError } from "./tls_error.ts";
import { handshakeTimedOut, TlsHandle } from "./tls_handle.ts";
import { tlsInfo } from "./tls_info.ts";
import { HANDSHAKE_TIMEOUT, type TlsPlan } from "./tls_options.ts";

/** What TLS needs of its loop. */
export interface TlsLoop extends LoopContext {
  /** The engine, which may bring its own TLS. */
  readonly engine: Pick<Engine, "tls">;
}

/**
 * Parses certificates and keys. Called for each plan, before it is used.
 *
 * @param loop The loop. In debug mode, its TLS is reported once.
 * @param plan The plan; `null` does nothing.
 * @returns A promise that resolves when they have been parsed.
 * @throws {TypeError} If a certificate or key cannot be parsed, or the key does not belong to the certificate.
 */
export async function loadTls(loop: TlsLoop, plan: TlsPlan | null): Promise<void> {
  if (plan === null) return;
  const provider = providerOf(loop);
  await loadContext(plan.context, provider);
  if (!loop.debug || informed.has(loop)) return;
  informed.add(loop);
  console.debug(`Tandem: TLS is ${provider.name}`);
}

/** The loops whose TLS has been reported. */
const informed = new WeakSet<TlsLoop>();

function providerOf({ engine }: TlsLoop): TlsProvider {
  return engine.tls ?? defaultProvider;
}

/**
 * Does the TLS handshake of a stream.
 *
 * @param loop The loop.
 * @param end The stream, which is closed if the handshake fails.
 * @param plan A plan that has been loaded; `null` for a stream that brings its own TLS.
 * @param signal Cancels the handshake.
 * @returns The stream of cleartext.
 * @throws {TlsError} If the handshake fails.
 */
export async function secureStream(
  loop: TlsLoop,
  end: StreamEnd,
  plan: TlsPlan | null,
  signal?: AbortSignal,
): Promise<StreamEnd> {
  const { handle: lower, extra } = end;
  if (plan === null) {
    const known = await orClose(lower, signal, () => ownHandshake(loop, end.handshake!));
    return { handle: lower, extra: { ...extra, ...known } };
  }
  const handle = await orClose(lower, signal, () => makeTlsHandle(loop, lower, plan));
  const known = await orClose(handle, signal, () => handshake(handle, plan));
  return { handle, extra: { ...extra, ...known } };
}

/**
 * Puts TLS over a handle.
 *
 * @param loop The loop.
 * @param lower The handle.
 * @param plan A plan that has been loaded.
 * @returns The handle that encrypts, before its handshake.
 * @throws {Deno.errors.NotSupported} If the loop's TLS cannot do what the plan asks for.
 */
export function makeTlsHandle(loop: TlsLoop, lower: StreamHandle, plan: TlsPlan): TlsHandle {
  const { context, serverSide, serverHostname, shutdownTimeout } = plan;
  const provider = providerOf(loop);
  const settings = optionsOf(context);
  const sni = settings.sni && chooser(provider, settings.sni);
  const side = { settings, serverSide, serverHostname, sni };
  return new TlsHandle(loop, lower, (sink) => provider.open(sink, side), shutdownTimeout);
}

/** Makes a provider's `sni` of a program's. */
function chooser(provider: TlsProvider, sni: NonNullable<TlsContextOptions["sni"]>) {
  return async (serverName: string): Promise<TlsSettings | null> => {
    const context = await toPromise(sni(serverName));
    if (context === null) return null;
    if (!(context instanceof TlsContext) || optionsOf(context).cert === undefined) {
      throw new TypeError(`sni must return a TlsContext with cert and key, or null, got ${describe(context)}`);
    }
    await loadContext(context, provider);
    return optionsOf(context);
  };
}

/**
 * Does the handshake of a handle.
 *
 * @param handle The handle.
 * @param plan Its plan.
 * @param elapsed How much of `handshakeTimeout` has passed, in milliseconds.
 * @returns What `getExtraInfo` answers afterwards.
 * @throws {TlsError} If the handshake fails.
 */
export async function handshake(handle: TlsHandle, plan: TlsPlan, elapsed = 0): Promise<Partial<ExtraInfo>> {
  const { handshakeTimeout } = plan;
  const session = await handle.handshake(Math.max(0, handshakeTimeout - elapsed), handshakeTimeout);
  return tlsInfo(session, plan.context, handle.sslObject);
}

/** Does the handshake of a stream that brings its own TLS. */
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

/** Closes the handle if the work fails or is cancelled. */
async function orClose<T>(
  handle: StreamHandle,
  signal: AbortSignal | undefined,
  work: () => T | Promise<T>,
): Promise<T> {
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
