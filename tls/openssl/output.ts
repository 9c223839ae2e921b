import { made } from "./credentials.ts";
import type { Libssl, Pointer } from "./libssl.ts";

/** The most bytes: eight records, and what has to be sent with them. */
const SIZE = 140 * 1024;

/**
 * Where OpenSSL puts what it has encrypted: a pair of BIOs. OpenSSL writes to one, and the memory between the two, which never
 * moves, is an array here. A BIO in memory would cost a memset and another copy.
 */
export class Output {
  /** What `take()` has taken is at its beginning. */
  readonly bytes: Uint8Array;
  #lib: Libssl;
  #writer: Pointer;
  #reader: Pointer;
  /** Where OpenSSL returns an address. */
  #place = new BigUint64Array(1);

  /** Makes both BIOs, which live as long as the isolate. */
  constructor(lib: Libssl) {
    this.#lib = lib;
    const [first, second] = [new BigUint64Array(1), new BigUint64Array(1)];
    const done = lib.BIO_new_bio_pair(first, BigInt(SIZE), second, 1n) === 1;
    this.#writer = made(done ? Deno.UnsafePointer.create(first[0]!) : null);
    this.#reader = made(Deno.UnsafePointer.create(second[0]!));
    // A byte, to learn where it is.
    lib.BIO_write(this.#writer, new Uint8Array(1), 1);
    this.take();
    const memory = made(Deno.UnsafePointer.create(this.#place[0]!));
    this.bytes = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(memory, SIZE));
  }

  /** How many bytes there are. */
  get pending(): number {
    return this.#lib.BIO_ctrl_pending(this.#reader);
  }

  /** Lets a connection write to it. */
  attach(ssl: Pointer): void {
    this.#lib.BIO_up_ref(this.#writer);
    this.#lib.SSL_set0_wbio(ssl, this.#writer);
  }

  /** Empties it. Returns the number of bytes, which stay where they are until OpenSSL writes again; at most 0 if there are none. */
  take(): number {
    return this.#lib.BIO_nread(this.#reader, this.#place, SIZE);
  }
}
