/** The longest line, without its CR LF: RFC 5321, 4.5.3.1.6. */
const MAX_LINE = 998;

const CR = 13;
const LF = 10;

/**
 * Splits bytes into lines. Only CR LF ends a line: if one server accepts a bare LF as the end and the next does not, an
 * attacker can hide a message inside another (CVE-2023-51764).
 */
export class LineReader {
  #bytes = new Uint8Array(0);

  /** Whether there are no bytes, not even of an incomplete line. */
  get isEmpty(): boolean {
    return this.#bytes.length === 0;
  }

  /** Adds received bytes. */
  push(data: Uint8Array): void {
    // Cheap, because the bytes that are left are less than a line.
    const both = new Uint8Array(this.#bytes.length + data.length);
    both.set(this.#bytes);
    both.set(data, this.#bytes.length);
    this.#bytes = both;
  }

  /** Returns the next line without CR LF, or `null` if it is incomplete. Throws if it is too long or ends with a bare LF. */
  next(): Uint8Array | null {
    const end = this.#bytes.indexOf(LF);
    if ((end === -1 ? this.#bytes.length : end) > MAX_LINE + 1) throw new Error("line too long");
    if (end === -1) return null;
    if (end === 0 || this.#bytes.indexOf(CR) !== end - 1) throw new Error("lines end with CR LF");
    const line = this.#bytes.subarray(0, end - 1);
    this.#bytes = this.#bytes.subarray(end + 1);
    return line;
  }
}
