/** nameConstraints: RFC 5280, 4.2.1.10. */
import {
  altNames,
  attribute,
  authority,
  type Changes,
  type Entity,
  ext,
  extension,
  general,
  HOST_NAME,
  leaf,
  name,
} from "../certificate.ts";
import { type Chain, chain, type ChainOptions, type Expected, root } from "../chain.ts";
import { context, type Der, implicit, int, raw, seq, set, string } from "../der.ts";

const { dns, ip, email, uri, directory, other, registered } = general;
const permitted = (...names: Der[]) => ext.nameConstraints({ permitted: names });
const excluded = (...names: Der[]) => ext.nameConstraints({ excluded: names });
const LOOPBACK_6 = [...Array(15).fill(0), 1] as number[];

/** A constraint, and what the leaf below it has. */
type Constrained = [what: string, expected: Expected, constraints: Der, leaf?: Changes, host?: string];

const sans = (...names: Der[]): Changes => ({ names: ext.subjectAltName(names) });
const withName = (...names: Der[]) => sans(dns(HOST_NAME), ...names);

function ofNames(): Constrained[] {
  return [
    ["permitted itself", "good", permitted(dns(HOST_NAME))],
    ["permitted above it", "good", permitted(dns("test"))],
    ["permitted in capitals", "good", permitted(dns("LEAF.test"))],
    ["permitted among others", "good", permitted(dns("a.test"), dns(HOST_NAME))],
    ["permitted everything", "open", permitted(dns(""))],
    ["permitted with a dot", "open", permitted(dns(".leaf.test"))],
    ["permitted above it, with a dot", "open", permitted(dns(".test"))],
    ["permitted with a dot behind", "open", permitted(dns("leaf.test."))],
    ["permitted a wildcard", "open", permitted(dns("*.test"))],
    ["permitted another", "bad", permitted(dns("other.test"))],
    ["permitted below it", "bad", permitted(dns("a.leaf.test"))],
    ["permitted a part of it", "bad", permitted(dns("eaf.test"))],
    ["permitted its first label", "bad", permitted(dns("leaf"))],
    ["permitted another, not critical", "bad", ext.nameConstraints({ permitted: [dns("other.test")] }, null)],
    ["permitted one name of two", "bad", permitted(dns(HOST_NAME)), { names: altNames(HOST_NAME, "other.test") }],
    ["permitted another for a second name", "bad", permitted(dns("other.test")), {
      names: altNames("other.test", HOST_NAME),
    }],
    ["permitted only an address", "good", permitted(ip(10, 0, 0, 0, 255, 0, 0, 0))],
    ["excluded itself", "bad", excluded(dns(HOST_NAME))],
    ["excluded above it", "bad", excluded(dns("test"))],
    ["excluded in capitals", "bad", excluded(dns("LEAF.TEST"))],
    ["excluded everything", "bad", excluded(dns(""))],
    ["excluded with a dot", "open", excluded(dns(".leaf.test"))],
    ["excluded above it, with a dot", "open", excluded(dns(".test"))],
    ["excluded, not critical", "bad", ext.nameConstraints({ excluded: [dns(HOST_NAME)] }, null)],
    ["excluded and permitted", "bad", ext.nameConstraints({ permitted: [dns("test")], excluded: [dns(HOST_NAME)] })],
    ["excluded another", "good", excluded(dns("other.test"))],
    ["excluded a part of it", "good", excluded(dns("eaf.test"))],
    ["excluded below it", "good", excluded(dns("a.leaf.test"))],
    ["excluded its other name", "bad", excluded(dns("other.test")), {
      names: altNames(HOST_NAME, "other.test"),
    }],
    ["excluded one of a wildcard, which is asked for", "open", excluded(dns("a.leaf.test")), {
      names: altNames("*.leaf.test"),
    }, "a.leaf.test"],
    ["excluded one of a wildcard, which is not", "open", excluded(dns("a.leaf.test")), {
      names: altNames("*.leaf.test"),
    }, "b.leaf.test"],
    ["excluded above a wildcard", "bad", excluded(dns("leaf.test")), { names: altNames("*.leaf.test") }, "a.leaf.test"],
    [
      "permitted one of a wildcard",
      "bad",
      permitted(dns("a.leaf.test")),
      { names: altNames("*.leaf.test") },
      "a.leaf.test",
    ],
    ["permitted another of a wildcard", "bad", permitted(dns("b.leaf.test")), {
      names: altNames("*.leaf.test"),
    }, "a.leaf.test"],
    [
      "permitted above a wildcard",
      "good",
      permitted(dns("leaf.test")),
      { names: altNames("*.leaf.test") },
      "a.leaf.test",
    ],
    ["excluded the common name", "open", excluded(dns("evil.test")), { subject: name("evil.test") }],
    ["permitted another for the common name", "open", permitted(dns(HOST_NAME)), { subject: name("evil.test") }],
    ["permitted with bytes that are no name", "open", permitted(dns("le af.test"), dns(HOST_NAME))],
    ["permitted with a zero byte", "bad", permitted(dns("leaf.test\0"))],
  ];
}

