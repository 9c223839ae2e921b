/**
 * One side of a TLS connection by OpenSSL, over memory: ciphertext goes in by one BIO and comes out of another.
 *
 * `#ssl` is null before the connection is made, and once it is freed. Every method asks it first, and again after each call of
 * the sink, which may have destroyed this engine.
 */
import { toError } from "../../errors.ts";
import { copyBytes } from "../../memory/buffer_pool.ts";
import type { StreamHandle } from "../../transports/stream_handle.ts";
import type { TlsEngine, TlsEngineSink, TlsSession, TlsSide } from "../../transports/tls_provider.ts";
import { readCertificate } from "../certificate.ts";
import { isValidToday } from "../purpose.ts";
import { TlsError } from "../tls_error.ts";
import { handshakeOf, type Handshaking } from "./callbacks.ts";
import { readServerName } from "./client_hello.ts";
import * as c from "./constants.ts";
import { made } from "./credentials.ts";
import { setKeylogReport } from "./hooks.ts";
import { join } from "./join.ts";
import type { Libssl, Pointer } from "./libssl.ts";
import type { OpensslContext } from "./openssl_context.ts";
import { takeError, toConnectionError } from "./openssl_error.ts";
import { attachConnection, OpensslObject } from "./openssl_object.ts";
import { PeerVerifier } from "./peer_verifier.ts";
import { NO_SINK, OpensslStream } from "./openssl_stream.ts";
import { plainAlert } from "./plain_alert.ts";
import { readSession } from "./read_session.ts";
import { resume, type Resumption } from "./resumption.ts";
import { setServerName } from "./set_server_name.ts";

