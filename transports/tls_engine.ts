/**
 * TLS in memory: ciphertext in, cleartext out, and the other way round, with no socket in sight.
 *
 * It is the rustls of `node:tls`, driven by hand. The documented way, a `TLSSocket` over a `Duplex`, brings four
 * stream machines and a copy with it for every message; an HTTPS server of 1 KiB answers does 0.46 of a bare
 * `Deno.listenTls` loop that way and 0.66 this way. What it needs of Deno beyond the documented is
 * `TlsWrap` in node_tls.ts, and `checkWrap` there refuses a Deno that has something else.
 *
 * @module
 */
import type { Duplex } from "node:stream";
import { toError } from "./errors.ts";
import type { Authorities } from "./tls_authorities.ts";
import { TlsError, toTlsError } from "./tls_error.ts";
import { checkWrap, type NodeTls, type SecureContext, type TlsSocket, type TlsWrap } from "./node_tls.ts";
import { type PeerCertificate, type TlsCipher, toCipher, toPeerCertificate } from "./tls_info.ts";
import { judgeCipher, judgeClient, judgeServer, plainAlert } from "./tls_verify.ts";

/** As much as rustls takes at once: MAX_CLEAR_IN in Deno's ext/node/ops/tls_wrap.rs. */
const MAX_SLICE = 48 * 1024;

/** What an engine is made for. */
export interface TlsEngineOptions {
  /** Which side to be. */
  serverSide: boolean;
  /** Certificates and keys. */
  secureContext: SecureContext;
  /** Client: the name that the certificate must have. */
  serverHostname: string;
  /** What the connection may be used for. */
  alpnProtocols: string[];
  /** Those of `caCerts`. */
  authorities: Authorities;
  /** Server: ask for a certificate. */
  requestCert: boolean;
  /** Refuse a certificate that cannot be verified. */
  rejectUnauthorized: boolean;
  /** The cipher suites to accept, with colons between. */
  ciphers: string | undefined;
  /** Server: finds another context by name; `null` for the first one. */
  sni: ((serverName: string) => Promise<SecureContext | null>) | undefined;
}

/** Whom an engine tells what it has not been asked for. */
export interface TlsEngineSink {
  /** Ciphertext for the other side, the sink's from now on. */
  ciphertext(data: Uint8Array): void;
  /** The other side has said that it sends nothing more. */
  ended(): void;
  /** Waits for `sni`, or goes on: what is received meanwhile only piles up. */
  choosing(pending: boolean): void;
  /** The handshake is done. */
  ready(): void;
  /** It is over; what `ciphertext` was given still says so to the other side. */
  failed(error: Error): void;
}

/** What an engine knows after the handshake. */
export interface TlsSession {
  /** How the bytes are encrypted; `null` where nobody tells. */
  cipher: TlsCipher | null;
  /** The other side's certificate. */
  peercert: PeerCertificate | null;
  /** What both have agreed to speak. */
  alpnProtocol: string | null;
}

/** What `node:tls` calls an `SNICallback`. */
type ChooseContext = (name: string, done: (error: Error | null, context: SecureContext | null) => void) => void;

/** One side of a TLS connection. */
export class TlsEngine {
  /** The `TLSSocket` of `node:tls`. */
  readonly socket: object;
  #socket: TlsSocket;
  #wrap: TlsWrap;
  #sink: TlsEngineSink;
  /** Those of the class: the instance's own start a pump of their own for every call. */
  #writeBuffer: TlsWrap["writeBuffer"];
  #shutdown: TlsWrap["shutdown"];
  /** With no `oncomplete`: there is nobody to tell. */
  #request = {};
  /** Cleartext that came out while ciphertext went in, in one piece; delivered when that has returned. */
  #cleartext: Uint8Array | null = null;
  #ended = false;
  #established = false;
  /** The handshake is done, as far as `node:tls` knows; nobody has been told. */
  #done = false;
  /** Whether the other side has passed; `null` once it has not: then nothing leaves any more. */
  #judged: boolean | null = false;
  #tls: NodeTls;
  #options: TlsEngineOptions;

