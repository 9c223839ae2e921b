/** What OpenSSL makes of settings. */
import type { TlsSettings } from "../../transports/tls_provider.ts";
import { CLIENT_PURPOSE, equals, type Purpose, SERVER_PURPOSE, whyNotRoot } from "../purpose.ts";
import { TlsError } from "../tls_error.ts";
import { checkAlgorithms, setAlgorithms } from "./algorithms.ts";
import { callbacks } from "./callbacks.ts";
import { chooseSuites, limitVersions, SECURITY_LEVEL, type Suites } from "./choose_suites.ts";
import { ClientSessions } from "./client_sessions.ts";
import * as c from "./constants.ts";
import { Handles, made, parseRoots, type Root, toDer } from "./credentials.ts";
import { denoAuthorities } from "./deno_authorities.ts";
import { addHooks, type Hooks, removeHooks, stapleFor } from "./hooks.ts";
import { type Identity, parseIdentity } from "./identity.ts";
import { cString, type Libssl, type Pointer } from "./libssl.ts";
import { checkStaple, parseStaple } from "./ocsp.ts";
import { takeError } from "./openssl_error.ts";
import { parseCrls } from "./revocation.ts";
import { isClientKnown, nameScope, type ServerSessions, sessionScope } from "./server_sessions.ts";
import { sha256 } from "./sha256.ts";
import { TicketKeys, useTicketKeys } from "./ticket_keys.ts";

/** How many bytes the certificates of a peer may have: as many as for rustls. */
const MAX_CHAIN_BYTES = 0xffffn;

/** How many tickets a client gets in a handshake of TLS 1.3: one for each of two connections, since each is used once. */
const TICKETS = 2;

/** Frees what a context has in OpenSSL's memory when nothing refers to it any more. Connections have references of their own. */
const registry = new FinalizationRegistry<Handles>((handles) => handles.freeAll());

/** An `SSL_CTX`, and the CAs that were valid when it was made. */
interface MadeContext {
  pointer: Pointer;
  roots: Root[];
  /** The keys of tickets that a server has been given. */
  keys?: readonly Uint8Array[];
  hooks: Hooks;
}

/** Settings that have been loaded, for any number of connections. */
export class OpensslContext implements ServerSessions {
  /** The settings. */
  readonly settings: TlsSettings;
  /** The protocols of ALPN, encoded. */
  readonly protocols: readonly Uint8Array[];
  #ssl: Libssl;
  #handles = new Handles();
  #roots: Root[];
  #identity: Identity | null;
  #suites: Suites;
  #crls: Pointer[];
  #staple: (() => Uint8Array | null) | undefined;
  #made: Partial<Record<"client" | "server", MadeContext>> = {};
  /** The certificate as DER. */
  #cert: Uint8Array;
  /** What the sessions of a server belong to. */
  #scope: Uint8Array<ArrayBuffer>;
  /** The sessions that clients can resume; `null` if they do not. */
  readonly clientSessions: ClientSessions | null;
  /** The keys of a server's tickets. */
  readonly keys: TicketKeys;

