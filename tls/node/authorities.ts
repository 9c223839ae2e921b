/**
 * The authorities of `caCerts`, and what a server knows of the certificates that they have signed.
 *
 * rustls verifies certificates. This is what it needs for it, and a second opinion: by signatures, on the clients of a
 * server, and on how long a path is, which rustls does not hold against the authorities that it is given.
 *
 * @module
 */
import type { X509Certificate } from "node:crypto";
import type { Certificate } from "../certificate.ts";
import { equals, isValidToday, type Purpose, whyNotRoot } from "./purpose.ts";

/** A hostile chain may name each as the issuer of each; honest ones need five. */
const MAX_VERIFICATIONS = 100;
/** More certificates are refused; a server with requestCert sends its `caCerts`, too. */
const MAX_CHAIN = 200;
/** How many clients' chains are remembered, 100 bytes each; one that is forgotten needs a full handshake. */
const MAX_REMEMBERED = 10_000;

/** One of `caCerts`, as the modules need it. */
export interface Root {
  /** What it says. */
  certificate: Certificate;
  /** What `node:crypto` makes of it. */
  x509: X509Certificate;
  /** The same as text. */
  pem: string;
}

/** Where signatures lead: nowhere, to an authority that allows no path of this length, or to one that does. */
export type Reach = "nowhere" | "too long" | "trusted";

/** The authorities of `caCerts`. */
export class Authorities {
  #roots: Root[];
  #parse: (der: Uint8Array) => X509Certificate;
  #sha256: (data: Uint8Array) => string;
  /** Digests of the chains that were verified, the latest last. */
  #verified = new Set<string>();

  /**
   * @param roots The authorities.
   * @param parse Reads a certificate.
   * @param sha256 Makes a digest.
   */
  constructor(roots: Root[], parse: (der: Uint8Array) => X509Certificate, sha256: (data: Uint8Array) => string) {
    this.#roots = roots;
    this.#parse = parse;
    this.#sha256 = sha256;
  }

  /** What all of them say. */
  get certificates(): Certificate[] {
    return this.#roots.map(({ certificate }) => certificate);
  }

  /** Whether one of them limits the length of paths. */
  get haveLimits(): boolean {
    return this.#roots.some(({ certificate }) => certificate.pathLength !== null);
  }

  /**
   * Gives those that can be trusted today.
   *
   * @param purpose What for.
   * @returns Them.
   */
  usable(purpose: Purpose): Root[] {
    return this.#roots.filter(({ certificate }) => whyNotRoot(certificate, purpose) === null);
  }

  /**
   * Tells why the others cannot be.
   *
   * @param purpose What for.
   * @returns The reasons, in brackets; empty if there are none.
   */
  describeUnusable(purpose: Purpose): string {
    const reasons = this.#roots.flatMap(({ certificate }, i) => {
      const why = whyNotRoot(certificate, purpose);
      return why === null ? [] : [`certificate ${i} of caCerts is not used: ${why}`];
    });
    return reasons.length === 0 ? "" : ` (${reasons.join("; ")})`;
  }

  /**
   * Follows signatures from a certificate to one of the authorities.
   *
   * @param certificates What the other side has shown, its own certificate first.
   * @param purpose What for.
   * @returns How far they lead; nowhere also for what `node:crypto` cannot read or check.
   */
  reach(certificates: Certificate[], purpose: Purpose): Reach {
    if (certificates.length === 0 || certificates.length > MAX_CHAIN) return "nowhere";
    let best: Reach = "nowhere";
    try {
      const roots = this.usable(purpose);
      const own = this.#parse(certificates[0]!.der);
      // No detour by one that rustls does not take: it may have been signed from further up than its successor.
      const issuers = certificates.slice(1).filter((certificate) => {
        const { isCa, purposes } = certificate;
        return isCa && isValidToday(certificate) && (purposes?.includes(purpose.oid) ?? true);
      });
      const others = issuers.map(({ der }) => this.#parse(der));
      let left = MAX_VERIFICATIONS;
      const isIssuer = (issuer: X509Certificate, certificate: X509Certificate) => {
        if (certificate.issuer !== issuer.subject) return false;
        if (left-- === 0) throw new RangeError("too many signatures");
        return certificate.verify(issuer.publicKey);
      };
      /** How many authorities stand below each, those not counted that a rename or a new key has made: RFC 5280, 4.2.1.9. */
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
          below.delete(other); // Visited once more, by the shorter way.
          below.set(other, next);
        }
      }
    } catch {
      return "too long";
    }
    return best;
  }

  /**
   * Reports whether a path may be longer than one of the authorities allows, by names alone: for where signatures lead
   * nowhere that `node:crypto` cannot verify, of RSA-PSS, say, and rustls can.
   *
   * @param certificates What the other side has shown, its own certificate first.
   * @param purpose What for.
   * @returns `false` also where names lead to none of the authorities that limit it.
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

  /**
   * Remembers what was verified.
   *
   * @param chain What the other side has shown, as DER.
   */
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

  /**
   * Reports whether a chain was verified by these authorities before.
   *
   * @param chain What the other side showed in the session that it resumes, as DER.
   * @returns `true` if it is remembered.
   */
  hasVerified(chain: Uint8Array[]): boolean {
    return this.#verified.has(this.#digest(chain));
  }

  /**
   * Takes over what other authorities have verified, if all of them are among these.
   *
   * @param former The ones that a context had before it was reloaded.
   */
  inherit(former: Authorities): void {
    const has = (der: Uint8Array) => this.#roots.some(({ certificate }) => equals(certificate.der, der));
    if (former.#roots.every(({ certificate }) => has(certificate.der))) this.#verified = former.#verified;
  }

  #digest(chain: Uint8Array[]): string {
    return this.#sha256(new TextEncoder().encode(chain.map(this.#sha256).join()));
  }
}