  /**
   * Makes one side. The client's first bytes come in a microtask.
   *
   * @param tls The module `node:tls`.
   * @param sink Where to deliver.
   * @param options What for.
   */
  constructor(tls: NodeTls, sink: TlsEngineSink, options: TlsEngineOptions) {
    this.#tls = tls;
    this.#sink = sink;
    this.#options = options;
    // Only what the handshake begins with goes this way.
    const wire = new tls.Duplex({
      read: () => {},
      write: (data: Uint8Array, _encoding, done) => {
        sink.ciphertext(new Uint8Array(data));
        done();
      },
    });
    this.socket = this.#socket = options.serverSide
      ? serverSocket(tls, wire, options, (name, done) => this.#chooseContext(name, done))
      : clientSocket(tls, wire, options);
    this.#wrap = checkWrap(this.#socket._handle);
    const { writeBuffer, shutdown } = Object.getPrototypeOf(this.#wrap) as TlsWrap;
    this.#writeBuffer = writeBuffer;
    this.#shutdown = shutdown;
    this.#wrap.onread = (data) => {
      if (data === undefined) this.#ended = true;
      else this.#cleartext = new Uint8Array(data); // Once at most in each decrypt(): all that has come out.
    };
    this.#wrap.readStart();
    // The second one is a server's, which tells of an error after the handshake by no other way.
    for (const event of ["error", "_tlsError"]) {
      this.#socket.on(event, (error) => {
        this.#drain();
        sink.failed(toTlsError(toError(error)));
      });
    }
    this.#socket.on(options.serverSide ? "secure" : "secureConnect", () => void (this.#done = true));
  }

  /**
   * Takes ciphertext.
   *
   * @param data The bytes; the caller's again afterwards.
   * @returns What they hold, the caller's, or `null` where that is nothing for it.
   */
  decrypt(data: Uint8Array): Uint8Array | null {
    if (this.#judged === null) return null;
    this.#wrap.readBuffer(data);
    if (this.#judged !== true && !this.#judge()) return null;
    const cleartext = this.#cleartext;
    this.#cleartext = null;
    // Once there has been cleartext, what comes with cleartext needs no answer before the next of ours (RFC 8446,
    // 4.6.3), and it goes with that; asking every time costs 3 %.
    if (!this.#established || cleartext === null) this.#drain();
    if (cleartext !== null) this.#established = true;
    if (this.#ended) {
      this.#ended = false;
      this.#sink.ended();
    }
    return cleartext;
  }

  /**
   * Takes cleartext, after the handshake.
   *
   * @param data The bytes; the caller's again afterwards.
   * @returns What to send, the caller's.
   */
  encrypt(data: Uint8Array): Uint8Array {
    for (let start = 0; start < data.length; start += MAX_SLICE) {
      const slice = data.length <= MAX_SLICE ? data : data.subarray(start, start + MAX_SLICE);
      this.#writeBuffer.call(this.#wrap, this.#request, slice);
    }
    return this.#wrap.drainEncOut();
  }

  /** Says that this side sends nothing more. */
  closeNotify(): void {
    this.#shutdown.call(this.#wrap, this.#request);
    this.#drain();
  }

  /**
   * Tells what is known after the handshake.
   *
   * @returns Cipher, certificate and protocol.
   */
  session(): TlsSession & { cipher: TlsCipher } {
    return {
      cipher: toCipher(this.#socket.getCipher().name, this.#socket.getProtocol()),
      peercert: toPeerCertificate(this.#socket.getPeerCertificate()),
      alpnProtocol: this.#socket.alpnProtocol || null,
    };
  }

  /** Frees what it holds. Nothing is called afterwards but, at most, `failed`. */
  destroy(): void {
    this.#socket.destroy();
  }

  /**
   * Judges the other side, before anything of ours leaves: a client's Finished would make the server believe that all
   * is well.
   *
   * @returns Whether to go on.
   */
  #judge(): boolean {
    const { serverSide, requestCert, rejectUnauthorized, serverHostname, ciphers, authorities } = this.#options;
    // A server has shown its certificate when there is one; a client has when the handshake is done.
    const shown = serverSide ? this.#done : this.#done || toPeerCertificate(this.#socket.getPeerCertificate()) !== null;
    if (!shown) return true;
    let error = judgeCipher(this.#socket, ciphers);
    if (error === null && serverSide) {
      // rustls lets every client pass here, and keeps what it thinks of it for whoever asks.
      if (requestCert && rejectUnauthorized) error = judgeClient(this.#socket, authorities);
    } else if (error === null && rejectUnauthorized) {
      error = judgeServer(this.#tls, this.#socket, serverHostname, authorities);
      // What node:tls thinks of it counts as well.
      if (error === null && this.#done && !this.#socket.authorized) {
        error = new TlsError("BAD_CERTIFICATE", `TLS: the certificate is bad (${this.#socket.authorizationError})`);
      }
    }
    if (error !== null) {
      // A server of TLS 1.3 has no way left to say so: its keys are in force, and rustls takes no alerts to send.
      const mute = serverSide && this.#socket.getProtocol() === "TLSv1.3";
      this.#refuse(error, mute ? null : plainAlert(error.code));
      return false;
    }
    if (this.#done) {
      this.#judged = true;
      this.#sink.ready();
    }
    return true;
  }

  async #chooseContext(name: string, done: Parameters<ChooseContext>[1]): Promise<void> {
    this.#sink.choosing(true);
    try {
      done(null, await this.#options.sni!(name));
      this.#drain();
      this.#sink.choosing(false);
    } catch (error) {
      this.#refuse(toError(error), plainAlert("FAILED"));
    }
  }

  /** Ends the handshake, with the alert in place of what would have gone on with it. */
  #refuse(error: Error, alert: Uint8Array | null): void {
    this.#judged = null;
    this.#wrap.drainEncOut();
    if (alert !== null) this.#sink.ciphertext(alert);
    this.#sink.failed(error);
  }

  #drain(): void {
    if (this.#judged === null) return;
    const data = this.#wrap.drainEncOut();
    if (data.length > 0) this.#sink.ciphertext(data);
  }
}

function clientSocket(tls: NodeTls, wire: Duplex, options: TlsEngineOptions): TlsSocket {
  const { secureContext, serverHostname, alpnProtocols } = options;
  // An address is verified, and not sent: RFC 6066, 3.
  const named = isAddress(serverHostname)
    ? { host: serverHostname }
    : { host: serverHostname, servername: serverHostname };
  return tls.connect({
    socket: wire,
    ...named,
    secureContext,
    // Judged here, before an answer leaves: see #judge().
    rejectUnauthorized: false,
    ...alpnProtocols.length > 0 && { ALPNProtocols: alpnProtocols },
  });
}

function serverSocket(tls: NodeTls, wire: Duplex, options: TlsEngineOptions, choose: ChooseContext): TlsSocket {
  const { secureContext, alpnProtocols, requestCert, rejectUnauthorized, sni } = options;
  return new tls.TLSSocket(wire, {
    isServer: true,
    secureContext,
    requestCert,
    rejectUnauthorized,
    ...alpnProtocols.length > 0 && { ALPNProtocols: alpnProtocols },
    ...sni !== undefined && { SNICallback: choose },
  });
}

function isAddress(hostname: string): boolean {
  return hostname.includes(":") || /^\d+(\.\d+){3}$/.test(hostname);
}
