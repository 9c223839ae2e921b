/**
 * Asks rustls whether Deno trusts a server's certificates, for an implementation of TLS that is not `node:tls`.
 *
 * Deno does not tell a program what it trusts: `--cert`, `DENO_CERT` and the store of the system can be asked only by a
 * handshake. So a client in memory gets the certificates in a server's first messages of TLS 1.2, as in canary.ts. rustls
 * verifies the certificates, and then the signature of the key exchange, which is wrong: that it complains of the signature alone
 * shows that it has accepted the certificates.
 */
import { Authorities } from "./authorities.ts";
import { CANARY, reportsUnknownIssuer, serverFlight } from "./canary.ts";
import { NodeContext } from "./node_context.ts";
import { loadNodeTls, NO_STREAM, type NodeTls, type SecureContext, wrapOf } from "./node_tls.ts";
import { verifyPeer } from "./verify.ts";

/** The records of a flight have one message each, and a record has at most 16 KiB. */
const MAX_CHAIN_BYTES = 16 * 1024 - 1024;
/** What Deno's error says when a signature is wrong. */
const WRONG_SIGNATURE = /unable to verify the first certificate|BadSignature/;
/** No certificate is for it: a name has no such character. */
const ANY_NAME = "!";
const SETTINGS = { maxVersion: "TLSv1.2" } as const;

let tls: NodeTls | undefined;
let context: NodeContext | undefined;

/** Loads what {@linkcode denoTrusts} needs. */
export async function loadDenoTrust(): Promise<void> {
  tls ??= await loadNodeTls();
}

/**
 * Reports whether Deno trusts a server's certificates, without any `caCerts`. The caller compares the name.
 *
 * @param chain The certificates as DER, the server's own first.
 */
export function denoTrusts(chain: Uint8Array[]): boolean {
  const size = chain.reduce((sum, { length }) => sum + length, 0);
  if (tls === undefined || !tls.hasWrap || chain.length === 0 || size > MAX_CHAIN_BYTES) return false;
  if (!reportsUnknownIssuer(tls)) return false;
  const { sha256, X509Certificate } = tls;
  context ??= new NodeContext(tls, SETTINGS, new Authorities([], (der) => new X509Certificate(der), sha256));
  try {
    const { secureContext } = context.client();
    const { verifyError, failure } = ask(tls, secureContext, chain);
    // Not if rustls has failed earlier, and has verified nothing.
    if (!WRONG_SIGNATURE.test(failure)) return false;
    const report = { chain, cipher: "", verifyError, resumed: false };
    const side = { settings: SETTINGS, serverSide: false, serverHostname: ANY_NAME, sni: undefined };
    // The name is compared last.
    if (verifyPeer(side, context.authorities, report)?.code !== "WRONG_NAME") return false;
    // Without any CA (`tls.setDefaultCACertificates([])`), Deno verifies nothing, and reports the same error.
    return Boolean(ask(tls, secureContext, [CANARY]).verifyError);
  } catch {
    return false;
  }
}

/** Shows certificates to a client. Returns what `verifyError()` does, and what the client fails with. */
function ask(
  tls: NodeTls,
  secureContext: SecureContext,
  chain: Uint8Array[],
): { verifyError: unknown; failure: string } {
  const socket = new tls.TLSSocket(NO_STREAM, {
    ...{ isServer: false, secureContext, requestCert: true, rejectUnauthorized: false, servername: "server" },
  });
  socket.on("error", () => {});
  const wrap = wrapOf(socket);
  let failure = "";
  wrap.onerror = (error) => void (failure ||= error.message);
  try {
    wrap.start();
    for (const part of serverFlight(chain)) wrap.readBuffer(part);
    return { verifyError: wrap.verifyError(), failure };
  } finally {
    socket.destroy();
    wrap.destroySsl();
    wrap.readStop();
    wrap.setHandle({});
  }
}
