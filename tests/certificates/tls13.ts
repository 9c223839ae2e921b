/**
 * Just enough TLS 1.3 to show any certificate at all, and to sign with any key: real libraries refuse to load what is
 * broken. One group (X25519), one cipher suite (TLS_AES_128_GCM_SHA256), and no check of the other side: RFC 8446.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac } from "node:crypto";
import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from "node:crypto";
import { bytes, concat } from "../kit.ts";
import { bigEndian, raw } from "./der.ts";
import { schemeOf } from "./keys.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const [CLIENT_HELLO, SERVER_HELLO, ENCRYPTED_EXTENSIONS, CERTIFICATE, CERTIFICATE_VERIFY, FINISHED] = [
  ...[1, 2, 8, 11, 15, 20],
] as [number, number, number, number, number, number];
const HANDSHAKE = 22;
const APPLICATION_DATA = 23;
const MAX_RECORD = 16_384;

/** What a connection is made to show. */
export interface Shown {
  /** DER, the own certificate first. */
  chain: Uint8Array[];
  /** Proves, or does not, that the certificate is one's own. */
  key: KeyObject;
  /** Signs in place of the key. */
  sign?: ((content: Uint8Array) => { scheme: number; signature: Uint8Array }) | undefined;
}

/** The other side ended the connection, or wants something that is not here. */
export class Ended extends Error {}

const sha256 = (...pieces: Uint8Array[]): Bytes => {
  return new Uint8Array(createHash("sha256").update(concat(pieces)).digest());
};
const hmac = (key: Uint8Array, ...pieces: Uint8Array[]): Bytes => {
  return new Uint8Array(createHmac("sha256", key).update(concat(pieces)).digest());
};

/** Bytes with their number in front, in `size` bytes. */
function vector(size: number, ...parts: Uint8Array[]): Bytes {
  const content = concat(parts);
  return concat([new Uint8Array(bigEndian(content.length, size)), content]);
}

function expandLabel(secret: Uint8Array, label: string, context: Uint8Array, length: number): Bytes {
  const info = concat([raw(0, length), vector(1, bytes(`tls13 ${label}`)), vector(1, context)]);
  return hmac(secret, info, raw(1)).slice(0, length);
}

/** One direction's key. */
class Direction {
  #key: Bytes;
  #iv: Bytes;
  #count = 0;

  constructor(secret: Uint8Array) {
    this.#key = expandLabel(secret, "key", raw(), 16);
    this.#iv = expandLabel(secret, "iv", raw(), 12);
  }

