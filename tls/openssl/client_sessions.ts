/** The sessions that the clients of a context can resume. */
import type { Handles } from "./credentials.ts";
import type { Libssl, Pointer } from "./libssl.ts";

/** How many sessions are kept, some 4 KiB each. */
const MAX_SESSIONS = 128;
/** Of one server. It sends two tickets in each handshake, and each is used once. */
const MAX_PER_SERVER = 16;

const TLS_1_3 = 0x304;

/** A session, an `SSL_SESSION`. */
export interface ClientSession {
  pointer: Pointer;
  /** The path by which the server was verified, as DER: OpenSSL does not keep it. */
  chain: readonly Uint8Array[];
  /** When the first certificate of that path expires, in milliseconds. */
  expires: number;
}

/**
 * Sessions, by server: a name and a port. A context has those of its own settings alone, so that a server is verified as they
 * say.
 */
export class ClientSessions {
  #lib: Libssl;
  #handles: Handles;
  /** The most recent last. */
  #sessions: (ClientSession & { server: string })[] = [];

  /** `handles`: owns the sessions. */
  constructor(lib: Libssl, handles: Handles) {
    this.#lib = lib;
    this.#handles = handles;
  }

  /** Keeps a session, whose reference it owns from now on. */
  keep(server: string, session: ClientSession): void {
    const lib = this.#lib;
    this.#handles.own(session.pointer, (own) => lib.SSL_SESSION_free(own));
    this.#sessions.push({ ...session, server });
    let count = 0;
    for (const session of this.#sessions) if (session.server === server) count++;
    if (count > MAX_PER_SERVER) this.#drop(this.#sessions.findIndex((session) => session.server === server));
    else if (this.#sessions.length > MAX_SESSIONS) this.#drop(0);
  }

  /**
   * Makes a connection offer a session of a server. One of TLS 1.3 is offered once, so that an observer cannot tell that two
   * connections are of one client (RFC 8446, C.4). Returns what is offered.
   */
  offer(server: string, ssl: Pointer): ClientSession | null {
    const lib = this.#lib;
    for (let i = this.#sessions.length - 1; i >= 0; i--) {
      const session = this.#sessions[i]!;
      if (session.server !== server) continue;
      const { pointer, expires } = session;
      const isGood = expires > Date.now() && lib.SSL_SESSION_is_resumable(pointer) === 1;
      // The connection has a reference of its own.
      const isSet = isGood && lib.SSL_set_session(ssl, pointer) === 1;
      if (!isSet || lib.SSL_SESSION_get_protocol_version(pointer) === TLS_1_3) this.#drop(i);
      if (isSet) return session;
    }
    return null;
  }

  /** Keeps what a server of TLS 1.2 has given in place of a session that was resumed: OpenSSL calls no callback for it. */
  renew(server: string, ssl: Pointer, { pointer: former, chain, expires }: ClientSession): void {
    const lib = this.#lib;
    const pointer = lib.SSL_get1_session(ssl);
    if (pointer === null) return;
    const isOther = !Deno.UnsafePointer.equals(pointer, former);
    if (isOther && lib.SSL_SESSION_get_protocol_version(pointer) !== TLS_1_3) {
      this.keep(server, { pointer, chain, expires });
    } else lib.SSL_SESSION_free(pointer);
  }

  /** Drops the sessions of a server with which a connection has failed: RFC 8446, 6.2. */
  forget(server: string): void {
    for (let i = this.#sessions.length - 1; i >= 0; i--) if (this.#sessions[i]!.server === server) this.#drop(i);
  }

  #drop(index: number): void {
    const [session] = this.#sessions.splice(index, 1);
    if (session !== undefined) this.#handles.free(session.pointer);
  }
}
