/** The keys that a server encrypts its session tickets with. */
import { TICKET_KEY_BYTES } from "../session_tickets.ts";
import { SSL_CTRL_SET_TLSEXT_TICKET_KEYS } from "./constants.ts";
import type { Libssl, Pointer } from "./libssl.ts";

/** Where the parts of a key end: a name, a key of HMAC-SHA-256 and one of AES-256. */
const NAME_BYTES = 16;
const HMAC_END = 48;

const HOUR = 3_600_000;
/** After this time, tickets get another key: a key that is stolen decrypts what was sent by TLS 1.2 before. */
const RENEWED_AFTER = 12 * HOUR;
/** How long OpenSSL accepts a ticket, and so how long the key before is needed. */
const TICKET_LIFETIME = 2 * HOUR;

/** Wipes keys when nothing uses them any more. */
const registry = new FinalizationRegistry<Set<Uint8Array>>((keys) => keys.forEach((key) => key.fill(0)));

/** The keys of a program, or keys that are made, and renewed. Contexts that replace each other share them. */
export class TicketKeys {
  #isGiven: boolean;
  /** Another array if they have changed. */
  #keys: readonly Uint8Array[];
  /** The same keys, for the registry. */
  #live: Set<Uint8Array>;
  #madeAt = Date.now();

  /** `given`: the keys of the program, the first of which encrypts. */
  constructor(given?: readonly Uint8Array[]) {
    this.#isGiven = given !== undefined;
    // The program may change its own.
    this.#keys = given?.map((key) => key.slice()) ?? [makeKey()];
    this.#live = new Set(this.#keys);
    registry.register(this, this.#live);
  }

  /** Returns the keys of this moment: another array if they have changed. */
  current(): readonly Uint8Array[] {
    if (this.#isGiven) return this.#keys;
    const age = Date.now() - this.#madeAt;
    if (age >= RENEWED_AFTER) {
      this.#replace([makeKey(), this.#keys[0]!]);
      this.#madeAt = Date.now();
    } else if (age >= TICKET_LIFETIME && this.#keys.length > 1) {
      this.#replace(this.#keys.slice(0, 1));
    }
    return this.#keys;
  }

  #replace(keys: readonly Uint8Array[]): void {
    for (const key of this.#keys) {
      if (keys.includes(key)) continue;
      key.fill(0);
      this.#live.delete(key);
    }
    for (const key of keys) this.#live.add(key);
    this.#keys = keys;
  }
}

function makeKey(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(TICKET_KEY_BYTES));
}

/**
 * Makes a context use keys. OpenSSL has a place for one; with several, it calls `onTicketKey()`, a function of C.
 */
export function useTicketKeys(lib: Libssl, ctx: Pointer, keys: readonly Uint8Array[], onTicketKey: Pointer): boolean {
  lib.SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, keys.length > 1 ? onTicketKey : null);
  const [first] = keys as [Uint8Array<ArrayBuffer>];
  return lib.SSL_CTX_ctrl(ctx, SSL_CTRL_SET_TLSEXT_TICKET_KEYS, BigInt(TICKET_KEY_BYTES), first) === 1;
}

/** What `onTicketKey()` returns: ssl.h. */
const FAILED = -1;
const UNKNOWN = 0;
const USED = 1;
const USED_AND_RENEW = 2;

const OSSL_PARAM_UTF8_STRING = 4n;
const OSSL_PARAM_OCTET_STRING = 5n;
/** `OSSL_PARAM_UNMODIFIED`. */
const UNMODIFIED = 0xffff_ffff_ffff_ffffn;

const KEY_NAME = new TextEncoder().encode("key\0");
const DIGEST_NAME = new TextEncoder().encode("digest\0");
const SHA256 = new TextEncoder().encode("SHA256\0");
const hmacKey = new Uint8Array(HMAC_END - NAME_BYTES);
/** Three `OSSL_PARAM`: a name, a type, an address, a size and a place for the size that was returned. The last is empty. */
let params: BigUint64Array<ArrayBuffer> | undefined;

function addressOf(bytes: Uint8Array<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
}

/**
 * Sets up the encryption of a new ticket, or the decryption of one of a client.
 *
 * @param keys The keys, the first of which encrypts.
 * @param name The name of the key: written for a new ticket, read for another.
 * @param iv 16 bytes, which are written for a new ticket.
 */
export function setTicketKey(
  lib: Libssl,
  keys: readonly Uint8Array[],
  name: Uint8Array,
  iv: Uint8Array<ArrayBuffer>,
  cipher: Pointer,
  hmac: Pointer,
  isNew: boolean,
  isTls13: boolean,
): number {
  const index = isNew ? 0 : keys.findIndex((key) => name.every((byte, i) => byte === key[i]));
  const key = keys[index];
  if (key === undefined) return UNKNOWN;
  if (isNew) {
    name.set(key.subarray(0, NAME_BYTES));
    crypto.getRandomValues(iv);
  }
  const init = isNew ? lib.EVP_EncryptInit_ex : lib.EVP_DecryptInit_ex;
  const aesKey = key.slice(HMAC_END);
  hmacKey.set(key.subarray(NAME_BYTES, HMAC_END));
  params ??= BigUint64Array.of(
    ...[addressOf(KEY_NAME), OSSL_PARAM_OCTET_STRING, addressOf(hmacKey), BigInt(hmacKey.length), UNMODIFIED],
    ...[addressOf(DIGEST_NAME), OSSL_PARAM_UTF8_STRING, addressOf(SHA256), BigInt(SHA256.length - 1), UNMODIFIED],
    ...[0n, 0n, 0n, 0n, 0n],
  );
  try {
    const done = init(cipher, lib.EVP_aes_256_cbc(), null, aesKey, iv) === 1 &&
      lib.EVP_MAC_CTX_set_params(hmac, params) === 1;
    if (!done) return FAILED;
  } finally {
    aesKey.fill(0);
    hmacKey.fill(0);
  }
  // In TLS 1.3, a client uses each ticket once, and needs another.
  return index === 0 && !isTls13 ? USED : USED_AND_RENEW;
}
