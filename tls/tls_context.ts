/** The certificates, keys and settings of TLS connections. */
import { checkOptions } from "../check_options.ts";
import { checkBoolean, checkFunction, checkOneOf, checkString, checkStrings } from "../checks.ts";
import { describe } from "../errors.ts";
import type { OpensslSettings } from "../transports/openssl_settings.ts";
import type { TlsProvider, TlsSettings, TlsVersion } from "../transports/tls_provider.ts";
import { defaultProvider } from "./default_provider.ts";
import { checkSessionTickets } from "./session_tickets.ts";
import { checkOpensslOptions, OPENSSL_OPTIONS, withoutRivals } from "./openssl_options.ts";

/** The certificates that a context trusts, its own certificate, and what it negotiates. */
export interface TlsContextOptions extends TlsSettings {
  /**
   * Server: select the context of a connection by the name that the client requests (SNI).
   *
   * @param serverName The name; `""` if the client requests none.
   * @returns A context, whose `cert` and `key` (or `pfx`), `ocspResponse` and versions are used, or `null` for this one. All
   * other options, and versions that the other context does not set, are those of this context.
   */
  sni?: ((serverName: string) => TlsContext | null | Promise<TlsContext | null>) | undefined;
}

/** All versions, the oldest first. */
const VERSIONS: readonly TlsVersion[] = ["TLSv1.2", "TLSv1.3"];

/** The inside of a context. */
interface State {
  /** The options; `reload()` replaces the object and never changes it. */
  options: TlsContextOptions;
  /** The providers that load these options, and those of each `reload()`. */
  providers: Set<TlsProvider>;
  /** The last `reload()`. */
  reloading: Promise<void>;
}

/** Not a field of the class, so that `transports/transport.ts` can name its type, and no program sees the key. */
const states = new WeakMap<TlsContext, State>();

/**
 * Certificates, keys and settings of TLS, for any number of connections. They can be replaced while a server runs.
 *
 * @example A server that replaces its certificate without closing a connection
 * ```ts
 * import { getRunningLoop, Protocol, TlsContext } from "@tandem/io";
 *
 * const read = async () => ({
 *   cert: await Deno.readTextFile("server.pem"),
 *   key: await Deno.readTextFile("server.key"),
 * });
 * const loop = getRunningLoop();
 * const context = new TlsContext(await read());
 * await loop.createServer(() => new Protocol(), { port: 8443, tls: { context } });
 * // If a file cannot be read, the exception handler is called, and the old certificate stays.
 * loop.addSignalHandler("SIGHUP", async () => await context.reload(await read()));
 * ```
 */
export class TlsContext {
  /**
   * Creates a context. Certificates and keys are parsed when it is first used, or by {@linkcode load}.
   *
   * @param options The options.
   * @throws {TypeError} If an option is unknown or of the wrong kind, or only one of `cert` and `key` is given.
   * @throws {RangeError} If `minVersion` is newer than `maxVersion`.
   */
  constructor(options: TlsContextOptions = {}) {
    checkOptions("new TlsContext()", options, KNOWN);
    checkContextOptions(options, "new TlsContext()");
    states.set(this, { options: pickContextOptions(options), providers: new Set(), reloading: Promise.resolve() });
  }

  /**
   * Parses the certificates and keys, if that has not been done.
   *
   * @returns A promise that resolves when they have been parsed.
   * @throws {TypeError} If a certificate or key cannot be parsed, or the key does not belong to the certificate.
   *
   * @example Usage
   * ```ts
   * import { TlsContext } from "@tandem/io";
   *
   * const context = new TlsContext({ caCerts: [await Deno.readTextFile("ca.pem")] });
   * await context.load();
   * ```
   */
  async load(): Promise<void> {
    for (const provider of providersOf(this)) await loadContext(this, provider);
  }

  /**
   * Replaces options for new connections. Existing connections keep theirs. If a new option is wrong, nothing changes.
   *
   * @param options The options to replace. Those that are missing or `undefined` stay as they are.
   * @returns A promise that resolves when new connections use the new options.
   * @throws {TypeError} If an option is unknown or of the wrong kind, a certificate or key cannot be parsed, or the key
   * does not belong to the certificate.
   * @throws {RangeError} If `minVersion` is newer than `maxVersion`.
   *
   * @example Usage
   * ```ts
   * import { TlsContext } from "@tandem/io";
   *
   * const context = new TlsContext({ cert: await Deno.readTextFile("old.pem"), key: await Deno.readTextFile("old.key") });
   * await context.reload({ cert: await Deno.readTextFile("new.pem"), key: await Deno.readTextFile("new.key") });
   * ```
   */
  reload(options: TlsContextOptions): Promise<void> {
    const state = states.get(this)!;
    // One after the other, or the second would undo what the first changes.
    const next = state.reloading.catch(() => {}).then(() => replace(this, options));
    state.reloading = next;
    return next;
  }
}

async function replace(context: TlsContext, options: TlsContextOptions): Promise<void> {
  checkOptions("reload()", options, KNOWN);
  const state = states.get(context)!;
  const former = state.options;
  const picked = pickContextOptions(options);
  const next = { ...withoutRivals(former, picked), ...picked };
  checkContextOptions(next, "reload()");
  // A provider that is added meanwhile is visited, too.
  for (const provider of providersOf(context)) await provider.load(next, former);
  state.options = next;
}

