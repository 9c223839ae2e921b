/**
 * What lets a client resume a session of a server.
 *
 * A ticket has the client's certificate, and OpenSSL does not verify it again. So a server that verifies clients writes into
 * each ticket which CA was at the end of the path, and until when all of its certificates are valid. A session is resumed only if
 * that CA is still trusted, and nothing has expired. Otherwise there is a full handshake, in which the client is verified anew.
 */
import type { TlsSettings } from "../../transports/tls_provider.ts";
import type { Libssl, Pointer } from "./libssl.ts";
import { sha256 } from "./sha256.ts";
import type { TicketKeys } from "./ticket_keys.ts";

/** A time in milliseconds, and a digest. */
const APPDATA_BYTES = 8 + 32;

/** Options that do not decide whether a session may be resumed, or decide it when a client wants to. */
const FREE: ReadonlySet<string> = new Set([
  ...[
    "caCerts",
    "cert",
    "key",
    "pfx",
    "passphrase",
    "alpnProtocols",
    "sni",
    "sessionTickets",
    "ocspResponse",
    "keylog",
  ],
]);

/** Writes settings as a text: the same for the same settings. `omitted`: names that are left out. */
export function settingsText(settings: TlsSettings, omitted: ReadonlySet<string> = new Set()): string {
  const entries = Object.entries(settings).filter(([name]) => !omitted.has(name)).sort(([a], [b]) => a < b ? -1 : 1);
  return JSON.stringify(entries, (_, value) => value instanceof Uint8Array ? value.toHex() : value);
}

/**
 * Returns what a session belongs to (`SSL_CTX_set_session_id_context`): settings with the same rules for clients, and the same
 * certificate. With other ones there is a full handshake.
 */
export function sessionScope(lib: Libssl, settings: TlsSettings, cert: Uint8Array | null): Uint8Array<ArrayBuffer> {
  return sha256(lib, new TextEncoder().encode(`${settingsText(settings, FREE)} ${cert?.toHex()}`));
}

/** Returns the scope of a name that a client has requested, of a server with `sni`. `cert`: the certificate that it gets. */
export function nameScope(lib: Libssl, scope: Uint8Array, name: string, cert: Uint8Array): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(`${scope.toHex()} ${cert.toHex()} ${name.toLowerCase()}`);
  return sha256(lib, text);
}

/** Writes into the tickets of a connection how its client was verified. `expires`: in milliseconds. `root`: its DER. */
export function rememberClient(lib: Libssl, ssl: Pointer, expires: number, root: Uint8Array): void {
  const session = lib.SSL_get_session(ssl);
  if (session === null) return;
  const data = new Uint8Array(APPDATA_BYTES);
  new DataView(data.buffer).setFloat64(0, expires);
  data.set(sha256(lib, root), 8);
  lib.SSL_SESSION_set1_ticket_appdata(session, data, BigInt(data.length));
}

/** What a connection of a server asks about sessions. */
export interface ServerSessions {
  /** The keys of tickets. */
  readonly keys: TicketKeys;
  /** Reports whether the client of a session may resume it. */
  mayResume(session: Pointer): boolean;
}

const address = new BigUint64Array(1);
const length = new BigUint64Array(1);

/**
 * Reports whether the client of a session is still one that a server accepts.
 *
 * @param requestCert The server's option.
 * @param isTrusted Reports whether a CA with this digest is trusted now.
 */
export function isClientKnown(
  lib: Libssl,
  session: Pointer,
  requestCert: TlsSettings["requestCert"],
  isTrusted: (root: Uint8Array) => boolean,
): boolean {
  if (lib.SSL_SESSION_get0_peer(session) === null) return requestCert !== true;
  address[0] = length[0] = 0n;
  if (lib.SSL_SESSION_get0_ticket_appdata(session, address, length) !== 1) return false;
  const pointer = Deno.UnsafePointer.create(address[0]!);
  if (pointer === null || length[0] !== BigInt(APPDATA_BYTES)) return false;
  const data = Deno.UnsafePointerView.getArrayBuffer(pointer, APPDATA_BYTES);
  return new DataView(data).getFloat64(0) > Date.now() && isTrusted(new Uint8Array(data, 8));
}
