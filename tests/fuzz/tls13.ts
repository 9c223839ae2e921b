/** As much of TLS 1.3 as it takes to lie inside of it: TLS_AES_128_GCM_SHA256 over x25519, RFC 8446. */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
} from "node:crypto";
import { bytes, concat } from "../kit.ts";
import { makeRecord } from "./records.ts";

const LENGTH = 32;
const ZEROES = new Uint8Array(LENGTH);
const TAG = 16;

/** A number in so many bytes. */
export function numberOf(value: number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** (size - 1 - i)) & 255);
}

/** Bytes with their length in front, in so many bytes. */
export function vector(size: number, ...content: Uint8Array[]): Uint8Array {
  const body = concat(content);
  return concat([numberOf(body.length, size), body]);
}

/** A message of the handshake. */
export function message(type: number, ...content: Uint8Array[]): Uint8Array {
  return concat([new Uint8Array([type]), vector(3, ...content)]);
}

function hash(data: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(data).digest());
}

/** HMAC, which is HKDF-Extract too. */
function hmac(key: Uint8Array, data: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac("sha256", key).update(data).digest());
}

/** HKDF-Expand-Label, for no more than one block. */
function expand(secret: Uint8Array, label: string, context: Uint8Array, length: number): Uint8Array {
  const info = concat([
    numberOf(length, 2),
    vector(1, bytes(`tls13 ${label}`)),
    vector(1, context),
    new Uint8Array([1]),
  ]);
  return hmac(secret, info).subarray(0, length);
}

/** One direction of a connection: its key, and how many records it has had. */
class Direction {
  #secret: Uint8Array;
  #key!: Uint8Array;
  #iv!: Uint8Array;
  #count = 0;

  constructor(secret: Uint8Array) {
    this.#secret = secret;
    this.#derive();
  }

  /** Takes the next key. */
  update(): void {
    this.#secret = expand(this.#secret, "traffic upd", new Uint8Array(), LENGTH);
    this.#derive();
  }

  /** What a Finished says of a transcript. */
  finished(transcript: Uint8Array): Uint8Array {
    return hmac(expand(this.#secret, "finished", new Uint8Array(), LENGTH), hash(transcript));
  }

  seal(type: number, content: Uint8Array, padding: number): Uint8Array {
    const size = content.length + 1 + padding + TAG;
    const header = new Uint8Array([23, 3, 3, (size >> 8) & 255, size & 255]);
    const cipher = createCipheriv("aes-128-gcm", this.#key, this.#nonce());
    cipher.setAAD(header);
    const sealed = cipher.update(concat([content, new Uint8Array([type]), new Uint8Array(padding)]));
    return concat([header, sealed, cipher.final(), cipher.getAuthTag()]);
  }

  /** Opens a record, or gives `null` where that cannot be done. */
  open(record: Uint8Array): { type: number; content: Uint8Array } | null {
    const decipher = createDecipheriv("aes-128-gcm", this.#key, this.#nonce());
    decipher.setAAD(record.subarray(0, 5));
    decipher.setAuthTag(record.subarray(-TAG));
    try {
      const opened = concat([decipher.update(record.subarray(5, -TAG)), decipher.final()]);
      let end = opened.length - 1;
      while (end > 0 && opened[end] === 0) end--;
      return { type: opened[end]!, content: opened.subarray(0, end) };
    } catch {
      return null;
    }
  }

  #derive(): void {
    this.#key = expand(this.#secret, "key", new Uint8Array(), 16);
    this.#iv = expand(this.#secret, "iv", new Uint8Array(), 12);
    this.#count = 0;
  }

  #nonce(): Uint8Array {
    const count = numberOf(this.#count++, 12);
    return this.#iv.map((byte, i) => byte ^ count[i]!);
  }
}

/** The keys of one side, and all that has been said of the handshake. */
export class Keys {
  /** What this side sends with, and what the other does; `null` where it is plain. */
  sending: Direction | null = null;
  receiving: Direction | null = null;
  readonly #serverSide: boolean;
  readonly #pair = generateKeyPairSync("x25519");
  #transcript: Uint8Array = new Uint8Array();
  #secret: Uint8Array = ZEROES;

  constructor(serverSide: boolean) {
    this.#serverSide = serverSide;
  }

  /** This side's share of the key. */
  get share(): Uint8Array {
    return new Uint8Array(this.#pair.publicKey.export({ type: "spki", format: "der" })).subarray(-32);
  }

  /** Adds messages to what has been said. */
  heard(...messages: Uint8Array[]): void {
    this.#transcript = concat([this.#transcript, ...messages]);
  }

  /** Agrees on the keys of the handshake. */
  agree(share: Uint8Array): void {
    const prefix = new Uint8Array([0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 3, 0x21, 0]);
    const publicKey = createPublicKey({ key: concat([prefix, share]) as never, type: "spki", format: "der" });
    const shared = new Uint8Array(diffieHellman({ privateKey: this.#pair.privateKey, publicKey }));
    const early = hmac(ZEROES, ZEROES);
    this.#secret = hmac(this.#derive(early, "derived", new Uint8Array()), shared);
    this.sending = new Direction(this.#traffic(this.#secret, "hs traffic", this.#serverSide));
    this.receiving = new Direction(this.#traffic(this.#secret, "hs traffic", !this.#serverSide));
  }

  /** Gives the keys for data. */
  advance(): Pick<Keys, "sending" | "receiving"> {
    const secret = hmac(this.#derive(this.#secret, "derived", new Uint8Array()), ZEROES);
    return {
      sending: new Direction(this.#traffic(secret, "ap traffic", this.#serverSide)),
      receiving: new Direction(this.#traffic(secret, "ap traffic", !this.#serverSide)),
    };
  }

  /** The hash of all that has been said. */
  get transcriptHash(): Uint8Array {
    return hash(this.#transcript);
  }

  /** A Finished of this side's. */
  finished(): Uint8Array {
    return message(20, this.sending!.finished(this.#transcript));
  }

  /** Makes a record of it, sealed where there are keys. */
  record(type: number, content: Uint8Array, padding = 0): Uint8Array {
    return this.sending === null ? makeRecord(type, content) : this.sending.seal(type, content, padding);
  }

  #traffic(secret: Uint8Array, label: string, ofServer: boolean): Uint8Array {
    return this.#derive(secret, `${ofServer ? "s" : "c"} ${label}`, this.#transcript);
  }

  #derive(secret: Uint8Array, label: string, transcript: Uint8Array): Uint8Array {
    return expand(secret, label, hash(transcript), LENGTH);
  }
}
