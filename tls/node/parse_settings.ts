/** Parses the certificates and the key of settings. */
import type { TlsSettings } from "../../transports/tls_provider.ts";
import { type Certificate, readCertificate } from "../certificate.ts";
import { DerError } from "../der.ts";
import { Authorities } from "./authorities.ts";
import type { NodeTls } from "./node_tls.ts";

/** Parses the certificates and the key of settings when they are loaded, not when the first peer connects. */
export function parseSettings(tls: NodeTls, { caCerts = [], cert, key }: TlsSettings): Authorities {
  const { X509Certificate, createPrivateKey, sha256 } = tls;
  const parse = <T>(name: string, what: string, text: string, make: () => T): T => {
    try {
      return make();
    } catch (cause) {
      const label = text.match(/-----BEGIN ([A-Z0-9 ]+)-----/)?.[1];
      // Never the text itself, which may be a key.
      const kind = `a PEM ${label}${label?.endsWith(what.toUpperCase()) ? " that cannot be parsed" : ""}`;
      const got = label === undefined ? "text that is not PEM; pass the contents of the file, not its name" : kind;
      throw new TypeError(`${name} must be a PEM ${what}, got ${got}`, { cause });
    }
  };
  const parseAll = (name: string, text: string) => {
    // A string may have several certificates, and X509Certificate reads only the first.
    const blocks = text.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [text];
    return blocks.map((block) => parse(name, "certificate", text, () => new X509Certificate(block)));
  };
  const roots = caCerts.flatMap((pem, i) => {
    const name = `caCerts[${i}]`;
    const certificates = parseAll(name, pem);
    // With a CA certificate that rustls cannot parse, Deno would compare names alone: see verify.ts.
    return certificates.map((x509) => ({
      x509,
      pem: x509.toString(),
      certificate: parse(name, "certificate", pem, () => readAuthority(x509.raw)),
    }));
  });
  const authorities = new Authorities(roots, (der) => new X509Certificate(der), sha256);
  if (cert === undefined || key === undefined) return authorities;
  const certificate = parseAll("cert", cert)[0]!;
  const privateKey = parse("key", "private key", key, () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey)) throw new TypeError("key must be the private key of cert");
  return authorities;
}

function readAuthority(der: Uint8Array): Certificate {
  const certificate = readCertificate(der);
  // rustls accepts CA certificates of version 1 and 3.
  if (certificate.version === 2) throw new DerError("the certificate has version 2");
  return certificate;
}
