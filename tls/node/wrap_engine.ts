/**
 * The TLS engine that is used wherever it can be: the rustls connection inside a `TLSSocket` of `node:tls`, driven
 * without the streams around it.
 *
 * The documented way, {@linkcode DuplexEngine}, brings four stream machines and a copy with it for every message; an
 * HTTPS server of 1 KiB answers does 0.46 of a bare `Deno.listenTls` loop that way and 0.66 this way. What this way
 * needs of Deno beyond the documented is `TlsWrap` in node_tls.ts.
 *
 * The `TLSSocket` is a mere shell here: its callbacks and its start are replaced, so that it neither destroys itself
 * nor throws from a tick for anything that a peer sends.
 *
 * @module
 */
import { toError } from "../../errors.ts";
import { NO_STREAM, type NodeTls, readChain, type TlsSocket, type TlsWrap, wrapOf } from "./node_tls.ts";
import {
  HELLO_SLICE,
  plainAlert,
  type TlsEngine,
  type TlsEngineOptions,
  type TlsEngineSink,
  type TlsSession,
} from "../tls_engine.ts";
import { TlsError, toTlsError } from "../tls_error.ts";
import type { TlsCipher } from "../../transports/transport.ts";
import { toCipher, toPeerCertificate } from "../peer_certificate.ts";
import { verifyPeer } from "./verify.ts";

/** As much as rustls takes at once: MAX_CLEAR_IN in Deno's ext/node/ops/tls_wrap.rs. */
const MAX_SLICE = 48 * 1024;

/** One side of a TLS connection, over the inside of a `TLSSocket`. */
export class WrapEngine implements TlsEngine {
  readonly sslObject: object;
  #tls: NodeTls;
  #socket: TlsSocket;
  #wrap: TlsWrap;
  #sink: TlsEngineSink;
  #options: TlsEngineOptions;
  /** Those of the class: the instance's own start a pump of their own for every call. */
  #writeBuffer: TlsWrap["writeBuffer"];
  #shutdown: TlsWrap["shutdown"];
  /** With no `oncomplete`: nothing waits for it. */
  #request = {};
  /** Cleartext that came out while ciphertext went in, in one piece; delivered when that has returned. */
  #cleartext: Uint8Array | null = null;
  #ended = false;
  #established = false;
  /** The handshake is done, as far as rustls knows. */
  #done = false;
  /** What the server has shown has been looked at, before the handshake was done. */
  #looked = false;
  /** A server with `sni` has not read the name yet. */
  #waitsForHello: boolean;
  /** Whether the peer was accepted; `null` once it was refused, or rustls has failed: then nothing leaves any more. */
  #accepted: boolean | null = false;
  /** What rustls has failed with, until it is told. */
  #failure: Error | null = null;

