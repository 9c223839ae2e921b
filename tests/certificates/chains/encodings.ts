/** Certificates that are not quite DER, or not quite what RFC 5280, 4.1 wants: each genuine, and each a forgery. */
import {
  authority,
  type Changes,
  EMPTY_NAME,
  type Entity,
  ext,
  leaf,
  type Making,
  name,
  version,
} from "../certificate.ts";
import { type Chain, chain, root } from "../chain.ts";
import {
  bits,
  contentOf,
  context,
  type Der,
  FALSE,
  generalizedTime,
  indefinite,
  int,
  latin1,
  longLength,
  NULL,
  ODD_TRUE,
  oid,
  raw,
  seq,
  string,
  tlv,
  utcTime,
} from "../der.ts";
import { ECDSA_SHA256, ecKeys } from "../keys.ts";

const join = (...parts: Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));
const soon = new Date(Date.now() + 9 * 86_400_000);
const flawed = (identifier: Der): Partial<Making> => ({ algorithm: { ...ECDSA_SHA256, identifier } });

/** What to do to a certificate. */
export const ENCODINGS: Record<string, (isAuthority: boolean) => Changes> = {
  "version 1, explicitly": () => ({ version: version(1) }),
  "version 2": () => ({ version: version(2) }),
  "no version": () => ({ version: null }),
  "no version and no extensions": () => ({ version: null, extensions: null }),
  "version 4": () => ({ version: version(4) }),
  "version -1": () => ({ version: context(0, raw(2, 1, 0xff)) }),
  "a version of two bytes": () => ({ version: context(0, raw(2, 2, 0, 2)) }),
  "a version without its tag": () => ({ version: int(2) }),
  "a negative serial": () => ({ serial: raw(2, 1, 0x85) }),
  "no serial": () => ({ serial: raw(2, 0) }),
  "a serial with zeros before": () => ({ serial: raw(2, 3, 0, 0, 5) }),
  "a serial of 40 bytes": () => ({ serial: tlv(2, new Uint8Array(40).fill(5)) }),
  "a serial that is a string": () => ({ serial: string("5") }),
  "an odd true in basicConstraints": (ca) => ({ basic: ext.basicConstraints(ca, undefined, ODD_TRUE) }),
  "an odd true in keyUsage": (ca) => ({ usage: ext.keyUsage(ca ? [5, 6] : [0], ODD_TRUE) }),
  "an odd cA": (ca) => ({ basic: ext.rawBasicConstraints(seq(ca ? ODD_TRUE : FALSE)) }),
  "an explicit cA": (ca) => ({ basic: ext.rawBasicConstraints(seq(ca ? raw(1, 1, 0xff) : FALSE)) }),
  "cA as a number": (ca) => ({ basic: ext.rawBasicConstraints(seq(int(ca ? 1 : 0))) }),
  "basicConstraints with bytes behind": (ca) => ({
    basic: ext.rawBasicConstraints(join(seq(...ca ? [raw(1, 1, 0xff)] : []), NULL)),
  }),
  "critical false, explicitly": (ca) => ({ basic: ext.basicConstraints(ca, undefined, FALSE) }),
  "critical as a number": (ca) => ({ basic: ext.basicConstraints(ca, undefined, int(1)) }),
  "critical of two bytes": (ca) => ({ basic: ext.basicConstraints(ca, undefined, raw(1, 2, 0xff, 0xff)) }),
  "a long length": () => ({ wrap: longLength }),
  "a long length inside": () => ({ shape: longLength }),
  "an indefinite length": () => ({ wrap: indefinite }),
  "an indefinite length inside": () => ({ shape: indefinite }),
  "bytes behind": () => ({ wrap: (der) => join(der, NULL) }),
  "bytes behind, inside": () => ({ trailing: NULL }),
  "bytes behind the signature": () => ({ wrap: (der) => seq(contentOf(der), NULL) }),
  "a signature with bytes behind": () => ({ sign: (signature) => join(signature, raw(0)) }),
  "a signature with unused bits": () => ({ sign: (signature) => join(signature, raw(0)), wrap: tamperBits }),
  "no list around its extensions": () => ({ extensions: null, trailing: context(3, ext.basicConstraints(true)) }),
  "no extensions in a list": () => ({ extensions: [] }),
  "extensions twice": () => ({ trailing: context(3, seq(ext.unknown())) }),
  "unique identifiers": () => ({ trailing: join(tlv(0x81, raw(0, 1)), tlv(0x82, raw(0, 1))) }),
  "another signature algorithm inside": () => ({ innerAlgorithm: seq(oid("1.2.840.10045.4.3.3")) }),
  "a signature algorithm with NULL inside": () => ({ innerAlgorithm: seq(oid("1.2.840.10045.4.3.2"), NULL) }),
  "a signature algorithm with NULL": () => flawed(seq(oid("1.2.840.10045.4.3.2"), NULL)),
  "an unknown signature algorithm": () => flawed(seq(oid("1.2.3.4"))),
  "no signature algorithm": () => flawed(seq()),
  "GeneralizedTime for this year": () => ({ to: generalizedTime(soon) }),
  "a time without seconds": () => ({ to: tlv(0x17, latin1("4001010000Z")) }),
  "a time with an offset": () => ({ to: tlv(0x17, latin1("400101000000+0000")) }),
  "a time without Z": () => ({ to: tlv(0x17, latin1("400101000000")) }),
  "a time with fractions": () => ({ to: tlv(0x18, latin1("20400101000000.5Z")) }),
  "the 30th of February": () => ({ to: tlv(0x17, latin1("400230000000Z")) }),
  "the hour 25": () => ({ to: tlv(0x17, latin1("400101250000Z")) }),
  "a time that is none": () => ({ to: tlv(0x17, latin1("never")) }),
  "a time that is a string": () => ({ to: string("400101000000Z") }),
  "a time of no length": () => ({ to: raw(0x17, 0) }),
  "a time before 1970": () => ({ from: utcTime(new Date("1955-01-01")) }),
  "a time of the year 0": () => ({ from: tlv(0x18, latin1("00000101000000Z")) }),
  "an issuer of an empty name": () => ({ issuerName: EMPTY_NAME }),
  "a subject that is no name": () => ({ subject: string("subject") }),
  "a subject of a broken string": () => ({ subject: seq(tlv(0x31, seq(oid("2.5.4.3"), tlv(0x0c, raw(0xff, 0xfe))))) }),
  "a subject with a zero byte": () => ({ subject: name("a\0b") }),
  "a subject with a long length": () => ({ subject: longLength(name("long")) }),
  "no key": () => ({ spki: seq() }),
  "a key with bytes behind": () => spkiOf((spki) => seq(contentOf(spki), NULL)),
  "a key with a long length": () => spkiOf(longLength),
  "a key without its curve": () => spkiOf((spki) => seq(seq(oid("1.2.840.10045.2.1")), bits(spki.slice(-65)))),
  "a key of another curve": () =>
    spkiOf((spki) => seq(seq(oid("1.2.840.10045.2.1"), oid("1.3.132.0.34")), bits(spki.slice(-65)))),
  "a key off the curve": () => spkiOf((spki) => spki.with(spki.length - 1, spki.at(-1)! ^ 1)),
  "a compressed key": () =>
    spkiOf((spki) =>
      seq(
        seq(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")),
        bits(join(raw(2 + (spki.at(-1)! & 1)), spki.slice(-64, -32))),
      )
    ),
};

function spkiOf(change: (spki: Der) => Der): Changes {
  const keys = ecKeys();
  return { keys, spki: change(keys.spki) };
}

/** Claims that some bits of the signature do not count. */
function tamperBits(der: Der): Der {
  const at = der.findLastIndex((byte, i) => byte === 3 && der[i + 2] === 0 && der[i + 3] === 0x30);
  return der.with(at + 2, 4);
}

/** Certificates with such encodings as a leaf, an authority and a root; genuine, forged, and of another's key. */
export function encodingChains(): Chain[] {
  const between = authority({ issuer: root() });
  // The name, but not the key.
  const forger = (entity: Entity): Entity => ({ ...entity, keys: ecKeys() });
  return Object.entries(ENCODINGS).flatMap(([what, change]) => {
    const own = leaf(root(), change(false));
    const broken = authority({ issuer: root(), ...change(true) });
    const top = authority(change(true));
    const forged = leaf(forger(root()), change(false));
    const forgedBetween = authority({ issuer: forger(root()), ...change(true) });
    return [
      chain(`a leaf with ${what}`, "open", own),
      chain(`a leaf with ${what}, forged`, "bad", forged),
      chain(`a leaf with ${what}, forged below an authority`, "bad", leaf(forger(between), change(false)), {
        rest: [between],
      }),
      chain(`a leaf with ${what}, and another key`, "bad", own, {
        key: () => ecKeys().privateKey,
      }),
      chain(`below an authority with ${what}`, "open", leaf(broken), { rest: [broken] }),
      chain(`below an authority with ${what}, forged`, "bad", leaf(forgedBetween), { rest: [forgedBetween] }),
      chain(`below a root with ${what}`, "open", leaf(top), { roots: [top] }),
      chain(`below a root with ${what}, forged`, "bad", leaf(forger(top)), { roots: [top] }),
    ];
  });
}
