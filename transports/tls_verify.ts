/**
 * Judging the other side by what it has shown in the handshake.
 *
 * rustls verifies certificates; this says what is wrong with one, and adds what rustls under `node:tls` leaves to
 * others: the name, and the choice of ciphers.
 *
 * @module
 */
import type { NodeTls, TlsSocket } from "./node_tls.ts";
import type { Authorities } from "./tls_authorities.ts";
import { TlsError, type TlsErrorCode, toTlsError } from "./tls_error.ts";
import { toPeerCertificate } from "./tls_info.ts";

/** What `verifyError()` says of whatever it has no code of its own for, dates among it. */
const VAGUE = "UNABLE_TO_VERIFY_LEAF_SIGNATURE";

/**
 * Judges a server.
 *
 * @param tls The module `node:tls`.
 * @param socket The client's side, after the server has shown its certificate.
 * @param hostname The name that it must be for.
 * @param authorities Those of `caCerts`.
 * @returns What is wrong, or `null`.
 */
export function judgeServer(
  tls: NodeTls,
  socket: TlsSocket,
  hostname: string,
  authorities: Authorities,
): TlsError | null {
  // Cannot be (see clientContext), and must not: a session that is taken up again has not been verified here.
  if (socket.isSessionReused()) return new TlsError("FAILED", "TLS: a session was resumed that was not ours");
  const certificate = socket.getPeerCertificate() ?? {};
  const error = judgeCertificate(socket, socket._handle.verifyError()) ?? judgeChain(socket, authorities);
  if (error !== null) return error;
  // The subject has not been a name for long (RFC 6125, 6.4.4), and is none for Deno's own TLS.
  if (!certificate.subjectaltname) return new TlsError("WRONG_NAME", "TLS: the certificate has no subjectAltName");
  const stranger = tls.checkServerIdentity(hostname, certificate);
  return stranger === undefined ? null : toTlsError(stranger) as TlsError;
}

/**
 * Judges a client that was asked for a certificate.
 *
 * One that takes up a session again shows none: rustls knows it from the ticket, and verifies nothing. The tickets of
 * all servers of a process are alike in Deno, those of one that lets everybody in among them, so it is verified here.
 * That the client has the key was proved when the session began, whoever served it.
 *
 * @param socket The server's side, after the handshake.
 * @param authorities Those of `caCerts`.
 * @returns What is wrong, or `null`.
 */
export function judgeClient(socket: TlsSocket, authorities: Authorities): TlsError | null {
  const chain = chainOf(socket);
  if (chain.length === 0) return new TlsError("NO_CLIENT_CERTIFICATE", "TLS: the client has no certificate");
  if (!socket.isSessionReused()) {
    return judgeCertificate(socket, socket._handle.verifyError()) ?? judgeChain(socket, authorities);
  }
  if (authorities.haveIssued(chain)) return null;
  const message = "TLS: the client resumed a session in which it showed a certificate that is not good here";
  return new TlsError("BAD_CERTIFICATE", message);
}

function chainOf(socket: TlsSocket): Uint8Array[] {
  return socket._handle.getPeerCertificateChain()?.certificates ?? [];
}

function judgeChain(socket: TlsSocket, authorities: Authorities): TlsError | null {
  if (authorities.vouchFor(chainOf(socket))) return null;
  const why = "it only names one of caCerts, or is signed in a way that Deno cannot check";
  const message = `TLS: nobody who is trusted has signed the certificate: ${why}`;
  return new TlsError("UNKNOWN_ISSUER", message);
}

/**
 * Judges what somebody has shown.
 *
 * @param socket Our side.
 * @param code What rustls says of it, or nothing.
 * @returns What is wrong, or `null`.
 */
export function judgeCertificate(socket: TlsSocket, code: string): TlsError | null {
  if (code === "") return null;
  const certificate = toPeerCertificate(socket.getPeerCertificate());
  if (code === VAGUE && certificate !== null) {
    const { notBefore, notAfter } = certificate;
    const now = Date.now();
    if (notAfter.getTime() < now) {
      return new TlsError("CERTIFICATE_EXPIRED", `TLS: the certificate has expired, on ${notAfter.toISOString()}`);
    }
    if (notBefore.getTime() > now) {
      const message = `TLS: the certificate is not valid yet, only from ${notBefore.toISOString()} on`;
      return new TlsError("CERTIFICATE_NOT_YET_VALID", message);
    }
  }
  return toTlsError(Object.assign(new Error(code), { code })) as TlsError;
}

/**
 * Judges the cipher.
 *
 * @param socket Our side.
 * @param ciphers The ones to accept, or `undefined` for all.
 * @returns What is wrong, or `null`.
 */
export function judgeCipher(socket: TlsSocket, ciphers: string | undefined): TlsError | null {
  const { name } = socket.getCipher();
  if (ciphers === undefined || ciphers.split(":").includes(name)) return null;
  return new TlsError("NO_SHARED_VERSION", `TLS: ${name} was agreed upon, ciphers allows ${ciphers}`);
}

/** The alerts of RFC 8446, 6.2, for what can be wrong; bad_certificate for all else. */
const ALERTS: Partial<Record<TlsErrorCode, number>> = {
  CERTIFICATE_EXPIRED: 45,
  CERTIFICATE_NOT_YET_VALID: 45,
  UNKNOWN_ISSUER: 48,
  NO_SHARED_VERSION: 71,
  FAILED: 80,
};

/**
 * Says what is wrong to the other side, in the clear: in TLS 1.3 it should be encrypted from a client's second message
 * on (RFC 8446, 5), but peers take it, and know why.
 *
 * @param code What is wrong.
 * @returns A whole record.
 */
export function plainAlert(code: TlsErrorCode): Uint8Array {
  // A record of type alert, version 1.2 as all records are marked, two bytes long: fatal, and the reason.
  return new Uint8Array([21, 3, 3, 0, 2, 2, ALERTS[code] ?? 42]);
}
