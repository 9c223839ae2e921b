import type { TlsError } from "../tls_error.ts";

/** Alerts of RFC 8446, 6.2. */
const PROTOCOL_VERSION = 70;
const INTERNAL_ERROR = 80;

/** Makes an alert that is not encrypted, as all are before the handshake. */
export function plainAlert(error: Error): Uint8Array {
  const { code } = error as Partial<TlsError>;
  const alert = code === "NOT_TLS" ? PROTOCOL_VERSION : INTERNAL_ERROR;
  return new Uint8Array([21, 3, 3, 0, 2, 2, alert]);
}
