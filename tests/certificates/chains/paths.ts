/** Paths from a leaf to a root: RFC 5280, 6.1. */
import {
  authority,
  type Changes,
  EMAIL_PROTECTION,
  type Entity,
  ext,
  leaf,
  make,
  name,
  version,
} from "../certificate.ts";
import { type Chain, chain, type Expected, rogue, root, sub } from "../chain.ts";
import { int, raw, time } from "../der.ts";
import { ecKeys, edKeys, PSS_SHA256, rsaKeys } from "../keys.ts";

/** So many authorities below the root, the last one first. */
function below(count: number, top = root(), changes: Changes = {}): Entity[] {
  const made: Entity[] = [];
  for (let i = 0; i < count; i++) made.unshift(authority({ ...changes, issuer: made[0] ?? top }));
  return made;
}

function under(authorities: Entity[]): [Entity, { rest: Entity[] }] {
  return [leaf(authorities[0]!), { rest: authorities }];
}

function good(): Chain[] {
  const [ed, edRoot] = [edKeys(), authority({ keys: edKeys() })];
  const p384 = authority({ keys: ecKeys("P-384") });
  const rsa = authority({ keys: rsaKeys(2048, 1) });
  const stranger = authority();
  // The same authority, certified by two.
  const crossed = authority({ issuer: rogue() });
  const cross = authority({ issuer: root(), subject: crossed.name, keys: crossed.keys });
  // The same name, two keys.
  const twins = [authority({ subject: name("Twin") }), authority({ subject: name("Twin") })] as const;
  const noIds = authority({ keyIds: false, subject: name("Twin") });
  // The same name and key, two certificates.
  const old = authority({ from: -60, to: -30 });
  const renewed = authority({ subject: old.name, keys: old.keys });
  const two = below(2);
  const own = leaf(sub());
  return [
    chain("direct", "good", leaf(root())),
    chain("direct, among other roots", "good", leaf(root()), { roots: [rogue(), stranger, root()] }),
    chain("one between", "good", ...under([sub()])),
    chain("two between", "good", ...under(two)),
    chain("three between", "good", ...under(below(3))),
    chain("six between", "good", ...under(below(6))),
    chain("seven between", "open", ...under(below(7))),
    chain("in the wrong order", "good", leaf(two[0]!), { rest: two.toReversed() }),
    chain("with the root", "good", own, { rest: [sub(), root()] }),
    chain("with the root first", "good", own, { rest: [root(), sub()] }),
    chain("with a stranger", "good", own, { rest: [stranger, sub()] }),
    chain("with everything twice", "good", own, { rest: [own, sub(), own, sub(), root(), root()] }),
    chain("with fifty others", "good", own, { rest: [...Array(50).fill(stranger), sub()] }),
    chain("the wrong twin first", "good", leaf(twins[1]), { roots: [...twins] }),
    chain("the right twin first", "good", leaf(twins[0]), { roots: [...twins] }),
    chain("a twin without key identifiers", "good", leaf(noIds, { keyIds: false }), { roots: [twins[0], noIds] }),
    chain("cross-signed, the good one shown", "good", leaf(crossed), { rest: [cross] }),
    chain("cross-signed, both shown", "good", leaf(crossed), { rest: [crossed, cross] }),
    chain("renewed root", "good", leaf(old), { roots: [old, renewed] }),
    chain("renewed authority", "good", leaf(old), {
      rest: [
        authority({ issuer: root(), subject: old.name, keys: old.keys, from: -60, to: -30 }),
        authority({ issuer: root(), subject: old.name, keys: old.keys }),
      ],
    }),
    chain("RSA", "good", leaf(rsa, { keys: rsaKeys(2048, 2) }), { roots: [rsa] }),
    chain("RSA below ECDSA", "good", leaf(root(), { keys: rsaKeys() })),
    chain("ECDSA below RSA", "good", leaf(rsa), { roots: [rsa] }),
    chain("Ed25519", "good", leaf(edRoot, { keys: ed }), { roots: [edRoot] }),
    chain("Ed25519 below ECDSA", "good", leaf(root(), { keys: ed })),
    chain("P-384", "good", leaf(p384, { keys: ecKeys("P-384") }), { roots: [p384] }),
    chain("P-521", "open", leaf(root(), { keys: ecKeys("P-521") })),
    chain("names in UTF-8", "good", ...under([authority({ issuer: root(), subject: name("Bücher 書") })])),
    chain(
      "a name of two parts",
      "good",
      ...under([authority({ issuer: root(), subject: name("A", "printable", "B") })]),
    ),
    chain("no key identifiers", "good", leaf(root(), { keyIds: false })),
    // What a root says of itself binds only those who want it to: RFC 5280, 6.1.1.
    chain("a root without extensions", "open", ...rootedIn({ extensions: null })),
    chain("a root of version 1", "open", ...rootedIn({ extensions: null, version: null })),
    chain("a root without basicConstraints", "open", ...rootedIn({ basic: null })),
    chain("a root without keyUsage", "good", ...rootedIn({ usage: null })),
    chain("a root with a future before it", "open", ...rootedIn({ from: 10, to: 20 })),
    chain("a root that has expired", "open", ...rootedIn({ from: -20, to: -10 })),
    chain("a root that is no authority", "open", ...rootedIn({ basic: ext.basicConstraints(false) })),
    chain("a root that must not sign", "open", ...rootedIn({ usage: ext.keyUsage([0]) })),
    chain("a root with an unknown critical extension", "open", ...rootedIn({ more: [ext.unknown(raw(1, 1, 0xff))] })),
    chain("a leaf that is trusted itself, self-signed", "open", ...trusted({ asRoot: false })),
    chain("an authority that is trusted itself and shown as a leaf", "open", ...trusted({ asRoot: true })),
    chain("a leaf that is trusted itself, signed by an unknown one", "open", ...trustedLeaf()),
    chain("only the authority in between is trusted", "open", leaf(sub()), { roots: [sub()] }),
  ];
}

