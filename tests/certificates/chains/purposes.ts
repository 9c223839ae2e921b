/** What certificates may be used for: keyUsage, extKeyUsage and other extensions (RFC 5280, 4.2.1). */
import {
  ANY_USAGE,
  authority,
  type Changes,
  CLIENT_AUTH,
  CODE_SIGNING,
  EMAIL_PROTECTION,
  ext,
  extension,
  leaf,
  OCSP_SIGNING,
  SERVER_AUTH,
} from "../certificate.ts";
import { type Chain, chain, type Expected, root } from "../chain.ts";
import { type Der, FALSE, int, octets, ODD_TRUE, oid, raw, seq, set, TRUE } from "../der.ts";

/** extKeyUsage, and what a server and a client may do with it. */
function purposes(): [what: string, purposes: Der | null, server: Expected, client: Expected][] {
  const of = (...purposes: string[]) => ext.extKeyUsage(purposes);
  const rawly = (value: Der) => extension("2.5.29.37", value);
  return [
    ["any purpose, by saying nothing", null, "good", "good"],
    ["serverAuth", of(SERVER_AUTH), "good", "bad"],
    ["clientAuth", of(CLIENT_AUTH), "bad", "good"],
    ["serverAuth among others", of(CODE_SIGNING, SERVER_AUTH), "good", "bad"],
    ["critical serverAuth", ext.extKeyUsage([SERVER_AUTH], TRUE), "good", "bad"],
    ["critical clientAuth", ext.extKeyUsage([CLIENT_AUTH], TRUE), "bad", "good"],
    ["anyExtendedKeyUsage", of(ANY_USAGE), "open", "open"],
    ["anyExtendedKeyUsage and email", of(ANY_USAGE, EMAIL_PROTECTION), "open", "open"],
    ["email", of(EMAIL_PROTECTION), "bad", "bad"],
    ["code", of(CODE_SIGNING), "bad", "bad"],
    ["OCSP", of(OCSP_SIGNING), "bad", "bad"],
    ["Netscape's step up", of("2.16.840.1.113730.4.1"), "open", "bad"],
    ["a longer OID", of(`${SERVER_AUTH}.1`), "bad", "bad"],
    ["a shorter OID", of("1.3.6.1.5.5.7.3"), "bad", "bad"],
    ["nothing", of(), "bad", "bad"],
    ["serverAuth twice", of(SERVER_AUTH, SERVER_AUTH), "open", "bad"],
    ["serverAuth, as a set", rawly(set(oid(SERVER_AUTH))), "bad", "bad"],
    ["serverAuth, not in a list", rawly(oid(SERVER_AUTH)), "bad", "bad"],
    ["serverAuth, as bytes", rawly(seq(octets(oid(SERVER_AUTH)))), "bad", "bad"],
    ["garbage", rawly(raw(1, 2, 3)), "bad", "bad"],
    ["an empty value", rawly(raw()), "bad", "bad"],
    // clientAuth's bytes in another extension fool a verifier that searches for bytes.
    ["email, and clientAuth in another extension", ext.extKeyUsage([EMAIL_PROTECTION]), "bad", "bad"],
  ];
}

/** keyUsage of a leaf, whose key is of ECDSA. */
const USAGES: [what: string, usage: Der | null, expected: Expected][] = [
  ["anything, by saying nothing", null, "good"],
  ["digitalSignature and more", ext.keyUsage([0, 2, 4]), "good"],
  ["digitalSignature, not critical", ext.keyUsage([0], null), "good"],
  ["keyEncipherment", ext.keyUsage([2]), "open"],
  ["keyAgreement", ext.keyUsage([4]), "open"],
  ["nonRepudiation", ext.keyUsage([1]), "open"],
  ["keyCertSign", ext.keyUsage([5]), "open"],
  ["cRLSign", ext.keyUsage([6]), "open"],
  ["nothing", ext.keyUsage([]), "open"],
  ["garbage", extension("2.5.29.15", raw(1, 2), TRUE), "bad"],
];

