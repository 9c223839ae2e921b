/** Parses the certificates and the key of settings. */
import type { TlsSettings } from "../../transports/tls_provider.ts";
import { certificatesIn, parsePem, readAuthority } from "../pem.ts";
import { Authorities } from "./authorities.ts";
import type { NodeTls } from "./node_tls.ts";

/** Parses the certificates and the key of settings when they are loaded, not when the first peer connects. */
export function parseSettings(tls: NodeTls, { caCerts = [], cert, key }: TlsSettings): Authorities {
  const { X509Certificate, createPrivateKey, sha256 } = tls;
  // A string may have several certificates, and X509Certificate reads only the first.
  const parseAll = (name: string, text: string) =>
    certificatesIn(text).map((block) => parsePem(name, "certificate", text, () => new X509Certificate(block)));
  const roots = caCerts.flatMap((pem, i) => {
    const name = `caCerts[${i}]`;
    const certificates = parseAll(name, pem);
    // With a CA certificate that rustls cannot parse, Deno would compare names alone: see verify.ts.
    return certificates.map((x509) => ({
      x509,
      pem: x509.toString(),
      certificate: parsePem(name, "certificate", pem, () => readAuthority(x509.raw)),
    }));
  });
  const authorities = new Authorities(roots, (der) => new X509Certificate(der), sha256);
  if (cert === undefined || key === undefined) return authorities;
  const certificate = parseAll("cert", cert)[0]!;
  const privateKey = parsePem("key", "private key", key, () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey)) throw new TypeError("key must be the private key of cert");
  return authorities;
}