function ofOthers(): Constrained[] {
  const v4 = sans(ip(127, 0, 0, 1));
  const v6 = sans(ip(...LOOPBACK_6));
  const all = (byte: number) => Array(16).fill(byte) as number[];
  const address: Constrained[] = ([
    ["permitted its network", "good", permitted(ip(127, 0, 0, 0, 255, 0, 0, 0))],
    ["permitted another network", "bad", permitted(ip(10, 0, 0, 0, 255, 0, 0, 0))],
    ["permitted everything", "good", permitted(ip(0, 0, 0, 0, 0, 0, 0, 0))],
    ["permitted with bits below the mask", "open", permitted(ip(127, 1, 2, 3, 255, 0, 0, 0))],
    ["permitted with holes in the mask", "open", permitted(ip(127, 0, 0, 1, 255, 0, 0, 255))],
    ["permitted version 6", "bad", permitted(ip(...all(0), ...all(0)))],
    ["permitted only a name", "good", permitted(dns("other.test"))],
    ["excluded its network", "bad", excluded(ip(127, 0, 0, 0, 255, 0, 0, 0))],
    ["excluded itself", "bad", excluded(ip(127, 0, 0, 1, 255, 255, 255, 255))],
    ["excluded everything", "bad", excluded(ip(0, 0, 0, 0, 0, 0, 0, 0))],
    ["excluded with bits below the mask", "bad", excluded(ip(127, 1, 2, 3, 255, 0, 0, 0))],
    ["excluded with holes in the mask", "open", excluded(ip(127, 0, 0, 1, 255, 0, 0, 255))],
    ["excluded another", "good", excluded(ip(10, 0, 0, 0, 255, 0, 0, 0))],
    ["excluded without a mask", "bad", excluded(ip(127, 0, 0, 1))],
    ["excluded with half a mask", "bad", excluded(ip(127, 0, 0, 0, 255, 0))],
    ["permitted without a mask", "bad", permitted(ip(127, 0, 0, 1))],
    ["permitted with nothing", "bad", permitted(ip())],
  ] as Constrained[]).map(([what, ...rest]) => [`an address, ${what}`, rest[0], rest[1], v4, "127.0.0.1"]);
  const subject = seq(set(attribute("O", "Tandem")), set(attribute("CN", "leaf")));
  const tandem = (type: "utf8" | "printable" = "utf8", text = "Tandem") => seq(set(attribute("O", text, type)));
  return [
    ...address,
    [
      "an address of version 6, permitted its network",
      "good",
      permitted(ip(...all(0), ...all(255).fill(0, 8))),
      v6,
      "::1",
    ],
    ["an address of version 6, excluded", "bad", excluded(ip(...LOOPBACK_6, ...all(255))), v6, "::1"],
    ["an address of version 6, excluded version 4", "good", excluded(ip(0, 0, 0, 0, 0, 0, 0, 0)), v6, "::1"],
    ["an email address, permitted", "good", permitted(email("b.test")), withName(email("a@b.test"))],
    ["an email address, permitted another", "bad", permitted(email("c.test")), withName(email("a@b.test"))],
    ["an email address, excluded", "bad", excluded(email("b.test")), withName(email("a@b.test"))],
    ["an email address, excluded in full", "bad", excluded(email("a@b.test")), withName(email("a@b.test"))],
    ["an email address, excluded in capitals", "bad", excluded(email("B.TEST")), withName(email("a@b.test"))],
    ["an email address, excluded with a dot", "open", excluded(email(".test")), withName(email("a@b.test"))],
    ["an email address in the subject, excluded", "bad", excluded(email("b.test")), {
      subject: seq(set(attribute("E", "a@b.test", "ia5")), set(attribute("CN", "leaf"))),
    }],
    ["no email address, excluded", "good", excluded(email("b.test"))],
    ["a URI, permitted", "open", permitted(uri("b.test")), withName(uri("https://b.test/"))],
    ["a URI, permitted another", "bad", permitted(uri("c.test")), withName(uri("https://b.test/"))],
    ["a URI, excluded", "bad", excluded(uri("b.test")), withName(uri("https://b.test/"))],
    ["no URI, excluded", "open", excluded(uri("b.test"))],
    ["a subject, permitted", "good", permitted(directory(tandem())), { subject }],
    ["a subject, permitted as another string", "open", permitted(directory(tandem("printable"))), { subject }],
    ["a subject, permitted in capitals", "open", permitted(directory(tandem("utf8", "TANDEM"))), { subject }],
    ["a subject, permitted everything", "open", permitted(directory(seq())), { subject }],
    ["a subject, permitted another", "bad", permitted(directory(tandem("utf8", "Other"))), { subject }],
    ["a subject, excluded", "bad", excluded(directory(tandem())), { subject }],
    ["a subject, excluded as another string", "bad", excluded(directory(tandem("printable"))), { subject }],
    ["a subject, excluded in capitals", "bad", excluded(directory(tandem("utf8", "TANDEM"))), { subject }],
    ["a subject, excluded with spaces", "bad", excluded(directory(tandem("utf8", " Tandem  "))), { subject }],
    ["a subject, excluded everything", "bad", excluded(directory(seq())), { subject }],
    ["a subject, excluded another", "good", excluded(directory(tandem("utf8", "Other"))), { subject }],
    ["a directoryName, excluded", "bad", excluded(directory(tandem())), withName(directory(subject))],
    [
      "a directoryName, permitted another",
      "bad",
      permitted(directory(seq(set(attribute("CN", "leaf"))))),
      withName(directory(subject)),
    ],
    ["an otherName, excluded", "bad", excluded(other("1.2.3.4", string("x"))), withName(other("1.2.3.4", string("x")))],
    [
      "an otherName, permitted another",
      "open",
      permitted(other("1.2.3.5", string("x"))),
      withName(other("1.2.3.4", string("x"))),
    ],
    ["no otherName, excluded", "open", excluded(other("1.2.3.4", string("x")))],
    ["a registeredID, excluded", "bad", excluded(registered("1.2.3")), withName(registered("1.2.3"))],
    ["no registeredID, excluded", "open", excluded(registered("1.2.3"))],
  ];
}

