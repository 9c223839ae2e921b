/**
 * What can go wrong in TLS, by cause.
 *
 * @module
 */

/**
 * Why TLS failed.
 *
 * - `UNKNOWN_ISSUER`: nobody who is trusted has signed the certificate, at least not for this use.
 * - `WRONG_NAME`: the certificate is for another name.
 * - `CERTIFICATE_EXPIRED`, `CERTIFICATE_NOT_YET_VALID`: it is not valid today.
 * - `BAD_CERTIFICATE`: something else is wrong with a certificate.
 * - `NO_CLIENT_CERTIFICATE`: the server asks for a certificate, and the client has none.
 * - `NO_SHARED_PROTOCOL`: both name protocols (ALPN), and have none in common.
 * - `NO_SHARED_VERSION`: there is no version of TLS, or no cipher, that both would use, or none that `ciphers` allows.
 * - `NOT_TLS`: the other side does not speak TLS.
 * - `ALERT`: the other side gave up, for the reason that the message names. Mostly a client that does not trust the
 *   server's certificate.
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
 * TLS failed: during the handshake, or because what came later was not what the other side had sent.
 *
 * @example Usage
 * ```ts
 * import { getRunningLoop, Protocol, TlsError } from "@tandem/io";
 *
 * try {
 *   await getRunningLoop().createConnection(() => new Protocol(), { hostname: "localhost", port: 443, tls: true });
 * } catch (error) {
 *   if (error instanceof TlsError && error.code === "UNKNOWN_ISSUER") console.error("who signed that?");
 * }
 * ```
 */
export class TlsError extends Error {
  /** `"TlsError"`. */
  override name = "TlsError";
  /** Why. */
  readonly code: TlsErrorCode;

  /**
   * Makes the error.
   *
   * @param code Why.
   * @param message The same in words.
   * @param options Where it came from.
   */
  constructor(code: TlsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * How the engines below say it: rustls in both of them, under node:tls with OpenSSL's codes besides. The first
 * that fits counts. "fatal alert" is what the other side says of us.
 */
const CAUSES: readonly [RegExp, TlsErrorCode, string][] = [
  [/fatal alert: CertificateRequired/, "NO_CLIENT_CERTIFICATE", "the server asks for a client certificate"],
  [/fatal alert: NoApplicationProtocol/, "NO_SHARED_PROTOCOL", "no application protocol in common (alpnProtocols)"],
  [/fatal alert: ProtocolVersion/, "NO_SHARED_VERSION", "no version of TLS in common"],
  [/fatal alert: UnknownCA/, "ALERT", "the other side does not know the issuer of our certificate"],
  [/fatal alert/, "ALERT", "the other side gave up"],
  [/ALTNAME|NotValidForName|not valid for name/, "WRONG_NAME", "the certificate is for another name"],
  [/CERT_HAS_EXPIRED|\bExpired|certificate expired/, "CERTIFICATE_EXPIRED", "the certificate has expired"],
  [/CERT_NOT_YET_VALID|NotValidYet|not valid yet/, "CERTIFICATE_NOT_YET_VALID", "the certificate is not valid yet"],
  [
    /SELF_SIGNED|UNABLE_TO_GET_ISSUER|UNABLE_TO_VERIFY_LEAF|UnknownIssuer|CaUsedAsEndEntity/,
    "UNKNOWN_ISSUER",
    "nobody who is trusted has signed the certificate for this use",
  ],
  [/DID_NOT_RETURN_A_CERTIFICATE|no certificates/, "NO_CLIENT_CERTIFICATE", "the client has no certificate"],
  [
    /NO_APPLICATION_PROTOCOL|any known protocol/,
    "NO_SHARED_PROTOCOL",
    "no application protocol in common (alpnProtocols)",
  ],
  [/corrupt message|WRONG_VERSION_NUMBER/, "NOT_TLS", "the other side does not speak TLS"],
  [/incompatible|UNSUPPORTED_PROTOCOL/, "NO_SHARED_VERSION", "no version of TLS, or no cipher, in common"],
  [/certificate|CERT_/i, "BAD_CERTIFICATE", "the certificate is bad"],
];

/**
 * Tells the cause of what an engine says.
 *
 * @param error What it says.
 * @returns An error that names the cause; one of the operating system's stays itself.
 */
export function toTlsError(error: Error): Error {
  const { code } = error as { code?: unknown };
  // InvalidData is Deno's class for all that rustls says; the other classes are the operating system's.
  const ofSystem = error instanceof TlsError || error instanceof DOMException ||
    (Object.values(Deno.errors).some((Class) => error instanceof Class) && !(error instanceof Deno.errors.InvalidData));
  if (ofSystem) return error;
  const said = `${typeof code === "string" ? `${code} ` : ""}${error.message}`;
  const [, cause, words] = CAUSES.find(([pattern]) => pattern.test(said)) ?? [null, "FAILED" as const, "it failed"];
  return new TlsError(cause, `TLS: ${words} (${error.message})`, { cause: error });
}