function rootedIn(changes: Changes): [Entity, { roots: Entity[] }] {
  const top = authority(changes);
  return [leaf(top), { roots: [top] }];
}

function trusted({ asRoot }: { asRoot: boolean }): [Entity, { roots: Entity[] }] {
  const keys = ecKeys();
  const made = leaf({ ...root(), keys, name: name("self") }, {
    keys,
    subject: name("self"),
    ...asRoot && { basic: ext.basicConstraints(true), usage: ext.keyUsage([0, 5]) },
  });
  return [made, { roots: [made] }];
}

function trustedLeaf(): [Entity, { roots: Entity[] }] {
  const made = leaf(rogue());
  return [made, { roots: [made] }];
}

/** What an authority must not be. */
const BAD_AUTHORITIES: Record<string, Changes> = {
  "that is no authority": { basic: ext.basicConstraints(false) },
  "without basicConstraints": { basic: null },
  "without extensions": { extensions: null },
  "of version 1": { extensions: null, version: null },
  "of version 1 with extensions": { version: null },
  "of version 2": { version: version(2) },
  "that must not sign certificates": { usage: ext.keyUsage([0, 6]) },
  "that may do nothing": { usage: ext.keyUsage([]) },
  "with an unknown critical extension": { more: [ext.unknown(raw(1, 1, 0xff))] },
  "that has expired": { from: -20, to: -10 },
  "of the future": { from: 10, to: 20 },
  "with its times swapped": { from: 20, to: -20 },
  "with a broken signature": { sign: (signature) => signature.with(signature.length - 1, signature.at(-1)! ^ 1) },
  "of a pathLen without cA": { basic: ext.rawBasicConstraints(raw(0x30, 3, 2, 1, 5)) },
};

