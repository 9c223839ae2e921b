/**
 * Parses the certificates and the key that a context is made of.
 *
 * @module
 */
import { type Certificate, readCertificate } from "../certificate.ts";
import { DerError } from "../der.ts";
import { loadNodeTls } from "./node_tls.ts";
import { Authorities } from "./authorities.ts";

/** What is parsed, PEM. */
export interface TlsMaterialOptions {
  /** The authorities. */
  caCerts?: string[] | undefined;
  /** The own certificate. */
  cert?: string | undefined;
  /** Its key. */
  key?: string | undefined;
}

/**
 * Parses it, rather than when the first peer connects.
 *
 * @param options What to parse.
 * @returns The authorities.
 * @throws {TypeError} If something cannot be read, or the key is not the certificate's.
 */
export async function checkMaterial({ caCerts = [], cert, key }: TlsMaterialOptions): Promise<Authorities> {
  const { X509Certificate, createPrivateKey, sha256 } = await loadNodeTls();
  const parse = <T>(name: string, what: string, text: string, make: () => T): T => {
    try {
      return make();
    } catch (cause) {
      const label = text.match(/-----BEGIN ([A-Z0-9 ]+)-----/)?.[1];
      // Never the text itself, which may be a key.
      const kind = `a ${label?.endsWith(what.toUpperCase()) ? "broken " : ""}${label}`;
      const got = label === undefined ? "a text that is none: a file's name, perhaps" : kind;
      throw new TypeError(`${name} must be a PEM ${what}, got ${got}`, { cause });
    }
  };
  const parseAll = (name: string, text: string) => {
    // Several may follow each other, and X509Certificate reads the first.
    const blocks = text.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [text];
    return blocks.map((block) => parse(name, "certificate", text, () => new X509Certificate(block)));
  };
  const roots = caCerts.flatMap((pem, i) => {
    const name = `caCerts[${i}]`;
    const certificates = parseAll(name, pem);
    // One that rustls does not read would make Deno go by names alone: see tls_verify.ts.
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
  if (!certificate.checkPrivateKey(privateKey)) throw new TypeError("key must be the private key of cert, and is not");
  return authorities;
}

function readAuthority(der: Uint8Array): Certificate {
  const certificate = readCertificate(der);
  // rustls does read authorities of version 1.
  if (certificate.version === 2) throw new DerError("its version is 2");
  return certificate;
}