  /**
   * @param tls The module `node:tls`.
   * @param sink Where to deliver.
   * @param options What for.
   * @throws {Deno.errors.NotSupported} If this Deno is made otherwise inside.
   */
  constructor(tls: NodeTls, sink: TlsEngineSink, options: TlsEngineOptions) {
    this.#tls = tls;
    this.#sink = sink;
    this.#options = options;
    this.#waitsForHello = options.serverSide && options.sni !== undefined;
    this.sslObject = this.#socket = new tls.TLSSocket(NO_STREAM, this.#socketOptions());
    this.#socket.on("error", () => {});
    const wrap = this.#wrap = wrapOf(this.#socket);
    const { writeBuffer, shutdown } = Object.getPrototypeOf(wrap) as TlsWrap;
    this.#writeBuffer = writeBuffer;
    this.#shutdown = shutdown;
    wrap.onread = (data) => {
      if (data === undefined) this.#ended = true;
      else this.#cleartext = new Uint8Array(data); // Once at most in each decrypt(): all that has come out.
    };
    wrap.onerror = (error) => void (this.#failure ??= toTlsError(toError(error)));
    const { onhandshakedone } = wrap;
    wrap.onhandshakedone = () => {
      onhandshakedone.call(wrap); // Takes note of alpnProtocol.
      this.#done = true;
    };
    // A server would start itself in a tick to come, and throw there if it had received something bad by then.
    this.#socket._start = () => {};
  }

  start(): void {
    if (this.#wrap.start() !== 0) {
      this.#failure ??= new TlsError("FAILED", "TLS: node:tls accepts neither the certificate nor the versions");
    }
    this.#wrap.readStart();
    this.#afterwards();
  }

  decrypt(data: Uint8Array): Uint8Array | null {
    if (this.#accepted === null) return null;
    // Deno reads no more of a ClientHello at a time, where it waits for one with sni.
    const step = this.#waitsForHello ? HELLO_SLICE : data.length;
    if (data.length <= step) this.#wrap.readBuffer(data);
    else {for (let start = 0; start < data.length; start += step) {
        this.#wrap.readBuffer(data.subarray(start, start + step));
      }}
    const cleartext = this.#cleartext;
    this.#cleartext = null;
    if (this.#failure === null && this.#accepted && this.#established && cleartext !== null && !this.#ended) {
      // Once there has been cleartext, what comes with cleartext needs no answer before the next of ours (RFC 8446,
      // 4.6.3), and it goes with that; asking every time costs 3 %.
      return cleartext;
    }
    if (!this.#afterwards()) return null;
    if (cleartext !== null) this.#established = true;
    if (this.#ended) {
      this.#ended = false;
      this.#sink.ended();
    }
    return cleartext;
  }

  encrypt(data: Uint8Array): Uint8Array {
    for (let start = 0; start < data.length; start += MAX_SLICE) {
      const slice = data.length <= MAX_SLICE ? data : data.subarray(start, start + MAX_SLICE);
      this.#writeBuffer.call(this.#wrap, this.#request, slice);
    }
    return this.#wrap.drainEncOut();
  }

  closeNotify(): void {
    this.#shutdown.call(this.#wrap, this.#request);
    this.#drain();
  }

  session(): TlsSession & { cipher: TlsCipher } {
    const [own] = readChain(this.#wrap);
    return {
      cipher: toCipher(this.#socket.getCipher().name, this.#socket.getProtocol()),
      peercert: own === undefined ? null : toPeerCertificate(own, this.#tls.sha256),
      alpnProtocol: this.#socket.alpnProtocol || null,
    };
  }

  destroy(): void {
    this.#accepted = null;
    this.#socket.destroy();
    this.#wrap.destroySsl();
    // Where no ClientHello has come for sni, Deno frees nothing of itself (`teardown` in its ext/node/ops/tls_wrap.rs):
    // without these two a stranger who never says one would leave the whole connection behind for good.
    this.#wrap.readStop();
    this.#wrap.setHandle({});
  }

  /**
   * Does what any call may have made necessary: sends what rustls has to say, and decides about the peer before an
   * answer leaves, since a client's Finished would make the server believe that all is well.
   *
   * @returns Whether the connection goes on.
   */
  #afterwards(): boolean {
    if (this.#accepted === null) return false;
    if (this.#failure !== null) {
      this.#drain(); // The alert.
      this.#accepted = null;
      this.#sink.failed(this.#failure);
      return false;
    }
    if (!this.#accepted && !this.#verify()) return false;
    this.#drain();
    return true;
  }

  /** Decides about the peer as soon as it has shown itself: a client when the handshake is done, a server before. */
  #verify(): boolean {
    const { serverSide } = this.#options;
    if (!this.#done && (serverSide || this.#looked)) return true;
    const chain = readChain(this.#wrap);
    if (!this.#done && chain.length === 0) return true;
    this.#looked = true;
    const error = verifyPeer(this.#options, {
      chain,
      cipher: this.#socket.getCipher().name,
      verifyError: this.#wrap.verifyError(),
      resumed: this.#socket.isSessionReused(),
    });
    if (error !== null) {
      // A server of TLS 1.3 has no way left to say so: its keys are in force, and rustls takes no alerts to send.
      const mute = serverSide && this.#socket.getProtocol() === "TLSv1.3";
      this.#refuse(error, mute ? null : plainAlert(error.code));
      return false;
    }
    if (this.#done) {
      this.#accepted = true;
      this.#shed();
      this.#drain();
      this.#sink.ready();
    }
    return true;
  }

  /**
   * Lets go of the streams around the connection, which nothing needs after the handshake: 8 of the 39 KiB that an idle
   * connection took.
   */
  #shed(): void {
    const wrap = this.#wrap as unknown as Record<PropertyKey, unknown>;
    const stream = this.#wrap._parentWrap;
    for (const key of Reflect.ownKeys(wrap)) if (key !== "onread" && key !== "onerror") delete wrap[key];
    // Or Deno would keep it among its active handles; its end would be the socket's.
    stream?.removeAllListeners("close");
    stream?.destroy();
  }

  /** Ends the handshake, with the alert in place of what would have gone on with it. */
  #refuse(error: Error, alert: Uint8Array | null): void {
    this.#accepted = null;
    this.#wrap.drainEncOut();
    if (alert !== null) this.#sink.ciphertext(alert);
    this.#sink.failed(error);
  }

  #drain(): void {
    const data = this.#wrap.drainEncOut();
    if (data.length > 0) this.#sink.ciphertext(data);
  }

  #socketOptions(): object {
    const { serverSide, secureContext, alpnProtocols, requestCert, rejectUnauthorized, serverHostname, sni } =
      this.#options;
    const alpn = alpnProtocols.length > 0 && { ALPNProtocols: alpnProtocols };
    if (serverSide) {
      const choose = sni && { SNICallback: (name: string, done: ChooseContext) => this.#choose(name, done) };
      return { isServer: true, secureContext, requestCert, rejectUnauthorized, ...alpn, ...choose };
    }
    // An address is verified, and not sent: RFC 6066, 3. What is wrong is found out in #verify(), with a better word
    // for it than the alert of rustls.
    const servername = this.#tls.isIP(serverHostname) === 0 && serverHostname !== "" && { servername: serverHostname };
    return { isServer: false, secureContext, requestCert: true, rejectUnauthorized: false, ...alpn, ...servername };
  }

  async #choose(name: string, done: ChooseContext): Promise<void> {
    this.#waitsForHello = false;
    this.#sink.choosing(true);
    try {
      const context = await this.#options.sni!(name);
      if (this.#accepted === null) return;
      done(null, context);
      const answer = this.#wrap.drainEncOut();
      if (answer.length > 0) this.#sink.ciphertext(answer);
      // Deno does not say that it could make nothing of the context.
      else this.#failure ??= new TlsError("FAILED", "TLS: node:tls does not accept the context that sni has chosen");
      if (this.#afterwards()) this.#sink.choosing(false);
    } catch (error) {
      if (this.#accepted !== null) this.#refuse(toError(error), plainAlert("FAILED"));
    }
  }
}

/** What `node:tls` gives an `SNICallback`. */
type ChooseContext = (error: Error | null, context: object | null) => void;