function bad(): Chain[] {
  const stranger = authority();
  const three = below(3);
  const [a, b] = [ecKeys(), ecKeys()];
  const loop = [
    authority({ subject: name("A"), keys: a, issuer: { ...rogue(), name: name("B"), keys: b } }),
    authority({ subject: name("B"), keys: b, issuer: { ...rogue(), name: name("A"), keys: a } }),
  ] as const;
  const pretender = authority({ subject: root().name });
  const flip = (signature: Uint8Array) => signature.with(signature.length - 1, signature.at(-1)! ^ 1);
  const expectations: [string, Expected, Entity, Parameters<typeof chain>[3]?][] = [
    ["of an unknown root", "bad", leaf(rogue())],
    ["of an unknown root that is shown", "bad", leaf(rogue()), { rest: [rogue()] }],
    ["self-signed", "bad", make({ subject: name("leaf") })],
    ["that is the root's, with another key", "bad", { ...root(), keys: ecKeys() }],
    ["that is the root", "open", root()],
    ["whose issuer is missing", "bad", leaf(sub())],
    ["whose issuer's issuer is missing", "bad", leaf(three[0]!), { rest: three.slice(0, 2) }],
    ["whose issuer is in the middle", "bad", leaf(three[0]!), { rest: [three[0]!, three[2]!] }],
    ["that names the root only", "bad", leaf({ ...root(), keys: ecKeys() })],
    ["that names an authority only", "bad", leaf({ ...sub(), keys: ecKeys() }), { rest: [sub()] }],
    ["below one who has the root's name", "bad", leaf(pretender), { rest: [pretender] }],
    ["below one who names the root", "bad", ...under([authority({ issuer: { ...root(), keys: ecKeys() } })])],
    ["with a broken signature", "bad", leaf(root(), { sign: flip })],
    ["with an empty signature", "bad", leaf(root(), { sign: () => raw() })],
    ["in a loop", "bad", leaf(loop[0]), { rest: [...loop] }],
    [
      "in a loop with itself",
      "bad",
      ...under([authority({ subject: name("I"), issuer: { ...rogue(), name: name("I") } })]),
    ],
    ["issued by a leaf", "bad", ...under([leaf(root())])],
    ["issued by a leaf below an authority", "bad", leaf(leaf(sub())), { rest: [leaf(sub()), sub()] }],
    ["that has expired", "bad", leaf(root(), { from: -20, to: -10 })],
    ["that expired a moment ago", "bad", leaf(root(), { from: -20, to: -1 / 86_400 })],
    ["of the future", "bad", leaf(root(), { from: 10, to: 20 })],
    ["with its times swapped", "bad", leaf(root(), { from: 20, to: -20 })],
    ["that has expired below an authority", "bad", leaf(sub(), { from: -20, to: -10 }), { rest: [sub()] }],
    ["until the end of time", "open", leaf(root(), { to: time(365 * 5000) })],
    ["without an end", "good", leaf(root(), { to: raw(0x18, 15, ...new TextEncoder().encode("99991231235959Z")) })],
    ["below ten", "open", ...under(below(10))],
    ["below twelve", "open", ...under(below(12))],
    ["below thirty", "open", ...under(below(30))],
    ["with two hundred others", "open", leaf(root()), { rest: Array(200).fill(stranger) as Entity[] }],
    ["with an unreadable one beside it", "open", leaf(root()), { rest: [{ ...stranger, der: raw(0x30, 3, 1, 2, 3) }] }],
    ["with an empty one beside it", "open", leaf(root()), { rest: [{ ...stranger, der: raw() }] }],
    ["that is empty", "bad", { ...leaf(root()), der: raw() }],
    ["that is garbage", "bad", { ...leaf(root()), der: raw(0x30, 3, 1, 2, 3) }],
    ["below many who could each be the issuer", "open", ...maze()],
  ];
  return [
    ...expectations.map(([what, expected, ...rest]) => chain(`a leaf ${what}`, expected, ...rest)),
    ...Object.entries(BAD_AUTHORITIES).map(([what, changes]) =>
      chain(`below an authority ${what}`, "bad", ...under([authority({ issuer: root(), ...changes })]))
    ),
    ...Object.entries(BAD_AUTHORITIES).map(([what, changes]) => {
      const top = authority({ issuer: root(), ...changes });
      return chain(`two below an authority ${what}`, "bad", ...under([authority({ issuer: top }), top]));
    }),
    ...pathLengths(),
  ];
}

/** Authorities of one name and different keys, each of which could be the issuer of each: exponential to search. */
function maze(): [Entity, { rest: Entity[] }] {
  const named = { subject: name("Maze"), keyIds: false };
  const issuer = authority(named);
  const rest = Array.from({ length: 20 }, () => authority({ ...named, issuer }));
  return [leaf(issuer, { keyIds: false }), { rest }];
}

