/** Reads PKCS #12: a certificate, its key and the certificates of CAs, encrypted. */
import { made } from "./credentials.ts";
import { cString, type Libssl, type Pointer } from "./libssl.ts";
import { takeError } from "./openssl_error.ts";

/** What is in a PKCS #12. The caller frees each, and of `others` each certificate. */
export interface Pkcs12 {
  key: Pointer;
  cert: Pointer;
  others: Pointer[];
}

/** Why PKCS12_parse() fails with a wrong passphrase: pk12err.h. */
const MAC_VERIFY_FAILURE = 113;

/** Parses a PKCS #12. Throws a `TypeError` if it cannot be parsed or decrypted. */
export function parsePkcs12(lib: Libssl, pfx: Uint8Array, passphrase: string | undefined): Pkcs12 {
  const parsed = pfx.length === 0 ? null : readPkcs12(lib, pfx); // OpenSSL has no BIO of no bytes.
  if (parsed === null) throw new TypeError("pfx must be a PKCS #12 (DER), got bytes that cannot be parsed");
  const secret = cString(passphrase ?? "");
  const [key, cert, stack] = [new BigUint64Array(1), new BigUint64Array(1), new BigUint64Array(1)];
  try {
    if (lib.PKCS12_parse(parsed, secret, key, cert, stack) !== 1) throw cannotDecrypt(lib, passphrase);
  } finally {
    secret.fill(0);
    lib.PKCS12_free(parsed);
    lib.ERR_clear_error();
  }
  const list = Deno.UnsafePointer.create(stack[0]!);
  const count = list === null ? 0 : Math.max(0, lib.OPENSSL_sk_num(list));
  const others = Array.from({ length: count }, (_, i) => lib.OPENSSL_sk_value(list, i)!);
  if (list !== null) lib.OPENSSL_sk_free(list);
  const found = { key: Deno.UnsafePointer.create(key[0]!), cert: Deno.UnsafePointer.create(cert[0]!) };
  if (found.key !== null && found.cert !== null) return { key: found.key, cert: found.cert, others };
  if (found.key !== null) lib.EVP_PKEY_free(found.key);
  for (const x509 of [found.cert, ...others]) if (x509 !== null) lib.X509_free(x509);
  const missing = found.key === null ? "private key" : "certificate of its private key";
  throw new TypeError(`pfx must have a certificate and its private key, got a PKCS #12 without a ${missing}`);
}

function readPkcs12(lib: Libssl, pfx: Uint8Array): Deno.PointerValue {
  lib.ERR_clear_error();
  const bio = made(lib.BIO_new_mem_buf(pfx, pfx.length));
  try {
    return lib.d2i_PKCS12_bio(bio, null);
  } finally {
    lib.BIO_free(bio);
    lib.ERR_clear_error();
  }
}

function cannotDecrypt(lib: Libssl, passphrase: string | undefined): TypeError {
  const error = takeError(lib);
  if (error !== null && !error.ofSsl && error.reason === MAC_VERIFY_FAILURE) return wrongPassphrase("pfx", passphrase);
  return new TypeError(`pfx must be a PKCS #12 that OpenSSL can decrypt: ${error?.text ?? "it gives no reason"}`);
}

/** Makes the error for a passphrase that is missing or wrong. `option`: what it is for. */
export function wrongPassphrase(option: string, passphrase: string | undefined): TypeError {
  return new TypeError(
    passphrase === undefined
      ? `${option} is encrypted and requires passphrase`
      : `passphrase must be that of ${option}`,
  );
}
