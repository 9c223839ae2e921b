/** The options of TLS. */
import { describe } from "../errors.ts";
import { checkOptions, namesOf } from "../check_options.ts";
import { checkBoolean, checkHostname, checkInteger, checkTimeout } from "../checks.ts";
import { hasIdentity, OPENSSL_OPTIONS } from "./openssl_options.ts";
import {
  checkContextOptions,
  optionsOf,
  pickContextOptions,
  TlsContext,
  type TlsContextOptions,
} from "./tls_context.ts";

/** asyncio's SSL_HANDSHAKE_TIMEOUT, in milliseconds. */
export const HANDSHAKE_TIMEOUT = 60_000;
/** asyncio's SSL_SHUTDOWN_TIMEOUT, in milliseconds. */
export const SHUTDOWN_TIMEOUT = 30_000;
/** How many handshakes of a server may be under way: about 50 KiB each, 50 MiB in total. */
export const MAX_HANDSHAKES = 1000;

/** The options of TLS of a connection or server. */
export interface TlsOptions extends TlsContextOptions {
  /**
   * A context that other connections use as well and that can be reloaded. It replaces all options of
   * {@linkcode TlsContextOptions}: none of them can be given with it.
   *
   * @default {undefined} a new context of these options
   */
  context?: TlsContext | undefined;
  /**
   * Client: the name or address that the server's certificate must be for. A name is also sent to the server (SNI).
   *
   * @default {hostname} of the connection; required with `{ conn }`, on a Unix socket and for `startTls`
   */
  serverHostname?: string | undefined;
  /**
   * How long the handshake may take, in milliseconds, before it fails with a `TimeoutError`. `startTls` counts from the
   * call, and includes the time to send what was written before.
   *
   * @default {60000}
   */
  handshakeTimeout?: number | undefined;
  /**
   * How long `close()` may take to flush and to receive the peer's close_notify, in milliseconds, before it becomes an
   * abort with a `TimeoutError`.
   *
   * @default {30000}
   */
  shutdownTimeout?: number | undefined;
  /**
   * Server: how many handshakes may be under way at once. Each takes about 50 KiB of memory until it ends. If one more
   * begins, the oldest is aborted, so that peers that stall do not keep others out.
   *
   * @default {1000}
   */
  maxHandshakes?: number | undefined;
}

/** The names of the options of {@linkcode TlsOptions}. */
const TLS_OPTIONS = namesOf<TlsOptions>({
  caCerts: true,
  cert: true,
  key: true,
  alpnProtocols: true,
  requestCert: true,
  rejectUnauthorized: true,
  minVersion: true,
  maxVersion: true,
  ciphers: true,
  sni: true,
  sessionTickets: true,
  ...OPENSSL_OPTIONS,
  context: true,
  serverHostname: true,
  handshakeTimeout: true,
  shutdownTimeout: true,
  maxHandshakes: true,
});
/** Those of `startTls()`. */
const UPGRADE_OPTIONS: ReadonlySet<string> = new Set([...TLS_OPTIONS, "serverSide", "readAhead"]);

/** What to suggest for an option of TLS that is given next to `tls`, not in it. */
export const MISPLACED_OPTIONS: Readonly<Record<string, string>> = Object.fromEntries(
  [...TLS_OPTIONS].map((name) => [name, `tls.${name}`]),
);

/** Options that have been checked. */
export interface TlsPlan {
  context: TlsContext;
  serverSide: boolean;
  /** `""` on a server, and on a client that verifies no name. */
  serverHostname: string;
  handshakeTimeout: number;
  shutdownTimeout: number;
  maxHandshakes: number;
}

/** Checks the option `tls`. Returns the plan; `null` for no TLS. */
export function planTls(
  method: string,
  tls: boolean | TlsOptions | TlsContext | undefined,
  serverSide: boolean,
  hostname?: string,
): TlsPlan | null {
  if (tls === undefined || tls === false) return null;
  if (tls !== true && (typeof tls !== "object" || tls === null)) {
    const what = "a boolean, an object with options or a TlsContext";
    throw new TypeError(`${method}: tls must be ${what}, got ${describe(tls)}`);
  }
  const options: TlsOptions = tls === true ? {} : tls instanceof TlsContext ? { context: tls } : tls;
  checkOptions(method, options, TLS_OPTIONS, { prefix: "tls.", name: "tls" });
  return plan(method, "tls.", options, serverSide, hostname);
}

