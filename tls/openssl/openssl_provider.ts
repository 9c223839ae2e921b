/** TLS by OpenSSL 3. */
import type { TlsProvider, TlsSettings } from "../../transports/tls_provider.ts";
import { loadDenoTrust } from "../default_provider.ts";
import { hasIdentity } from "../openssl_options.ts";
import { loadDenoAuthorities } from "./deno_authorities.ts";
import { checkKeylog } from "./keylog.ts";
import { type Libssl, openLibssl, textOf } from "./libssl.ts";
import { OpensslContext } from "./openssl_context.ts";
import { OpensslEngine } from "./openssl_engine.ts";
import { settingsText } from "./server_sessions.ts";
import { sha256 } from "./sha256.ts";

/** How many contexts are kept for settings that are given again, such as `tls: true` of many clients. */
const MAX_RECENT = 64;

const contexts = new WeakMap<TlsSettings, OpensslContext>();
/**
 * Contexts by a digest of what they are made of, the most recent last. A new one takes 0.5 ms, and OpenSSL 50 KiB. One with a
 * private key lives no longer than the settings that it is for.
 */
const recent = new Map<string, { deref(): OpensslContext | undefined }>();

/** TLS by OpenSSL 3, over any handle. */
export const opensslProvider: TlsProvider = {
  get name() {
    return textOf(openLibssl().OpenSSL_version(0));
  },

  async load(settings, former) {
    if (contexts.has(settings)) return;
    const lib = openLibssl();
    await checkKeylog(settings.keylog);
    await loadDenoAuthorities();
    await loadDenoTrust();
    contexts.set(settings, contextOf(lib, settings, former && contexts.get(former)));
  },

  open(sink, side) {
    return new OpensslEngine(openLibssl(), sink, find(side.settings), side, find);
  },
};

function find(settings: TlsSettings): OpensslContext {
  const context = contexts.get(settings);
  if (context === undefined) throw new TypeError("open(): settings must have been loaded");
  return context;
}

/** `sni` is a function, and no part of a context. */
const NO_PART: ReadonlySet<string> = new Set(["sni"]);

function contextOf(lib: Libssl, settings: TlsSettings, former?: OpensslContext): OpensslContext {
  const bytes = new TextEncoder().encode(settingsText(settings, NO_PART));
  const id = sha256(lib, bytes).toHex();
  bytes.fill(0); // The key is in it.
  // Those with a function are not shared: it would get what belongs to another.
  if (settings.keylog !== undefined) return new OpensslContext(lib, settings, former);
  const context = recent.get(id)?.deref() ?? new OpensslContext(lib, settings, former);
  recent.delete(id);
  recent.set(id, !hasIdentity(settings) ? { deref: () => context } : new WeakRef(context));
  if (recent.size > MAX_RECENT) {
    for (const oldest of recent.keys()) {
      recent.delete(oldest);
      break;
    }
  }
  return context;
}