  #nonce(): Bytes {
    const count = [0, 0, 0, 0, ...bigEndian(this.#count++, 8)];
    return this.#iv.map((byte, i) => byte ^ count[i]!);
  }

  seal(type: number, data: Uint8Array): Bytes {
    const head = raw(APPLICATION_DATA, 3, 3, ...bigEndian(data.length + 17, 2));
    const cipher = createCipheriv("aes-128-gcm", this.#key, this.#nonce()).setAAD(head);
    const sealed = cipher.update(concat([data, raw(type)]));
    return concat([head, sealed, cipher.final(), cipher.getAuthTag()]);
  }

  open(head: Uint8Array, data: Uint8Array): { type: number; data: Uint8Array } {
    const decipher = createDecipheriv("aes-128-gcm", this.#key, this.#nonce()).setAAD(head);
    decipher.setAuthTag(data.subarray(-16));
    const open = new Uint8Array(decipher.update(data.subarray(0, -16)));
    decipher.final();
    const end = open.findLastIndex((byte) => byte !== 0);
    return { type: open[end]!, data: open.subarray(0, end) };
  }
}

/** Records and messages over a connection, and the keys. */
class Channel {
  #conn: Deno.Conn;
  #reading: Direction | null = null;
  #writing: Direction | null = null;
  #received: Bytes = raw();
  #messages: Bytes = raw();
  #transcript: Uint8Array[] = [];
  #outgoing: Uint8Array[] = [];
  #secret: Bytes = raw();

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  get transcriptHash(): Bytes {
    return sha256(...this.#transcript);
  }

  async #take(count: number): Promise<Bytes> {
    const buffer = new Uint8Array(MAX_RECORD);
    while (this.#received.length < count) {
      const read = await this.#conn.read(buffer);
      if (read === null) throw new Ended("end");
      this.#received = concat([this.#received, buffer.subarray(0, read)]);
    }
    const taken = this.#received.slice(0, count);
    this.#received = this.#received.slice(count);
    return taken;
  }

  async record(): Promise<{ type: number; data: Uint8Array }> {
    for (;;) {
      const head = await this.#take(5);
      const data = await this.#take(head[3]! * 256 + head[4]!);
      if (head[0] === 20) continue; // change_cipher_spec means nothing any more
      const record = head[0] === APPLICATION_DATA && this.#reading !== null
        ? this.#reading.open(head, data)
        : { type: head[0]!, data };
      if (record.type === 21) throw new Ended(`alert ${record.data[1]}`);
      return record;
    }
  }

  /** The next message of the handshake, head and all. */
  async message(): Promise<Bytes> {
    const length = () => 4 + (this.#messages[1]! << 16 | this.#messages[2]! << 8 | this.#messages[3]!);
    while (this.#messages.length < 4 || this.#messages.length < length()) {
      const { type, data } = await this.record();
      if (type !== HANDSHAKE) throw new Ended(`a record of type ${type}`);
      this.#messages = concat([this.#messages, data]);
    }
    const message = this.#messages.slice(0, length());
    this.#messages = this.#messages.slice(message.length);
    this.#transcript.push(message);
    return message;
  }

  /** Adds a message to those that `flush()` sends. */
  add(type: number, ...parts: Uint8Array[]): void {
    const message = concat([raw(type), vector(3, ...parts)]);
    this.#transcript.push(message);
    for (let start = 0; start < message.length; start += MAX_RECORD) {
      this.#put(HANDSHAKE, message.subarray(start, start + MAX_RECORD));
    }
  }

  #put(type: number, data: Uint8Array): void {
    const plain = () => concat([raw(type, 3, 3), vector(2, data)]);
    this.#outgoing.push(this.#writing?.seal(type, data) ?? plain());
  }

  send(data: Uint8Array): Promise<void> {
    this.#put(APPLICATION_DATA, data);
    return this.flush();
  }

  async flush(): Promise<void> {
    const data = concat(this.#outgoing);
    this.#outgoing = [];
    for (let sent = 0; sent < data.length;) sent += await this.#conn.write(data.subarray(sent));
  }

  /** Derives both sides' secrets, of the handshake or, without a shared secret, of what follows it. */
  #derive(label: string, shared: Uint8Array): { client: Bytes; server: Bytes } {
    const salt = this.#secret.length === 0 ? hmac(new Uint8Array(32), new Uint8Array(32)) : this.#secret;
    this.#secret = hmac(expandLabel(salt, "derived", sha256(), 32), shared);
    const secret = (side: string) => expandLabel(this.#secret, `${side} ${label} traffic`, this.transcriptHash, 32);
    return { client: secret("c"), server: secret("s") };
  }

  /** Turns encryption on; gives the secrets that the Finished messages are made of. */
  startHandshake(shared: Uint8Array, serverSide: boolean): { own: Bytes; other: Bytes } {
    const { client, server } = this.#derive("hs", shared);
    const [own, other] = serverSide ? [server, client] : [client, server];
    this.#writing = new Direction(own);
    this.#reading = new Direction(other);
    return { own, other };
  }

  /** Makes the keys for data; to be used when both sides have finished. */
  prepareData(serverSide: boolean): () => void {
    const { client, server } = this.#derive("ap", new Uint8Array(32));
    return () => {
      this.#writing = new Direction(serverSide ? server : client);
      this.#reading = new Direction(serverSide ? client : server);
    };
  }

  /** Adds Certificate, CertificateVerify and Finished. */
  authenticate({ chain, key, sign }: Shown, own: Uint8Array, serverSide: boolean): void {
    this.add(CERTIFICATE, raw(0), vector(3, ...chain.map((der) => concat([vector(3, der), raw(0, 0)]))));
    if (chain.length > 0) {
      const label = `TLS 1.3, ${serverSide ? "server" : "client"} CertificateVerify`;
      const content = concat([new Uint8Array(64).fill(32), bytes(label), raw(0), this.transcriptHash]);
      const scheme = schemeOf(key);
      const signed = sign?.(content) ?? { scheme: scheme.number, signature: scheme.sign(content, key) };
      this.add(CERTIFICATE_VERIFY, raw(...bigEndian(signed.scheme, 2)), vector(2, signed.signature));
    }
    this.add(FINISHED, hmac(expandLabel(own, "finished", raw(), 32), this.transcriptHash));
  }
}

/** The prefix of an X25519 key in SubjectPublicKeyInfo: the rest is the key. */
const X25519_HEAD = raw(0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 3, 0x21, 0);

function share(): { own: Bytes; with: (other: Uint8Array) => Bytes } {
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  return {
    own: new Uint8Array(publicKey.export({ type: "spki", format: "der" }).subarray(-32)),
    with: (other) => {
      const key = Buffer.from(concat([X25519_HEAD, other]));
      const options = { key, format: "der", type: "spki" } as const;
      return new Uint8Array(diffieHellman({ privateKey, publicKey: createPublicKey(options) }));
    },
  };
}

const extension = (type: number, ...parts: Uint8Array[]) => concat([raw(...bigEndian(type, 2)), vector(2, ...parts)]);

/** Where the other side's X25519 share is in its hello. */
function shareIn(hello: Bytes): Bytes {
  for (let at = 40; at < hello.length - 35; at++) {
    // Group 29, and 32 bytes of key: nothing else in a hello looks like it, but by a chance of 2 ** -32.
    if (hello[at] === 0 && hello[at + 1] === 29 && hello[at + 2] === 0 && hello[at + 3] === 32) {
      return hello.slice(at + 4, at + 36);
    }
  }
  throw new Ended("no X25519");
}

/** Serves a client until it leaves. Rejects with {@linkcode Ended} where it leaves before the handshake is done. */
export async function serve13(conn: Deno.Conn, shown: Shown): Promise<void> {
  const channel = new Channel(conn);
  const hello = await channel.message();
  const { own, with: shareWith } = share();
  const session = hello.subarray(38, 39 + hello[38]!);
  channel.add(
    SERVER_HELLO,
    raw(3, 3),
    crypto.getRandomValues(new Uint8Array(32)),
    session,
    raw(0x13, 1, 0),
    vector(2, extension(43, raw(3, 4)), extension(51, raw(0, 29), vector(2, own))),
  );
  const secrets = channel.startHandshake(shareWith(shareIn(hello)), true);
  channel.add(ENCRYPTED_EXTENSIONS, vector(2));
  channel.authenticate(shown, secrets.own, true);
  const useDataKeys = channel.prepareData(true);
  await channel.flush();
  await channel.message();
  useDataKeys();
  for (;;) await channel.record();
}

/**
 * Dials a server that asks for a certificate.
 *
 * @returns `""` if the server sends data, which it does when it lets the client in; else why it does not.
 */
export async function dial13(conn: Deno.Conn, shown: Shown): Promise<string> {
  const channel = new Channel(conn);
  const { own, with: shareWith } = share();
  const schemes = [0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0807].map((scheme) => bigEndian(scheme, 2));
  channel.add(
    CLIENT_HELLO,
    raw(3, 3),
    crypto.getRandomValues(new Uint8Array(32)),
    vector(1),
    vector(2, raw(0x13, 1)),
    vector(1, raw(0)),
    vector(
      2,
      extension(43, vector(1, raw(3, 4))),
      extension(10, vector(2, raw(0, 29))),
      extension(13, vector(2, raw(...schemes.flat()))),
      extension(51, vector(2, raw(0, 29), vector(2, own))),
    ),
  );
  try {
    await channel.flush();
    const hello = await channel.message();
    const secrets = channel.startHandshake(shareWith(shareIn(hello)), false);
    while ((await channel.message())[0] !== FINISHED);
    const useDataKeys = channel.prepareData(false);
    channel.authenticate(shown, secrets.own, false);
    await channel.flush();
    useDataKeys();
    while ((await channel.record()).type !== APPLICATION_DATA);
    return "";
  } catch (error) {
    if (isLeaving(error)) return String(error);
    throw error;
  }
}

/** Whether an error says that the other side has ended the connection. */
export function isLeaving(error: unknown): boolean {
  const { ConnectionReset, BrokenPipe } = Deno.errors;
  return error instanceof Ended || error instanceof ConnectionReset || error instanceof BrokenPipe;
}
