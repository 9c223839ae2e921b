/**
 * Decoys: certificates that rustls cannot read, shown beside a chain that is bad for another reason. Deno then follows
 * names alone (`verify_chain_structure` in its ext/node/ops/tls_wrap.rs) and compares their bytes. So the leaf writes its
 * issuer's name in another string type, and the decoy has that as its subject: the way by names avoids the real issuer.
 */
import {
  altNames,
  authority,
  type Changes,
  EMAIL_PROTECTION,
  type Entity,
  ext,
  general,
  HOST_NAME,
  leaf,
  make as makeCertificate,
  name,
} from "../certificate.ts";
import { type Chain, chain, type Expected, root } from "../chain.ts";
import { bits, type Der, int, longLength, ODD_TRUE, raw, seq, TRUE } from "../der.ts";
import { ecKeys } from "../keys.ts";
import { ENCODINGS } from "./encodings.ts";

/** Ways to be a decoy: what it is like, and how to make it of its subject and its issuer's name. */
export const DECOYS: Record<string, (subject: Der, issuerName: Der) => Entity> = {
  "of version 1": (subject, issuerName) => makeCertificate({ subject, issuerName, version: null }),
  "of version 2": (subject, issuerName) => makeCertificate({ subject, issuerName, version: raw(0xa0, 3, 2, 1, 1) }),
  "with an odd true": (subject, issuerName) =>
    makeCertificate({ subject, issuerName, extensions: [ext.basicConstraints(true, undefined, ODD_TRUE)] }),
  "with a long length": (subject, issuerName) =>
    makeCertificate({ subject, issuerName, extensions: [ext.basicConstraints(true)], shape: longLength }),
  "with bytes behind it": (subject, issuerName) =>
    makeCertificate({
      subject,
      issuerName,
      extensions: [ext.basicConstraints(true)],
      trailing: raw(5, 0),
    }),
  "of names alone": (subject, issuerName) => ({
    name: subject,
    keys: ecKeys(),
    keyId: raw(),
    // A certificate as far as Deno reads it where rustls does not, and no further.
    der: seq(seq(int(1), seq(), issuerName, seq(), subject), seq(), bits(raw())),
  }),
};

/** A name as authorities of `commonName` have it, and another way to write the same. */
export const WRITTEN: Record<string, (commonName: string) => Der> = {
  "as a PrintableString": (commonName) => name(commonName, "printable"),
  "as a BMPString": (commonName) => name(commonName, "bmp"),
  "as a TeletexString": (commonName) => name(commonName, "t61"),
  "in capitals": (commonName) => name(commonName.toUpperCase()),
  "with more spaces": (commonName) => name(` ${commonName.replaceAll(" ", "  ")} `),
};

/** What makes a chain bad: changes to the authority, to the leaf, and how many authorities stand between. */
interface Fault {
  authority?: Changes;
  leaf?: Changes;
  between?: number;
}

const FAULTS: Record<string, Fault> = {
  "nameConstraints": { authority: { more: [ext.nameConstraints({ excluded: [general.dns(HOST_NAME)] })] } },
  "pathLen": { authority: { basic: ext.basicConstraints(true, 0) }, between: 1 },
  "keyUsage": { authority: { usage: ext.keyUsage([0]) } },
  "an authority's purpose": { authority: { purposes: ext.extKeyUsage([EMAIL_PROTECTION]) } },
  "a leaf's purpose": { leaf: { purposes: ext.extKeyUsage([EMAIL_PROTECTION]) } },
  "a critical extension": { authority: { more: [ext.unknown(TRUE)] } },
  "a critical extension of the leaf": { leaf: { more: [ext.unknown(TRUE)] } },
  "no authority": { authority: { basic: ext.basicConstraints(false) } },
  "an authority that has expired": { authority: { from: -20, to: -10 } },
  "a leaf that has expired": { leaf: { from: -20, to: -10 } },
  "another name": { leaf: { names: altNames("other.test") } },
};

