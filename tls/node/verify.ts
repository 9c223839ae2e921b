/**
 * Decides who is on the other side.
 *
 * A peer is accepted only where rustls has verified the whole path to a trusted authority. Deno's `node:tls` is laxer
 * than rustls in four places (`NodeServerCertVerifier` and `NodeClientCertVerifier` in its ext/node/ops/tls_wrap.rs),
 * and each of them is closed here by refusing:
 *
 * 1. A client that finds a certificate of another version than 3, or badly encoded, goes by the names of issuers alone,
 *    and asks for no proof of the private key. So each certificate shown must be readable to rustls
 *    ({@linkcode readCertificate}), one that is no part of the path included.
 * 2. A client leaves the server's name to JavaScript: {@linkcode isForServer}.
 * 3. A certificate that is itself one of `caCerts` is accepted without a look at it. They are authorities, and none is
 *    accepted as a peer's own ({@linkcode whyNotPeer}).
 * 4. A client that resumes a session is not verified at all, and all servers of a process share their tickets. So only
 *    what this server's own authorities have verified before may resume: {@linkcode Authorities.hasVerified}.
 *
 * The alternative was a second verifier where rustls has none. pkijs looks at no pathLenConstraint and no extKeyUsage,
 * and `@peculiar/x509` builds chains by signatures alone: either would be laxer than what it stands in for.
 *
 * @module
 */
import { type Certificate, readCertificate } from "../certificate.ts";
import { isForServer } from "../server_name.ts";
import type { Authorities } from "./authorities.ts";
import type { TlsEngineOptions } from "../tls_engine.ts";
import { TlsError, toTlsError } from "../tls_error.ts";
import { CLIENT_PURPOSE, isValidToday, type Purpose, SERVER_PURPOSE, whyNotPeer } from "./purpose.ts";

/** What `verifyError()` says of whatever it has no code of its own for, dates among it. */
const VAGUE = "UNABLE_TO_VERIFY_LEAF_SIGNATURE";

/** What a peer has shown, and what rustls says of it. */
export interface Shown {
  /** The certificates as DER, its own first; from the ticket where it resumes a session. */
  chain: Uint8Array[];
  /** The cipher suite agreed upon. */
  cipher: string;
  /** What `verifyError()` gives: `""` where rustls has verified the path. */
  verifyError: unknown;
  /** Whether a session was resumed: then rustls has verified nothing. */
  resumed: boolean;
}

/**
 * Decides about a peer.
 *
 * @param options What the connection is for.
 * @param shown What the peer has shown.
 * @returns Why to refuse it, or `null`.
 */
export function verifyPeer(options: TlsEngineOptions, shown: Shown): TlsError | null {
  const { ciphers, serverSide, requestCert, rejectUnauthorized } = options;
  if (ciphers !== undefined && !ciphers.split(":").includes(shown.cipher)) {
    return new TlsError(
      "NO_SHARED_VERSION",
      `TLS: the cipher agreed upon is ${shown.cipher}, ciphers allows ${ciphers}`,
    );
  }
  if (!rejectUnauthorized || serverSide && !requestCert) return null;
  try {
    return serverSide ? verifyClient(options, shown) : verifyServer(options, shown);
  } catch (error) {
    return toTlsError(error as Error) as TlsError;
  }
}

function verifyServer(options: TlsEngineOptions, { chain, verifyError, resumed }: Shown): TlsError | null {
  const { authorities, serverHostname } = options;
  // Cannot be (see clientContext), and must not: a resumed session has not been verified here.
  if (resumed) return new TlsError("FAILED", "TLS: a session was resumed that is not of this client");
  if (chain.length === 0) return new TlsError("BAD_CERTIFICATE", "TLS: the server has shown no certificate");
  const read = readAll(chain);
  if (verifyError !== "") return describeVerifyError(verifyError, read, authorities, SERVER_PURPOSE);
  const error = whyNot(read, authorities, SERVER_PURPOSE);
  if (error !== null) return error;
  if (authorities.haveLimits) {
    // Nowhere: to one of Deno's own authorities, or by signatures that node:crypto cannot verify.
    const reach = authorities.reach(read.certificates, SERVER_PURPOSE);
    const isNowhere = reach === "nowhere";
    if (reach === "too long" || isNowhere && authorities.mayBeTooLong(read.certificates, SERVER_PURPOSE)) {
      return tooLong();
    }
  }
  const own = read.own!;
  if (isForServer(own, serverHostname)) return null;
  const names = own.names.length === 0 ? "it names no server (subjectAltName)" : `it is not for ${serverHostname}`;
  return new TlsError("WRONG_NAME", `TLS: the certificate is for another name: ${names}`);
}

