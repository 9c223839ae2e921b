import { copyBytes } from "../../memory/buffer_pool.ts";
import { made } from "./credentials.ts";
import { join } from "./join.ts";
import type { Libssl, Pointer } from "./libssl.ts";

/** How much is encrypted or decrypted in one call: one record. More would make OpenSSL's buffers grow, and stay. */
const MAX_RECORD = 16 * 1024;
/** What a record may add: its header, a nonce, a tag, a type (TLS 1.2 with CBC has up to 256 bytes of padding and a MAC). */
const OVERHEAD = 5 + 16 + 64 + 256;
/** The size of the memory that cleartext is read into. */
const SCRATCH = 4 * MAX_RECORD;
/** For all connections, since it is free again when a call has returned. */
const scratch = new Uint8Array(SCRATCH);

/** The memory that a connection of OpenSSL reads ciphertext from, and writes it to. Its `SSL` owns both BIOs. */
export class MemoryBios {
  #lib: Libssl;
  #ssl: Pointer;
  /** What has come from the peer, and what goes to it. */
  #in: Pointer;
  #out: Pointer;

  private constructor(lib: Libssl, ssl: Pointer, input: Pointer, output: Pointer) {
    this.#lib = lib;
    this.#ssl = ssl;
    this.#in = input;
    this.#out = output;
  }

  /** Makes a connection of a context, which the caller frees, with its BIOs. */
  static connect(lib: Libssl, ctx: Pointer): { ssl: Pointer; bios: MemoryBios } {
    lib.ERR_clear_error();
    const parts = [lib.BIO_new(lib.BIO_s_mem()), lib.BIO_new(lib.BIO_s_mem())] as const;
    const [input, output] = parts;
    const pointer = input === null || output === null ? null : lib.SSL_new(ctx);
    if (pointer === null) { for (const bio of parts) if (bio !== null) lib.BIO_free(bio); }
    const ssl = made(pointer); // From here on, SSL_free() frees both BIOs.
    lib.SSL_set_bio(ssl, input, output);
    return { ssl, bios: new MemoryBios(lib, ssl, input!, output!) };
  }

  /** Whether OpenSSL has read all that has come from the peer. */
  get isRead(): boolean {
    return this.#lib.BIO_ctrl_pending(this.#in) === 0;
  }

  /** Whether there is something to send. */
  get hasOutput(): boolean {
    return this.#lib.BIO_ctrl_pending(this.#out) > 0;
  }

  /** Adds ciphertext of the peer. Reports whether there was memory for it. */
  add(data: Uint8Array): boolean {
    return this.#lib.BIO_write(this.#in, data, data.length) === data.length;
  }

  /** Takes what OpenSSL has to send; `null` if there is nothing. */
  take(): Uint8Array | null {
    const size = this.#lib.BIO_ctrl_pending(this.#out);
    if (size <= 0) return null;
    const data = new Uint8Array(size);
    const count = this.#lib.BIO_read(this.#out, data, size);
    if (count <= 0) return null;
    return count === size ? data : data.subarray(0, count);
  }

  /** Encrypts. Returns `null` if OpenSSL has failed. */
  encrypt(data: Uint8Array): Uint8Array | null {
    const lib = this.#lib;
    let out = new Uint8Array(data.length + OVERHEAD * Math.ceil(data.length / MAX_RECORD));
    let size = 0;
    for (let start = 0; start < data.length; start += MAX_RECORD) {
      const part = data.length <= MAX_RECORD ? data : data.subarray(start, start + MAX_RECORD);
      lib.ERR_clear_error();
      const written = lib.SSL_write(this.#ssl, part, part.length);
      if (written !== part.length) return null;
      const pending = lib.BIO_ctrl_pending(this.#out);
      if (size + pending > out.length) {
        // Only if OpenSSL had something else to send as well.
        const larger = new Uint8Array(2 * out.length + pending);
        larger.set(out.subarray(0, size));
        out = larger;
      }
      const count = lib.BIO_read(this.#out, size === 0 ? out : out.subarray(size), pending);
      if (count !== pending) return null;
      size += count;
    }
    return out.subarray(0, size);
  }

  /** Decrypts all that has come. Returns the cleartext, if there is any, and what `SSL_get_error` says of the last call. */
  decrypt(): { cleartext: Uint8Array | null; error: number } {
    const [lib, ssl] = [this.#lib, this.#ssl];
    let parts: Uint8Array[] | null = null;
    let size = 0;
    let last: number;
    lib.ERR_clear_error();
    for (;;) {
      if (SCRATCH - size < MAX_RECORD) {
        (parts ??= []).push(scratch.slice(0, size));
        size = 0;
      }
      last = lib.SSL_read(ssl, size === 0 ? scratch : scratch.subarray(size), MAX_RECORD);
      if (last <= 0) break;
      size += last;
    }
    const rest = size === 0 ? null : scratch.subarray(0, size);
    const cleartext = parts === null ? rest && copyBytes(rest) : join(parts, rest);
    return { cleartext, error: lib.SSL_get_error(ssl, last) };
  }
}
