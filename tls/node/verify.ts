/**
 * Verifies the peer.
 *
 * A peer is accepted only if rustls has verified the whole path to a trusted CA. Deno's `node:tls` is less strict than
 * rustls in four cases (`NodeServerCertVerifier` and `NodeClientCertVerifier` in its ext/node/ops/tls_wrap.rs). Each is
 * rejected here:
 *
 * 1. If a certificate has another version than 3, or is badly encoded, a client compares the names of issuers alone, and
 *    requires no proof of the private key. So rustls must be able to parse each certificate of the chain
 *    ({@linkcode readCertificate}), even if it is not part of the path.
 * 2. A client leaves the server's name to JavaScript: {@linkcode isForServer}.
 * 3. A certificate that is itself in `caCerts` is accepted without a check. Those are CA certificates, which are not
 *    accepted as a peer's own ({@linkcode whyNotPeer}).
 * 4. A client that resumes a session is not verified at all, and all servers of a process share their tickets. So only a
 *    chain that this server's CAs have verified before may resume: {@linkcode Authorities.hasVerified}.
 *
 * A second verifier in place of rustls was the alternative. pkijs checks neither pathLenConstraint nor extKeyUsage, and
 * `@peculiar/x509` builds chains by signatures alone: either is less strict than rustls.
 */
import type { TlsSide } from "../../transports/tls_provider.ts";
import { type Certificate, readCertificate } from "../certificate.ts";
import { isForServer } from "../server_name.ts";
import { TlsError, toTlsError } from "../tls_error.ts";
import type { Authorities } from "./authorities.ts";
import { CLIENT_PURPOSE, isValidToday, type Purpose, SERVER_PURPOSE, whyNotPeer } from "../purpose.ts";

/** What `verifyError()` returns for every error without a code of its own, such as an expired certificate. */
const VAGUE = "UNABLE_TO_VERIFY_LEAF_SIGNATURE";

/** What a peer has sent, and what rustls reports about it. */
export interface PeerReport {
  /** The certificates as DER, the peer's own first. In a resumed session they are from the ticket. */
  chain: Uint8Array[];
  /** The negotiated cipher suite. */
  cipher: string;
  /** What `verifyError()` returns: `""` if rustls has verified the path. */
  verifyError: unknown;
  /** Whether a session was resumed: then rustls has verified nothing. */
  resumed: boolean;
}

/** Verifies the peer. Returns why the peer is rejected, or `null`. */
export function verifyPeer(side: TlsSide, authorities: Authorities, report: PeerReport): TlsError | null {
  const { serverSide, serverHostname } = side;
  const { ciphers, requestCert, rejectUnauthorized } = side.settings;
  if (ciphers !== undefined && !ciphers.split(":").includes(report.cipher)) {
    const message = `TLS: the negotiated cipher ${report.cipher} is not in ciphers (${ciphers})`;
    return new TlsError("NO_SHARED_VERSION", message);
  }
  if (rejectUnauthorized === false || serverSide && !requestCert) return null;
  try {
    return serverSide ? verifyClient(authorities, report) : verifyServer(serverHostname, authorities, report);
  } catch (error) {
    return toTlsError(error as Error) as TlsError;
  }
}

function verifyServer(
  hostname: string,
  authorities: Authorities,
  { chain, verifyError, resumed }: PeerReport,
): TlsError | null {
  // Cannot happen (see NodeContext.client()), and must not: the certificate of a resumed session was not verified here.
  if (resumed) return new TlsError("FAILED", "TLS: the server resumed a session that is not of this client");
  if (chain.length === 0) return new TlsError("BAD_CERTIFICATE", "TLS: the server sent no certificate");
  const parsed = parseChain(chain);
  if (verifyError !== "") return describeVerifyError(verifyError, parsed, authorities, SERVER_PURPOSE);
  const error = checkChain(parsed, authorities, SERVER_PURPOSE);
  if (error !== null) return error;
  if (authorities.haveLimits) {
    // "nowhere": to one of Deno's own CAs, or by signatures that node:crypto cannot verify.
    const reach = authorities.reach(parsed.certificates, SERVER_PURPOSE);
    const isNowhere = reach === "nowhere";
    if (reach === "too long" || isNowhere && authorities.mayBeTooLong(parsed.certificates, SERVER_PURPOSE)) {
      return tooLong();
    }
  }
  const own = parsed.own!;
  if (isForServer(own, hostname)) return null;
  const why = own.names.length === 0 ? "it has no subjectAltName" : `it is not for ${hostname}`;
  return new TlsError("WRONG_NAME", `TLS: the certificate is for another name: ${why}`);
}