/** Further extensions of a leaf. */
const EXTENSIONS: [what: string, more: Der[], expected: Expected][] = [
  ["an unknown one", [ext.unknown()], "good"],
  ["an unknown one that is explicitly not critical", [ext.unknown(FALSE)], "open"],
  ["an unknown critical one", [ext.unknown(TRUE)], "bad"],
  ["an unknown critical one, oddly", [ext.unknown(ODD_TRUE)], "bad"],
  ["an unknown one, twice", [ext.unknown(), ext.unknown()], "open"],
  ["subjectKeyIdentifier twice", [ext.subjectKeyId(raw(1))], "bad"],
  ["keyUsage twice", [ext.keyUsage([0])], "bad"],
  ["basicConstraints twice", [ext.basicConstraints(false)], "bad"],
  ["extKeyUsage twice", [ext.extKeyUsage([SERVER_AUTH])], "bad"],
  ["certificatePolicies", [extension("2.5.29.32", seq(seq(oid("2.23.140.1.2.1"))))], "good"],
  ["critical certificatePolicies", [extension("2.5.29.32", seq(seq(oid("2.23.140.1.2.1"))), TRUE)], "open"],
  ["policyConstraints", [extension("2.5.29.36", seq(raw(0x80, 1, 0)), TRUE)], "open"],
  ["inhibitAnyPolicy", [extension("2.5.29.54", int(0), TRUE)], "open"],
  ["TLS feature", [extension("1.3.6.1.5.5.7.1.24", seq(int(5)))], "open"],
  ["TLS feature, critical", [extension("1.3.6.1.5.5.7.1.24", seq(int(5)), TRUE)], "open"],
  ["Certificate Transparency's poison", [extension("1.3.6.1.4.1.11129.2.4.3", raw(5, 0), TRUE)], "bad"],
  ["critical key identifiers", [extension("2.5.29.9", seq(), TRUE)], "bad"],
  ["CRL distribution points, critical", [extension("2.5.29.31", seq(), TRUE)], "open"],
  ["a list of delta CRLs, critical", [extension("2.5.29.46", seq(), TRUE)], "bad"],
  ["proxyCertInfo, critical", [extension("1.3.6.1.5.5.7.1.14", seq(seq(oid("1.3.6.1.5.5.7.21.1"))), TRUE)], "bad"],
  ["Netscape's certificate type: client", [extension("2.16.840.1.113730.1.1", raw(3, 2, 7, 0x80))], "open"],
  ["an extension without a value", [seq(oid("1.2.3"))], "bad"],
  ["an extension with two values", [seq(oid("1.2.3"), octets(raw()), octets(raw()))], "bad"],
  ["an extension of another type", [seq(oid("1.2.3"), raw(5, 0))], "bad"],
];

/** Chains of which a certificate is for something. */
export function purposeChains(): Chain[] {
  const below = (changes: Changes) => {
    const between = authority({ issuer: root(), ...changes });
    return [leaf(between), { rest: [between] }] as const;
  };
  const hidden = { more: [extension("1.2.3.4", octets(oid(CLIENT_AUTH))), ext.unknown()] };
  const made = purposes().flatMap(([what, purposes, server, asClient]) => {
    const more = what.includes("another extension") ? hidden : {};
    const [between, options] = below({ purposes });
    const top = authority({ purposes });
    // RFC 5280 gives the purposes of an authority no meaning for those below it; all verifiers do.
    const soft = (expected: Expected): Expected => expected === "bad" ? "bad" : "open";
    const odd = what === "serverAuth" || what === "clientAuth" ? (e: Expected) => e : soft;
    return [
      chain(`a leaf for ${what}`, server, leaf(root(), { purposes, ...more }), { asClient }),
      chain(`below an authority for ${what}`, odd(server), between, { ...options, asClient: odd(asClient) }),
      chain(`below a root for ${what}`, "open", leaf(top), { roots: [top] }),
    ];
  });
  return [
    ...made,
    ...USAGES.map(([what, usage, expected]) => chain(`a leaf's key for ${what}`, expected, leaf(root(), { usage }))),
    ...EXTENSIONS.map(([what, more, expected]) => chain(`a leaf with ${what}`, expected, leaf(root(), { more }))),
    ...EXTENSIONS.map(([what, more, expected]) => {
      const soft = expected === "bad" && what !== "extKeyUsage twice" ? "bad" : "open";
      return chain(`below an authority with ${what}`, soft, ...below({ more }));
    }),
    chain("a leaf that is an authority", "open", leaf(root(), { basic: ext.basicConstraints(true) })),
    chain("a leaf without basicConstraints", "good", leaf(root(), { basic: null })),
    chain("a leaf with a pathLen", "open", leaf(root(), { basic: ext.basicConstraints(false, 0) })),
    chain("a leaf without extensions but names", "good", leaf(root(), { basic: null, usage: null, purposes: null })),
  ];
}