/** How much is encrypted or decrypted in one call: one record. More would make OpenSSL's buffers grow, and stay. */
const MAX_RECORD = 16 * 1024;
/** What a record may add: its header, a nonce, a tag, a type (TLS 1.2 with CBC has up to 256 bytes of padding and a MAC). */
const OVERHEAD = 5 + 16 + 64 + 256;
/** The size of the memory that cleartext is read into. */
const SCRATCH = 4 * MAX_RECORD;
/** For all connections, since it is free again when a call has returned. */
const scratch = new Uint8Array(SCRATCH);

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
  /** The `SSL`, which owns both BIOs. */
  #ssl: Pointer | null = null;
  /** What has come from the peer, and what goes to it. */
  #in!: Pointer;
  #out!: Pointer;
  /** What has come of the ClientHello, until its name is known: a server with `sni`. */
  #hello: Uint8Array | null = null;
  #helloSize = 0;
  /** The program chooses. */
  #choosing = false;
  /** How many bytes there must be before another look at them is of use. */
  #helloWanted = 0;
  #verifier: PeerVerifier;
  #established = false;
  /** The connection has failed, or is destroyed: nothing more goes in or out. */
  #over = false;
  /** The results of the handshake, which outlive the `SSL`. */
  #session: TlsSession | null = null;
  /** The peer has ended the connection by an alert, which is not answered. */
  #alerted = false;
  /** The sessions of a client that can resume. */
  #resumption: Resumption | null = null;

  constructor(lib: Libssl, sink: TlsEngineSink, context: OpensslContext, side: TlsSide, find: FindContext) {
    this.#lib = lib;
    this.#sink = sink;
    this.#context = context;
    this.#side = side;
    this.#find = find;
    this.#verifier = new PeerVerifier(lib, context, side);
  }

  get sessions(): OpensslContext {
    return this.#context;
  }

  start(): void {
    if (this.#side.serverSide && this.#side.sni !== undefined) this.#hello = NOTHING;
    else this.#begin();
  }

  decrypt(data: Uint8Array): Uint8Array | null {
    if (this.#over) return null;
    if (this.#hello === null) return this.#receive(data);
    this.#collect(data);
    if (this.#choosing || this.#helloSize < this.#helloWanted) return null;
    const name = readServerName(this.#hello.subarray(0, this.#helloSize));
    if (typeof name === "number") this.#helloWanted = name;
    else this.#choose(name);
    return null;
  }

  encrypt(data: Uint8Array): Uint8Array {
    const ssl = this.#ssl;
    if (ssl === null || this.#over) return NOTHING;
    const lib = this.#lib;
    let out = new Uint8Array(data.length + OVERHEAD * Math.ceil(data.length / MAX_RECORD));
    let size = 0;
    for (let start = 0; start < data.length; start += MAX_RECORD) {
      const part = data.length <= MAX_RECORD ? data : data.subarray(start, start + MAX_RECORD);
      lib.ERR_clear_error();
      const written = lib.SSL_write(ssl, part, part.length);
      if (written !== part.length) {
        this.#fail(ssl);
        return NOTHING;
      }
      const pending = lib.BIO_ctrl_pending(this.#out);
      if (size + pending > out.length) {
        // Only if OpenSSL had something else to send as well.
        const larger = new Uint8Array(2 * out.length + pending);
        larger.set(out.subarray(0, size));
        out = larger;
      }
      const count = lib.BIO_read(this.#out, size === 0 ? out : out.subarray(size), pending);
      if (count !== pending) {
        this.#end(new TlsError("FAILED", "TLS: OpenSSL has lost what it has encrypted"));
        return NOTHING;
      }
      size += count;
    }
    return out.subarray(0, size);
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
    const [lib, ssl] = [this.#lib, this.#ssl];
    const isReady = ssl !== null && this.#established && !this.#over && lib.BIO_ctrl_pending(this.#in) === 0;
    if (!isReady || lower.attach === undefined) return null;
    this.#sink = NO_SINK; // The other one keeps alive what the handshake has needed: 1.3 KiB.
    const free = (isBroken: boolean) => {
      if (isBroken) this.#resumption?.forget();
      this.destroy();
    };
    return new OpensslStream({ lib, ssl, free, lower, early, shutdownTimeout });
  }

  session(): TlsSession {
    return this.#session ?? { cipher: null, peercert: null, alpnProtocol: null };
  }

  destroy(): void {
    this.#over = true;
    this.#hello = null;
    const ssl = this.#ssl;
    this.#ssl = null;
    if (ssl === null) return;
    this.#resumption?.end();
    setKeylogReport(ssl, null);
    this.#lib.SSL_free(ssl);
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

  /** Keeps a part of a ClientHello. */
  #collect(data: Uint8Array): void {
    const size = this.#helloSize + data.length;
    if (size > this.#hello!.length) {
      const larger = new Uint8Array(Math.max(size, 2 * this.#hello!.length));
      larger.set(this.#hello!.subarray(0, this.#helloSize));
      this.#hello = larger;
    }
    this.#hello!.set(data, this.#helloSize);
    this.#helloSize = size;
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
    lib.ERR_clear_error();
    const parts = [lib.BIO_new(lib.BIO_s_mem()), lib.BIO_new(lib.BIO_s_mem())] as const;
    const [input, output] = parts;
    const ssl = input === null || output === null ? null : lib.SSL_new(ctx);
    if (ssl === null) { for (const bio of parts) if (bio !== null) lib.BIO_free(bio); }
    this.#ssl = made(ssl); // From here on, destroy() frees it, and with it both BIOs.
    this.#in = input!;
    this.#out = output!;
    lib.SSL_set_bio(this.#ssl, input, output);
    if (this.#context.settings.keylog !== undefined) {
      const { report } = this.#sink;
      setKeylogReport(this.#ssl, (error) => report("Exception in keylog", error));
    }
    if (!serverSide) {
      lib.SSL_set_connect_state(ssl);
      setServerName(lib, this.#ssl, this.#side);
      this.#resumption = resume(this.#context.clientSessions, this.#ssl, this.#side, this.#verifier);
      return;
    }
    lib.SSL_set_accept_state(ssl);
    if (chosen) this.#context.choose(this.#ssl, chosen);
    if (name !== undefined) this.#context.scopeSessions(this.#ssl, name, chosen ?? this.#context);
  }

  async #choose(name: string): Promise<void> {
    this.#choosing = true;
    this.#sink.choosing(true);
    try {
      const settings = await this.#side.sni!(name);
      if (this.#over) return;
      const hello = this.#hello!.subarray(0, this.#helloSize);
      this.#hello = null;
      this.#begin(name, settings && this.#find(settings));
      if (this.#over) return;
      const cleartext = this.#receive(hello);
      if (cleartext !== null) this.#sink.cleartext(cleartext);
      if (!this.#over) this.#sink.choosing(false);
    } catch (error) {
      this.#end(toError(error));
    }
  }

  #receive(data: Uint8Array): Uint8Array | null {
    const ssl = this.#ssl;
    if (ssl === null || data.length === 0) return null;
    if (this.#lib.BIO_write(this.#in, data, data.length) !== data.length) {
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
    const error = this.#finish(ssl);
    if (error !== null) {
      // A client must not send its last message to a server that it rejects.
      this.#over = true;
      this.#sink.failed(error);
      return false;
    }
    this.#established = true;
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
    attachConnection(this.sslObject, lib, () => this.#ssl, { serverSide, chain });
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
    const lib = this.#lib;
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
    const error = lib.SSL_get_error(ssl, last);
    if (error === c.SSL_ERROR_WANT_READ) {
      if (lib.BIO_ctrl_pending(this.#out) > 0) this.#drain(); // The answer to a KeyUpdate.
      return cleartext;
    }
    if (error === c.SSL_ERROR_ZERO_RETURN) {
      this.#drain();
      if (!this.#over) this.#sink.ended();
      return cleartext;
    }
    // What has come before the error goes before it.
    const failure = this.#takeFailure(ssl);
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
    const size = this.#lib.BIO_ctrl_pending(this.#out);
    if (size <= 0) return false;
    const data = new Uint8Array(size);
    const count = this.#lib.BIO_read(this.#out, data, size);
    if (count > 0) this.#sink.ciphertext(count === size ? data : data.subarray(0, count));
    return count > 0;
  }
}
