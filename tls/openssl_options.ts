/** Checks of the options that only OpenSSL has. */
import { checkBytes, checkInteger, checkString, checkStrings } from "../checks.ts";
import { describe } from "../errors.ts";
import type { OpensslSettings } from "../transports/openssl_settings.ts";
import type { TlsSettings } from "../transports/tls_provider.ts";

/** The names of the options. */
export const OPENSSL_OPTIONS: Record<keyof OpensslSettings, true> = {
  passphrase: true,
  pfx: true,
  crl: true,
  verifyDepth: true,
  groups: true,
  signatureAlgorithms: true,
  ocspResponse: true,
  requestOcsp: true,
  keylog: true,
};

/** The highest number of CAs: one more is added to it in C. */
const MAX_DEPTH = 0x7ffffffe;

/** Reports whether there is a certificate of this side. */
export function hasIdentity({ cert, pfx }: TlsSettings): boolean {
  return cert !== undefined || pfx !== undefined;
}

/**
 * Returns options without those that others replace: a PKCS #12 by a certificate with its key, the reverse, and the OCSP
 * response by another certificate.
 */
export function withoutRivals<T extends TlsSettings>(options: T, by: TlsSettings): T {
  if (by.pfx !== undefined) return { ...options, cert: undefined, key: undefined, ocspResponse: undefined };
  return by.cert === undefined ? options : { ...options, pfx: undefined, ocspResponse: undefined };
}

/** Checks the values of options that are given. Throws a `TypeError`, or a `RangeError` for a number out of range. */
export function checkOpensslOptions(options: TlsSettings, method: string, prefix: string): void {
  const { passphrase, pfx, crl, verifyDepth, requestOcsp, keylog } = options;
  if (passphrase !== undefined) {
    if (typeof passphrase !== "string" || passphrase === "" || passphrase.includes("\0")) {
      // Never the value, which may be the secret.
      throw new TypeError(`${method}: ${prefix}passphrase must be a non-empty string without U+0000`);
    }
    if (options.key === undefined && pfx === undefined) {
      throw new TypeError(`${method}: ${prefix}passphrase requires ${prefix}key or ${prefix}pfx`);
    }
  }
  if (pfx !== undefined) {
    checkBytes(method, `${prefix}pfx`, pfx);
    const rival = (["cert", "key"] as const).find((name) => options[name] !== undefined);
    if (rival !== undefined) {
      throw new TypeError(`${method}: ${prefix}pfx and ${prefix}${rival} cannot both be given`);
    }
  }
  if (options.ocspResponse !== undefined) {
    checkBytes(method, `${prefix}ocspResponse`, options.ocspResponse);
    if (!hasIdentity(options)) {
      throw new TypeError(`${method}: ${prefix}ocspResponse requires ${prefix}cert or ${prefix}pfx`);
    }
  }
  if (requestOcsp !== undefined && typeof requestOcsp !== "boolean" && requestOcsp !== "required") {
    throw new TypeError(
      `${method}: ${prefix}requestOcsp must be a boolean or "required", got ${describe(requestOcsp)}`,
    );
  }
  if (keylog !== undefined && !isKeylog(keylog)) {
    const what = "a function that takes a line, or the path or file: URL of a file";
    throw new TypeError(`${method}: ${prefix}keylog must be ${what}, got ${describe(keylog)}`);
  }
  if (crl !== undefined) checkStrings(method, `${prefix}crl`, crl);
  if (verifyDepth !== undefined) checkInteger(method, `${prefix}verifyDepth`, verifyDepth, 0, MAX_DEPTH);
  for (const name of ["groups", "signatureAlgorithms"] as const) {
    const list = options[name];
    if (list === undefined) continue;
    checkString(method, prefix + name, list);
    if (list.split(":").every((one) => /^[\w+.-]+$/.test(one))) continue;
    throw new TypeError(`${method}: ${prefix}${name} must be names separated by colons, got ${describe(list)}`);
  }
}

function isKeylog(value: unknown): boolean {
  if (value instanceof URL) return value.protocol === "file:" && value.host === "" && !value.pathname.includes("%00");
  return typeof value === "function" || typeof value === "string" && value !== "" && !value.includes("\0");
}

/** Throws `NotSupported` for the first option that only OpenSSL has. `name`: the TLS that has it not. */
export function refuseOpensslOptions(settings: TlsSettings, name: string): void {
  const found = (Object.keys(OPENSSL_OPTIONS) as (keyof OpensslSettings)[]).find((key) => settings[key] !== undefined);
  const option = found ?? (settings.requestCert === "optional" ? 'requestCert: "optional"' : undefined);
  if (option === undefined) return;
  throw new Deno.errors.NotSupported(
    `${option} is not supported by ${name}; use TLS by OpenSSL: install({ tls: "openssl" }) of @tandem/io/epoll`,
  );
}