/** Encodings that rustls calls bad, so that Deno goes by names. */
const UNREADABLE = [
  "an odd true in keyUsage",
  "a long length",
  "bytes behind",
  "a subject with a long length",
  "a key with a long length",
  "a time before 1970",
  "a time with an offset",
] as const;

/** The authority that a leaf names as its issuer, in one way or another. */
const COMMON_NAME = "Limited Authority";

function faulty({ authority: changes, between = 0, leaf: ofLeaf }: Fault, write?: (commonName: string) => Der) {
  const named = (left: number) => ({ subject: name(left === 0 ? COMMON_NAME : `${COMMON_NAME} ${left}`) });
  const rest = [authority({ issuer: root(), ...changes, ...named(between) })];
  for (let left = between; left-- > 0;) rest.unshift(authority({ issuer: rest[0]!, ...named(left) }));
  const written = write?.(COMMON_NAME) ?? rest[0]!.name;
  return {
    rest,
    written,
    own: (changes: Changes = {}) => leaf(rest[0]!, { ...ofLeaf, issuerName: written, ...changes }),
  };
}

/** Chains that are bad, and something beside that no verifier can read. */
export function decoyChains(): Chain[] {
  const made: Chain[] = [];
  for (const [fault, what] of Object.entries(FAULTS)) {
    // A client has no name to be asked for.
    const asClient: Expected | null = fault === "another name" ? null : "bad";
    for (const [writing, write] of Object.entries(WRITTEN)) {
      for (const [like, decoy] of Object.entries(DECOYS)) {
        // All ways of writing for one fault, one way for all.
        if (fault !== "nameConstraints" && writing !== "as a PrintableString") continue;
        const { own, rest, written } = faulty(what, write);
        const title = `decoy ${like}, ${fault}, issuer ${writing}`;
        made.push(chain(title, "bad", own(), { asClient, rest: [decoy(written, root().name), ...rest] }));
        if (fault !== "nameConstraints") continue;
        made.push(chain(`${title}, last`, "bad", own(), { rest: [...rest, decoy(written, root().name)] }));
      }
    }
    for (const encoding of UNREADABLE) {
      const { own, rest } = faulty(what);
      made.push(
        chain(`unreadable leaf with ${encoding}, ${fault}`, "bad", own(ENCODINGS[encoding]!(false)), {
          asClient,
          rest,
        }),
      );
    }
    const { own, rest, written } = faulty(what);
    for (const [like, decoy] of Object.entries(DECOYS)) {
      // Beside the real one, of the same name: an unreadable certificate anywhere may be enough.
      made.push(
        chain(`decoy ${like}, ${fault}`, "bad", own(), { asClient, rest: [decoy(written, root().name), ...rest] }),
      );
    }
  }
  return [...made, ...namesakes()];
}

/** Good chains whose names are written in more than one way, and decoys beside good chains. */
function namesakes(): Chain[] {
  const good = authority({ issuer: root(), subject: name("Good Authority") });
  return [
    ...Object.entries(WRITTEN).map(([writing, write]) =>
      chain(`issuer written ${writing}`, "open", leaf(good, { issuerName: write("Good Authority") }), { rest: [good] })
    ),
    ...Object.entries(DECOYS).map(([like, decoy]) =>
      chain(`a good chain and a decoy ${like}`, "open", leaf(good), { rest: [good, decoy(good.name, root().name)] })
    ),
    ...Object.entries(DECOYS).map(([like, decoy]) =>
      chain(`a forged leaf and a decoy ${like}`, "bad", leaf({ ...good, keys: ecKeys() }), {
        rest: [decoy(good.name, root().name)],
      })
    ),
    ...Object.entries(DECOYS).map(([like, decoy]) =>
      chain(`a leaf that is a decoy ${like}`, "bad", decoy(name("leaf"), root().name))
    ),
  ];
}
