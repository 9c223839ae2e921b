/**
 * The CAs of `caCerts`, and the chains that a server has verified with them.
 *
 * rustls verifies certificates. This verifies signatures a second time where rustls alone is not enough: for the clients
 * of a server, and for the length of a path, which rustls does not check for trusted CAs.
 */
import type { X509Certificate } from "node:crypto";
import type { Certificate } from "../certificate.ts";
import { equals, isValidToday, type Purpose, whyNotRoot } from "../purpose.ts";

/** In a hostile chain, each certificate may name each other as its issuer. Ordinary chains need five. */
const MAX_VERIFICATIONS = 100;
/** Longer chains are rejected. A server with `requestCert` sends its `caCerts`, too. */
const MAX_CHAIN = 200;
/** How many chains of clients are remembered, 100 bytes each. The client of a forgotten one cannot resume. */
const MAX_REMEMBERED = 10_000;

/** A CA of `caCerts`. */
export interface Root {
  /** The parsed certificate. */
  certificate: Certificate;
  /** The same for `node:crypto`. */
  x509: X509Certificate;
  /** The same for `node:tls`. */
  pem: string;
}

/** Whether signatures lead to a CA of `caCerts`, and whether that CA allows a path of this length. */
export type Reach = "nowhere" | "too long" | "trusted";

/** The CAs of `caCerts`. */
export class Authorities {
  #roots: Root[];
  #parse: (der: Uint8Array) => X509Certificate;
  #sha256: (data: Uint8Array) => string;
  /** Digests of the chains that were verified, the most recent last. */
  #verified = new Set<string>();

  constructor(roots: Root[], parse: (der: Uint8Array) => X509Certificate, sha256: (data: Uint8Array) => string) {
    this.#roots = roots;
    this.#parse = parse;
    this.#sha256 = sha256;
  }

  /** The certificates of all CAs. */
  get certificates(): Certificate[] {
    return this.#roots.map(({ certificate }) => certificate);
  }

  /** Whether a CA limits the length of paths. */
  get haveLimits(): boolean {
    return this.#roots.some(({ certificate }) => certificate.pathLength !== null);
  }

  /** Returns the CAs that can be trusted today. */
  usable(purpose: Purpose): Root[] {
    return this.#roots.filter(({ certificate }) => whyNotRoot(certificate, purpose) === null);
  }

  /** Describes why the other CAs cannot be trusted, for messages. */
  describeUnusable(purpose: Purpose): string {
    const reasons = this.#roots.flatMap(({ certificate }, i) => {
      const why = whyNotRoot(certificate, purpose);
      return why === null ? [] : [`certificate ${i} in caCerts is not used: ${why}`];
    });
    return reasons.length === 0 ? "" : ` (${reasons.join("; ")})`;
  }

  /** Follows signatures from the peer's certificate to a CA. */
  reach(certificates: Certificate[], purpose: Purpose): Reach {
    if (certificates.length === 0 || certificates.length > MAX_CHAIN) return "nowhere";
    let best: Reach = "nowhere";
    try {
      const roots = this.usable(purpose);
      const own = this.#parse(certificates[0]!.der);
      // A certificate that rustls does not use must not shorten the path.
      const issuers = certificates.slice(1).filter((certificate) => {
        const { isCa, purposes } = certificate;
        return isCa && isValidToday(certificate) && (purposes?.includes(purpose.oid) ?? true);
      });
      const others = issuers.map(({ der }) => this.#parse(der));
      let left = MAX_VERIFICATIONS;
      const isIssuer = (issuer: X509Certificate, certificate: X509Certificate) => {
        if (certificate.issuer !== issuer.subject) return false;
        if (left-- === 0) throw new RangeError("too many verifications");
        return certificate.verify(issuer.publicKey);
      };
      /** How many CAs are below each. Self-issued certificates do not count: RFC 5280, 4.2.1.9. */
      const below = new Map([[own, 0]]);
      for (const [certificate, count] of below) {
        for (const { x509, certificate: { pathLength } } of roots) {
          if (!isIssuer(x509, certificate)) continue;
          if (pathLength === null || count <= pathLength) return "trusted";
          best = "too long";
        }
        for (const other of others) {
          if (!isIssuer(other, certificate)) continue;
          const next = count + (other.issuer === other.subject ? 0 : 1);
          if (next >= (below.get(other) ?? Infinity)) continue;
          below.delete(other); // To be visited again, by the shorter path.
          below.set(other, next);
        }
      }
    } catch {
      return "too long";
    }
    return best;
  }

  /**
   * Reports whether a path may be longer than a CA allows, by the names of issuers alone. This is for signatures that
   * rustls can verify and `node:crypto` cannot, such as RSA-PSS.
   */
  mayBeTooLong([own, ...others]: Certificate[], purpose: Purpose): boolean {
    const below = new Set([own!]);
    let count = 0;
    for (const { issuer } of below) {
      for (const other of others) {
        if (!other.isCa || below.has(other) || !equals(other.subject, issuer)) continue;
        below.add(other);
        if (!equals(other.issuer, other.subject)) count++;
      }
    }
    return this.usable(purpose).some(({ certificate: { subject, pathLength } }) => {
      return pathLength !== null && count > pathLength && [...below].some(({ issuer }) => equals(issuer, subject));
    });
  }

  /** Remembers a chain that was verified. */
  remember(chain: Uint8Array[]): void {
    const digest = this.#digest(chain);
    this.#verified.delete(digest);
    this.#verified.add(digest);
    if (this.#verified.size <= MAX_REMEMBERED) return;
    for (const oldest of this.#verified) {
      this.#verified.delete(oldest);
      break;
    }
  }

  /** Reports whether a chain was verified before. */
  hasVerified(chain: Uint8Array[]): boolean {
    return this.#verified.has(this.#digest(chain));
  }

  /** Takes over the chains that other CAs have verified, if all of those CAs are among these. */
  inherit(former: Authorities): void {
    const has = (der: Uint8Array) => this.#roots.some(({ certificate }) => equals(certificate.der, der));
    if (former.#roots.every(({ certificate }) => has(certificate.der))) this.#verified = former.#verified;
  }

  #digest(chain: Uint8Array[]): string {
    return this.#sha256(new TextEncoder().encode(chain.map(this.#sha256).join()));
  }
}
