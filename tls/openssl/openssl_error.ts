/** Makes errors of what OpenSSL reports. */
import { TlsError, type TlsErrorCode } from "../tls_error.ts";
import * as c from "./constants.ts";
import { type Libssl, textOf } from "./libssl.ts";

/** The words for a cause, which are those of the other implementation, too. */
const WORDS: Record<TlsErrorCode, string> = {
  UNKNOWN_ISSUER: "the certificate is not signed by a trusted CA for this purpose",
  WRONG_NAME: "the certificate is for another name",
  CERTIFICATE_EXPIRED: "the certificate has expired",
  CERTIFICATE_NOT_YET_VALID: "the certificate is not valid yet",
  BAD_CERTIFICATE: "the certificate is invalid",
  NO_CLIENT_CERTIFICATE: "the client sent no certificate",
  NO_SHARED_PROTOCOL: "no application protocol in common (alpnProtocols)",
  NO_SHARED_VERSION: "no version of TLS or cipher suite in common",
  NOT_TLS: "the peer does not speak TLS",
  ALERT: "the peer ended the connection",
  FAILED: "the connection failed",
};

/** The causes of the reasons of libssl: sslerr.h. */
const REASONS: Partial<Record<number, TlsErrorCode>> = {
  // HTTPS_PROXY_REQUEST, HTTP_REQUEST, WRONG_VERSION_NUMBER, BAD_RECORD_TYPE, EXCESSIVE_MESSAGE_SIZE, LENGTH_MISMATCH.
  ...{ 155: "NOT_TLS", 156: "NOT_TLS", 267: "NOT_TLS", 443: "NOT_TLS", 152: "NOT_TLS", 159: "NOT_TLS" },
  // PACKET_LENGTH_TOO_LONG, RECORD_LENGTH_MISMATCH, RECORD_TOO_SMALL, UNEXPECTED_RECORD.
  ...{ 198: "NOT_TLS", 213: "NOT_TLS", 298: "NOT_TLS", 245: "NOT_TLS" },
  // NO_PROTOCOLS_AVAILABLE, NO_SHARED_CIPHER, UNKNOWN_PROTOCOL, UNSUPPORTED_PROTOCOL, VERSION_TOO_HIGH, VERSION_TOO_LOW.
  ...{ 191: "NO_SHARED_VERSION", 193: "NO_SHARED_VERSION", 252: "NO_SHARED_VERSION", 258: "NO_SHARED_VERSION" },
  ...{ 166: "NO_SHARED_VERSION", 396: "NO_SHARED_VERSION" },
  // NO_CIPHERS_AVAILABLE, WRONG_SSL_VERSION, NO_SUITABLE_KEY_SHARE, NO_SUITABLE_GROUPS, NO_SHARED_GROUPS.
  ...{ 181: "NO_SHARED_VERSION", 266: "NO_SHARED_VERSION", 101: "NO_SHARED_VERSION", 295: "NO_SHARED_VERSION" },
  ...{ 410: "NO_SHARED_VERSION" },
  // PEER_DID_NOT_RETURN_A_CERTIFICATE, NO_APPLICATION_PROTOCOL.
  ...{ 199: "NO_CLIENT_CERTIFICATE", 235: "NO_SHARED_PROTOCOL" },
};

/** The alerts of a peer that say more than that it has ended the connection: RFC 8446, 6.2. */
const ALERTS: Partial<Record<number, [TlsErrorCode, string]>> = {
  48: ["ALERT", "the peer does not trust the issuer of this side's certificate"],
  70: ["NO_SHARED_VERSION", "no version of TLS in common"],
  116: ["NO_CLIENT_CERTIFICATE", "the server requires a client certificate"],
  120: ["NO_SHARED_PROTOCOL", "no application protocol in common (alpnProtocols)"],
};