function verifyClient(authorities: Authorities, { chain, verifyError, resumed }: PeerReport): TlsError | null {
  if (chain.length === 0) return new TlsError("NO_CLIENT_CERTIFICATE", "TLS: the client sent no certificate");
  const parsed = parseChain(chain);
  const error = checkChain(parsed, authorities, CLIENT_PURPOSE);
  if (resumed) {
    // A CA may have expired since, so signatures are verified again.
    const isKnown = error === null && authorities.hasVerified(chain) && parsed.certificates.every(isValidToday);
    if (isKnown && authorities.reach(parsed.certificates, CLIENT_PURPOSE) === "trusted") return null;
    const message = "TLS: the client resumed a session whose certificate this server has not verified";
    return new TlsError("BAD_CERTIFICATE", message);
  }
  if (verifyError !== "") return describeVerifyError(verifyError, parsed, authorities, CLIENT_PURPOSE);
  if (error !== null) return error;
  // rustls has verified this already. If a future Deno stopped reporting what rustls finds, this would still reject.
  const reach = authorities.reach(parsed.certificates, CLIENT_PURPOSE);
  if (reach === "too long") return tooLong();
  if (reach === "nowhere") {
    return new TlsError("UNKNOWN_ISSUER", "TLS: the certificate is not signed by a CA in caCerts");
  }
  authorities.remember(chain);
  return null;
}

/** A chain, as far as it can be parsed as strictly as rustls does. */
interface ParsedChain {
  own: Certificate | null;
  certificates: Certificate[];
  unreadable: TlsError | null;
}

function parseChain(chain: Uint8Array[]): ParsedChain {
  const parsed: ParsedChain = { own: null, certificates: [], unreadable: null };
  chain.forEach((der, i) => {
    try {
      const certificate = readCertificate(der);
      if (i === 0) parsed.own = certificate;
      parsed.certificates.push(certificate);
      if (certificate.version !== 3) throw new Error(`version ${certificate.version} is not supported`);
    } catch (cause) {
      const which = i === 0 ? "the certificate" : `certificate ${i} of its chain`;
      const message = `TLS: ${which} cannot be verified: ${(cause as Error).message}`;
      parsed.unreadable ??= new TlsError("UNKNOWN_ISSUER", message, { cause });
    }
  });
  return parsed;
}

/** Checks what rustls does not check. */
function checkChain(chain: ParsedChain, authorities: Authorities, purpose: Purpose): TlsError | null {
  const { own, certificates, unreadable } = chain;
  if (unreadable !== null) return unreadable;
  const why = whyNotPeer(own!, [...certificates.slice(1), ...authorities.certificates], purpose);
  return why === null ? null : new TlsError("UNKNOWN_ISSUER", `TLS: the certificate is rejected: ${why}`);
}

function tooLong(): TlsError {
  return new TlsError(
    "UNKNOWN_ISSUER",
    "TLS: the chain is longer than its CA allows (pathLenConstraint), or node:crypto cannot verify one of its signatures",
  );
}

/** Describes an error of rustls. */
function describeVerifyError(code: unknown, { own }: ParsedChain, authorities: Authorities, purpose: Purpose) {
  if (code === VAGUE && own !== null && !isValidToday(own)) {
    const { notBefore, notAfter } = own;
    if (notAfter.getTime() < Date.now()) {
      return new TlsError("CERTIFICATE_EXPIRED", `TLS: the certificate expired on ${notAfter.toISOString()}`);
    }
    const message = `TLS: the certificate is not valid before ${notBefore.toISOString()}`;
    return new TlsError("CERTIFICATE_NOT_YET_VALID", message);
  }
  const message = `${code}${authorities.describeUnusable(purpose)}`;
  return toTlsError(Object.assign(new Error(message), { code: String(code) })) as TlsError;
}
