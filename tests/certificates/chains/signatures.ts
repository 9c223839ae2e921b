/** Signatures of certificates and of handshakes, and keys that are too weak for either. */
import { createHash, sign } from "node:crypto";
import { authority, type Entity, leaf, type Making } from "../certificate.ts";
import { type Chain, chain, type ChainOptions, type Expected, root } from "../chain.ts";
import { contentOf, type Der, int, longLength, raw, seq, tlv } from "../der.ts";
import {
  type Algorithm,
  ECDSA_SHA1,
  ECDSA_SHA224,
  ECDSA_SHA256,
  ECDSA_SHA384,
  ECDSA_SHA512,
  ecKeys,
  ED25519,
  edKeys,
  type Keys,
  PSS_SHA256,
  RSA_MD5,
  RSA_SHA1,
  RSA_SHA256,
  RSA_SHA384,
  RSA_SHA512,
  rsaKeys,
} from "../keys.ts";

/** The order of P-256. */
const ORDER = raw(
  ...[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  ...[0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51],
);

/** What to make of an ECDSA signature. */
const TAMPERED: Record<string, (signature: Der) => Uint8Array> = {
  "two zeros": () => seq(int(0), int(0)),
  "two ones": () => seq(int(1), int(1)),
  "the order twice": () => seq(tlv(2, raw(0), ORDER), tlv(2, raw(0), ORDER)),
  "empty numbers": () => seq(raw(2, 0), raw(2, 0)),
  "no numbers": () => seq(),
  "one number": () => seq(int(5)),
  "nothing": () => raw(),
  "zeros": () => new Uint8Array(64),
  "a long length": longLength,
  "bytes behind its numbers": (signature) => seq(contentOf(signature), raw(5, 0)),
  "bytes behind it": (signature) => new Uint8Array([...signature, 0]),
  "numbers with zeros before": (signature) => {
    const numbers = contentOf(signature);
    const first = contentOf(numbers);
    return seq(tlv(2, raw(0, 0), first), numbers.subarray(2 + first.length));
  },
  "a flipped bit": (signature) => signature.with(20, signature[20]! ^ 1),
  "the bare numbers": (signature) => contentOf(signature),
};

function algorithms(): [what: string, Expected, Keys, Algorithm][] {
  const [ec, p384, rsa, rsa1024, ed] = [ecKeys(), ecKeys("P-384"), rsaKeys(), rsaKeys(1024), edKeys()];
  // Says one thing and does another.
  const lying = (says: Algorithm, does: Algorithm): Algorithm => ({ ...does, identifier: says.identifier });
  return [
    ["ECDSA, SHA-256", "good", ec, ECDSA_SHA256],
    ["ECDSA, SHA-384", "good", ec, ECDSA_SHA384],
    ["ECDSA, SHA-512", "open", ec, ECDSA_SHA512],
    ["P-384, SHA-384", "good", p384, ECDSA_SHA384],
    ["P-384, SHA-256", "good", p384, ECDSA_SHA256],
    ["P-521, SHA-512", "open", ecKeys("P-521"), ECDSA_SHA512],
    ["secp256k1", "open", ecKeys("secp256k1"), ECDSA_SHA256],
    ["Ed25519", "good", ed, ED25519],
    ["RSA, SHA-256", "good", rsa, RSA_SHA256],
    ["RSA, SHA-384", "good", rsa, RSA_SHA384],
    ["RSA, SHA-512", "good", rsa, RSA_SHA512],
    ["RSA-PSS, SHA-256", "good", rsa, PSS_SHA256],
    ["RSA of 1024 bits", "bad", rsa1024, RSA_SHA256],
    ["RSA of 1024 bits, PSS", "bad", rsa1024, PSS_SHA256],
    ["RSA, MD5", "bad", rsa, RSA_MD5],
    ["RSA, SHA-1", "bad", rsa, RSA_SHA1],
    ["ECDSA, SHA-1", "bad", ec, ECDSA_SHA1],
    ["ECDSA, SHA-224", "open", ec, ECDSA_SHA224],
    ["SHA-256 that is SHA-1", "bad", ec, lying(ECDSA_SHA256, ECDSA_SHA1)],
    ["SHA-384 that is SHA-256", "bad", ec, lying(ECDSA_SHA384, ECDSA_SHA256)],
    ["PSS that is PKCS 1", "bad", rsa, lying(PSS_SHA256, RSA_SHA256)],
    ["PKCS 1 that is PSS", "bad", rsa, lying(RSA_SHA256, PSS_SHA256)],
    ["RSA with a key of ECDSA", "bad", ec, lying(RSA_SHA256, ECDSA_SHA256)],
    ["ECDSA with a key of RSA", "bad", rsa, lying(ECDSA_SHA256, RSA_SHA256)],
    ["Ed25519 with a key of ECDSA", "bad", ec, lying(ED25519, ECDSA_SHA256)],
  ];
}

function handshakes(): Chain[] {
  const [ec, other, rsa] = [leaf(root()), ecKeys(), rsaKeys()];
  const withRsa = leaf(root(), { keys: rsa });
  const signs = (scheme: number, signature: (content: Uint8Array) => Uint8Array): ChainOptions => ({
    sign: (content) => ({ scheme, signature: signature(content) }),
  });
  const own = (content: Uint8Array) => sign("sha256", content, ec.keys.privateKey);
  const made: [string, Expected, Entity, ChainOptions][] = [
    ["another key", "bad", ec, { key: () => other.privateKey }],
    ["another key of another kind", "bad", ec, { key: () => rsa.privateKey }],
    ["another key of Ed25519", "bad", ec, { key: () => edKeys().privateKey }],
    ["the issuer's key", "bad", ec, { key: () => root().keys.privateKey }],
    ["another RSA key", "bad", withRsa, { key: () => rsaKeys(2048, 7).privateKey }],
    ["nothing", "bad", ec, signs(0x0403, () => raw())],
    ["two zeros", "bad", ec, signs(0x0403, () => seq(int(0), int(0)))],
    ["a signature of something else", "bad", ec, signs(0x0403, () => own(raw(1)))],
    ["a client's signature", "bad", ec, signs(0x0403, (content) => own(swapSides(content)))],
    ["its hash", "bad", ec, signs(0x0403, (content) => own(createHash("sha256").update(content).digest()))],
    ["SHA-384 and P-256", "bad", ec, signs(0x0503, (content) => sign("sha384", content, ec.keys.privateKey))],
    ["SHA-1", "bad", ec, signs(0x0203, (content) => sign("sha1", content, ec.keys.privateKey))],
    ["RSA with PKCS 1", "bad", withRsa, signs(0x0401, (content) => sign("sha256", content, rsa.privateKey))],
    ["RSA with SHA-1", "bad", withRsa, signs(0x0201, (content) => sign("sha1", content, rsa.privateKey))],
    ["a scheme that does not exist", "bad", ec, signs(0xfefe, own)],
    ["the scheme of Ed25519", "bad", ec, signs(0x0807, own)],
  ];
  // openssl verify sees no handshake.
  return made.map(([what, expected, own, options]) => chain(`a handshake signed with ${what}`, expected, own, options));
}

/** Puts the other side's name in what a side signs; both are equally long. */
function swapSides(content: Uint8Array): Uint8Array {
  const swapped = content.slice();
  const at = 64 + "TLS 1.3, ".length;
  const isServer = content[at] === "s".charCodeAt(0);
  swapped.set(new TextEncoder().encode(isServer ? "client" : "server"), at);
  return swapped;
}

/** Chains with signatures of all kinds. */
export function signatureChains(): Chain[] {
  const made: Chain[] = handshakes();
  for (const [what, expected, keys, algorithm] of algorithms()) {
    const top = authority({ keys });
    const between = authority({ issuer: root(), keys });
    const making: Making = { algorithm };
    // node:crypto does not check such a signature, which a server asks of it beside rustls.
    const asClient = algorithm === PSS_SHA256 && expected === "good" ? "open" : expected;
    const below = { rest: [between], asClient };
    made.push(
      chain(`a leaf signed with ${what}`, expected, leaf(top, making), { roots: [top], asClient }),
      chain(`below an authority that signs with ${what}`, expected, leaf(between, making), below),
    );
  }
  for (
    const [what, expected, keys] of [
      ["RSA of 1024 bits", "bad", rsaKeys(1024)],
      ["RSA of 3072 bits", "good", rsaKeys(3072)],
      ["secp256k1", "bad", ecKeys("secp256k1")],
    ] as [string, Expected, Keys][]
  ) {
    made.push(chain(`a leaf whose key is ${what}`, expected, leaf(root(), { keys })));
  }
  for (const [what, tamper] of Object.entries(TAMPERED)) {
    const sign = (signature: Uint8Array) => tamper(new Uint8Array(signature));
    const between = authority({ issuer: root(), sign });
    made.push(
      chain(`a leaf signed with ${what}`, "bad", leaf(root(), { sign })),
      chain(`below an authority signed with ${what}`, "bad", leaf(between), { rest: [between] }),
    );
  }
  return made;
}
