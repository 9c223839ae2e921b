/**
 * One side of a TLS connection by OpenSSL, over memory: ciphertext goes in by one BIO and comes out of another.
 *
 * `#ssl` is null before the connection is made, and once it is freed. Every method asks it first, and again after each call of
 * the sink, which may have destroyed this engine.
 */
import { toError } from "../../errors.ts";
import type { StreamHandle } from "../../transports/stream_handle.ts";
import type { TlsEngine, TlsEngineSink, TlsSession, TlsSide } from "../../transports/tls_provider.ts";
import { readCertificate } from "../certificate.ts";
import { isValidToday } from "../purpose.ts";
import { TlsError } from "../tls_error.ts";
import { callbacks, handshakeOf, type Handshaking } from "./callbacks.ts";
import { ClientHello, isWholeHello } from "./client_hello.ts";
import * as c from "./constants.ts";
import { receivedResponse, setKeylogReport } from "./hooks.ts";
import type { Libssl, Pointer } from "./libssl.ts";
import { LiveConnection } from "./live_connection.ts";
import { MemoryBios } from "./memory_bios.ts";
import { beginRead, endRead, MAX_MESSAGES, tooManyMessages } from "./messages.ts";
import type { OpensslContext } from "./openssl_context.ts";
import { takeError, toConnectionError } from "./openssl_error.ts";
import { attachConnection, OpensslObject } from "./openssl_object.ts";
import { PeerVerifier } from "./peer_verifier.ts";
import { OpensslStream } from "./openssl_stream.ts";
import { plainAlert } from "./plain_alert.ts";
import { readSession } from "./read_session.ts";
import { resume, type Resumption } from "./resumption.ts";
import { setServerName } from "./set_server_name.ts";

const NOTHING = new Uint8Array(0);

/** Finds the context of settings that have been loaded. */
export type FindContext = (settings: TlsSide["settings"]) => OpensslContext;

/** One side of a TLS connection, over memory. */
export class OpensslEngine implements TlsEngine, Handshaking {
  readonly sslObject: OpensslObject = new OpensslObject();
  #lib: Libssl;
  #sink: TlsEngineSink;
  #context: OpensslContext;
  #side: TlsSide;
  #find: FindContext;
  /** Made by `#make()`. */
  #connection: LiveConnection | null = null;
  #bios!: MemoryBios;
  /** Server: what has come of the ClientHello; `null` once OpenSSL has it. */
  #hello: ClientHello | null = null;
  /** The program chooses. */
  #choosing = false;
  #verifier: PeerVerifier;
  #established = false;
  /** The connection has failed, or is destroyed: nothing more goes in or out. */
  #over = false;
  /** The results of the handshake, which outlive the `SSL`. */
  #session: TlsSession | null = null;
  /** The peer has ended the connection by an alert, which is not answered. */
  #alerted = false;

  constructor(lib: Libssl, sink: TlsEngineSink, context: OpensslContext, side: TlsSide, find: FindContext) {
    this.#lib = lib;
    this.#sink = sink;
    this.#context = context;
    this.#side = side;
    this.#find = find;
    this.#verifier = new PeerVerifier(lib, context, side);
  }

