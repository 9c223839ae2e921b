/**
 * Whom to trust and who to be: what TLS connections are made with.
 *
 * @module
 */
import { checkOptions } from "../check_options.ts";
import { checkBoolean, checkFunction, checkOneOf, checkString, checkStrings } from "../checks.ts";
import { describe } from "../errors.ts";
import type { NodeTls, SecureContext } from "./node/node_tls.ts";
import type { Authorities, Root } from "./node/authorities.ts";
import { TlsError } from "./tls_error.ts";
import { checkMaterial } from "./node/material.ts";
import { CLIENT_PURPOSE, type Purpose, SERVER_PURPOSE } from "./node/purpose.ts";

/** A version of TLS; Deno has these two. */
export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** Whom to trust and who to be. */
export interface TlsContextOptions {
  /**
   * Certificates of authorities, PEM, each self-signed and with `CA:TRUE`. A client trusts them and those that Deno
   * trusts (with `--cert` and `DENO_CERT`); a server trusts them alone, and needs them for `requestCert`. One that is not
   * valid today, or not an authority's, is not used: the error of a handshake that fails says so.
   *
   * @default {[]}
   */
  caCerts?: string[] | undefined;
  /**
   * The own certificate, PEM; where an authority below the root has signed it, that one's follows in the same string,
   * and so on. A server needs one, or `sni`.
   */
  cert?: string | undefined;
  /** The private key of `cert`, PEM, without a password. */
  key?: string | undefined;
  /**
   * What the connection may be used for (ALPN), for example `["h2", "http/1.1"]`. The first of the server's that the
   * client has, too, is agreed upon: see `alpnProtocol` of `getExtraInfo`. If both name some and share none, the
   * handshake fails; a side that names none speaks as it likes.
   *
   * @default {[]} nothing is said
   */
  alpnProtocols?: string[] | undefined;
  /**
   * Server: ask the client for a certificate, signed by one of `caCerts` (mutual TLS). In TLS 1.3 a client's handshake
   * is done before the server has judged: a client that is refused learns it in `connectionLost`.
   *
   * @default {false}
   */
  requestCert?: boolean | undefined;
  /**
   * Refuse a certificate that cannot be verified, or is for another name, or a client that has none though it was
   * asked. With `false` anybody can be on the other side: look at `peercert` yourself.
   *
   * @default {true}
   */
  rejectUnauthorized?: boolean | undefined;
  /**
   * The oldest version to speak.
   *
   * @default {"TLSv1.2"}
   */
  minVersion?: TlsVersion | undefined;
  /**
   * The newest version to speak.
   *
   * @default {"TLSv1.3"}
   */
  maxVersion?: TlsVersion | undefined;
  /**
   * The cipher suites to accept, with colons between, as `cipher` of `getExtraInfo` names them. Deno offers all that
   * it has whatever this says; a connection that has agreed on another one is refused after the handshake.
   *
   * @default {undefined} all that Deno has, which are all fit for use
   */
  ciphers?: string | undefined;
  /**
   * Server: choose the context of a connection by the name that the client asks for.
   *
   * @param serverName The name; `""` where the client sends none.
   * @returns The context whose certificate and versions are used, or `null` for this one. Versions that it does not
   * set, and everything else, `caCerts` and `requestCert` with it, stay this one's.
   */
  sni?: ((serverName: string) => TlsContext | null | Promise<TlsContext | null>) | undefined;
}

/** All versions, the oldest first. */
const VERSIONS: readonly TlsVersion[] = ["TLSv1.2", "TLSv1.3"];

/** What the engines make of a context's options. */
export interface TlsMaterial {
  /** The options; replaced, never changed, by `reload()`. */
  options: TlsContextOptions;
  /** What `node:tls` has made of them for each side, and the authorities among them that could be trusted then. */
  made: { client?: Made; server?: Made };
  /** Those of `caCerts`; `null` before certificates and keys have been found to be good. */
  authorities: Authorities | null;
}

/** What each context is made of. Not a field of the class, so that `transports/transport.ts` can name its type. */
const materials = new WeakMap<TlsContext, TlsMaterial>();
/** The last `reload()` of each. */
const reloading = new WeakMap<TlsContext, Promise<void>>();

/**
 * Whom to trust and who to be, for any number of connections, and replaceable while a server runs.
 *
 * @example A server that changes its certificate without dropping anybody
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
 * // What cannot be read goes to the exception handler; the old certificate stays.
 * loop.addSignalHandler("SIGHUP", async () => await context.reload(await read()));
 * ```
 */
