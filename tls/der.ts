/**
 * Reads DER, the encoding of certificates, and takes nothing that is encoded in any other way than rustls reads.
 *
 * @module
 */

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

/** Lengths from here on are an error in rustls, too (`TWO_BYTE_DER_SIZE` in webpki's der.rs). */
const MAX_LENGTH = 0xffff;

/** The bytes are not the DER that is expected. */
export class DerError extends Error {
  override name = "DerError";
}

/** Reads the elements of one value, one after the other. */
export class DerReader {
  /** The bytes to read. */
  readonly bytes: Uint8Array;
  #at = 0;

  /** @param bytes The contents of a value; not copied. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Whether nothing is left. */
  get atEnd(): boolean {
    return this.#at === this.bytes.length;
  }

  /**
   * Reports whether an element with this tag is next.
   *
   * @param tag The tag.
   * @returns `false` also at the end.
   */
  isNext(tag: number): boolean {
    return this.bytes[this.#at] === tag;
  }

  /**
   * Reads an element of any kind.
   *
   * @returns Its tag, and its contents.
   * @throws {DerError} If there is none, or its length is not encoded in the shortest form.
   */
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

  /**
   * Reads an element of one kind.
   *
   * @param tag The tag that it must have.
   * @returns Its contents.
   * @throws {DerError} If another one is next, or none.
   */
  read(tag: number): Uint8Array {
    const found = this.next();
    if (found.tag === tag) return found.value;
    throw new DerError(`tag ${tag} is expected, and ${found.tag} is there`);
  }

  /**
   * Reads an element that has elements inside.
   *
   * @param tag The tag that it must have.
   * @returns A reader of its contents.
   * @throws {DerError} If another one is next, or none.
   */
  open(tag: number): DerReader {
    return new DerReader(this.read(tag));
  }

  /**
   * Reads a BIT STRING of whole bytes.
   *
   * @returns The bytes.
   * @throws {DerError} If something else is next, or bits are unused.
   */
  bits(): Uint8Array {
    const value = this.read(TAG.BIT_STRING);
    if (value[0] !== 0) throw new DerError("a bit string has unused bits");
    return value.subarray(1);
  }

  /**
   * Reads a BOOLEAN whose default is false.
   *
   * @returns The value, `false` where something else is next.
   * @throws {DerError} If the value is neither 0x00 nor 0xff.
   */
  flag(): boolean {
    if (!this.isNext(TAG.BOOLEAN)) return false;
    const value = this.read(TAG.BOOLEAN);
    if (value.length !== 1 || (value[0] !== 0x00 && value[0] !== 0xff)) {
      throw new DerError("a boolean is not 0x00 or 0xff");
    }
    return value[0] === 0xff;
  }

  /**
   * Insists that nothing is left.
   *
   * @throws {DerError} If there is.
   */
  end(): void {
    if (!this.atEnd) throw new DerError("bytes are left at the end");
  }
}

/**
 * Spells an object identifier.
 *
 * @param value The contents of the element.
 * @returns Numbers with dots between, such as `2.5.29.17`.
 */
export function toOid(value: Uint8Array): string {
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of value) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    // The first two arcs share a number: X.690, 8.19.4.
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
