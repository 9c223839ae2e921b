/** The first messages of TLS 1.3, read and made. */
import { bytes, concat } from "../kit.ts";
import type { Dice } from "./dice.ts";
import { message, numberOf, vector } from "./tls13.ts";

const X25519 = 29;

/** An extension. */
export function extension(type: number, ...content: Uint8Array[]): Uint8Array {
  return concat([numberOf(type, 2), vector(2, ...content)]);
}

/** The extensions of a hello, by type. */
function extensionsOf(data: Uint8Array): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  for (let at = 2; at + 4 <= data.length;) {
    const size = data[at + 2]! * 256 + data[at + 3]!;
    found.set(data[at]! * 256 + data[at + 1]!, data.subarray(at + 4, at + 4 + size));
    at += 4 + size;
  }
  return found;
}

/** What of a ClientHello a server needs. */
export function readClientHello(hello: Uint8Array): { session: Uint8Array; share: Uint8Array | null; alpn: boolean } {
  let at = 4 + 2 + 32;
  const session = hello.subarray(at + 1, at + 1 + hello[at]!);
  at += 1 + hello[at]!;
  at += 2 + hello[at]! * 256 + hello[at + 1]!;
  at += 1 + hello[at]!;
  const extensions = extensionsOf(hello.subarray(at));
  const shares = extensions.get(51) ?? new Uint8Array();
  let share: Uint8Array | null = null;
  for (let i = 2; i + 4 <= shares.length;) {
    const size = shares[i + 2]! * 256 + shares[i + 3]!;
    if (shares[i]! * 256 + shares[i + 1]! === X25519) share = shares.subarray(i + 4, i + 4 + size);
    i += 4 + size;
  }
  return { session, share, alpn: extensions.has(16) };
}

/** What of a ServerHello a client needs. */
export function readServerHello(hello: Uint8Array): { share: Uint8Array | null } {
  const at = 4 + 2 + 32 + 1 + hello[38]! + 3;
  const share = extensionsOf(hello.subarray(at)).get(51);
  return { share: share !== undefined && share.length === 36 ? share.subarray(4) : null };
}

/** A ServerHello. */
export function makeServerHello(dice: Dice, session: Uint8Array, share: Uint8Array): Uint8Array {
  return message(
    2,
    new Uint8Array([3, 3]),
    dice.garbage(32),
    vector(1, session),
    new Uint8Array([0x13, 1, 0]),
    vector(2, extension(43, new Uint8Array([3, 4])), extension(51, numberOf(X25519, 2), vector(2, share))),
  );
}

/** Names that a client may ask for and should not. */
const NAMES = [
  bytes("localhost"),
  bytes("localhost."),
  bytes("LOCALHOST"),
  bytes("second.test"),
  bytes("later.test"),
  bytes("127.0.0.1"),
  bytes("::1"),
  bytes("a\0b"),
  bytes("\u00fc.test"),
  bytes("x".repeat(300)),
  new Uint8Array([255, 254]),
  new Uint8Array(),
];
const PROTOCOLS = [bytes("fuzz"), bytes("h2"), new Uint8Array([255, 128]), new Uint8Array([0]), new Uint8Array()];

/** A ClientHello, with something odd about it now and then. */
export function makeClientHello(dice: Dice, share: Uint8Array, alpn: boolean): Uint8Array {
  const odd = () => dice.once(12);
  const name = odd() ? dice.pick(NAMES) : bytes("localhost");
  const names = vector(2, new Uint8Array([odd() ? 1 : 0]), vector(2, name), ...odd() ? [dice.garbage(5)] : []);
  const protocols = [odd() ? dice.pick(PROTOCOLS) : bytes("fuzz")].map((protocol) => vector(1, protocol));
  const extensions = [
    ...odd() ? [] : [extension(0, names)],
    ...alpn || odd() ? [extension(16, vector(2, ...protocols))] : [],
    extension(10, vector(2, ...odd() ? [] : [numberOf(X25519, 2)])),
    extension(13, vector(2, numberOf(0x0403, 2), numberOf(0x0804, 2))),
    extension(43, vector(1, numberOf(0x0304, 2), ...odd() ? [numberOf(0x0a0a, 2)] : [])),
    extension(51, vector(2, numberOf(X25519, 2), vector(2, odd() ? dice.garbage(dice.below(40)) : share))),
    ...odd() ? [extension(42)] : [],
    ...odd() ? [extension(44, vector(2, dice.garbage(20)))] : [],
    ...odd() ? [extension(27, vector(1, numberOf(dice.below(4), 2)))] : [],
    ...odd() ? [extension(5, new Uint8Array([1, 0, 0, 0, 0]))] : [],
    ...odd() ? [extension(0xfe0d, dice.garbage(200))] : [],
    ...odd() ? [extension(21, new Uint8Array(dice.pick([1, 500, 9000, 16_000])))] : [],
    ...odd() ? [extension(dice.below(65_536), dice.garbage(dice.below(100)))] : [],
  ];
  if (odd()) extensions.push(dice.pick(extensions));
  if (odd()) {
    const ticket = concat([vector(2, dice.garbage(dice.pick([0, 32, 200]))), numberOf(7, 4)]);
    extensions.push(extension(45, vector(1, new Uint8Array([1]))));
    extensions.push(extension(41, vector(2, ticket), vector(2, vector(1, dice.garbage(32)))));
  }
  return message(
    1,
    odd() ? dice.garbage(2) : new Uint8Array([3, 3]),
    dice.garbage(32),
    vector(1, odd() ? dice.garbage(dice.below(40)) : new Uint8Array(32)),
    vector(2, ...odd() ? [dice.garbage(2 * dice.below(300))] : [], new Uint8Array([0x13, 1])),
    vector(1, odd() ? dice.garbage(dice.below(4)) : new Uint8Array(1)),
    vector(2, ...extensions),
  );
}