  get #ssl(): Pointer | null {
    return this.#connection?.ssl ?? null;
  }

  get #resumption(): Resumption | null {
    return this.#connection?.resumption ?? null;
  }

  get sessions(): OpensslContext {
    return this.#context;
  }

  start(): void {
    if (this.#side.serverSide) this.#hello = new ClientHello();
    else this.#begin();
  }

  decrypt(data: Uint8Array): Uint8Array | null {
    if (this.#over) return null;
    return this.#hello === null ? this.#receive(data) : this.#receiveHello(this.#hello, data);
  }

  encrypt(data: Uint8Array): Uint8Array {
    const ssl = this.#ssl;
    if (ssl === null || this.#over) return NOTHING;
    const ciphertext = this.#bios.encrypt(data);
    if (ciphertext === null) this.#fail(ssl);
    return ciphertext ?? NOTHING;
  }

  closeNotify(): void {
    const ssl = this.#ssl;
    if (ssl === null || this.#over || !this.#established) return;
    this.#lib.ERR_clear_error();
    this.#lib.SSL_shutdown(ssl);
    this.#lib.ERR_clear_error();
    this.#drain();
  }

  direct(lower: StreamHandle, early: Uint8Array[], shutdownTimeout: number): StreamHandle | null {
    const isReady = this.#ssl !== null && this.#established && !this.#over && this.#bios.isRead;
    if (!isReady || lower.attach === undefined) return null;
    // Nothing refers to this engine any more: with what the handshake has needed, it takes 2 KiB.
    return new OpensslStream(this.#connection!, lower, early, shutdownTimeout);
  }

  session(): TlsSession {
    return this.#session ?? { cipher: null, peercert: null, alpnProtocol: null };
  }

  destroy(): void {
    this.#over = true;
    this.#hello = null;
    this.#connection?.free();
  }

  selectProtocol(offered: Uint8Array): number {
    // The first protocol of the server that the client has.
    for (const protocol of this.#context.protocols) {
      for (let at = 0; at < offered.length; at += 1 + offered[at]!) {
        const name = offered.subarray(at + 1, at + 1 + offered[at]!);
        if (name.length === protocol.length && name.every((byte, i) => byte === protocol[i])) return at;
      }
    }
    return -1;
  }

  verify(ok: boolean, storeContext: Pointer): boolean {
    return this.#verifier.verify(ok, storeContext);
  }

  reject(error: TlsError): void {
    this.#verifier.rejection = error;
  }

  #receiveHello(hello: ClientHello, data: Uint8Array): Uint8Array | null {
    if (this.#side.sni === undefined && hello.bytes.length === 0 && isWholeHello(data)) {
      this.#hello = null;
      this.#begin();
      return this.#receive(data);
    }
    hello.append(data);
    const name = this.#choosing ? undefined : hello.readName(this.#side.sni !== undefined);
    if (name === undefined) return null;
    if (name === null) {
      this.#end(new TlsError("NOT_TLS", "TLS: the peer does not speak TLS (its ClientHello is too long)"));
      return null;
    }
    if (this.#side.sni !== undefined) {
      this.#choose(hello, name);
      return null;
    }
    this.#hello = null;
    this.#begin();
    return this.#receive(hello.bytes);
  }

  /** Makes the `SSL`. `name`: what a client of a server with `sni` requests. `chosen`: what `sni` has selected for it. */
  #begin(name?: string, chosen?: OpensslContext | null): void {
    try {
      this.#make(name, chosen);
    } catch (error) {
      this.#end(toError(error));
      return;
    }
    if (!this.#side.serverSide) this.#shake();
  }

  #make(name?: string, chosen?: OpensslContext | null): void {
    const lib = this.#lib;
    const { serverSide } = this.#side;
    const ctx = serverSide ? this.#context.server() : this.#context.client();
    const { ssl, bios } = MemoryBios.connect(lib, ctx);
    const connection = this.#connection = new LiveConnection(lib, ssl, this.#context); // From here on, destroy() frees it.
    this.#bios = bios;
    if (this.#context.settings.keylog !== undefined) {
      const { report } = this.#sink;
      setKeylogReport(ssl, (error) => report("Exception in keylog", error));
    }
    if (!serverSide) {
      lib.SSL_set_connect_state(ssl);
      setServerName(lib, ssl, this.#side);
      connection.resumption = resume(this.#context.clientSessions, ssl, this.#side, this.#verifier);
      return;
    }
    lib.SSL_set_accept_state(ssl);
    if (chosen) this.#context.choose(ssl, chosen);
    if (name !== undefined) this.#context.scopeSessions(ssl, name, chosen ?? this.#context);
  }

  async #choose(hello: ClientHello, name: string): Promise<void> {
    this.#choosing = true;
    this.#sink.choosing(true);
    try {
      const settings = await this.#side.sni!(name);
      if (this.#over) return;
      this.#hello = null;
      this.#begin(name, settings && this.#find(settings));
      if (this.#over) return;
      const cleartext = this.#receive(hello.bytes);
      if (cleartext !== null) this.#sink.cleartext(cleartext);
      if (!this.#over) this.#sink.choosing(false);
    } catch (error) {
      this.#end(toError(error));
    }
  }

  #receive(data: Uint8Array): Uint8Array | null {
    const ssl = this.#ssl;
    if (ssl === null || data.length === 0) return null;
    if (!this.#bios.add(data)) {
      this.#end(new TlsError("FAILED", "TLS: OpenSSL is out of memory"));
      return null;
    }
    if (!this.#established && !this.#shake()) return null;
    return this.#read(ssl);
  }

  /** Goes on with the handshake. Reports whether it is complete. */
  #shake(): boolean {
    const ssl = this.#ssl!;
    const lib = this.#lib;
    lib.ERR_clear_error();
    const result = handshakeOf(this, () => lib.SSL_do_handshake(ssl));
    if (result !== 1) {
      if (lib.SSL_get_error(ssl, result) === c.SSL_ERROR_WANT_READ) this.#drain();
      else this.#fail(ssl);
      return false;
    }
    let error: Error | null;
    try {
      error = this.#finish(ssl);
    } catch (cause) {
      error = toError(cause); // OpenSSL is out of memory.
    }
    if (error !== null) {
      // A client must not send its last message to a server that it rejects.
      this.#over = true;
      this.#resumption?.forget();
      this.#sink.failed(error);
      return false;
    }
    this.#established = true;
    lib.SSL_set_info_callback(ssl, callbacks().info);
    this.#drain();
    if (!this.#over) this.#sink.ready();
    return !this.#over;
  }

  /** Reads what the handshake has resulted in. Returns why it does not count after all. */
  #finish(ssl: Pointer): TlsError | null {
    const lib = this.#lib;
    const { serverSide, settings: { alpnProtocols = [], requestCert = false, rejectUnauthorized = true } } = this.#side;
    const { object, session, reused } = readSession(lib, ssl);
    Object.assign(this.sslObject, object);
    const chain = reused ? this.#resumption?.offered?.chain ?? [] : this.#verifier.chain;
    const connection = this.#connection!;
    if (chain.length > 0) connection.chain = chain;
    if (!serverSide) connection.response = receivedResponse(lib, ssl);
    attachConnection(this.sslObject, connection);
    this.#session = session;
    const { alpnProtocol, peercert } = session;
    if (reused) this.#resumption?.renew();
    if (alpnProtocol !== null && !alpnProtocols.includes(alpnProtocol)) {
      return new TlsError("FAILED", "TLS: the peer has selected an application protocol that was not offered");
    }
    if (!rejectUnauthorized || serverSide && !requestCert) return null;
    if (serverSide && requestCert === "optional" && peercert === null) return null;
    const isKnown = reused
      ? (serverSide || this.#resumption?.offered) && peercert !== null && isValidToday(readCertificate(peercert.raw))
      : this.#verifier.verified;
    return isKnown ? null : new TlsError("FAILED", "TLS: OpenSSL has not verified the peer");
  }

  #read(ssl: Pointer): Uint8Array | null {
    beginRead();
    const { cleartext, error } = this.#bios.decrypt();
    const isFlood = endRead() > MAX_MESSAGES;
    if (error === c.SSL_ERROR_WANT_READ && !isFlood) {
      if (this.#bios.hasOutput) this.#drain(); // The answer to a KeyUpdate.
      return cleartext;
    }
    if (error === c.SSL_ERROR_ZERO_RETURN && !isFlood) {
      this.#drain();
      if (!this.#over) this.#sink.ended();
      return cleartext;
    }
    // What has come before the error goes before it.
    const failure = isFlood ? tooManyMessages() : this.#takeFailure(ssl);
    if (cleartext !== null) this.#sink.cleartext(cleartext);
    this.#end(failure);
    return null;
  }

  /** Ends the connection after a call of OpenSSL that has failed. */
  #fail(ssl: Pointer): void {
    this.#end(this.#takeFailure(ssl));
  }

  #takeFailure(ssl: Pointer): TlsError {
    const lib = this.#lib;
    const { rejection } = this.#verifier;
    if (rejection !== null) {
      lib.ERR_clear_error();
      return rejection;
    }
    const error = takeError(lib);
    this.#alerted = error !== null && error.ofSsl && error.reason > c.SSL_R_ALERT_OFFSET;
    const verdict = lib.SSL_get_verify_result(ssl);
    const isVerdict = error !== null && error.ofSsl && error.reason === c.SSL_R_CERTIFICATE_VERIFY_FAILED;
    return isVerdict ? this.#verifier.explain(verdict) : toConnectionError(lib, error, verdict);
  }

  /** Sends the alert, and reports the error. */
  #end(error: Error): void {
    if (this.#over) return;
    this.#resumption?.forget();
    // OpenSSL makes none for what is no TLS at all, nor for what this side finds out by itself.
    const isMissing = !this.#drain() && this.#side.serverSide && !this.#established && !this.#alerted;
    if (isMissing) this.#sink.ciphertext(plainAlert(error));
    if (this.#over) return;
    this.#over = true;
    this.#sink.failed(error);
  }

  /** Passes on what OpenSSL has to send. Reports whether there was anything. */
  #drain(): boolean {
    if (this.#ssl === null) return false;
    const data = this.#bios.take();
    if (data !== null) this.#sink.ciphertext(data);
    return data !== null;
  }
}
