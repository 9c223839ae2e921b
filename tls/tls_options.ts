/**
 * The options of TLS, and what they come to.
 *
 * @module
 */
import { describe } from "../errors.ts";
import { CONTEXT_OPTIONS, materialOf, pickContextOptions, TlsContext, type TlsContextOptions } from "./tls_context.ts";
import { checkHostname, checkTimeout } from "../checks.ts";

/** asyncio's SSL_HANDSHAKE_TIMEOUT, in milliseconds. */
export const HANDSHAKE_TIMEOUT = 60_000;
/** asyncio's SSL_SHUTDOWN_TIMEOUT, in milliseconds. */
export const SHUTDOWN_TIMEOUT = 30_000;
/** How many handshakes of a server may be under way: some 50 KiB each, 50 MiB in all. */
export const MAX_HANDSHAKES = 1000;

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
   * How long the handshake may take, in milliseconds, before it fails with a `TimeoutError`. `startTls` counts from the
   * call, what was written before included.
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
   * Server: how many handshakes may be under way at once. Each takes some 50 KiB of memory until it ends. If one more
   * begins, the oldest is given up, so that peers who stall do not keep others out.
   *
   * @default {1000}
   */
  maxHandshakes?: number | undefined;
}

/** All of them; a misspelled one could mean a door left open. `startTls` has one more. */
const KNOWN_OPTIONS: ReadonlySet<string> = new Set([
  ...CONTEXT_OPTIONS,
  "context",
  "serverHostname",
  "handshakeTimeout",
  "shutdownTimeout",
  "maxHandshakes",
  "serverSide",
]);

/** Options that have been checked. */
export interface TlsPlan {
  context: TlsContext;
  serverSide: boolean;
  /** Empty on a server, and where a client verifies nothing. */
  serverHostname: string;
  handshakeTimeout: number;
  shutdownTimeout: number;
  maxHandshakes: number;
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
  checkCount(options.maxHandshakes, "maxHandshakes");
  const context = contextOf(options);
  const { cert, sni, rejectUnauthorized } = materialOf(context).options;
  if (serverSide && cert === undefined && sni === undefined) {
    throw new TypeError("tls: a server must have cert and key, or sni");
  }
  const { serverHostname = hostname } = options;
  if (!serverSide && serverHostname === undefined && rejectUnauthorized !== false) {
    const message = "serverHostname must be given where no hostname is: the server's certificate must be for it";
    throw new TypeError(`${message} (or serverSide: true, to be the server)`);
  }
  return {
    context,
    serverSide,
    serverHostname: serverSide || serverHostname === undefined ? "" : toServerName(serverHostname),
    handshakeTimeout: options.handshakeTimeout ?? HANDSHAKE_TIMEOUT,
    shutdownTimeout: options.shutdownTimeout ?? SHUTDOWN_TIMEOUT,
    maxHandshakes: options.maxHandshakes ?? MAX_HANDSHAKES,
  };
}

function checkCount(count: unknown, name: string): void {
  if (count === undefined || Number.isSafeInteger(count) && (count as number) > 0) return;
  const message = `${name} must be a whole number from 1, got ${describe(count)}`;
  throw typeof count === "number" ? new RangeError(message) : new TypeError(message);
}

/** Puts a host's name in the one form that is sent, and compared to the certificate's. */
function toServerName(hostname: string): string {
  checkHostname(hostname, "serverHostname");
  const bare = hostname.replace(/^\[(.*)\]$/, "$1");
  // What a URL has beside a host would be taken for part of one: é@other.test is not the host other.test.
  let name = /[@/?#\\\s]/.test(bare) ? "" : bare;
  // deno-lint-ignore no-control-regex -- all of ASCII
  if (/[^\x00-\x7f]/.test(name)) {
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