function malformed(): Constrained[] {
  const rawly = (value: Der) => extension("2.5.29.30", value, raw(1, 1, 0xff));
  const subtree = (...parts: Der[]) => seq(dns(HOST_NAME), ...parts);
  return [
    ["nothing in it", "open", rawly(seq())],
    ["an empty value", "bad", rawly(raw())],
    ["an empty list of permitted", "open", rawly(seq(context(0)))],
    ["an empty list of excluded", "open", rawly(seq(context(1)))],
    ["permitted behind excluded", "bad", rawly(seq(context(1, subtree()), context(0, subtree())))],
    ["excluded twice", "bad", rawly(seq(context(1, seq(dns("a"))), context(1, subtree())))],
    ["another list behind", "open", rawly(seq(context(0, subtree()), context(2, subtree())))],
    ["bytes behind excluded", "bad", rawly(new Uint8Array([...seq(context(1, subtree())), 5, 0]))],
    ["bytes behind permitted", "open", rawly(new Uint8Array([...seq(context(0, subtree())), 5, 0]))],
    ["minimum 0", "open", rawly(seq(context(0, subtree(implicit(0, raw(0))))))],
    ["minimum 1, permitted", "open", rawly(seq(context(0, subtree(implicit(0, raw(1))))))],
    ["minimum 1, excluded", "bad", rawly(seq(context(1, subtree(implicit(0, raw(1))))))],
    ["maximum 5, excluded", "bad", rawly(seq(context(1, subtree(implicit(1, raw(5))))))],
    ["a name outside of a subtree, excluded", "bad", rawly(seq(context(1, dns(HOST_NAME))))],
    ["lists without their tags", "bad", rawly(seq(seq(subtree())))],
    ["a number", "bad", rawly(int(5))],
    ["a kind of name that is none, excluded", "open", rawly(seq(context(1, seq(implicit(9, raw(1))))))],
  ];
}

