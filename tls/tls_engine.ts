/**
 * The seam between a TLS handle and what does TLS: ciphertext in, cleartext out, and the other way round, with no
 * socket in sight.
 *
 * @module
 */
import type { SecureContext } from "./node/node_tls.ts";
import type { Authorities } from "./node/authorities.ts";
import type { TlsError } from "./tls_error.ts";
import type { PeerCertificate, TlsCipher } from "../transports/transport.ts";

/** What an engine is made for. */
export interface TlsEngineOptions {
  /** Which side to be. */
  serverSide: boolean;
  /** Certificates and keys. */
  secureContext: SecureContext;
  /** What `secureContext` was made of. */
  credentials: object;
  /** Client: the name that the certificate must have; empty if any name will do. */
  serverHostname: string;
  /** What the connection may be used for. */
  alpnProtocols: string[];
  /** Those of `caCerts`. */
  authorities: Authorities;
  /** Server: ask for a certificate. */
  requestCert: boolean;
  /** Refuse a certificate that cannot be verified. */
  rejectUnauthorized: boolean;
  /** The cipher suites to accept, with colons between. */
  ciphers: string | undefined;
  /** Server: finds another context by name; `null` for the first one. */
  sni: ((serverName: string) => Promise<SecureContext | null>) | undefined;
}

/** Where an engine delivers. */
export interface TlsEngineSink {
  /** Ciphertext for the other side, the sink's from now on. */
  ciphertext(data: Uint8Array): void;
  /** Cleartext that comes later than the `decrypt` it belongs to, the sink's from now on. */
  cleartext(data: Uint8Array): void;
  /** The other side has said that it sends nothing more. */
  ended(): void;
  /** Waits for `sni`, or goes on: what is received meanwhile only piles up. */
  choosing(pending: boolean): void;
  /** The handshake is done, and the other side is who it should be. */
  ready(): void;
  /** It is over; what `ciphertext` was given still says so to the other side. */
  failed(error: Error): void;
}

/** What an engine knows after the handshake. */
export interface TlsSession {
  /** How the bytes are encrypted; `null` where that is unknown. */
  cipher: TlsCipher | null;
  /** The other side's certificate. */
  peercert: PeerCertificate | null;
  /** What both have agreed to speak. */
  alpnProtocol: string | null;
}

/** One side of a TLS connection. None of its methods throws. */
export interface TlsEngine {
  /** What does the work, for `getExtraInfo("sslObject")`. */
  readonly sslObject: object;
  /** Begins the handshake. Called once, before anything else. */
  start(): void;
  /**
   * Takes ciphertext.
   *
   * @param data The bytes; the caller's again afterwards.
   * @returns The cleartext, the caller's, or `null` if there is none, or it comes by `sink.cleartext`.
   */
  decrypt(data: Uint8Array): Uint8Array | null;
  /**
   * Takes cleartext, after the handshake.
   *
   * @param data The bytes; the caller's again when the result is there.
   * @returns The ciphertext, the caller's, or a promise that resolves when `sink.ciphertext` has had all of it.
   */
  encrypt(data: Uint8Array): Uint8Array | Promise<void>;
  /** Sends close_notify. */
  closeNotify(): void | Promise<void>;
  /** Tells what is known after the handshake. */
  session(): TlsSession & { cipher: TlsCipher };
  /** Frees what it holds. Nothing is called afterwards but, at most, `failed`. */
  destroy(): void;
}

/**
 * As much of a ClientHello as is given to Deno at a time where an `SNICallback` waits for it. Of more it would leave the
 * rest unread (`process_acceptor` in its ext/node/ops/tls_wrap.rs): 4096 does for 14 KB, this for 30.
 */
export const HELLO_SLICE = 2048;

/** The alerts of RFC 8446, 6.2, for what can be wrong; bad_certificate for all else. */
const ALERTS: Partial<Record<TlsError["code"], number>> = {
  CERTIFICATE_EXPIRED: 45,
  CERTIFICATE_NOT_YET_VALID: 45,
  UNKNOWN_ISSUER: 48,
  NO_SHARED_VERSION: 71,
  NO_CLIENT_CERTIFICATE: 116,
  FAILED: 80,
};

/**
 * Makes an alert that is not encrypted. In TLS 1.3 it should be from a client's second message on (RFC 8446, 5), but
 * peers accept it, and know why the handshake failed.
 *
 * @param code What is wrong.
 * @param alert The alert, where it is not the usual one.
 * @returns A whole record.
 */
export function plainAlert(code: TlsError["code"], alert = ALERTS[code] ?? 42): Uint8Array {
  // A record of type alert, version 1.2 as all records are marked, two bytes long: fatal, and the reason.
  return new Uint8Array([21, 3, 3, 0, 2, 2, alert]);
}
