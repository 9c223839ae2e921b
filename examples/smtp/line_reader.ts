/** The longest line, without its end: RFC 5321, 4.5.3.1.6. */
const MAX_LINE = 998;

const CR = 13;
const LF = 10;

/**
 * Cuts what arrives into lines that end with CR LF and nothing else. Where one server took a bare LF for an end and
 * the next one did not, a message could smuggle another one past the first (CVE-2023-51764).
 */
export class LineReader {
  #bytes = new Uint8Array(0);

  /** Whether nothing waits, not even the beginning of a line. */
  get isEmpty(): boolean {
    return this.#bytes.length === 0;
  }

  /** Takes what has arrived. */
  push(data: Uint8Array): void {
    // What waits is shorter than a line, or there would have been one, so that this costs little.
    const both = new Uint8Array(this.#bytes.length + data.length);
    both.set(this.#bytes);
    both.set(data, this.#bytes.length);
    this.#bytes = both;
  }

  /** The next line without its end, or `null` where it is not complete. Throws if it is too long or ends badly. */
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
