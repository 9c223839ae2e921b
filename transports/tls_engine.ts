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
import { Duplex } from "node:stream";
import { toError } from "./errors.ts";
import { toTlsError } from "./tls_error.ts";
import { checkWrap, type NodeTls, type SecureContext, type TlsSocket, type TlsWrap } from "./node_tls.ts";
import { type PeerCertificate, type TlsCipher, toCipher, toPeerCertificate } from "./tls_info.ts";

/** As much as rustls takes at once: MAX_CLEAR_IN in Deno's ext/node/ops/tls_wrap.rs. */
export const MAX_CLEARTEXT = 48 * 1024;

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
  /** Server: ask for a certificate. */
  requestCert: boolean;
  /** Refuse a certificate that cannot be verified. */
  rejectUnauthorized: boolean;
  /** Server: finds another context by name; `null` for the first one. */
  sni: ((serverName: string) => Promise<SecureContext | null>) | undefined;
}

/** Whom an engine tells what it has not been asked for. */
export interface TlsEngineSink {
  /** Ciphertext for the other side, the sink's from now on. */
  ciphertext(data: Uint8Array): void;
  /** The other side has said that it sends nothing more. */
  ended(): void;
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

  /**
   * Makes one side. The client's first bytes come in a microtask.
   *
   * @param tls The module `node:tls`.
   * @param sink Where to deliver.
   * @param options What for.
   */
  constructor(tls: NodeTls, sink: TlsEngineSink, options: TlsEngineOptions) {
    this.#sink = sink;
    // Only what the handshake begins with goes this way.
    const wire = new Duplex({
      read: () => {},
      write: (data: Uint8Array, _encoding, done) => {
        sink.ciphertext(new Uint8Array(data));
        done();
      },
    });
    this.socket = this.#socket = options.serverSide
      ? serverSocket(tls, wire, options)
      : clientSocket(tls, wire, options);
    this.#wrap = checkWrap(this.#socket._handle);
    const { writeBuffer, shutdown } = Object.getPrototypeOf(this.#wrap) as TlsWrap;
    this.#writeBuffer = writeBuffer;
    this.#shutdown = shutdown;
    this.#wrap.onread = (data) => {
      if (data === undefined) this.#ended = true;
      else this.#cleartext = this.#cleartext === null ? new Uint8Array(data) : joined(this.#cleartext, data);
    };
    this.#wrap.readStart();
    this.#socket.on("error", (error) => {
      this.#drain();
      sink.failed(toTlsError(toError(error)));
    });
    // A server's certificate has been verified at "secureConnect", a client's at "secure".
    this.#socket.on(options.serverSide ? "secure" : "secureConnect", () => sink.ready());
  }

  /**
   * Takes ciphertext.
   *
   * @param data The bytes; the caller's again afterwards.
   * @returns What they hold, the caller's, or `null` where that is nothing for it.
   */
  decrypt(data: Uint8Array): Uint8Array | null {
    this.#wrap.readBuffer(data);
    const cleartext = this.#cleartext;
    this.#cleartext = null;
    // Once there is cleartext, an answer is due before the next of ours at the earliest (RFC 8446, 4.6.3), and goes
    // with it; asking every time costs 3 %.
    if (cleartext !== null) this.#established = true;
    if (!this.#established) this.#drain();
    if (this.#ended) {
      this.#ended = false;
      this.#sink.ended();
    }
    return cleartext;
  }

  /**
   * Takes cleartext, after the handshake.
   *
   * @param data The bytes, `MAX_CLEARTEXT` at most; the caller's again afterwards.
   * @returns What to send, the caller's.
   */
  encrypt(data: Uint8Array): Uint8Array {
    this.#writeBuffer.call(this.#wrap, this.#request, data);
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

  #drain(): void {
    const data = this.#wrap.drainEncOut();
    if (data.length > 0) this.#sink.ciphertext(data);
  }
}

function joined(first: Uint8Array, second: ArrayBuffer): Uint8Array {
  const both = new Uint8Array(first.length + second.byteLength);
  both.set(first);
  both.set(new Uint8Array(second), first.length);
  return both;
}

function clientSocket(tls: NodeTls, wire: Duplex, options: TlsEngineOptions): TlsSocket {
  const { secureContext, serverHostname, alpnProtocols, rejectUnauthorized } = options;
  // An address is verified, and not sent: RFC 6066, 3.
  const named = isAddress(serverHostname)
    ? { host: serverHostname }
    : { host: serverHostname, servername: serverHostname };
  return tls.connect({
    socket: wire,
    ...named,
    secureContext,
    rejectUnauthorized,
    ...alpnProtocols.length > 0 && { ALPNProtocols: alpnProtocols },
  });
}

function serverSocket(tls: NodeTls, wire: Duplex, options: TlsEngineOptions): TlsSocket {
  const { secureContext, alpnProtocols, requestCert, rejectUnauthorized, sni } = options;
  const SNICallback = (name: string, done: (error: Error | null, context?: SecureContext | null) => void) => {
    sni!(name).then((context) => done(null, context), (error) => done(toError(error)));
  };
  return new tls.TLSSocket(wire, {
    isServer: true,
    secureContext,
    requestCert,
    rejectUnauthorized,
    ...alpnProtocols.length > 0 && { ALPNProtocols: alpnProtocols },
    ...sni !== undefined && { SNICallback },
  });
}

function isAddress(hostname: string): boolean {
  return hostname.includes(":") || /^\d+(\.\d+){3}$/.test(hostname);
}
