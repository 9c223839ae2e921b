/** The certificate and the key of a side in OpenSSL's memory. */
import type { TlsSettings } from "../../transports/tls_provider.ts";
import { parsePem } from "../pem.ts";
import { type Handles, made, outOfMemory, parseCertificates, readPem } from "./credentials.ts";
import { cString, type Libssl, type Pointer } from "./libssl.ts";
import { parsePkcs12, wrongPassphrase } from "./pkcs12.ts";

/** A certificate, those of the CAs above it, and its key. */
export interface Identity {
  cert: Pointer;
  key: Pointer;
  /** An `OPENSSL_STACK`. */
  chain: Pointer;
}

/** Parses `cert` and `key`, or `pfx`; `null` if there are none. */
export function parseIdentity(ssl: Libssl, handles: Handles, settings: TlsSettings): Identity | null {
  const { cert, key, pfx, passphrase } = settings;
  if (pfx !== undefined) {
    const found = parsePkcs12(ssl, pfx, passphrase);
    const freeCert = (x509: Pointer) => ssl.X509_free(x509);
    handles.own(found.key, (key) => ssl.EVP_PKEY_free(key));
    for (const x509 of [found.cert, ...found.others]) handles.own(x509, freeCert);
    return { cert: found.cert, key: found.key, chain: toChain(ssl, handles, found.others) };
  }
  if (cert === undefined || key === undefined) return null;
  const [own, ...others] = parseCertificates(ssl, handles, "cert", cert);
  const privateKey = parseKey(ssl, handles, key, passphrase);
  ssl.ERR_clear_error();
  const fits = ssl.X509_check_private_key(own!, privateKey) === 1;
  ssl.ERR_clear_error();
  if (!fits) throw new TypeError("key must be the private key of cert");
  return { cert: own!, key: privateKey, chain: toChain(ssl, handles, others) };
}

function parseKey(ssl: Libssl, handles: Handles, key: string, passphrase: string | undefined): Pointer {
  // Without a function that asks for it, the last argument is the passphrase.
  const secret = cString(passphrase ?? "");
  try {
    const pointer = readPem(ssl, key, (bio) => ssl.PEM_read_bio_PrivateKey(bio, null, null, secret));
    return handles.own(pointer, (key) => ssl.EVP_PKEY_free(key));
  } catch (cause) {
    if (isEncrypted(key)) throw wrongPassphrase("key", passphrase);
    return parsePem("key", "private key", key, () => {
      throw cause;
    });
  } finally {
    secret.fill(0);
  }
}

/** Reports whether PEM has an encrypted key, of PKCS #8 or as in RFC 1421, 4.6.1.1. */
function isEncrypted(key: string): boolean {
  return /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: *4, *ENCRYPTED/m.test(key);
}

function toChain(ssl: Libssl, handles: Handles, others: readonly Pointer[]): Pointer {
  const chain = handles.own(made(ssl.OPENSSL_sk_new_null()), (stack) => ssl.OPENSSL_sk_free(stack));
  for (const other of others) if (ssl.OPENSSL_sk_push(chain, other) <= 0) throw outOfMemory();
  return chain;
}
