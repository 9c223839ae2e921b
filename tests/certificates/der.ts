/** Writes DER, and on request what only looks like DER. */
import { concat } from "../kit.ts";

/** An encoded element, or bytes that stand in for one. */
export type Der = Uint8Array<ArrayBuffer>;

/** Encodes a length in the shortest form. */
function length(count: number): number[] {
  if (count < 0x80) return [count];
  const digits: number[] = [];
  for (let rest = count; rest > 0; rest >>>= 8) digits.unshift(rest & 0xff);
  return [0x80 | digits.length, ...digits];
}

/** An element with this tag, and these parts as its content. */
export function tlv(tag: number, ...parts: Uint8Array[]): Der {
  const content = concat(parts);
  return concat([new Uint8Array([tag, ...length(content.length)]), content]);
}

/** The same element with its length in a longer form than needed. */
export function longLength(element: Der): Der {
  const content = contentOf(element);
  return concat([new Uint8Array([element[0]!, 0x84, ...bigEndian(content.length, 4)]), content]);
}

/** The same element as BER, ended by two zero bytes. */
export function indefinite(element: Der): Der {
  return concat([new Uint8Array([element[0]!, 0x80]), contentOf(element), new Uint8Array(2)]);
}

/** The content of an element. */
export function contentOf(element: Uint8Array): Der {
  const first = element[1]!;
  return new Uint8Array(element.subarray(first < 0x80 ? 2 : 2 + (first & 0x7f)));
}

/** A number in `count` bytes. */
export function bigEndian(value: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor(value / 256 ** (count - 1 - i)) & 0xff);
}

/** Bytes as they are. */
export function raw(...values: number[]): Der {
  return new Uint8Array(values);
}

export const seq = (...parts: Uint8Array[]) => tlv(0x30, ...parts);
export const set = (...parts: Uint8Array[]) => tlv(0x31, ...parts);
export const octets = (content: Uint8Array) => tlv(0x04, content);
export const NULL: Der = raw(5, 0);
export const TRUE: Der = raw(1, 1, 0xff);
export const FALSE: Der = raw(1, 1, 0);
/** BER allows any byte but 0 for true, DER only 0xff. */
export const ODD_TRUE: Der = raw(1, 1, 1);

/** A whole number of up to 48 bits. */
export function int(value: number): Der {
  const digits: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  if (digits.length === 0 || digits[0]! >= 0x80) digits.unshift(0);
  return tlv(2, new Uint8Array(digits));
}

/** An object identifier, from its dotted form. */
export function oid(dotted: string): Der {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const digits = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) {
      digits.unshift(0x80 | (left % 128));
    }
    return digits;
  });
  return tlv(6, new Uint8Array(bytes));
}

/** A bit string of whole bytes. */
export function bits(content: Uint8Array): Der {
  return tlv(3, raw(0), content);
}

/** A bit string of named bits: bit 0 is the first. */
export function namedBits(...names: number[]): Der {
  const last = Math.max(-1, ...names);
  const bytes = new Uint8Array(Math.ceil((last + 1) / 8));
  for (const name of names) bytes[name >> 3]! |= 0x80 >> (name & 7);
  return tlv(3, raw(last < 0 ? 0 : 7 - (last & 7)), bytes);
}

/** A tagged element of the kind that ASN.1 calls context-specific, with other elements in it. */
export function context(number: number, ...parts: Uint8Array[]): Der {
  return tlv(0xa0 | number, ...parts);
}

/** The same with plain bytes in it. */
export function implicit(number: number, content: Uint8Array): Der {
  return tlv(0x80 | number, content);
}

/** Text, a byte for each character. */
export function latin1(text: string): Der {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** The kinds of strings that a name may be made of. */
export type StringType = "utf8" | "printable" | "t61" | "ia5" | "bmp" | "universal";

const STRING_TAGS: Record<StringType, number> = {
  utf8: 0x0c,
  printable: 0x13,
  t61: 0x14,
  ia5: 0x16,
  universal: 0x1c,
  bmp: 0x1e,
};

/** A string of that kind. */
export function string(text: string, type: StringType = "utf8"): Der {
  const wide = (count: number) => Uint8Array.from([...text].flatMap((c) => bigEndian(c.codePointAt(0)!, count)));
  const content = type === "utf8"
    ? new TextEncoder().encode(text)
    : type === "bmp"
    ? wide(2)
    : type === "universal"
    ? wide(4)
    : latin1(text);
  return tlv(STRING_TAGS[type], content);
}

const DAY = 86_400_000;

/** A time of today and some days, as RFC 5280 wants it. */
export function time(days: number): Der {
  const when = new Date(Date.now() + days * DAY);
  return when.getUTCFullYear() < 2050 ? utcTime(when) : generalizedTime(when);
}

const digitsOf = (when: Date) => when.toISOString().replace(/\.\d+|[-:T]/g, "");

/** A time with a year of two digits. */
export function utcTime(when: Date): Der {
  return tlv(0x17, latin1(digitsOf(when).slice(2)));
}

/** A time with a year of four digits. */
export function generalizedTime(when: Date): Der {
  return tlv(0x18, latin1(digitsOf(when)));
}
