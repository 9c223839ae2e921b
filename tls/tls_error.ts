/** The errors of TLS. */

/**
 * Why TLS failed.
 *
 * - `UNKNOWN_ISSUER`: the certificate is not signed by a trusted CA for this purpose.
 * - `WRONG_NAME`: the certificate is for another name.
 * - `CERTIFICATE_EXPIRED`, `CERTIFICATE_NOT_YET_VALID`: the certificate is not valid today.
 * - `BAD_CERTIFICATE`: something else is wrong with a certificate.
 * - `NO_CLIENT_CERTIFICATE`: the server requires a client certificate, and the client has none.
 * - `NO_SHARED_PROTOCOL`: `alpnProtocols` of the two sides have none in common.
 * - `NO_SHARED_VERSION`: the two sides have no version of TLS or cipher suite in common, or the negotiated cipher is not
 *   in `ciphers`.
 * - `NOT_TLS`: the peer does not speak TLS.
 * - `ALERT`: the peer ended the connection; the message has the reason. Most often, a client does not trust the server's
 *   certificate.
 * - `FAILED`: anything else.
 */
export type TlsErrorCode =
  | "UNKNOWN_ISSUER"
  | "WRONG_NAME"
  | "CERTIFICATE_EXPIRED"
  | "CERTIFICATE_NOT_YET_VALID"
  | "BAD_CERTIFICATE"
  | "NO_CLIENT_CERTIFICATE"
  | "NO_SHARED_PROTOCOL"
  | "NO_SHARED_VERSION"
  | "NOT_TLS"
  | "ALERT"
  | "FAILED";

/**
 * An error of TLS: the handshake failed, or ciphertext that came later was damaged or ended by an alert.
 *
 * @example Usage
 * ```ts
 * import { getRunningLoop, Protocol, TlsError } from "@tandem/io";
 *
 * try {
 *   await getRunningLoop().createConnection(() => new Protocol(), { hostname: "localhost", port: 443, tls: true });
 * } catch (error) {
 *   if (error instanceof TlsError && error.code === "UNKNOWN_ISSUER") console.error("the certificate is not signed by a trusted CA");
 * }
 * ```
 */
export class TlsError extends Error {
  /** `"TlsError"`. */
  override name = "TlsError";
  /** The cause. */
  readonly code: TlsErrorCode;

  /**
   * Creates an error.
   *
   * @param code The cause.
   * @param message The message.
   * @param options `cause`: the error that this one replaces.
   */
  constructor(code: TlsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * The messages of rustls, and the codes that `node:tls` adds, by cause. The first that matches counts. "fatal alert" is an
 * alert of the peer.
 */
const CAUSES: readonly [RegExp, TlsErrorCode, string][] = [
  [/fatal alert: CertificateRequired/, "NO_CLIENT_CERTIFICATE", "the server requires a client certificate"],
  [/fatal alert: NoApplicationProtocol/, "NO_SHARED_PROTOCOL", "no application protocol in common (alpnProtocols)"],
  [/fatal alert: ProtocolVersion/, "NO_SHARED_VERSION", "no version of TLS in common"],
  [/fatal alert: UnknownCA/, "ALERT", "the peer does not trust the issuer of this side's certificate"],
  [/fatal alert/, "ALERT", "the peer ended the connection"],
  [/ALTNAME|NotValidForName|not valid for name/, "WRONG_NAME", "the certificate is for another name"],
  [/CERT_HAS_EXPIRED|\bExpired|certificate expired/, "CERTIFICATE_EXPIRED", "the certificate has expired"],
  [/CERT_NOT_YET_VALID|NotValidYet|not valid yet/, "CERTIFICATE_NOT_YET_VALID", "the certificate is not valid yet"],
  [
    /SELF_SIGNED|UNABLE_TO_GET_ISSUER|UNABLE_TO_VERIFY_LEAF|UnknownIssuer|CaUsedAsEndEntity/,
    "UNKNOWN_ISSUER",
    "the certificate is not signed by a trusted CA for this purpose",
  ],
  [/DID_NOT_RETURN_A_CERTIFICATE|no certificates/, "NO_CLIENT_CERTIFICATE", "the client sent no certificate"],
  [
    /NO_APPLICATION_PROTOCOL|any known protocol/,
    "NO_SHARED_PROTOCOL",
    "no application protocol in common (alpnProtocols)",
  ],
  [/corrupt message|WRONG_VERSION_NUMBER/, "NOT_TLS", "the peer does not speak TLS"],
  [/incompatible|UNSUPPORTED_PROTOCOL/, "NO_SHARED_VERSION", "no version of TLS or cipher suite in common"],
  [/certificate|CERT_/i, "BAD_CERTIFICATE", "the certificate is invalid"],
];

/**
 * Makes a `TlsError` of an error of rustls.
 *
 * @param error The error.
 * @returns An error with a `code`. An error of the operating system is returned as it is.
 */
export function toTlsError(error: Error): Error {
  const { code } = error as { code?: unknown };
  // Deno uses InvalidData for all errors of rustls, and its other classes for the operating system's.
  const ofSystem = error instanceof TlsError || error instanceof DOMException ||
    (Object.values(Deno.errors).some((Class) => error instanceof Class) && !(error instanceof Deno.errors.InvalidData));
  if (ofSystem) return error;
  const text = `${typeof code === "string" ? `${code} ` : ""}${error.message}`;
  const [, cause, words] = CAUSES.find(([pattern]) => pattern.test(text)) ??
    [null, "FAILED" as const, "the connection failed"];
  return new TlsError(cause, `TLS: ${words} (${error.message})`, { cause: error });
}
