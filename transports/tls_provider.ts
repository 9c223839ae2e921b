/**
 * The seam below TLS. A provider creates an engine for each connection. An engine encrypts and decrypts, and has no socket.
 */
import type { StreamHandle } from "./stream_handle.ts";
import type { OpensslSettings } from "./openssl_settings.ts";
import type { PeerCertificate, TlsCipher } from "./transport.ts";

/** A version of TLS. */
export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** The certificates that a side of TLS trusts, its own certificate, and what it negotiates. */
export interface TlsSettings extends OpensslSettings {
  /**
   * Certificates of trusted CAs, PEM, each self-signed and with `CA:TRUE`. A client trusts them and the CAs that Deno
   * trusts (with `--cert` and `DENO_CERT`). A server trusts them alone, and requires them for `requestCert`. A CA
   * certificate that is not valid today is not used; the error of a handshake that fails says so.
   *
   * @default {[]}
   */
  caCerts?: string[] | undefined;
  /**
   * This side's certificate, PEM, followed by the certificates of the intermediate CAs, if there are any. A server
   * requires it, or `sni`.
   */
  cert?: string | undefined;
  /** The private key of `cert`, PEM. OpenSSL also takes an encrypted one, with its `passphrase`. */
  key?: string | undefined;
  /**
   * The application protocols to negotiate (ALPN), such as `["h2", "http/1.1"]`. The first protocol of the server that
   * the client supports is selected: see `alpnProtocol` of `getExtraInfo`. If both sides name protocols and have none in
   * common, the handshake fails.
   *
   * @default {[]} ALPN is not used
   */
  alpnProtocols?: string[] | undefined;
  /**
   * Server: request a certificate from the client, signed by one of `caCerts` (mutual TLS). In TLS 1.3, the handshake of
   * a client completes before the server has verified the certificate: if the server rejects it, the client gets the
   * error in `connectionLost`. With `"optional"`, which only OpenSSL has, a client may have none; if it has one, it is
   * verified (Python's `CERT_OPTIONAL`).
   *
   * @default {false}
   */
  requestCert?: boolean | "optional" | undefined;
  /**
   * Reject a certificate that cannot be verified or is for another name, and a client without a certificate if
   * `requestCert` is set. With `false`, the peer can be anyone: check `peercert` yourself.
   *
   * @default {true}
   */
  rejectUnauthorized?: boolean | undefined;
  /**
   * The oldest version to negotiate.
   *
   * @default {"TLSv1.2"}
   */
  minVersion?: TlsVersion | undefined;
  /**
   * The newest version to negotiate.
   *
   * @default {"TLSv1.3"}
   */
  maxVersion?: TlsVersion | undefined;
  /**
   * The cipher suites to accept, separated by colons, named as in `cipher` of `getExtraInfo`. OpenSSL negotiates one of
   * them, in this order of preference. Deno always offers all of its cipher suites; a connection that has negotiated
   * another one is rejected after the handshake.
   *
   * @default {undefined} all cipher suites of Deno, which are all secure
   */
  ciphers?: string | undefined;
  /**
   * Resume sessions, so that a later connection of the same client takes less time. With OpenSSL, a server gives each
   * client tickets, and a client keeps them, and offers one to a server that it has verified before by the same name,
   * port and settings; with `false`, each handshake is a full one. With `node:tls`, a server gives tickets and a client
   * resumes nothing, and `false` and an object are `Deno.errors.NotSupported`.
   *
   * @default {true}
   */
  sessionTickets?: boolean | SessionTicketOptions | undefined;
}

/** How a server makes session tickets. */
export interface SessionTicketOptions {
  /**
   * The keys that encrypt tickets, of 80 secret random bytes each, as nginx's `ssl_session_ticket_key` has them. Servers
   * with the same keys, certificate and settings accept each other's tickets. The first key makes new tickets, and the
   * others are accepted too: to rotate, `reload()` with a new key in front, and without the oldest one.
   *
   * @default {undefined} keys of the process alone, which are replaced every 12 hours
   */
  keys?: Uint8Array[] | undefined;
  /**
   * How many tickets a client gets in each handshake of TLS 1.3, in which each ticket is used once.
   *
   * @default {2}
   */
  count?: number | undefined;
}

