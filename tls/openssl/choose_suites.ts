/** Chooses the cipher suites of a context, and so its versions. */
import { describe } from "../../errors.ts";
import type { TlsSettings } from "../../transports/tls_provider.ts";
import { made } from "./credentials.ts";
import { cString, type Libssl, textOf } from "./libssl.ts";

/** At least 112 bits: no RSA key below 2048 bits, no signature by SHA-1. */
export const SECURITY_LEVEL = 2;

/** The cipher suites of TLS 1.2, unless `ciphers` chooses: those of Deno, which have forward secrecy and are AEADs. */
const CIPHERS_12 = ["ECDSA", "RSA"].flatMap((key) =>
  ["AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305"].map((cipher) => `ECDHE-${key}-${cipher}`)
).join(":");
/** All cipher suites of TLS 1.3: RFC 8446, B.4. Those with CCM are not used by default. */
const CIPHERS_13 = ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"];
const ALL_13: readonly string[] = [...CIPHERS_13, "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"];

/** The versions and the cipher suites of a side. */
export interface Suites {
  minVersion: "TLSv1.2" | "TLSv1.3";
  maxVersion: "TLSv1.2" | "TLSv1.3";
  list12: string;
  list13: string;
}

/** Divides `ciphers` by version. Throws a `TypeError` if one is unknown. */
export function chooseSuites(ssl: Libssl, settings: TlsSettings): Suites {
  const { minVersion = "TLSv1.2", maxVersion = "TLSv1.3", ciphers } = settings;
  if (ciphers === undefined) return { minVersion, maxVersion, list12: CIPHERS_12, list13: CIPHERS_13.join(":") };
  const names = ciphers.split(":");
  const known12 = namesOf12(ssl);
  for (const name of names) {
    if (ALL_13.includes(name) || known12.has(name)) continue;
    throw new TypeError(`ciphers must be names of cipher suites, and this OpenSSL has none that is ${describe(name)}`);
  }
  const list13 = names.filter((name) => ALL_13.includes(name)).join(":");
  const list12 = names.filter((name) => !ALL_13.includes(name)).join(":");
  const suites = limitVersions({ minVersion, maxVersion, list12, list13 });
  if (suites.minVersion <= suites.maxVersion) return suites;
  throw new TypeError(`ciphers must have a cipher suite of ${minVersion} to ${maxVersion}, got ${describe(ciphers)}`);
}

/** Leaves out versions that have no cipher suite. */
export function limitVersions(suites: Suites): Suites {
  const { list12, list13 } = suites;
  return {
    ...suites,
    ...list12 === "" && { minVersion: "TLSv1.3" },
    ...list13 === "" && { maxVersion: "TLSv1.2" },
  };
}

/** The cipher suites of TLS 1.2 that this OpenSSL has at the security level, without those that encrypt or verify nothing. */
function namesOf12(ssl: Libssl): Set<string> {
  const ctx = made(ssl.SSL_CTX_new(ssl.TLS_client_method()));
  try {
    ssl.SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    if (ssl.SSL_CTX_set_cipher_list(ctx, cString("ALL:!aNULL:!eNULL:!aPSK:!kPSK:!aSRP:!kSRP")) !== 1) return new Set();
    const ciphers = ssl.SSL_CTX_get_ciphers(ctx);
    const count = ssl.OPENSSL_sk_num(ciphers);
    return new Set(
      Array.from({ length: count }, (_, i) => textOf(ssl.SSL_CIPHER_get_name(ssl.OPENSSL_sk_value(ciphers, i)))),
    );
  } finally {
    ssl.SSL_CTX_free(ctx);
    ssl.ERR_clear_error();
  }
}
