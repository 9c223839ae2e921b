/**
 * What is known about a transport, kept by key so that it outlives it.
 *
 * @module
 */
import type { ExtraInfo, TlsInfoKey } from "./transport.ts";

const TLS_KEYS: ReadonlySet<string> = new Set<TlsInfoKey>([
  "cipher",
  "compression",
  "peercert",
  "sslcontext",
  "sslObject",
  "alpnProtocol",
]);

/**
 * Looks a key up.
 *
 * @param info What the transport knows.
 * @param name The key.
 * @param defaultValue What to return where it knows nothing of the kind.
 * @returns The value, or `defaultValue`.
 * @throws {Deno.errors.NotSupported} If `name` is one of the TLS keys.
 */
export function lookUpExtraInfo(info: Partial<ExtraInfo>, name: string, defaultValue: unknown): unknown {
  if (TLS_KEYS.has(name)) {
    throw new Deno.errors.NotSupported(`getExtraInfo("${name}"): TLS is not supported yet`);
  }
  return Object.hasOwn(info, name) ? info[name as keyof ExtraInfo] : defaultValue;
}
