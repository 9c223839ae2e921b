/**
 * Checks that Deno reports a certificate that rustls rejects, before a client relies on it.
 *
 * A client calls `verifyError()` of `node:tls` to learn whether rustls has verified the server. If a future Deno stopped
 * reporting errors there, clients would accept every server. So a client in memory gets a self-signed certificate in a
 * server's first messages of TLS 1.2, which are not encrypted, and must report it. The signature of the key exchange is
 * wrong as well, so that no private key is needed; rustls verifies the certificate first.
 */
import { NO_STREAM, type NodeTls, wrapOf } from "./node_tls.ts";

/** Self-signed, for "canary", valid until 2086. Its key is deleted. */
export const CANARY: Uint8Array = Uint8Array.fromBase64(`
MIIBUzCB+6ADAgECAhRPeT9Zu6foBrVIjc3Ab3Bc0SL7TDAKBggqhkjOPQQDAjARMQ8wDQYDVQQDDAZjYW5hcnkwIBcNMjYxMTI0MTg1ODA5WhgPMjA4
NjExMDkxODU4MDlaMBExDzANBgNVBAMMBmNhbmFyeTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCKQMVz9G3WsSGMTa01KINHevWLu7Zjc7dSXlwCp
1Umj4KZ0CHB0StYNjrlYB8Zx/qmPkpwBnWC9WijXy1/IyLKjLzAtMAwGA1UdEwEB/wQCMAAwHQYDVR0OBBYEFNWn4znqsJiRNpWibZvtLdjEbQkZMAoG
CCqGSM49BAMCA0cAMEQCIEWhQVHdkZQPesaEY22pKGV/rI3qTvl3+O/mrcdLUWffAiA5J6Ig9GsqQCqewQEiLi07uyr0axY0s8Wv2UNlbnv6bQ==`);

/** Types of messages: RFC 5246, 7.4. */
const SERVER_HELLO = 2;
const CERTIFICATES = 11;
const SERVER_KEY_EXCHANGE = 12;
const SERVER_HELLO_DONE = 14;

/** Reports whether `node:tls` reports a certificate that no trusted CA has signed. */
export function reportsUnknownIssuer(tls: NodeTls): boolean {
  return answer ??= ask(tls);
}

let answer: boolean | undefined;

function ask(tls: NodeTls): boolean {
  // An empty list, so that a program's own default is not used. rustls then uses Mozilla's CAs.
  const secureContext = tls.createSecureContext({ ca: [], minVersion: "TLSv1.2", maxVersion: "TLSv1.2" });
  const options = { isServer: false, secureContext, rejectUnauthorized: false, servername: "canary" };
  const socket = new tls.TLSSocket(NO_STREAM, options);
  const wrap = wrapOf(socket);
  socket.on("error", () => {});
  wrap.onerror = () => {};
  wrap.start();
  for (const part of serverFlight([CANARY])) wrap.readBuffer(part);
  const error = wrap.verifyError();
  socket.destroy();
  wrap.destroySsl();
  return typeof error === "string" && error !== "";
}

/** Makes a server's first messages with certificates, and with a wrong signature. */
export function serverFlight(certificates: Uint8Array[]): Uint8Array[] {
  const list = certificates.flatMap((der) => sized(3, der));
  // A point of x25519, and bytes in place of an ecdsa_secp256r1_sha256 signature.
  const point = sized(1, new Uint8Array(32).fill(9));
  return [
    // TLS 1.2, random bytes, no session, ECDHE-ECDSA-AES128-GCM-SHA256, no compression.
    message(SERVER_HELLO, [3, 3, ...new Uint8Array(32).fill(7), 0, 0xc0, 0x2b, 0]),
    message(CERTIFICATES, sized(3, list)),
    message(SERVER_KEY_EXCHANGE, [3, 0, 0x1d, ...point, 4, 3, ...sized(2, new Uint8Array(70).fill(1))]),
    message(SERVER_HELLO_DONE, []),
  ];
}

/** Makes a record with one message. */
function message(type: number, body: ArrayLike<number>): Uint8Array {
  return new Uint8Array([22, 3, 3, ...sized(2, [type, ...sized(3, body)])]);
}

/** Puts the length before bytes. */
function sized(width: number, bytes: ArrayLike<number>): number[] {
  const size = Array.from({ length: width }, (_, i) => bytes.length >> 8 * (width - 1 - i) & 255);
  return [...size, ...Array.from(bytes)];
}
