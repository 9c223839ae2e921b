/** TLS over a stream: the handshake, and what `getExtraInfo` answers after it. */
import { describe, toError } from "../errors.ts";
import { toPromise } from "../promises.ts";
import type { Engine } from "../transports/engine.ts";
import type { LoopContext } from "../transports/loop_context.ts";
import { orClose } from "../transports/or_close.ts";
import type { StreamEnd, StreamHandle } from "../transports/stream_handle.ts";
import type { TlsProvider, TlsSettings } from "../transports/tls_provider.ts";
import type { ExtraInfo } from "../transports/transport.ts";
import { defaultProvider } from "./default_provider.ts";
import { hasIdentity } from "./openssl_options.ts";
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

/** Parses certificates and keys. Called for each plan, before it is used. `plan`: the plan; `null` does nothing. */
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
 * Does the TLS handshake of a stream. `plan`: a plan that has been loaded; `null` for a stream that brings its own TLS.
 */
export async function secureStream(
  loop: TlsLoop,
  end: StreamEnd,
  plan: TlsPlan | null,
  signal?: AbortSignal,
): Promise<StreamEnd> {
  const { handle: lower, extra } = end;
  if (plan === null) {
    const known = await orClose(loop, lower, signal, () => ownHandshake(loop, end.handshake!));
    return { handle: lower, extra: { ...extra, ...known } };
  }
  let top: StreamHandle = lower;
  return await orClose(loop, { close: (dropped) => top.close(dropped) }, signal, async () => {
    const handle = makeTlsHandle(loop, lower, plan, extra.peername);
    top = handle;
    const known = await handshake(handle, plan);
    return { handle: handle.direct() ?? handle, extra: { ...extra, ...known } };
  });
}

/** Puts TLS over a handle. `peername`: the other side's address, as far as it is known. */
export function makeTlsHandle(
  loop: TlsLoop,
  lower: StreamHandle,
  plan: TlsPlan,
  peername?: ExtraInfo["peername"],
): TlsHandle {
  const { context, serverSide, serverHostname, shutdownTimeout } = plan;
  const provider = providerOf(loop);
  const settings = optionsOf(context);
  const sni = settings.sni && chooser(provider, settings.sni);
  const side = { settings, serverSide, serverHostname, peername, sni };
  return new TlsHandle(loop, lower, (sink) => provider.open(sink, side), shutdownTimeout);
}

/** Makes a provider's `sni` of a program's. */
function chooser(provider: TlsProvider, sni: NonNullable<TlsContextOptions["sni"]>) {
  return async (serverName: string): Promise<TlsSettings | null> => {
    const context = await toPromise(sni(serverName));
    if (context === null) return null;
    if (!(context instanceof TlsContext) || !hasIdentity(optionsOf(context))) {
      throw new TypeError(`sni must return a TlsContext with cert and key, or null, got ${describe(context)}`);
    }
    await loadContext(context, provider);
    return optionsOf(context);
  };
}

/** Does the handshake of a handle. `elapsed`: how much of `handshakeTimeout` has passed, in milliseconds. */
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
