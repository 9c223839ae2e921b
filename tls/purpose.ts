/**
 * What OpenSSL checks and rustls does not.
 *
 * rustls trusts every CA certificate that it is given, and ignores keyUsage. OpenSSL, which asyncio uses, checks both
 * (`check_purpose_ssl_server` and others in its v3_purp.c; RFC 5280, 4.2.1.3 and 6.1). Tandem accepts no certificate that
 * one of the two rejects.
 */
import { type Certificate, readName } from "./certificate.ts";

/** What a peer's certificate must be valid for. */
export interface Purpose {
  /** The object identifier in extKeyUsage: RFC 5280, 4.2.1.12. */
  oid: string;
  /** Bits of keyUsage; the certificate must have one of them. */
  keyUsage: number;
  /** The bit of Netscape's certificate type. */
  netscapeType: number;
}

/** Bits of keyUsage: RFC 5280, 4.2.1.3. */
const DIGITAL_SIGNATURE = 1 << 0;
const KEY_ENCIPHERMENT = 1 << 2;
const KEY_AGREEMENT = 1 << 4;
const KEY_CERT_SIGN = 1 << 5;

/** A server: serverAuth. */
export const SERVER_PURPOSE: Purpose = {
  oid: "1.3.6.1.5.5.7.3.1",
  keyUsage: DIGITAL_SIGNATURE | KEY_ENCIPHERMENT | KEY_AGREEMENT,
  netscapeType: 1 << 1,
};

/** A client: clientAuth. */
export const CLIENT_PURPOSE: Purpose = {
  oid: "1.3.6.1.5.5.7.3.2",
  keyUsage: DIGITAL_SIGNATURE | KEY_AGREEMENT,
  netscapeType: 1 << 0,
};

/** emailAddress in a Name: RFC 2985, 5.2.1. */
const EMAIL_ADDRESS = "1.2.840.113549.1.9.1";

/** Checks a certificate of `caCerts`. Returns why the CA cannot be trusted today, for messages; `null` if it can. */
export function whyNotRoot(root: Certificate, purpose: Purpose): string | null {
  if (!isValidToday(root)) return "it is not valid today";
  if (!equals(root.issuer, root.subject)) return "it is not self-signed";
  // Version 1 has no extensions.
  if (root.version === 1) return null;
  if (!root.isCa) return "it is not a CA certificate (basicConstraints CA:TRUE)";
  if (root.keyUsage !== null && (root.keyUsage & KEY_CERT_SIGN) === 0) {
    return "its key may not sign certificates (keyUsage)";
  }
  if (root.purposes !== null && !root.purposes.includes(purpose.oid)) return "it is for another purpose (extKeyUsage)";
  return root.unknownCritical === null ? null : `its critical extension ${root.unknownCritical} is not supported`;
}

/**
 * Checks a peer's chain, which rustls verifies as well. Returns why the chain is rejected, for messages; `null` if it
 * is accepted.
 */
export function whyNotPeer(own: Certificate, others: Certificate[], purpose: Purpose): string | null {
  if (own.isCa) return "it is a CA certificate (basicConstraints CA:TRUE)";
  if (own.keyUsage !== null && (own.keyUsage & purpose.keyUsage) === 0) {
    return "its key is for another purpose (keyUsage)";
  }
  if (own.netscapeType !== null && (own.netscapeType & purpose.netscapeType) === 0) {
    return "it is for another purpose (netscape-cert-type)";
  }
  for (const other of others) {
    if (other.isCa && other.keyUsage !== null && (other.keyUsage & KEY_CERT_SIGN) === 0) {
      return "a CA in its chain may not sign certificates (keyUsage)";
    }
  }
  const hasEmail = [own, ...others].some(({ subject }) => readName(subject).some(([oid]) => oid === EMAIL_ADDRESS));
  if (hasEmail && others.some(({ limitsEmail }) => limitsEmail)) {
    return "a CA in its chain constrains email addresses, and a subject has one (nameConstraints)";
  }
  return null;
}

/** Reports whether a certificate is valid today. */
export function isValidToday({ notBefore, notAfter }: Certificate): boolean {
  const now = Date.now();
  return notBefore.getTime() <= now && now <= notAfter.getTime();
}

/** Compares bytes. */
export function equals(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