function verifyClient({ authorities }: TlsEngineOptions, { chain, verifyError, resumed }: Shown): TlsError | null {
  if (chain.length === 0) return new TlsError("NO_CLIENT_CERTIFICATE", "TLS: the client has no certificate");
  const read = readAll(chain);
  const error = whyNot(read, authorities, CLIENT_PURPOSE);
  if (resumed) {
    // An authority may have expired since, hence the signatures once more.
    const isKnown = error === null && authorities.hasVerified(chain) && read.certificates.every(isValidToday);
    if (isKnown && authorities.reach(read.certificates, CLIENT_PURPOSE) === "trusted") return null;
    const message = "TLS: the client resumed a session whose certificate this server has not verified";
    return new TlsError("BAD_CERTIFICATE", message);
  }
  if (verifyError !== "") return describeVerifyError(verifyError, read, authorities, CLIENT_PURPOSE);
  if (error !== null) return error;
  // Where rustls has verified it, signatures lead there; should Deno one day not say what rustls finds, they still do.
  const reach = authorities.reach(read.certificates, CLIENT_PURPOSE);
  if (reach === "too long") return tooLong();
  if (reach === "nowhere") {
    return new TlsError("UNKNOWN_ISSUER", "TLS: the certificate is not signed by one of caCerts");
  }
  authorities.remember(chain);
  return null;
}

/** What was shown, as far as it can be read as strictly as rustls does. */
interface Read {
  own: Certificate | null;
  certificates: Certificate[];
  unreadable: TlsError | null;
}

function readAll(chain: Uint8Array[]): Read {
  const read: Read = { own: null, certificates: [], unreadable: null };
  chain.forEach((der, i) => {
    try {
      const certificate = readCertificate(der);
      if (i === 0) read.own = certificate;
      read.certificates.push(certificate);
      if (certificate.version !== 3) throw new Error(`its version is ${certificate.version}`);
    } catch (cause) {
      const which = i === 0 ? "the certificate" : `certificate ${i} of its chain`;
      const message = `TLS: ${which} cannot be verified: ${(cause as Error).message}`;
      read.unreadable ??= new TlsError("UNKNOWN_ISSUER", message, { cause });
    }
  });
  return read;
}

/** Tells what is wrong with what was shown, whatever rustls says of it. */
function whyNot({ own, certificates, unreadable }: Read, authorities: Authorities, purpose: Purpose): TlsError | null {
  if (unreadable !== null) return unreadable;
  const why = whyNotPeer(own!, [...certificates.slice(1), ...authorities.certificates], purpose);
  return why === null ? null : new TlsError("UNKNOWN_ISSUER", `TLS: the certificate is not accepted: ${why}`);
}

function tooLong(): TlsError {
  return new TlsError(
    "UNKNOWN_ISSUER",
    "TLS: the certificate's path is longer than its authority allows (pathLen), or has a signature that node:crypto cannot check",
  );
}

/**
 * Puts what rustls says of a certificate in better words.
 *
 * @param code What it says; anything but `""`.
 * @param read What was shown.
 * @param authorities Those of `caCerts`.
 * @param purpose What the certificate is for.
 * @returns The error.
 */
function describeVerifyError(code: unknown, { own }: Read, authorities: Authorities, purpose: Purpose): TlsError {
  if (code === VAGUE && own !== null && !isValidToday(own)) {
    const { notBefore, notAfter } = own;
    if (notAfter.getTime() < Date.now()) {
      return new TlsError("CERTIFICATE_EXPIRED", `TLS: the certificate has expired, on ${notAfter.toISOString()}`);
    }
    const message = `TLS: the certificate is not valid yet, only from ${notBefore.toISOString()} on`;
    return new TlsError("CERTIFICATE_NOT_YET_VALID", message);
  }
  const message = `${code}${authorities.describeUnusable(purpose)}`;
  return toTlsError(Object.assign(new Error(message), { code: String(code) })) as TlsError;
}
