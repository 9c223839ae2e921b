/**
 * Finds the name that a client requests (SNI), before OpenSSL gets the ClientHello: a program may take its time to choose the
 * certificate, and OpenSSL's own callback could not wait without a thread or a second call.
 */

/** Longer ones are left to OpenSSL, which rejects them: `SSL3_RT_MAX_PLAIN_LENGTH` in its statem_srvr.c is 131396. */
const MAX_HELLO = 132 * 1024;
const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const HOST_NAME = 0;

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
 * Returns the name that a ClientHello requests; `""` if there is none, or the bytes are no ClientHello; `null` if more bytes are
 * needed.
 *
 * @param data All that the client has sent.
 */
export function readServerName(data: Uint8Array): string | null {
  const message = joinRecords(data);
  if (message === null) return null;
  try {
    return message.length === 0 ? "" : nameIn(new Reader(message));
  } catch {
    return "";
  }
}

/** Returns the first message of a handshake, which records can divide; empty if this is none, `null` if it is incomplete. */
function joinRecords(data: Uint8Array): Uint8Array | null {
  const none = new Uint8Array(0);
  let joined: Uint8Array = none;
  for (let at = 0;;) {
    if (joined.length >= 4) {
      const length = 4 + (joined[1]! << 16 | joined[2]! << 8 | joined[3]!);
      if (joined[0] !== CLIENT_HELLO || length > MAX_HELLO) return none;
      if (joined.length >= length) return joined.subarray(0, length);
    }
    if (at < data.length && data[at] !== HANDSHAKE_RECORD || at + 1 < data.length && data[at + 1] !== 3) return none;
    if (at + 5 > data.length) return null;
    const length = data[at + 3]! << 8 | data[at + 4]!;
    if (length === 0 || length > 16384) return none;
    if (at + 5 + length > data.length) {
      // A record that is no ClientHello need not be complete.
      return joined.length === 0 && at + 5 < data.length && data[at + 5] !== CLIENT_HELLO ? none : null;
    }
    const part = data.subarray(at + 5, at + 5 + length);
    joined = joined.length === 0 ? part : concat(joined, part);
    at += 5 + length;
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
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
      if (kind === HOST_NAME && name.every((byte) => byte > 0x20 && byte < 0x7f)) return String.fromCharCode(...name);
    }
  }
  return "";
}