/** What `X509_verify_cert` returns, by cause; all others are `BAD_CERTIFICATE`. */
const VERDICTS: Partial<Record<number, TlsErrorCode>> = {
  [c.X509_V_ERR_CERT_NOT_YET_VALID]: "CERTIFICATE_NOT_YET_VALID",
  [c.X509_V_ERR_CERT_HAS_EXPIRED]: "CERTIFICATE_EXPIRED",
  [c.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT]: "UNKNOWN_ISSUER",
  [c.X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT]: "UNKNOWN_ISSUER",
  [c.X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN]: "UNKNOWN_ISSUER",
  [c.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY]: "UNKNOWN_ISSUER",
  [c.X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE]: "UNKNOWN_ISSUER",
  [c.X509_V_ERR_INVALID_CA]: "UNKNOWN_ISSUER",
  [c.X509_V_ERR_PATH_LENGTH_EXCEEDED]: "UNKNOWN_ISSUER",
  [c.X509_V_ERR_INVALID_PURPOSE]: "UNKNOWN_ISSUER",
  [c.X509_V_ERR_CERT_UNTRUSTED]: "UNKNOWN_ISSUER",
  [c.X509_V_ERR_CERT_REJECTED]: "UNKNOWN_ISSUER",
  [c.X509_V_ERR_HOSTNAME_MISMATCH]: "WRONG_NAME",
  [c.X509_V_ERR_IP_ADDRESS_MISMATCH]: "WRONG_NAME",
};

/** The part of an error's number that is the reason: err.h. The library is in the bits above. */
const REASON_MASK = 0x7fffffn;
const LIBRARY_SHIFT = 23n;
const LIBRARY_SSL = 20;

/** An error of the queue. */
export interface QueuedError {
  /** Whether libssl has reported it. */
  ofSsl: boolean;
  /** The reason, a number of that library. */
  reason: number;
  /** The text of OpenSSL, such as `wrong version number`. */
  text: string;
}

const textBuffer = new Uint8Array(256);

/** Takes the first error of the queue, and empties it; `null` if there is none. */
export function takeError(ssl: Libssl): QueuedError | null {
  const code = ssl.ERR_get_error();
  if (code === 0n) return null;
  ssl.ERR_error_string_n(code, textBuffer, BigInt(textBuffer.length));
  ssl.ERR_clear_error();
  // error:0A00010B:SSL routines::wrong version number
  const text = new TextDecoder().decode(textBuffer.subarray(0, textBuffer.indexOf(0)));
  return {
    ofSsl: Number(code >> LIBRARY_SHIFT & 0xffn) === LIBRARY_SSL,
    reason: Number(code & REASON_MASK),
    text: text.split(":").slice(4).join(":") || text,
  };
}

/** Makes the error of a connection that has failed. `verdict`: what `SSL_get_verify_result` returns. */
export function toConnectionError(ssl: Libssl, error: QueuedError | null, verdict: number): TlsError {
  if (error === null) return new TlsError("FAILED", "TLS: the connection failed (OpenSSL gives no reason)");
  const { ofSsl, reason, text } = error;
  if (!ofSsl) return new TlsError("FAILED", `TLS: ${WORDS.FAILED} (${text})`);
  if (reason > c.SSL_R_ALERT_OFFSET) {
    const [code, words] = ALERTS[reason - c.SSL_R_ALERT_OFFSET] ?? ["ALERT", WORDS.ALERT];
    return new TlsError(code, `TLS: ${words} (alert ${reason - c.SSL_R_ALERT_OFFSET}: ${text})`);
  }
  if (reason === c.SSL_R_CERTIFICATE_VERIFY_FAILED) return toVerifyError(ssl, verdict);
  const code = REASONS[reason] ?? "FAILED";
  return new TlsError(code, `TLS: ${WORDS[code]} (${text})`);
}

/** Makes the error of a chain that OpenSSL rejects. */
export function toVerifyError(ssl: Libssl, verdict: number, more = ""): TlsError {
  const code = VERDICTS[verdict] ?? "BAD_CERTIFICATE";
  return new TlsError(
    code,
    `TLS: ${WORDS[code]} (${textOf(ssl.X509_verify_cert_error_string(BigInt(verdict)))})${more}`,
  );
}
