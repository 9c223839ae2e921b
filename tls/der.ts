/** Parses DER, the encoding of certificates, and rejects what rustls rejects. */

/** The tags that certificates use (X.690, 8.1.2); `CONTEXT_0` and so on are the constructed ones. */
export const TAG = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  OID: 0x06,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  SEQUENCE: 0x30,
  SET: 0x31,
  CONTEXT_0: 0xa0,
  CONTEXT_1: 0xa1,
  CONTEXT_3: 0xa3,
} as const;

/** An element of this length is an error in rustls, too (`TWO_BYTE_DER_SIZE` in webpki's der.rs). */
const MAX_LENGTH = 0xffff;

/** The error of bytes that are not the expected DER. */
export class DerError extends Error {
  override name = "DerError";
}

/** Reads the elements of a value, one after the other. */
export class DerReader {
  /** The bytes to read. */
  readonly bytes: Uint8Array;
  #at = 0;

  /** @param bytes The contents of a value, which are not copied. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Whether all elements have been read. */
  get atEnd(): boolean {
    return this.#at === this.bytes.length;
  }

  /** Reports whether the next element has this tag. */
  isNext(tag: number): boolean {
    return this.bytes[this.#at] === tag;
  }

  /** Reads an element of any kind. */
  next(): { tag: number; value: Uint8Array } {
    const { bytes } = this;
    const tag = bytes[this.#at++];
    let length = bytes[this.#at++];
    if (tag === undefined || length === undefined) throw new DerError("an element is missing");
    if ((tag & 0x1f) === 0x1f) throw new DerError("a tag has more than one byte");
    if (length >= 0x80) {
      const count = length & 0x7f;
      length = 0;
      for (let i = 0; i < count; i++) length = length * 256 + (bytes[this.#at++] ?? NaN);
      if (!(length >= (count === 1 ? 0x80 : 256 ** (count - 1)))) {
        throw new DerError("a length is not in its shortest form");
      }
    }
    const end = this.#at + length;
    if (length >= MAX_LENGTH || end > bytes.length) throw new DerError("an element is too long");
    const value = bytes.subarray(this.#at, end);
    this.#at = end;
    return { tag, value };
  }

  /** Reads an element of one kind. */
  read(tag: number): Uint8Array {
    const found = this.next();
    if (found.tag === tag) return found.value;
    throw new DerError(`tag ${tag} is expected, got ${found.tag}`);
  }

  /** Reads an element that contains elements. */
  open(tag: number): DerReader {
    return new DerReader(this.read(tag));
  }

  /** Reads a BIT STRING of whole bytes. */
  bits(): Uint8Array {
    const value = this.read(TAG.BIT_STRING);
    if (value[0] !== 0) throw new DerError("a bit string has unused bits");
    return value.subarray(1);
  }

  /** Reads a BOOLEAN whose default is false. */
  flag(): boolean {
    if (!this.isNext(TAG.BOOLEAN)) return false;
    const value = this.read(TAG.BOOLEAN);
    if (value.length !== 1 || (value[0] !== 0x00 && value[0] !== 0xff)) {
      throw new DerError("a boolean is not 0x00 or 0xff");
    }
    return value[0] === 0xff;
  }

  /** Checks that all elements have been read. */
  end(): void {
    if (!this.atEnd) throw new DerError("bytes are left at the end");
  }
}

/** Formats an object identifier. */
export function toOid(value: Uint8Array): string {
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of value) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    // The first number has two arcs: X.690, 8.19.4.
    if (arcs.length === 0) {
      const first = Math.min(2, Math.floor(arc / 40));
      arcs.push(first, arc - 40 * first);
    } else {
      arcs.push(arc);
    }
    arc = 0;
  }
  return arcs.join(".");
}
