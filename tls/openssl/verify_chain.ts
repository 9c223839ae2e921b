/**
 * Checks a path that OpenSSL has verified for what rustls would reject, so that a program accepts the same peers over both
 * implementations.
 */
import { type Certificate, readCertificate } from "../certificate.ts";
import { equals, type Purpose, whyNotPeer } from "../purpose.ts";
import { isForServer } from "../server_name.ts";
import { TlsError } from "../tls_error.ts";

/** Parses a path, the peer's own certificate first. Returns why the peer is rejected if that is not possible. */
export function parsePath(ders: Uint8Array[]): Certificate[] | TlsError {
  const certificates: Certificate[] = [];
  for (const [i, der] of ders.entries()) {
    try {
      const certificate = readCertificate(der);
      // A CA may have version 1.
      const isRoot = i > 0 && i === ders.length - 1;
      if (certificate.version !== 3 && !(isRoot && certificate.version === 1)) {
        throw new Error(`version ${certificate.version} is not supported`);
      }
      certificates.push(certificate);
    } catch (cause) {
      const which = i === 0 ? "the certificate" : `certificate ${i} of its chain`;
      const message = `TLS: ${which} cannot be verified: ${(cause as Error).message}`;
      return new TlsError("UNKNOWN_ISSUER", message, { cause });
    }
  }
  return certificates;
}

/**
 * Checks a path. Returns why the peer is rejected, or `null`.
 *
 * @param certificates The path, the peer's own certificate first.
 * @param purpose What the peer's certificate must be for.
 * @param hostname The server's name or address; `""` if it is not verified.
 */
export function checkPath(certificates: Certificate[], purpose: Purpose, hostname: string): TlsError | null {
  const [own, ...others] = certificates;
  if (own === undefined) return new TlsError("FAILED", "TLS: OpenSSL has verified no certificate");
  // OpenSSL also accepts the old purposes of export ciphers ("step up"). The CA at the end is not asked.
  const hasOther = certificates.some(({ purposes, issuer, subject }, i) => {
    return purposes !== null && !purposes.includes(purpose.oid) && (i === 0 || !equals(issuer, subject));
  });
  const why = hasOther ? "it is for another purpose (extKeyUsage)" : whyNotPeer(own, others, purpose);
  if (why !== null) return new TlsError("UNKNOWN_ISSUER", `TLS: the certificate is rejected: ${why}`);
  if (hostname === "" || isForServer(own, hostname)) return null;
  return wrongName(own, hostname);
}

/** Makes the error of a certificate for another name. */
export function wrongName(own: Certificate, hostname: string): TlsError {
  const why = own.names.length === 0 ? "it has no subjectAltName" : `it is not for ${hostname}`;
  return new TlsError("WRONG_NAME", `TLS: the certificate is for another name: ${why}`);
}