/** This side of one connection: its settings, its role, and the name that it verifies. */
export interface TlsSide {
  /** The settings, which the provider has loaded. */
  settings: TlsSettings;
  /** Whether this side is the server in the handshake. */
  serverSide: boolean;
  /** Client: the name or address that the server's certificate must be for; `""` to accept any name. */
  serverHostname: string;
  /** The other side's address, as far as it is known. */
  peername?: Deno.Addr | null | undefined;
  /**
   * Server: selects other settings by the name that the client requests (SNI), `""` if it requests none.
   *
   * @returns Settings that the provider has loaded, for `cert`, `key` and the versions; `null` for `settings`.
   */
  sni: ((serverName: string) => Promise<TlsSettings | null>) | undefined;
}

/** An implementation of TLS. */
export interface TlsProvider {
  /** A short name, such as `"node:tls"`, which debug mode reports. */
  readonly name: string;
  /**
   * Parses certificates and keys. Called before `open`, and again for the same settings, which must then cost nothing.
   *
   * @param settings The settings, which never change.
   * @param former The settings that these replace for new connections (`reload()`). Sessions that began with them may be
   * resumed if these trust the same CAs.
   * @returns A promise that resolves when they have been parsed.
   * @throws {TypeError} If a certificate or key cannot be parsed, or the key does not belong to the certificate.
   */
  load(settings: TlsSettings, former?: TlsSettings): Promise<void>;
  /**
   * Creates the engine of one connection, before its handshake.
   *
   * @param sink The receiver of the engine's output.
   * @param side This side of the connection.
   * @returns The engine.
   * @throws {Deno.errors.NotSupported} If this provider does not support a setting of `side`.
   */
  open(sink: TlsEngineSink, side: TlsSide): TlsEngine;
}

/** The receiver of an engine's output. Never throws. */
export interface TlsEngineSink {
  /** Delivers ciphertext for the peer. The sink owns it from now on. */
  ciphertext(data: Uint8Array): void;
  /** Delivers cleartext later than the `decrypt()` that it belongs to. The sink owns it from now on. */
  cleartext(data: Uint8Array): void;
  /** Reports that the peer has sent close_notify. */
  ended(): void;
  /** Reports that the engine waits for `sni` (`true`) or goes on (`false`). While it waits, `decrypt` is not called. */
  choosing(pending: boolean): void;
  /** Reports that the handshake is complete, and the peer is verified. */
  ready(): void;
  /** Reports that the connection has failed. The alert was passed to `ciphertext` before. */
  failed(error: Error): void;
  /** Passes an error that does not end the connection to the exception handler: a function of the program has thrown it. */
  report(message: string, error: Error): void;
}

/** The results of a handshake. */
export interface TlsSession {
  /** The negotiated cipher suite; `null` if it is unknown. */
  cipher: TlsCipher | null;
  /** The peer's certificate; `null` if the peer has sent none. */
  peercert: PeerCertificate | null;
  /** The application protocol that was negotiated, if any. */
  alpnProtocol: string | null;
}

/** One side of a TLS connection. Its methods never throw. */
export interface TlsEngine {
  /** The value of `getExtraInfo("sslObject")`. */
  readonly sslObject: object;
  /** Starts the handshake. Called once, before anything else. */
  start(): void;
  /**
   * Decrypts.
   *
   * @param data The ciphertext; the caller's again when this returns.
   * @returns The cleartext, which the caller owns; `null` if there is none, or if it is delivered by `sink.cleartext`.
   */
  decrypt(data: Uint8Array): Uint8Array | null;
  /**
   * Encrypts. Called after the handshake, and not while an earlier result is pending.
   *
   * @param data The cleartext; the caller's again when the result is available.
   * @returns The ciphertext, which the caller owns, or a promise that resolves when all ciphertext was passed to
   * `sink.ciphertext`.
   */
  encrypt(data: Uint8Array): Uint8Array | Promise<void>;
  /** Makes a close_notify for the peer. */
  closeNotify(): void | Promise<void>;
  /**
   * Makes a handle that takes the place of this engine after the handshake, because it can use the socket itself. An engine
   * that has no such way does not implement it.
   *
   * @param lower The handle that carries the ciphertext.
   * @param early Cleartext that has arrived already.
   * @param shutdownTimeout How long closing may take, in milliseconds.
   * @returns The handle, which owns `lower` and this engine; `null` if it cannot be made for `lower`.
   */
  direct?(lower: StreamHandle, early: Uint8Array[], shutdownTimeout: number): StreamHandle | null;
  /** Returns the results of the handshake. */
  session(): TlsSession;
  /** Frees the engine's resources. Afterwards, the engine may only call `failed` of the sink. */
  destroy(): void;
}
