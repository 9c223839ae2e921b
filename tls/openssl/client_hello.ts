/**
 * Waits for all of a ClientHello before OpenSSL gets it, and finds the name that the client requests (SNI).
 *
 * A program may take its time to choose the certificate, and OpenSSL's own callback could not wait without a thread or a second
 * call. And a client that sends nothing, or a few bytes, costs little: OpenSSL would take 40 KiB for the connection, and then as
 * much as a ClientHello announces.
 */

/** As long as for rustls. OpenSSL takes 128 KiB. */
const MAX_HELLO = 0xffff;
/** Of 64 KiB, ordinary clients make five. */
const MAX_RECORDS = 256;
const MAX_RECORD = 16 * 1024;
const HANDSHAKE_RECORD = 22;
/** The first byte of the version, which is 3 in SSL 3 and in all of TLS. */
const MAJOR_VERSION = 3;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const HOST_NAME = 0;

/** A label: letters, digits, underscores, and hyphens except at the ends. */
const LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
/** What rustls accepts, so that a program that finds a file by the name gets no path. An address is none: RFC 6066, 3. */
const NAME = new RegExp(`^(?:${LABEL}\\.)*(?!\\d+\\.?$)${LABEL}\\.?$`);
/** The longest name, in bytes, without the final dot: RFC 1035, 2.3.4. */
const MAX_NAME = 253;

const NOTHING = new Uint8Array(0);

/**
 * Reports whether bytes begin with a ClientHello in a record of its own, as nearly always. Then `readServerName()` would return
 * `""` if the name is not wanted.
 */
export function isWholeHello(data: Uint8Array): boolean {
  if (data.length < 9 || data[0] !== HANDSHAKE_RECORD || data[1] !== MAJOR_VERSION || data[5] !== CLIENT_HELLO) {
    return false;
  }
  const record = data[3]! << 8 | data[4]!;
  const message = data[6]! << 16 | data[7]! << 8 | data[8]!;
  return record <= MAX_RECORD && 4 + message <= record && 5 + record <= data.length;
}

/** What has come of a ClientHello. */
export class ClientHello {
  #data: Uint8Array = NOTHING;
  #size = 0;
  /** How many bytes there must be before another look at them is of use. */
  #wanted = 0;

  /** All that has come, which may be more. */
  get bytes(): Uint8Array {
    return this.#data.subarray(0, this.#size);
  }

  /** Keeps a copy of what has come. */
  append(data: Uint8Array): void {
    const size = this.#size + data.length;
    if (size > this.#data.length) {
      const larger = new Uint8Array(Math.max(size, 2 * this.#data.length));
      larger.set(this.bytes);
      this.#data = larger;
    }
    this.#data.set(data, this.#size);
    this.#size = size;
  }

  /** Returns the name as `readServerName()` does, `""` if it is not wanted; `undefined` if more bytes are needed. */
  readName(isWanted: boolean): string | null | undefined {
    if (this.#size < this.#wanted) return undefined;
    const name = readServerName(this.bytes, isWanted);
    if (typeof name === "number") this.#wanted = name;
    return typeof name === "number" ? undefined : name;
  }
}

/** Reads what is there, and throws `RangeError` behind the end. */
class Reader {
  #data: Uint8Array;
  #at = 0;
  #end: number;

  constructor(data: Uint8Array) {
    this.#data = data;
    this.#end = data.length;
  }

  get atEnd(): boolean {
    return this.#at === this.#end;
  }

  number(bytes: number): number {
    let value = 0;
    for (const byte of this.bytes(bytes)) value = value << 8 | byte;
    return value;
  }

  bytes(count: number): Uint8Array {
    if (this.#at + count > this.#end) throw new RangeError("behind the end");
    this.#at += count;
    return this.#data.subarray(this.#at - count, this.#at);
  }

  /** Bytes behind their length. */
  sized(width: number): Reader {
    return new Reader(this.bytes(this.number(width)));
  }
}

/**
 * Returns the name that a ClientHello requests, in lower case; `""` if it requests no name, or the bytes are no ClientHello;
 * `null` if it is too long. If more bytes are needed, returns how many there must be at least: before that, another call is of
 * no use.
 *
 * @param data All that the client has sent.
 * @param isWanted Whether to read the name, which takes 1 µs.
 */
export function readServerName(data: Uint8Array, isWanted = true): string | number | null {
  const message = joinRecords(data);
  if (!(message instanceof Uint8Array)) return message;
  if (!isWanted) return "";
  try {
    return nameIn(new Reader(message));
  } catch {
    return "";
  }
}

/**
 * Returns the first message of a handshake, which records can divide; `""` if it is no ClientHello; `null` if it is too long, or
 * of too many records; how many bytes there must be if it is incomplete. It takes a time that grows with the bytes alone, however
 * many records a client makes of them.
 */
function joinRecords(data: Uint8Array): Uint8Array | "" | number | null {
  const joined = new Uint8Array(data.length);
  let size = 0;
  let at = 0;
  for (let records = 0; records <= MAX_RECORDS; records++) {
    if (size > 0 && joined[0] !== CLIENT_HELLO) return "";
    if (size >= 4) {
      const length = 4 + (joined[1]! << 16 | joined[2]! << 8 | joined[3]!);
      if (length > MAX_HELLO) return null;
      if (size >= length) return joined.subarray(0, length);
    }
    const [type = HANDSHAKE_RECORD, major = MAJOR_VERSION] = data.subarray(at, at + 2);
    if (type !== HANDSHAKE_RECORD || major !== MAJOR_VERSION) return "";
    if (at + 5 > data.length) return at + 5;
    const length = data[at + 3]! << 8 | data[at + 4]!;
    if (length === 0 || length > MAX_RECORD) return "";
    const part = data.subarray(at + 5, at + 5 + length);
    if (size === 0 && part.length > 0 && part[0] !== CLIENT_HELLO) return "";
    if (part.length < length) return at + 5 + length;
    joined.set(part, size);
    size += length;
    at += 5 + length;
  }
  return null;
}

/** RFC 8446, 4.1.2 and RFC 6066, 3. */
function nameIn(message: Reader): string {
  message.bytes(4); // Its type and length.
  message.bytes(2 + 32);
  message.sized(1); // The session.
  message.sized(2); // The cipher suites.
  message.sized(1); // The compression methods.
  if (message.atEnd) return "";
  for (const extensions = message.sized(2); !extensions.atEnd;) {
    const type = extensions.number(2);
    const extension = extensions.sized(2);
    if (type !== SERVER_NAME) continue;
    for (const names = extension.sized(2); !names.atEnd;) {
      const kind = names.number(1);
      const size = names.number(2);
      const name = names.bytes(size);
      if (kind === HOST_NAME) return toHostName(name);
    }
  }
  return "";
}

function toHostName(bytes: Uint8Array): string {
  if (bytes.length > MAX_NAME + 1) return "";
  const name = String.fromCharCode(...bytes).toLowerCase();
  return NAME.test(name) && name.replace(/\.$/, "").length <= MAX_NAME ? name : "";
}