function pathLengths(): Chain[] {
  const limited = (length: number, count: number) => {
    const top = authority({ issuer: root(), basic: ext.basicConstraints(true, length) });
    const authorities = below(count, top);
    return [leaf(authorities[0] ?? top), { rest: [...authorities, top] }] as const;
  };
  const limitedRoot = (length: number, count: number) => {
    const top = authority({ basic: ext.basicConstraints(true, length) });
    const authorities = below(count, top);
    return [leaf(authorities[0] ?? top), { rest: authorities, roots: [top] }] as const;
  };
  // Signed as node:crypto cannot verify, and rustls can.
  const limitedRootByPss = (count: 0 | 1) => {
    const keys = rsaKeys();
    const top = authority({ basic: ext.basicConstraints(true, 0), keys });
    const between = authority({ issuer: top, keys: rsaKeys(2048, 1), algorithm: PSS_SHA256 });
    const own = leaf(count === 0 ? top : between, { algorithm: PSS_SHA256 });
    return [own, { rest: [between].slice(0, count), roots: [top], asClient: "open" }] as const;
  };
  // The authority stood right below the root once, and stands two below today; it has both certificates.
  const demoted = (changes: Changes) => {
    const top = authority({ basic: ext.basicConstraints(true, 1) });
    const [now, between] = below(2, top) as [Entity, Entity];
    const before = authority({ issuer: top, subject: now.name, keys: now.keys, ...changes });
    return [leaf(now), { rest: [before, now, between], roots: [top] }] as const;
  };
  const selfIssued = () => {
    const top = authority({ issuer: root(), basic: ext.basicConstraints(true, 0) });
    const again = authority({ issuer: top, subject: top.name });
    return [leaf(again), { rest: [again, top] }] as const;
  };
  const forMail = ext.extKeyUsage([EMAIL_PROTECTION]);
  const huge = ext.rawBasicConstraints(raw(0x30, 8, 1, 1, 0xff, 2, 3, 1, 0, 0));
  const negative = ext.rawBasicConstraints(raw(0x30, 6, 1, 1, 0xff, 2, 1, 0xff));
  const notFirst = authority({ issuer: root(), basic: ext.basicConstraints(true, 0) });
  const wider = authority({ issuer: notFirst, basic: ext.basicConstraints(true, 5) });
  return [
    chain("pathLen 0, none below", "good", ...limited(0, 0)),
    chain("pathLen 0, one below", "bad", ...limited(0, 1)),
    chain("pathLen 1, one below", "good", ...limited(1, 1)),
    chain("pathLen 1, two below", "bad", ...limited(1, 2)),
    chain("pathLen 1, three below", "bad", ...limited(1, 3)),
    chain("the root's pathLen 0, none below", "good", ...limitedRoot(0, 0)),
    chain("the root's pathLen 0, one below", "open", ...limitedRoot(0, 1)),
    chain("the root's pathLen 1, two below", "open", ...limitedRoot(1, 2)),
    chain("the root's pathLen 0, none below, by PSS", "good", ...limitedRootByPss(0)),
    chain("the root's pathLen 0, one below, by PSS", "open", ...limitedRootByPss(1)),
    chain("the root's pathLen 1, two below, one above once", "open", ...demoted({ from: -60, to: -30 })),
    chain("the root's pathLen 1, two below, one above for mail", "open", ...demoted({ purposes: forMail })),
    chain("pathLen 0, itself below", "open", ...selfIssued()),
    chain("pathLen 0 and 5 below it", "bad", leaf(wider), { rest: [wider, notFirst] }),
    chain("pathLen of three bytes", "open", ...under([authority({ issuer: root(), basic: huge })])),
    chain("pathLen below 0", "bad", ...under([authority({ issuer: root(), basic: negative })])),
    chain("serial 0", "open", leaf(root(), { serial: int(0) })),
  ];
}

/** All of them. */
export function pathChains(): Chain[] {
  return [...good(), ...bad()];
}
