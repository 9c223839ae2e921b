import type { TlsErrorCode } from "../tls_error.ts";

/** The alerts of RFC 8446, 6.2, by cause; bad_certificate for all others. */
const ALERTS: Partial<Record<TlsErrorCode, number>> = {
  CERTIFICATE_EXPIRED: 45,
  CERTIFICATE_NOT_YET_VALID: 45,
  UNKNOWN_ISSUER: 48,
  NO_SHARED_VERSION: 71,
  NO_CLIENT_CERTIFICATE: 116,
  FAILED: 80,
};

/**
 * Makes an alert that is not encrypted. In TLS 1.3, a client should encrypt it after its first message (RFC 8446, 5), but
 * peers accept it and can report why the handshake failed.
 */
export function plainAlert(code: TlsErrorCode, alert = ALERTS[code] ?? 42): Uint8Array {
  // A record of type alert, with the version that all records have (1.2), and two bytes: fatal, and the alert.
  return new Uint8Array([21, 3, 3, 0, 2, 2, alert]);
}
