/**
 * What OpenSSL asks of certificates beyond what rustls does.
 *
 * rustls takes the authorities that it is given as they are, and looks at no keyUsage. OpenSSL, and with it asyncio,
 * holds both against a certificate (`check_purpose_ssl_server` and so on in its v3_purp.c, RFC 5280, 4.2.1.3 and 6.1).
 * Tandem is to accept nothing that one of the two refuses.
 *
 * @module
 */
import { type Certificate, readName } from "../certificate.ts";

/** What a peer's certificate must be good for. */
export interface Purpose {
  /** Its object identifier in extKeyUsage: RFC 5280, 4.2.1.12. */
  oid: string;
  /** Bits of keyUsage, one of which is needed. */
  keyUsage: number;
  /** The bit of Netscape's certificate type. */
  netscapeType: number;
}

/** Bits of keyUsage: RFC 5280, 4.2.1.3. */
const DIGITAL_SIGNATURE = 1 << 0;
const KEY_ENCIPHERMENT = 1 << 2;
const KEY_AGREEMENT = 1 << 4;
const KEY_CERT_SIGN = 1 << 5;

/** To be a server: serverAuth. */
export const SERVER_PURPOSE: Purpose = {
  oid: "1.3.6.1.5.5.7.3.1",
  keyUsage: DIGITAL_SIGNATURE | KEY_ENCIPHERMENT | KEY_AGREEMENT,
  netscapeType: 1 << 1,
};

/** To be a client: clientAuth. */
export const CLIENT_PURPOSE: Purpose = {
  oid: "1.3.6.1.5.5.7.3.2",
  keyUsage: DIGITAL_SIGNATURE | KEY_AGREEMENT,
  netscapeType: 1 << 0,
};

/** emailAddress in a Name: RFC 2985, 5.2.1. */
const EMAIL_ADDRESS = "1.2.840.113549.1.9.1";

/**
 * Tells what is wrong with one of `caCerts`.
 *
 * @param root The certificate.
 * @param purpose What those that it has signed are for.
 * @returns Why it cannot be trusted today, or `null`.
 */
export function whyNotRoot(root: Certificate, purpose: Purpose): string | null {
  if (!isValidToday(root)) return "it is not valid today";
  if (!equals(root.issuer, root.subject)) return "it is not self-signed";
  // A certificate of version 1 has no extensions to say it by.
  if (root.version === 1) return null;
  if (!root.isCa) return "it is not an authority's (basicConstraints CA:TRUE)";
  if (root.keyUsage !== null && (root.keyUsage & KEY_CERT_SIGN) === 0) return "its key may not sign (keyUsage)";
  if (root.purposes !== null && !root.purposes.includes(purpose.oid)) return "it is for other purposes (extKeyUsage)";
  return root.unknownCritical === null ? null : `its extension ${root.unknownCritical} is unknown`;
}

/**
 * Tells what is wrong with what a peer has shown, after rustls has verified it.
 *
 * @param own The peer's own certificate.
 * @param others The other ones shown, and those of `caCerts`.
 * @param purpose What it must be good for.
 * @returns Why to refuse it, or `null`.
 */
export function whyNotPeer(own: Certificate, others: Certificate[], purpose: Purpose): string | null {
  if (own.isCa) return "it is an authority's (basicConstraints CA:TRUE), which cannot be a peer's own";
  if (own.keyUsage !== null && (own.keyUsage & purpose.keyUsage) === 0) {
    return "its key is for other purposes (keyUsage)";
  }
  if (own.netscapeType !== null && (own.netscapeType & purpose.netscapeType) === 0) {
    return "it is for other purposes (netscape-cert-type)";
  }
  for (const other of others) {
    if (other.isCa && other.keyUsage !== null && (other.keyUsage & KEY_CERT_SIGN) === 0) {
      return "the key of an authority in its chain may not sign (keyUsage)";
    }
  }
  const hasEmail = [own, ...others].some(({ subject }) => readName(subject).some(([oid]) => oid === EMAIL_ADDRESS));
  if (hasEmail && others.some(({ limitsEmail }) => limitsEmail)) {
    return "an authority limits email addresses, and there is one in a subject";
  }
  return null;
}

/**
 * Reports whether a certificate is valid today.
 *
 * @param certificate The certificate.
 * @returns `false` before and after.
 */
export function isValidToday({ notBefore, notAfter }: Certificate): boolean {
  const now = Date.now();
  return notBefore.getTime() <= now && now <= notAfter.getTime();
}

/**
 * Compares bytes.
 *
 * @param a Some.
 * @param b Others.
 * @returns Whether they are the same.
 */
export function equals(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