/** The providers that the context is used with; the default one if it has not been used. */
function providersOf(context: TlsContext): Set<TlsProvider> {
  const { providers } = states.get(context)!;
  return providers.size === 0 ? providers.add(defaultProvider) : providers;
}

/**
 * Returns the options of a context.
 *
 * @param context The context.
 * @returns The options, which the caller does not change.
 */
export function optionsOf(context: TlsContext): TlsContextOptions {
  return states.get(context)!.options;
}

/**
 * Parses the certificates and keys of a context for one implementation of TLS, now and at each `reload()`.
 *
 * @param context The context.
 * @param provider The implementation.
 * @returns A promise that resolves when {@linkcode optionsOf} returns options that have been loaded.
 * @throws {TypeError} If a certificate or key cannot be parsed, or the key does not belong to the certificate.
 */
export async function loadContext(context: TlsContext, provider: TlsProvider): Promise<void> {
  const state = states.get(context)!;
  state.providers.add(provider);
  await provider.load(state.options);
}

/** The names of the options of {@linkcode TlsContextOptions}. */
export const CONTEXT_OPTIONS = [
  "caCerts",
  "cert",
  "key",
  "alpnProtocols",
  "requestCert",
  "rejectUnauthorized",
  "minVersion",
  "maxVersion",
  "ciphers",
  "sni",
  "sessionTickets",
  ...Object.keys(OPENSSL_OPTIONS) as (keyof OpensslSettings)[],
] as const satisfies readonly (keyof TlsContextOptions)[];

const KNOWN: ReadonlySet<string> = new Set(CONTEXT_OPTIONS);

/**
 * Picks the options of a context.
 *
 * @param options Options, also those of other kinds.
 * @returns The options of a context that are not `undefined`.
 */
export function pickContextOptions(options: TlsContextOptions): TlsContextOptions {
  const picked: Record<string, unknown> = {};
  for (const name of CONTEXT_OPTIONS) if (options[name] !== undefined) picked[name] = options[name];
  return picked;
}

/**
 * Checks the values of a context's options. Unknown options are not checked.
 *
 * @param options The options.
 * @param method The method that was called, for messages.
 * @param prefix The prefix of each option in messages.
 * @throws {TypeError} If an option is of the wrong kind, or one is missing.
 * @throws {RangeError} If `minVersion` is newer than `maxVersion`.
 */
export function checkContextOptions(options: TlsContextOptions, method: string, prefix = ""): void {
  const { cert, key, minVersion = "TLSv1.2", maxVersion = "TLSv1.3", ciphers, sni } = options;
  for (const name of ["cert", "key", "ciphers"] as const) {
    if (options[name] !== undefined) checkString(method, prefix + name, options[name]);
  }
  for (const name of ["caCerts", "alpnProtocols"] as const) {
    if (options[name] !== undefined) checkStrings(method, prefix + name, options[name]);
  }
  options.alpnProtocols?.forEach((protocol, i) => {
    // RFC 7301, 3.1: the length is one byte.
    const length = new TextEncoder().encode(protocol).length;
    if (length <= 255) return;
    throw new TypeError(`${method}: ${prefix}alpnProtocols[${i}] must have at most 255 bytes, got ${length} bytes`);
  });
  const { requestCert } = options;
  if (requestCert !== undefined && typeof requestCert !== "boolean" && requestCert !== "optional") {
    throw new TypeError(
      `${method}: ${prefix}requestCert must be a boolean or "optional", got ${describe(requestCert)}`,
    );
  }
  checkBoolean(method, `${prefix}rejectUnauthorized`, options.rejectUnauthorized);
  if ((cert === undefined) !== (key === undefined)) {
    const [given, missing] = cert === undefined ? ["key", "cert"] : ["cert", "key"];
    throw new TypeError(`${method}: ${prefix}${given} requires ${prefix}${missing}`);
  }
  checkOpensslOptions(options, method, prefix);
  checkOneOf(method, `${prefix}minVersion`, minVersion, VERSIONS);
  checkOneOf(method, `${prefix}maxVersion`, maxVersion, VERSIONS);
  if (minVersion > maxVersion) {
    throw new RangeError(
      `${method}: ${prefix}minVersion ${minVersion} is newer than ${prefix}maxVersion ${maxVersion}`,
    );
  }
  if (ciphers?.split(":").some((name) => !/^[A-Z0-9_-]+$/.test(name))) {
    const what = "names of cipher suites separated by colons";
    throw new TypeError(`${method}: ${prefix}ciphers must be ${what}, got ${describe(ciphers)}`);
  }
  if (options.requestCert && options.rejectUnauthorized !== false && (options.caCerts ?? []).length === 0) {
    const reason = "without them every client would be rejected";
    throw new TypeError(`${method}: ${prefix}requestCert requires ${prefix}caCerts; ${reason}`);
  }
  checkSessionTickets(method, `${prefix}sessionTickets`, options.sessionTickets);
  if (sni !== undefined) checkFunction(method, `${prefix}sni`, sni, "a function that returns a TlsContext or null");
}