  /**
   * Throws a `TypeError` for a certificate, a key or a cipher suite that cannot be used. `former`: the context that this one
   * replaces.
   */
  constructor(ssl: Libssl, settings: TlsSettings, former?: OpensslContext) {
    this.#ssl = ssl;
    this.settings = settings;
    const { sessionTickets } = settings;
    const given = typeof sessionTickets === "object" ? sessionTickets.keys : undefined;
    this.keys = given !== undefined || former === undefined ? new TicketKeys(given) : former.keys;
    // A server that is asked about revocation is asked each time.
    const asksAgain = settings.crl !== undefined || Boolean(settings.requestOcsp);
    this.clientSessions = sessionTickets === false || asksAgain ? null : new ClientSessions(ssl, this.#handles);
    this.protocols = (settings.alpnProtocols ?? []).map((name) => new TextEncoder().encode(name));
    try {
      this.#roots = parseRoots(ssl, this.#handles, settings);
      this.#identity = parseIdentity(ssl, this.#handles, settings);
      this.#suites = chooseSuites(ssl, settings);
      this.#cert = this.#identity === null ? new Uint8Array() : toDer(ssl, this.#identity.cert);
      this.#scope = sessionScope(ssl, settings, this.#cert);
      const { ocspResponse } = settings;
      this.#staple = ocspResponse && this.#identity ? parseStaple(ssl, ocspResponse, this.#identity.cert) : undefined;
      this.#crls = parseCrls(ssl, this.#handles, settings.crl ?? []);
      checkAlgorithms(ssl, settings);
      // What is wrong with a certificate or a key is an error of the call, not of the first connection.
      if (this.#identity !== null) this.server();
    } catch (error) {
      this.#handles.freeAll();
      throw error;
    }
    registry.register(this, this.#handles);
  }

  /** Returns the `SSL_CTX` of clients. */
  client(): Pointer {
    return this.#cached("client", SERVER_PURPOSE, (roots, ctx) => {
      const ssl = this.#ssl;
      if (this.clientSessions !== null) {
        ssl.SSL_CTX_ctrl(ctx, c.SSL_CTRL_SET_SESS_CACHE_MODE, c.SSL_SESS_CACHE_CALLBACK, null);
        ssl.SSL_CTX_sess_set_new_cb(ctx, callbacks().newSession);
      }
      const { rejectUnauthorized = true } = this.settings;
      if (rejectUnauthorized) {
        this.#trust(ctx, [...denoAuthorities(ssl), ...roots.map(({ x509 }) => x509)]);
        ssl.SSL_CTX_set_verify(ctx, c.SSL_VERIFY_PEER, callbacks().verify);
      } else {
        ssl.SSL_CTX_set_verify(ctx, c.SSL_VERIFY_NONE, null);
      }
      if (this.protocols.length > 0) {
        const list = Uint8Array.from(this.protocols.flatMap((name) => [name.length, ...name]));
        // 0 is success.
        this.#require(ssl.SSL_CTX_set_alpn_protos(ctx, list, list.length) === 0, "alpnProtocols");
      }
    });
  }

  /** Returns the `SSL_CTX` of servers. */
  server(): Pointer {
    const pointer = this.#cached("server", CLIENT_PURPOSE, (roots, ctx) => {
      const ssl = this.#ssl;
      const { requestCert = false, rejectUnauthorized = true } = this.settings;
      ssl.SSL_CTX_set_options(ctx, c.SSL_OP_CIPHER_SERVER_PREFERENCE);
      if (requestCert) {
        const fail = rejectUnauthorized && requestCert !== "optional" ? c.SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
        ssl.SSL_CTX_set_verify(ctx, c.SSL_VERIFY_PEER | fail, callbacks().verify);
        this.#trust(ctx, roots.map(({ x509 }) => x509));
        for (const { x509 } of roots) this.#require(ssl.SSL_CTX_add_client_CA(ctx, x509) === 1, "caCerts");
        if (rejectUnauthorized) ssl.SSL_CTX_set_session_ticket_cb(ctx, null, callbacks().ticket, null);
      }
      if (this.protocols.length > 0) ssl.SSL_CTX_set_alpn_select_cb(ctx, callbacks().alpn, null);
      const { sessionTickets = true } = this.settings;
      const { count = TICKETS } = typeof sessionTickets === "object" ? sessionTickets : {};
      this.#require(
        ssl.SSL_CTX_set_num_tickets(ctx, sessionTickets === false ? 0n : BigInt(count)) === 1,
        "sessionTickets",
      );
    });
    const made = this.#made.server!;
    const keys = this.keys.current();
    if (this.settings.sessionTickets !== false && made.keys !== keys) {
      this.#require(useTicketKeys(this.#ssl, pointer, keys, callbacks().ticketKey), "sessionTickets.keys");
      made.keys = keys;
    }
    return pointer;
  }

  /** Reports whether the client of a session may resume it. */
  mayResume(session: Pointer): boolean {
    if (this.settings.crl !== undefined) return false;
    return isClientKnown(this.#ssl, session, this.settings.requestCert, (root) => {
      return this.#roots.some(({ x509, certificate }) => {
        return whyNotRoot(certificate, CLIENT_PURPOSE) === null &&
          equals(sha256(this.#ssl, toDer(this.#ssl, x509)), root);
      });
    });
  }

  /**
   * Keeps the sessions of a connection apart from those of other names. `chosen`: the context whose certificate `sni` has
   * selected for the name.
   */
  scopeSessions(connection: Pointer, name: string, chosen: OpensslContext): void {
    const scope = nameScope(this.#ssl, this.#scope, name, chosen.#cert);
    this.#require(this.#ssl.SSL_set_session_id_context(connection, scope, scope.length) === 1, "sni");
  }

  /**
   * Gives a connection of this context's server the certificate, the key and the versions of other settings, which `sni` has
   * selected.
   */
  choose(connection: Pointer, chosen: OpensslContext): void {
    const { minVersion = this.settings.minVersion, maxVersion = this.settings.maxVersion } = chosen.settings;
    const { list12, list13 } = this.#suites;
    const suites = limitVersions({
      minVersion: minVersion ?? "TLSv1.2",
      maxVersion: maxVersion ?? "TLSv1.3",
      list12,
      list13,
    });
    if (suites.minVersion > suites.maxVersion) {
      throw new TlsError(
        "NO_SHARED_VERSION",
        `TLS: minVersion ${suites.minVersion} is newer than maxVersion ${suites.maxVersion}; one is the server's, one its ` +
          "sni has selected",
      );
    }
    const ssl = this.#ssl;
    const { cert, key, chain } = chosen.#identity!;
    ssl.ERR_clear_error();
    // There is a place for each kind of key, and OpenSSL chooses among those that have a certificate.
    ssl.SSL_certs_clear(connection);
    const done = ssl.SSL_use_cert_and_key(connection, cert, key, chain, 1) === 1 &&
      ssl.SSL_ctrl(connection, c.SSL_CTRL_SET_MIN_PROTO_VERSION, c.VERSION_NUMBERS[suites.minVersion], null) === 1 &&
      ssl.SSL_ctrl(connection, c.SSL_CTRL_SET_MAX_PROTO_VERSION, c.VERSION_NUMBERS[suites.maxVersion], null) === 1;
    stapleFor(ssl, connection, chosen.server());
    if (!done) throw new TlsError("FAILED", `TLS: the context that sni has returned cannot be used: ${this.#reason()}`);
  }

  /** Describes why some of `caCerts` are not used, for messages. */
  describeUnusable(purpose: Purpose): string {
    const reasons = this.#roots.flatMap(({ certificate }, i) => {
      const why = whyNotRoot(certificate, purpose);
      return why === null ? [] : [`certificate ${i} in caCerts is not used: ${why}`];
    });
    return reasons.length === 0 ? "" : ` (${reasons.join("; ")})`;
  }

  /** Makes a context again if a CA has expired, or has become valid, since. */
  #cached(side: "client" | "server", purpose: Purpose, configure: (roots: Root[], ctx: Pointer) => void): Pointer {
    const roots = this.#roots.filter(({ certificate }) => whyNotRoot(certificate, purpose) === null);
    const before = this.#made[side];
    const isCurrent = before?.roots.length === roots.length && roots.every((root, i) => root === before.roots[i]);
    if (isCurrent) return before.pointer;
    const ssl = this.#ssl;
    ssl.ERR_clear_error();
    const method = side === "client" ? ssl.TLS_client_method() : ssl.TLS_server_method();
    const pointer = this.#handles.own(made(ssl.SSL_CTX_new(method)), (ctx) => {
      removeHooks(ctx);
      ssl.SSL_CTX_free(ctx);
    });
    let hooks: Hooks;
    try {
      this.#configure(pointer);
      configure(roots, pointer);
      const { keylog } = this.settings;
      hooks = side === "client" ? { keylog, check: this.#check() } : { keylog, staple: this.#staple };
      addHooks(ssl, pointer, hooks);
    } catch (error) {
      this.#handles.free(pointer);
      throw error;
    }
    if (before !== undefined) this.#handles.free(before.pointer);
    this.#made[side] = { pointer, roots, hooks };
    return pointer;
  }

  /** Returns what decides about the OCSP response of a server; `undefined` if none is requested. */
  #check(): Hooks["check"] {
    const { requestOcsp = false, rejectUnauthorized = true } = this.settings;
    const lib = this.#ssl;
    if (requestOcsp === false) return undefined;
    // Without the hook, OpenSSL would not ask for one.
    return (ssl, response) => rejectUnauthorized ? checkStaple(lib, ssl, response, requestOcsp === "required") : null;
  }

  /** Sets what both sides have. */
  #configure(ctx: Pointer): void {
    const ssl = this.#ssl;
    const { minVersion, maxVersion, list12, list13 } = this.#suites;
    ssl.SSL_CTX_set_options(ctx, c.SSL_OP_NO_COMPRESSION | c.SSL_OP_NO_RENEGOTIATION);
    // The buffers of an idle connection would take 34 KiB.
    ssl.SSL_CTX_ctrl(ctx, c.SSL_CTRL_MODE, c.SSL_MODE_RELEASE_BUFFERS | c.SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, null);
    ssl.SSL_CTX_ctrl(ctx, c.SSL_CTRL_SET_SESS_CACHE_MODE, c.SSL_SESS_CACHE_OFF, null);
    ssl.SSL_CTX_ctrl(ctx, c.SSL_CTRL_SET_MAX_CERT_LIST, MAX_CHAIN_BYTES, null);
    // The administrator may have set a higher one, in OpenSSL's configuration.
    ssl.SSL_CTX_set_security_level(ctx, Math.max(SECURITY_LEVEL, ssl.SSL_CTX_get_security_level(ctx)));
    const setVersion = (command: number, version: keyof typeof c.VERSION_NUMBERS) =>
      ssl.SSL_CTX_ctrl(ctx, command, c.VERSION_NUMBERS[version], null) === 1;
    this.#require(setVersion(c.SSL_CTRL_SET_MIN_PROTO_VERSION, minVersion), "minVersion");
    this.#require(setVersion(c.SSL_CTRL_SET_MAX_PROTO_VERSION, maxVersion), "maxVersion");
    this.#require(list12 === "" || ssl.SSL_CTX_set_cipher_list(ctx, cString(list12)) === 1, "ciphers");
    setAlgorithms(ssl, ctx, this.settings);
    const { verifyDepth } = this.settings;
    if (verifyDepth !== undefined) ssl.SSL_CTX_set_verify_depth(ctx, verifyDepth);
    this.#require(list13 === "" || ssl.SSL_CTX_set_ciphersuites(ctx, cString(list13)) === 1, "ciphers");
    if (this.settings.sessionTickets === false) ssl.SSL_CTX_set_options(ctx, c.SSL_OP_NO_TICKET);
    const scope = this.#scope;
    this.#require(ssl.SSL_CTX_set_session_id_context(ctx, scope, scope.length) === 1, "sessions");
    if (this.#identity === null) return;
    const { cert, key, chain } = this.#identity;
    this.#require(ssl.SSL_CTX_use_cert_and_key(ctx, cert, key, chain, 1) === 1, "cert");
  }

  #trust(ctx: Pointer, x509s: Pointer[]): void {
    const ssl = this.#ssl;
    const store = made(ssl.X509_STORE_new());
    try {
      for (const x509 of x509s) this.#require(ssl.X509_STORE_add_cert(store, x509) === 1, "caCerts");
      if (this.#crls.length > 0) {
        for (const crl of this.#crls) this.#require(ssl.X509_STORE_add_crl(store, crl) === 1, "crl");
        ssl.X509_STORE_set_flags(store, c.X509_V_FLAG_CRL_CHECK | c.X509_V_FLAG_CRL_CHECK_ALL);
      }
      ssl.SSL_CTX_set1_cert_store(ctx, store);
    } finally {
      ssl.X509_STORE_free(store);
    }
  }

  #require(done: boolean, option: string): void {
    if (!done) throw new TypeError(`OpenSSL rejects ${option}: ${this.#reason()}`);
  }

  #reason(): string {
    return takeError(this.#ssl)?.text ?? "it gives no reason";
  }
}