export class TlsContext {
  /**
   * Makes a context. Certificates and keys are parsed when it is first used, or at {@linkcode load}.
   *
   * @param options Whom to trust and who to be.
   * @throws {TypeError} If an option is unknown or of the wrong kind, or only one of `cert` and `key` is given.
   * @throws {RangeError} If `minVersion` is newer than `maxVersion`.
   */
  constructor(options: TlsContextOptions = {}) {
    checkOptions("new TlsContext()", options, KNOWN);
    checkContextOptions(options, "new TlsContext()");
    materials.set(this, { options: pickContextOptions(options), made: {}, authorities: null });
  }

  /**
   * Parses the certificates and keys.
   *
   * @returns A promise that resolves when they are found to be good.
   * @throws {TypeError} If one cannot be read, or the key is not the certificate's.
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
    const material = materialOf(this);
    material.authorities ??= await checkMaterial(material.options);
  }

  /**
   * Replaces options for the connections to come; those that exist are left alone. If something is wrong with the new
   * options, nothing changes. What is left out, or `undefined`, stays as it is.
   *
   * @param options What changes; the rest stays.
   * @returns A promise that resolves when the new options are in force.
   * @throws {TypeError} If an option is unknown or of the wrong kind, a certificate or key cannot be read, or the key is
   * not the certificate's.
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
    // One after the other, or the second would undo what the first changes.
    const last = reloading.get(this) ?? Promise.resolve();
    const next = last.catch(() => {}).then(() => replace(this, options));
    reloading.set(this, next);
    return next;
  }
}

async function replace(context: TlsContext, options: TlsContextOptions): Promise<void> {
  checkOptions("reload()", options, KNOWN);
  const next = { ...materialOf(context).options, ...pickContextOptions(options) };
  checkContextOptions(next, "reload()");
  const authorities = await checkMaterial(next);
  const { authorities: former } = materialOf(context);
  if (former !== null) authorities.inherit(former);
  materials.set(context, { options: next, made: {}, authorities });
}

/**
 * Gives what a context is made of now.
 *
 * @param context The context.
 * @returns Its material.
 */
export function materialOf(context: TlsContext): TlsMaterial {
  return materials.get(context)!;
}

/** What was made once. */
interface Made {
  credentials: Credentials;
  roots: Root[];
}

/** What a connection is made with. */
export interface Credentials {
  /** What `node:tls` has made of them. */
  secureContext: SecureContext;
  /** What that was made of. */
  credentials: object;
}

/**
 * Gives what `node:tls` makes of a context for a client.
 *
 * @param tls The module.
 * @param material The context's material.
 * @returns The same object until the context is reloaded.
 */
export function clientContext(tls: NodeTls, material: TlsMaterial): Credentials {
  return cached(material, "client", SERVER_PURPOSE, (roots) => makeClientContext(tls, material.options, roots));
}

/** Makes it anew where an authority has expired, or has become valid, since. */
function cached(
  material: TlsMaterial,
  side: "client" | "server",
  purpose: Purpose,
  make: (roots: Root[]) => Credentials,
): Credentials {
  const roots = material.authorities!.usable(purpose);
  const made = material.made[side];
  const isCurrent = made?.roots.length === roots.length && roots.every((root, i) => root === made.roots[i]);
  if (isCurrent) return made.credentials;
  const credentials = make(roots);
  material.made[side] = { credentials, roots };
  return credentials;
}

function makeClientContext(tls: NodeTls, options: TlsContextOptions, roots: Root[]): Credentials {
  const caCerts = roots.map(({ pem }) => pem);
  const made = makeCredentials(tls, identity(options));
  const { context } = made.secureContext;
  if (context.addCACert === undefined || hasForeignDefaults(tls)) {
    // The documented way: `ca` replaces Deno's own, so they are named, which costs some milliseconds a connection.
    return makeCredentials(tls, { ...identity(options), ca: [...tls.getCACertificates("bundled"), ...caCerts] });
  }
  // Added one by one they come on top of Deno's own. The first adds nothing, but keeps Deno from resuming a session
  // that other code in this process has begun with the same server, and without verifying it (`is_default_path` in its
  // ext/node/ops/tls_wrap.rs).
  for (const pem of ["none", ...caCerts]) context.addCACert(pem);
  return made;
}

/** The list of authorities that was looked at last, and what was found. */
let defaults: { list: string[]; areForeign: boolean } | null = null;

/**
 * Reports whether code in this process has had `tls.setDefaultCACertificates()` trust an authority that Deno was not
 * told to trust when it was started. A client of ours does not. Looked up once, in 15 ms, and again after a change; it
 * takes a permission, `--allow-sys=ca`, without which the list cannot be seen.
 */
function hasForeignDefaults(tls: NodeTls): boolean {
  const permission = { name: "sys", kind: "ca" } as unknown as Deno.PermissionDescriptor;
  if (Deno.permissions.querySync(permission).state !== "granted") return false;
  const list = tls.getCACertificates("default");
  if (defaults?.list !== list) {
    const known = new Set([...tls.getCACertificates("bundled"), ...tls.getCACertificates("extra")]);
    let areForeign = list.some((pem) => !known.has(pem));
    if (areForeign) {
      for (const pem of tls.getCACertificates("system")) known.add(pem);
      areForeign = list.some((pem) => !known.has(pem));
    }
    defaults = { list, areForeign };
  }
  return defaults.areForeign;
}

function makeCredentials(tls: NodeTls, credentials: object): Credentials {
  return { secureContext: tls.createSecureContext(credentials), credentials };
}

/**
 * Gives what `node:tls` makes of a context for a server.
 *
 * @param tls The module.
 * @param material The context's material.
 * @returns The same object until the context is reloaded.
 */
export function serverContext(tls: NodeTls, material: TlsMaterial): Credentials {
  return cached(material, "server", CLIENT_PURPOSE, () => chosenContext(tls, material, material));
}

/**
 * Gives the same for the context that `sni` has chosen. Versions that it does not set are the server's own.
 *
 * @param tls The module.
 * @param material The server's own material, which says whom to trust.
 * @param chosen The material of the chosen one, which says who to be.
 * @returns An object for one connection.
 * @throws {TlsError} If the versions of the two have none in common.
 */
export function chosenContext(tls: NodeTls, material: TlsMaterial, chosen: TlsMaterial): Credentials {
  const { requestCert, minVersion, maxVersion } = material.options;
  const { minVersion: lowest = minVersion, maxVersion: highest = maxVersion } = chosen.options;
  if (lowest !== undefined && highest !== undefined && lowest > highest) {
    // Deno says nothing of it, and does not go on.
    const message = `TLS: minVersion ${lowest} and maxVersion ${highest}, of a server and of what its sni has chosen`;
    throw new TlsError("NO_SHARED_VERSION", `${message}, leave none`);
  }
  const own = identity({ ...chosen.options, minVersion: lowest, maxVersion: highest });
  // Only where it is needed, for node:tls sends what it is given as `ca` to every client, behind the own certificate.
  const roots = material.authorities!.usable(CLIENT_PURPOSE);
  return makeCredentials(tls, { ...own, ...requestCert && { ca: roots.map(({ pem }) => pem) } });
}

/** Who to be, in the terms of `node:tls`. */
function identity({ cert, key, minVersion = "TLSv1.2", maxVersion = "TLSv1.3" }: TlsContextOptions): object {
  return { minVersion, maxVersion, ...cert !== undefined && { cert }, ...key !== undefined && { key } };
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
] as const satisfies readonly (keyof TlsContextOptions)[];

const KNOWN: ReadonlySet<string> = new Set(CONTEXT_OPTIONS);

/**
 * Leaves out what does not belong to a context.
 *
 * @param options Options that may have others besides.
 * @returns Those that are a context's, and are set.
 */
export function pickContextOptions(options: TlsContextOptions): TlsContextOptions {
  const picked: Record<string, unknown> = {};
  for (const name of CONTEXT_OPTIONS) if (options[name] !== undefined) picked[name] = options[name];
  return picked;
}

/**
 * Throws unless the values of options are those of a context. Unknown options are not its concern.
 *
 * @param options The options.
 * @param method The method that was called, for messages.
 * @param prefix What stands before each option in a message.
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
  for (const name of ["requestCert", "rejectUnauthorized"] as const) checkBoolean(method, prefix + name, options[name]);
  if ((cert === undefined) !== (key === undefined)) {
    const [given, missing] = cert === undefined ? ["key", "cert"] : ["cert", "key"];
    throw new TypeError(`${method}: ${prefix}${given} requires ${prefix}${missing}`);
  }
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
  if (sni !== undefined) checkFunction(method, `${prefix}sni`, sni, "a function that returns a TlsContext or null");
}
