/** PEM: text with certificates or a key. */
import { type Certificate, readCertificate } from "./certificate.ts";
import { DerError } from "./der.ts";

/** Parses a PEM. Its error never has the text itself, which may be a key. `name`: the option. `what`: what it must have. */
export function parsePem<T>(name: string, what: string, text: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    const label = text.match(/-----BEGIN ([A-Z0-9 ]+)-----/)?.[1];
    const kind = `a PEM ${label}${label?.endsWith(what.toUpperCase()) ? " that cannot be parsed" : ""}`;
    const got = label === undefined ? "text that is not PEM; pass the contents of the file, not its name" : kind;
    throw new TypeError(`${name} must be a PEM ${what}, got ${got}`, { cause });
  }
}

/** Divides a text into its certificates. One that has none is returned, for the error of what parses it. */
export function certificatesIn(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [text];
}

/** Parses the certificate of a CA of `caCerts`. rustls accepts version 1 and 3. */
export function readAuthority(der: Uint8Array): Certificate {
  const certificate = readCertificate(der);
  if (certificate.version === 2) throw new DerError("the certificate has version 2");
  return certificate;
}
