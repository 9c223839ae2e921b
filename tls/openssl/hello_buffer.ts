import { readServerName } from "./client_hello.ts";

/** What has come of a ClientHello, until its name is known and the program has chosen a certificate for it. */
export class HelloBuffer {
  #memory = new Uint8Array(0);
  #size = 0;
  /** How many bytes there must be before another look at them is of use. */
  #wanted = 0;

  /** All that has come. */
  get bytes(): Uint8Array {
    return this.#memory.subarray(0, this.#size);
  }

  /** Keeps a part. Returns the name, once; `null` while more is needed, and after the name. */
  add(data: Uint8Array): string | null {
    this.#keep(data);
    if (this.#size < this.#wanted) return null;
    const name = readServerName(this.bytes);
    this.#wanted = typeof name === "number" ? name : Infinity;
    return typeof name === "number" ? null : name;
  }

  #keep(data: Uint8Array): void {
    const size = this.#size + data.length;
    if (size > this.#memory.length) {
      const larger = new Uint8Array(Math.max(size, 2 * this.#memory.length));
      larger.set(this.bytes);
      this.#memory = larger;
    }
    this.#memory.set(data, this.#size);
    this.#size = size;
  }
}
