/**
 * What is known about a TLS connection, by the keys of `getExtraInfo`.
 *
 * @module
 */
import type { LegacyCertificate } from "./node_tls.ts";
import type { TlsContext } from "./tls_context.ts";

/** How the bytes are encrypted. */
export interface TlsCipher {
  /** The cipher suite, for example `"TLS_AES_256_GCM_SHA384"`. */
  name: string;
  /** The version of TLS, `"TLSv1.2"` or `"TLSv1.3"`. */
  version: string;
  /** The length of the key in bits. */
  bits: number;
}

/**
 * What a certificate says. The first six fields have the names of Python's `SSLSocket.getpeercert()`, and JavaScript's
 * types.
 */
export interface PeerCertificate {
  /** Whose it is, by attribute: `{ CN: "localhost" }`. */
  subject: Record<string, string | string[]>;
  /** Who signed it. */
  issuer: Record<string, string | string[]>;
  /** All that it is for: `"DNS:localhost"`, `"IP Address:127.0.0.1"`. */
  subjectAltName: string[];
  /** Its number, in hexadecimal. */
  serialNumber: string;
  /** From when on it is valid. */
  notBefore: Date;
  /** Until when. */
  notAfter: Date;
  /** The SHA-256 of the whole, as pairs of hexadecimal digits with colons between. */
  fingerprint256: string;
  /** The whole, as DER. */
  raw: Uint8Array;
}

/** What {@linkcode BaseTransport.getExtraInfo} knows of TLS. A connection without TLS knows none of it. */
export interface TlsInfo {
  /** How the bytes are encrypted. Missing on a `Deno.TlsConn` that was given, which does not tell. */
  cipher: TlsCipher;
  /** Always `null`: nobody compresses any more. */
  compression: null;
  /** The other side's certificate; missing where it has shown none. */
  peercert: PeerCertificate;
  /** The context it was made with; missing on a `Deno.TlsConn` that was given. */
  sslcontext: TlsContext;
  /** What does the work: a `TLSSocket` of `node:tls` that is read and written by nobody else, or the `Deno.TlsConn`. */
  sslObject: object;
  /** What both have agreed to speak; missing where they have not (ALPN). */
  alpnProtocol: string;
}

/**
 * Puts a certificate in our terms.
 *
 * @param legacy What `getPeerCertificate` of `node:tls` gives: an empty object where there is none.
 * @returns The certificate, or `null`.
 */
export function toPeerCertificate(legacy: Partial<LegacyCertificate> | null | undefined): PeerCertificate | null {
  if (!legacy?.raw) return null;
  const { subject, issuer, subjectaltname, serialNumber, valid_from, valid_to, fingerprint256, raw } =
    legacy as LegacyCertificate;
  return {
    subject: { ...subject },
    issuer: { ...issuer },
    subjectAltName: subjectaltname ? subjectaltname.split(", ") : [],
    serialNumber,
    notBefore: new Date(valid_from),
    notAfter: new Date(valid_to),
    fingerprint256,
    raw: new Uint8Array(raw),
  };
}

/**
 * Puts a cipher in our terms.
 *
 * @param name The suite's name.
 * @param version The version of TLS.
 * @returns Both, and the length of the key.
 */
export function toCipher(name: string, version: string): TlsCipher {
  // Every suite that Deno has is AES with 128 or 256 bits, or ChaCha20, which always has 256 (RFC 8439).
  return { name, version, bits: /AES_?128/.test(name) ? 128 : 256 };
}