/** Checks the options of `startTls()`. */
export function planUpgrade(method: string, options: TlsOptions & { serverSide?: boolean | undefined }): TlsPlan {
  checkOptions(method, options, UPGRADE_OPTIONS);
  const { serverSide = false } = options;
  checkBoolean(method, "serverSide", serverSide);
  return plan(method, "", options, serverSide);
}

/** Checks the values of options. In messages, `prefix` stands before their names. */
function plan(method: string, prefix: string, options: TlsOptions, serverSide: boolean, hostname?: string): TlsPlan {
  checkTimeout(method, `${prefix}handshakeTimeout`, options.handshakeTimeout, 1);
  checkTimeout(method, `${prefix}shutdownTimeout`, options.shutdownTimeout);
  if (options.maxHandshakes !== undefined) checkInteger(method, `${prefix}maxHandshakes`, options.maxHandshakes, 1);
  const context = contextOf(options, method, prefix);
  const { sni, rejectUnauthorized } = optionsOf(context);
  if (serverSide && !hasIdentity(optionsOf(context)) && sni === undefined) {
    throw new TypeError(`${method}: a TLS server requires ${prefix}cert and ${prefix}key, or ${prefix}sni`);
  }
  const { serverHostname = hostname } = options;
  if (!serverSide && serverHostname === undefined && rejectUnauthorized !== false) {
    const reason = "the server's certificate is verified for that name";
    const other = prefix === "" ? "; to be the server, set serverSide: true" : "";
    throw new TypeError(`${method}: ${prefix}serverHostname is required without a hostname: ${reason}${other}`);
  }
  return {
    context,
    serverSide,
    serverHostname: serverSide || serverHostname === undefined ? "" : toServerName(serverHostname, method, prefix),
    handshakeTimeout: options.handshakeTimeout ?? HANDSHAKE_TIMEOUT,
    shutdownTimeout: options.shutdownTimeout ?? SHUTDOWN_TIMEOUT,
    maxHandshakes: options.maxHandshakes ?? MAX_HANDSHAKES,
  };
}

/** Returns a host name in the form that is sent and compared with the certificate. */
function toServerName(hostname: string, method: string, prefix: string): string {
  const option = `${prefix}serverHostname`;
  checkHostname(method, option, hostname);
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  // The URL below would drop all but the host: é@other.test is not the host other.test.
  let name = /[@/?#\\\s]/.test(bare) ? "" : bare;
  // deno-lint-ignore no-control-regex -- all of ASCII
  if (/[^\x00-\x7f]/.test(name)) {
    try {
      name = new URL(`https://${bare}`).hostname;
    } catch {
      name = "";
    }
  }
  // Only certificates have wildcards. A name may end with a dot (RFC 1034, 3.1).
  const isName = name.replace(/\.$/, "").split(".").every((label) => /^[^*]{1,63}$/.test(label));
  if (isName) return name;
  throw new TypeError(`${method}: ${option} must be a host name or an IP address, got ${describe(hostname)}`);
}

function contextOf(options: TlsOptions, method: string, prefix: string): TlsContext {
  const { context } = options;
  if (context === undefined) {
    const own = pickContextOptions(options);
    checkContextOptions(own, method, prefix);
    return new TlsContext(own);
  }
  if (!(context instanceof TlsContext)) {
    throw new TypeError(`${method}: ${prefix}context must be a TlsContext, got ${describe(context)}`);
  }
  const [rival] = Object.keys(pickContextOptions(options));
  if (rival !== undefined) {
    throw new TypeError(`${method}: ${prefix}context and ${prefix}${rival} cannot both be given`);
  }
  return context;
}
