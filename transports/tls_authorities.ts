/**
 * A second opinion on certificates that lead to one of `caCerts`.
 *
 * rustls verifies them. But where it cannot read one (version 1, or badly encoded), the `node:tls` of Deno goes by
 * names alone, so that old certificates work (`verify_chain_structure` in its ext/node/ops/tls_wrap.rs), and asks for
 * no proof of the private key: whoever knows the name of an authority could pass as anybody. So what leads to one of
 * `caCerts` by names must do so by signatures, too, and be of version 3. What does not lead there rustls has verified.
 *
 * @module
 */
import type { X509Certificate } from "node:crypto";

/** A hostile chain may name each as the issuer of each; honest ones need five. */
const MAX_VERIFICATIONS = 100;
/** More certificates are refused; a server with requestCert sends its `caCerts`, too. */
const MAX_CHAIN = 200;

/** extKeyUsage, and two of its values, clientAuth and any, as DER has them: RFC 5280, 4.2.1.12. */
const EXT_KEY_USAGE = [6, 3, 0x55, 0x1d, 0x25];
const CLIENT_AUTH = [6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2];
const ANY_USAGE = [6, 4, 0x55, 0x1d, 0x25, 0];

/** Whether one certificate is the issuer of another. */
type Link = (certificate: X509Certificate, issuer: X509Certificate) => boolean;

/** The authorities of `caCerts`. */
export class Authorities {
  #roots: X509Certificate[];
  #parse: (der: Uint8Array) => X509Certificate;

  /**
   * @param roots The authorities.
   * @param parse Reads a certificate.
   */
  constructor(roots: X509Certificate[], parse: (der: Uint8Array) => X509Certificate) {
    this.#roots = roots;
    this.#parse = parse;
  }

  /**
   * Gives the second opinion.
   *
   * @param chain What the other side has shown, as DER, its own certificate first.
   * @returns `false` if it could have passed by its names alone.
   */
  vouchFor(chain: Uint8Array[]): boolean {
    if (this.#roots.length === 0) return true;
    if (chain.length === 0 || chain.length > MAX_CHAIN) return false;
    try {
      const [own, ...others] = chain.map(this.#parse) as [X509Certificate, ...X509Certificate[]];
      if (!isVersion3(own)) return false;
      // An authority itself: rustls asks for the key of that one.
      if (this.#roots.some((root) => root.fingerprint256 === own.fingerprint256)) return true;
      return !this.#isReached(own, others, isNamed) || this.#isReached(own, others.filter(isVersion3), bySignature());
    } catch {
      return false; // Not to be read, or signed in a way that Deno cannot check.
    }
  }

  /**
   * Tells whether one of them has issued a client's certificate, by signatures alone.
   *
   * @param chain What the client showed once, as DER, its own certificate first.
   * @returns `true` if it is good today.
   */
  haveIssued(chain: Uint8Array[]): boolean {
    if (chain.length === 0 || chain.length > MAX_CHAIN) return false;
    try {
      const [own, ...others] = chain.map(this.#parse) as [X509Certificate, ...X509Certificate[]];
      if (!isVersion3(own) || !isForClients(own)) return false;
      return this.#roots.some((root) => root.fingerprint256 === own.fingerprint256 && isValid(own)) ||
        this.#isReached(own, others.filter(isVersion3), bySignature());
    } catch {
      return false;
    }
  }

  /** Whether links lead from a certificate to one of the roots. */
  #isReached(from: X509Certificate, others: X509Certificate[], isLink: Link): boolean {
    const reached = [from];
    for (const certificate of reached) {
      if (this.#roots.some((root) => isLink(certificate, root))) return true;
      reached.push(...others.filter((issuer) => !reached.includes(issuer) && isLink(certificate, issuer)));
    }
    return false;
  }
}

function isNamed(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.issuer === issuer.subject;
}

function bySignature(): Link {
  let left = MAX_VERIFICATIONS;
  return (certificate, issuer) => {
    // An authority must say that it is one. A root of version 1 cannot; in between there are none of these.
    const mayIssue = isNamed(certificate, issuer) && (issuer.ca || !isVersion3(issuer));
    return mayIssue && isValid(certificate) && left-- > 0 && certificate.verify(issuer.publicKey);
  };
}

function isValid(certificate: X509Certificate): boolean {
  const now = Date.now();
  return Date.parse(certificate.validFrom) <= now && now <= Date.parse(certificate.validTo);
}

/** Reads the extended key usage, which X509Certificate does not tell. */
function isForClients({ raw }: X509Certificate): boolean {
  const has = (bytes: number[]) => raw.some((_, at) => bytes.every((byte, i) => raw[at + i] === byte));
  return !has(EXT_KEY_USAGE) || has(CLIENT_AUTH) || has(ANY_USAGE);
}

/** Reads the version, which X509Certificate does not tell. */
function isVersion3({ raw }: X509Certificate): boolean {
  // Certificate and TBSCertificate, each a tag and a length; then, but in version 1, [0] { INTEGER version - 1 }.
  const skipHead = (at: number) => at + 2 + (raw[at + 1]! < 0x80 ? 0 : raw[at + 1]! & 0x7f);
  const at = skipHead(skipHead(0));
  return raw[at] === 0xa0 && raw[at + 4] === 2;
}
