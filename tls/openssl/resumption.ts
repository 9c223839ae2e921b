/** The sessions of one connection of a client: what it offers, and what it gets. */
import type { TlsSide } from "../../transports/tls_provider.ts";
import { setTakeSession } from "./callbacks.ts";
import type { ClientSession, ClientSessions } from "./client_sessions.ts";
import type { Pointer } from "./libssl.ts";
import type { PeerVerifier } from "./peer_verifier.ts";

/** A connection of a client that can resume. */
export class Resumption {
  /** What the connection has offered to resume; `null` if there was nothing. */
  readonly offered: ClientSession | null;
  #sessions: ClientSessions;
  #ssl: Pointer;
  /** What the sessions are kept by. */
  #server: string;

  /** Offers a session that an earlier connection has got of the same server, verified by the same rules for the same name. */
  constructor(sessions: ClientSessions, ssl: Pointer, side: TlsSide, verifier: PeerVerifier) {
    const { serverHostname, peername, settings: { rejectUnauthorized = true } } = side;
    const where = peername && ("port" in peername ? peername.port : "path" in peername ? peername.path : "");
    this.#sessions = sessions;
    this.#ssl = ssl;
    this.#server = `${serverHostname.toLowerCase()} ${where ?? ""}`;
    this.offered = sessions.offer(this.#server, ssl);
    setTakeSession(ssl, (session) => {
      if (!verifier.verified && this.offered === null && rejectUnauthorized) return false;
      const { chain, expires } = verifier.verified ? verifier : this.offered ?? verifier;
      sessions.keep(this.#server, { pointer: session, chain, expires });
      return true;
    });
  }

  /** Keeps what the server has renewed when it has resumed the session. */
  renew(): void {
    if (this.offered !== null) this.#sessions.renew(this.#server, this.#ssl, this.offered);
  }

  /** Drops all sessions of the server: the connection has failed. */
  forget(): void {
    this.#sessions.forget(this.#server);
  }

  /** Takes no more sessions. Call this before the connection is freed. */
  end(): void {
    setTakeSession(this.#ssl, null);
  }
}

/** Lets a connection resume; `null` if it cannot, because sessions are off, or it verifies no name. */
export function resume(
  sessions: ClientSessions | null,
  ssl: Pointer,
  side: TlsSide,
  verifier: PeerVerifier,
): Resumption | null {
  return sessions === null || side.serverHostname === "" ? null : new Resumption(sessions, ssl, side, verifier);
}