/** All constraints. */
export function constraints(): Constrained[] {
  return [...ofNames(), ...ofOthers(), ...malformed().map(([what, ...rest]): Constrained => [`with ${what}`, ...rest])];
}

/** Chains below an authority, or a root, that constrains names. */
export function constraintChains(): Chain[] {
  const chains = constraints().map(([what, expected, extension, changes, host = HOST_NAME]) => {
    const between = authority({ issuer: root(), more: [extension] });
    return chain(`constraints: ${what}`, expected, leaf(between, changes), { rest: [between], host });
  });
  const further = (what: string, expected: Expected, own: Entity, options: ChainOptions) =>
    chain(`constraints ${what}`, expected, own, options);
  const rooted = (extension: Der) => {
    const top = authority({ more: [extension] });
    return [leaf(top), { roots: [top] }] as const;
  };
  const over = authority({ issuer: root(), more: [excluded(dns(HOST_NAME))] });
  const under = authority({ issuer: over });
  const wide = authority({ issuer: root(), more: [permitted(dns("test"))] });
  const narrow = authority({ issuer: wide, more: [permitted(dns("other.test"))] });
  const widening = authority({
    issuer: authority({ issuer: root(), more: [permitted(dns("other.test"))] }),
    more: [
      permitted(dns("test")),
    ],
  });
  const wrongName = authority({ issuer: over, subject: seq(set(attribute("O", "evil"))) });
  const subjects = authority({ issuer: root(), more: [permitted(directory(seq(set(attribute("O", "Tandem")))))] });
  const subjectOutside = authority({ issuer: subjects, subject: name("outside") });
  return [
    ...chains,
    further("of the root, permitted", "good", ...rooted(permitted(dns("test")))),
    further("of the root, permitted another", "bad", ...rooted(permitted(dns("other.test")))),
    further("of the root, excluded", "bad", ...rooted(excluded(dns("test")))),
    further(
      "of the root, not critical, excluded",
      "bad",
      ...rooted(ext.nameConstraints({ excluded: [dns("test")] }, null)),
    ),
    further("two above", "bad", leaf(under), { rest: [under, over] }),
    further("two above, another name between", "bad", leaf(wrongName), { rest: [wrongName, over] }),
    further("that get narrower", "bad", leaf(narrow), { rest: [narrow, wide] }),
    further("that get wider", "bad", leaf(widening), { rest: [widening, wide] }),
    further(
      "that an authority between violates",
      "bad",
      leaf(subjectOutside, {
        subject: seq(set(attribute("O", "Tandem"))),
      }),
      { rest: [subjectOutside, subjects] },
    ),
    further("of a leaf", "open", leaf(root(), { more: [excluded(dns(HOST_NAME))] }), {}),
    further("twice", "bad", ...twice()),
  ];
}

function twice(): [Entity, ChainOptions] {
  const between = authority({ issuer: root(), more: [permitted(dns("test")), excluded(dns(HOST_NAME))] });
  return [leaf(between), { rest: [between] }];
}
