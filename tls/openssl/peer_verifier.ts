/** Decides about the peer of one connection, together with OpenSSL. */
import type { TlsSide } from "../../transports/tls_provider.ts";
import { type Certificate, readCertificate } from "../certificate.ts";
import { denoTrusts } from "../default_provider.ts";
import { CLIENT_PURPOSE, isValidToday, SERVER_PURPOSE } from "../purpose.ts";
import { TlsError } from "../tls_error.ts";
import * as c from "./constants.ts";
import { toDer, toDers } from "./credentials.ts";
import type { Libssl, Pointer } from "./libssl.ts";
import type { OpensslContext } from "./openssl_context.ts";
import { toVerifyError } from "./openssl_error.ts";
import { rememberClient } from "./server_sessions.ts";
import { checkPath, parsePath, wrongName } from "./verify_chain.ts";

/** What `X509_verify_cert` finds if it does not know the CA. */
const UNKNOWN_ISSUER: ReadonlySet<number> = new Set([
  c.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
  c.X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
  c.X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
  c.X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
  c.X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
]);

const DATE_OR_PURPOSE: ReadonlySet<number> = new Set([
  c.X509_V_ERR_CERT_HAS_EXPIRED,
  c.X509_V_ERR_CERT_NOT_YET_VALID,
  c.X509_V_ERR_INVALID_PURPOSE,
]);

/** How many certificates of one name a server may send for Deno to be asked. Ordinary ones send one, or two with keys of two kinds. */
const MAX_NAMESAKES = 3;

/**
 * Reports whether rustls can try all paths in milliseconds: it tries each certificate that has the name of the issuer, so that a
 * list of nine with the same name, which a hostile server makes up, takes it 0.5 s.
 */
export function hasFewPaths(ders: Uint8Array[]): boolean {
  const counts = new Map<string, number>();
  return ders.every((der) => {
    try {
      const name = readCertificate(der).subject.toHex();
      const count = (counts.get(name) ?? 0) + 1;
      counts.set(name, count);
      return count <= MAX_NAMESAKES;
    } catch {
      return false; // Deno would not trust it.
    }
  });
}

/** Verifies the peer of one connection. */
export class PeerVerifier {
  /** Why this side rejects the peer, in better words than OpenSSL's. */
  rejection: TlsError | null = null;
  /** The whole path of the peer was verified. */
  verified = false;
  /** That path as DER, the peer's own certificate first; empty until it is verified. */
  chain: readonly Uint8Array[] = [];
  /** When the first certificate of that path expires, in milliseconds; infinite if there was none to verify. */
  expires = Infinity;
  /** The certificate of a peer that OpenSSL rejects. */
  #rejected: Uint8Array | null = null;
  /** Whether Deno trusts the server; `null` if it was not asked. */
  #trustedByDeno: boolean | null = null;
  #lib: Libssl;
  #context: OpensslContext;
  #side: TlsSide;

  constructor(lib: Libssl, context: OpensslContext, side: TlsSide) {
    this.#lib = lib;
    this.#context = context;
    this.#side = side;
  }

  /** Accepts or rejects what OpenSSL has found about a certificate. */
  verify(ok: boolean, storeContext: Pointer): boolean {
    const { serverSide, serverHostname, settings: { rejectUnauthorized = true } } = this.#side;
    if (!rejectUnauthorized) return true;
    const lib = this.#lib;
    if (!ok) {
      if (!serverSide && this.#askDeno(storeContext)) return true;
      const x509 = lib.X509_STORE_CTX_get0_cert(storeContext);
      if (x509 !== null) this.#rejected = toDer(lib, x509);
      return false;
    }
    // The last call is for the peer's own certificate, when all signatures are verified.
    if (lib.X509_STORE_CTX_get_error_depth(storeContext) !== 0) return true;
    const ders = toDers(lib, lib.X509_STORE_CTX_get0_chain(storeContext));
    const path = parsePath(ders);
    this.rejection = path instanceof TlsError
      ? path
      : checkPath(path, serverSide ? CLIENT_PURPOSE : SERVER_PURPOSE, serverSide ? "" : serverHostname);
    if (this.rejection !== null) {
      const { code } = this.rejection;
      const isName = code === "WRONG_NAME";
      lib.X509_STORE_CTX_set_error(
        storeContext,
        isName ? c.X509_V_ERR_HOSTNAME_MISMATCH : c.X509_V_ERR_INVALID_PURPOSE,
      );
      return false;
    }
    this.verified = true;
    this.chain = ders;
    this.expires = Math.min(...(path as Certificate[]).map(({ notAfter }) => notAfter.getTime()));
    if (serverSide) {
      const ssl = lib.X509_STORE_CTX_get_ex_data(storeContext, lib.SSL_get_ex_data_X509_STORE_CTX_idx());
      if (ssl !== null) rememberClient(lib, ssl, this.expires, ders.at(-1)!);
    }
    return true;
  }

  /** Makes the error of a certificate that OpenSSL rejects, with what is known of it. */
  explain(verdict: number): TlsError {
    const lib = this.#lib;
    const { serverSide, serverHostname } = this.#side;
    const error = toVerifyError(
      lib,
      verdict,
      this.#context.describeUnusable(serverSide ? CLIENT_PURPOSE : SERVER_PURPOSE),
    );
    if (this.#rejected === null) return error;
    try {
      const own = readCertificate(this.#rejected);
      if (error.code === "WRONG_NAME") return wrongName(own, serverHostname);
      // OpenSSL asks for the purpose first. That it has expired is the likelier reason.
      if (isValidToday(own) || !DATE_OR_PURPOSE.has(verdict)) return error;
      const { notBefore, notAfter } = own;
      if (notAfter.getTime() < Date.now()) {
        return new TlsError("CERTIFICATE_EXPIRED", `TLS: the certificate expired on ${notAfter.toISOString()}`);
      }
      const message = `TLS: the certificate is not valid before ${notBefore.toISOString()}`;
      return new TlsError("CERTIFICATE_NOT_YET_VALID", message);
    } catch {
      return error;
    }
  }

  /**
   * Decides about a server whose CA OpenSSL does not know. Deno may know it: it does not tell a program what it trusts. OpenSSL
   * goes on to verify what it can, such as the name and the signatures below the CA.
   */
  #askDeno(storeContext: Pointer): boolean {
    const lib = this.#lib;
    if (!UNKNOWN_ISSUER.has(lib.X509_STORE_CTX_get_error(storeContext))) return false;
    const untrusted = toDers(lib, lib.X509_STORE_CTX_get0_untrusted(storeContext));
    // Deno knows neither of these, and may use all that the server has sent.
    const { verifyDepth = Infinity, crl = [] } = this.#side.settings;
    if (untrusted.length - 1 > verifyDepth || crl.length > 0) return false;
    this.#trustedByDeno ??= hasFewPaths(untrusted) && denoTrusts(untrusted);
    if (this.#trustedByDeno) lib.X509_STORE_CTX_set_error(storeContext, c.X509_V_OK);
    return this.#trustedByDeno;
  }
}
