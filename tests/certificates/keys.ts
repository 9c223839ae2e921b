/** Keys, and how certificates are signed with them. */
import { constants, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { context, type Der, int, NULL, oid, seq } from "./der.ts";
import { once } from "./once.ts";

/** A key with its public half as certificates have it. */
export interface Keys {
  privateKey: KeyObject;
  publicKey: KeyObject;
  /** SubjectPublicKeyInfo. */
  spki: Der;
  /** How it signs certificates if nothing else is asked for. */
  algorithm: Algorithm;
}

/** A signature algorithm: its AlgorithmIdentifier, and the signing. */
export interface Algorithm {
  identifier: Der;
  sign(data: Uint8Array, key: KeyObject): Uint8Array;
}

/** How some algorithms of OpenSSL's are called. */
function algorithm(dotted: string, hash: string | null, parameters?: Der): Algorithm {
  return {
    identifier: parameters === undefined ? seq(oid(dotted)) : seq(oid(dotted), parameters),
    sign: (data, key) => sign(hash, data, key),
  };
}

/** The length of the salt is the hash's. */
export const PSS_SHA256: Algorithm = {
  identifier: seq(
    oid("1.2.840.113549.1.1.10"),
    seq(
      context(0, seq(oid("2.16.840.1.101.3.4.2.1"), NULL)),
      context(1, seq(oid("1.2.840.113549.1.1.8"), seq(oid("2.16.840.1.101.3.4.2.1"), NULL))),
      context(2, int(32)),
    ),
  ),
  sign: (data, key) => sign("sha256", data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
};

export const ECDSA_SHA1 = algorithm("1.2.840.10045.4.1", "sha1");
export const ECDSA_SHA224 = algorithm("1.2.840.10045.4.3.1", "sha224");
export const ECDSA_SHA256 = algorithm("1.2.840.10045.4.3.2", "sha256");
export const ECDSA_SHA384 = algorithm("1.2.840.10045.4.3.3", "sha384");
export const ECDSA_SHA512 = algorithm("1.2.840.10045.4.3.4", "sha512");
export const RSA_MD5 = algorithm("1.2.840.113549.1.1.4", "md5", NULL);
export const RSA_SHA1 = algorithm("1.2.840.113549.1.1.5", "sha1", NULL);
export const RSA_SHA256 = algorithm("1.2.840.113549.1.1.11", "sha256", NULL);
export const RSA_SHA384 = algorithm("1.2.840.113549.1.1.12", "sha384", NULL);
export const RSA_SHA512 = algorithm("1.2.840.113549.1.1.13", "sha512", NULL);
export const ED25519 = algorithm("1.3.101.112", null);

/** Makes the key when it is first used: of all chains, a test may look at a few. */
function keys(makePair: () => { privateKey: KeyObject; publicKey: KeyObject }, algorithm: Algorithm): Keys {
  const pair = once(makePair);
  return {
    algorithm,
    get privateKey() {
      return pair().privateKey;
    },
    get publicKey() {
      return pair().publicKey;
    },
    get spki() {
      return new Uint8Array(pair().publicKey.export({ type: "spki", format: "der" }));
    },
  };
}

/** A key of a curve that Deno knows; P-256 is by far the fastest. */
export function ecKeys(namedCurve: "P-256" | "P-384" | "P-521" | "secp256k1" = "P-256"): Keys {
  const algorithms = { "P-256": ECDSA_SHA256, "P-384": ECDSA_SHA384, "P-521": ECDSA_SHA512, "secp256k1": ECDSA_SHA256 };
  return keys(() => generateKeyPairSync("ec", { namedCurve }), algorithms[namedCurve]);
}

export function edKeys(): Keys {
  return keys(() => generateKeyPairSync("ed25519"), ED25519);
}

const rsaPool = new Map<string, Keys>();

/** An RSA key, the same one for the same number, as making one takes a tenth of a second. */
export function rsaKeys(bits = 2048, number = 0): Keys {
  const name = `${bits} ${number}`;
  const known = rsaPool.get(name) ?? keys(() => generateKeyPairSync("rsa", { modulusLength: bits }), RSA_SHA256);
  rsaPool.set(name, known);
  return known;
}

/** A signature scheme of TLS 1.3. */
export interface Scheme {
  number: number;
  sign(data: Uint8Array, key: KeyObject): Uint8Array;
}

/** How a key signs in TLS 1.3: RFC 8446, 4.2.3. */
export function schemeOf(key: KeyObject): Scheme {
  switch (key.asymmetricKeyType) {
    case "ed25519":
      return { number: 0x0807, sign: ED25519.sign };
    case "rsa":
      return { number: 0x0804, sign: PSS_SHA256.sign };
  }
  switch (key.asymmetricKeyDetails?.namedCurve) {
    case "P-384":
    case "secp384r1":
      return { number: 0x0503, sign: ECDSA_SHA384.sign };
    case "P-521":
    case "secp521r1":
      return { number: 0x0603, sign: ECDSA_SHA512.sign };
  }
  return { number: 0x0403, sign: ECDSA_SHA256.sign };
}
