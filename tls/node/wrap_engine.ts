/**
 * The usual engine: the rustls connection inside a `TLSSocket` of `node:tls`, without the streams around it.
 *
 * The documented way, {@linkcode DuplexEngine}, takes four streams and a copy for each message. A server of HTTPS with
 * answers of 1 KiB reaches 0.46 of a bare `Deno.listenTls` loop that way, and 0.66 this way. `TlsWrap` in node_tls.ts has
 * all undocumented parts of Deno that this way uses.
 *
 * Of the `TLSSocket`, the callbacks and the start are replaced, so that nothing that a peer sends makes it destroy itself
 * or throw in a later tick.
 */
import { toError } from "../../errors.ts";
import type { TlsEngine, TlsEngineSink, TlsSession, TlsSide } from "../../transports/tls_provider.ts";
import { toCipher, toPeerCertificate } from "../peer_certificate.ts";
import { TlsError, toTlsError } from "../tls_error.ts";
import type { NodeContext } from "./node_context.ts";
import {
  type ChooseContext,
  HELLO_SLICE,
  NO_STREAM,
  type NodeTls,
  readChain,
  type TlsSocket,
  type TlsWrap,
  wrapOf,
} from "./node_tls.ts";
import { plainAlert } from "./plain_alert.ts";
import { verifyPeer } from "./verify.ts";

/** How much cleartext rustls takes at once, in bytes: MAX_CLEAR_IN in Deno's ext/node/ops/tls_wrap.rs. */
const MAX_SLICE = 48 * 1024;

/** One side of a TLS connection, over the inside of a `TLSSocket`. */
export class WrapEngine implements TlsEngine {
  readonly sslObject: object;
  #tls: NodeTls;
  #socket: TlsSocket;
  #wrap: TlsWrap;
  #sink: TlsEngineSink;
  #context: NodeContext;
  #side: TlsSide;
  /** The methods of the class; those of the instance start a pump for every call. */
  #writeBuffer: TlsWrap["writeBuffer"];
  #shutdown: TlsWrap["shutdown"];
  /** Has no `oncomplete`, since nothing waits for a request. */
  #request = {};
  /** The cleartext of the ciphertext that is being decrypted, in one piece. */
  #cleartext: Uint8Array | null = null;
  #ended = false;
  #established = false;
  /** rustls has completed the handshake. */
  #done = false;
  /** The server was verified before the handshake was complete. */
  #verified = false;
  /** A server with `sni` has not got the name yet. */
  #waitsForHello: boolean;
  /** Whether the peer is accepted; `null` once it is rejected or rustls has failed: then nothing is sent any more. */
  #accepted: boolean | null = false;
  /** The error of rustls, until it is reported. */
  #failure: Error | null = null;

  constructor(tls: NodeTls, sink: TlsEngineSink, context: NodeContext, side: TlsSide) {
    this.#tls = tls;
    this.#sink = sink;
    this.#context = context;
    this.#side = side;
    this.#waitsForHello = side.serverSide && side.sni !== undefined;
    this.sslObject = this.#socket = new tls.TLSSocket(NO_STREAM, this.#socketOptions());
    this.#socket.on("error", () => {});
    const wrap = this.#wrap = wrapOf(this.#socket);
    const { writeBuffer, shutdown } = Object.getPrototypeOf(wrap) as TlsWrap;
    this.#writeBuffer = writeBuffer;
    this.#shutdown = shutdown;
    wrap.onread = (data) => {
      if (data === undefined) this.#ended = true;
      else this.#cleartext = new Uint8Array(data); // Called at most once in each decrypt(), with all of it.
    };
    wrap.onerror = (error) => void (this.#failure ??= toTlsError(toError(error)));
    const { onhandshakedone } = wrap;
    wrap.onhandshakedone = () => {
      onhandshakedone.call(wrap); // Sets alpnProtocol.
      this.#done = true;
    };
    // A server would start itself in a later tick, and throw there if it had received something invalid by then.
    this.#socket._start = () => {};
  }

  start(): void {
    if (this.#wrap.start() !== 0) {
      this.#failure ??= new TlsError("FAILED", "TLS: node:tls rejects the certificate or the versions");
    }
    this.#wrap.readStart();
    this.#afterwards();
  }

  decrypt(data: Uint8Array): Uint8Array | null {
    if (this.#accepted === null) return null;
    // With sni, Deno does not read more of a ClientHello at a time.
    const step = this.#waitsForHello ? HELLO_SLICE : data.length;
    if (data.length <= step) this.#wrap.readBuffer(data);
    else {for (let start = 0; start < data.length; start += step) {
        this.#wrap.readBuffer(data.subarray(start, start + step));
      }}
    const cleartext = this.#cleartext;
    this.#cleartext = null;
    if (this.#failure === null && this.#accepted && this.#established && cleartext !== null && !this.#ended) {
      // After the first cleartext, rustls may have something to send as well (RFC 8446, 4.6.3), which can wait for the
      // next write. To ask rustls every time would cost 3 %.
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

  session(): TlsSession {
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
    // If no ClientHello has come for sni, Deno frees nothing by itself (`teardown` in its ext/node/ops/tls_wrap.rs).
    // Without these two calls, the memory of a connection whose client sends none would never be freed.
    this.#wrap.readStop();
    this.#wrap.setHandle({});
  }

  /**
   * Does what any call may have made necessary: verifies the peer, and then sends what rustls has to send. A client must
   * not send its Finished to a server that it rejects.
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

  /** Verifies the peer as soon as its certificate is known: a server during the handshake, a client after it. */
  #verify(): boolean {
    const { serverSide } = this.#side;
    if (!this.#done && (serverSide || this.#verified)) return true;
    const chain = readChain(this.#wrap);
    if (!this.#done && chain.length === 0) return true;
    this.#verified = true;
    const error = verifyPeer(this.#side, this.#context.authorities, {
      chain,
      cipher: this.#socket.getCipher().name,
      verifyError: this.#wrap.verifyError(),
      resumed: this.#socket.isSessionReused(),
    });
    if (error !== null) {
      // A server of TLS 1.3 cannot send an alert: it would have to be encrypted, and rustls takes none.
      const mute = serverSide && this.#socket.getProtocol() === "TLSv1.3";
      this.#reject(error, mute ? null : plainAlert(error.code));
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
   * Frees the streams around the connection, which nothing needs after the handshake. They take 8 of the 39 KiB of an
   * idle connection.
   */
  #shed(): void {
    const wrap = this.#wrap as unknown as Record<PropertyKey, unknown>;
    const stream = this.#wrap._parentWrap;
    for (const key of Reflect.ownKeys(wrap)) if (key !== "onread" && key !== "onerror") delete wrap[key];
    // Otherwise Deno would keep the stream among its active handles. Without the listener, its end is not the socket's.
    stream?.removeAllListeners("close");
    stream?.destroy();
  }

  /** Ends the handshake, and sends the alert in place of the next message. */
  #reject(error: Error, alert: Uint8Array | null): void {
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
    const { serverSide, serverHostname, sni, settings } = this.#side;
    const { alpnProtocols = [], requestCert = false, rejectUnauthorized = true } = settings;
    const alpn = alpnProtocols.length > 0 && { ALPNProtocols: alpnProtocols };
    if (serverSide) {
      const choose = sni && { SNICallback: (name: string, done: ChooseContext) => this.#choose(name, done) };
      const { secureContext } = this.#context.server();
      return { isServer: true, secureContext, requestCert, rejectUnauthorized, ...alpn, ...choose };
    }
    // An address is verified but not sent: RFC 6066, 3. #verify() rejects a certificate with a better message than the
    // alert of rustls, hence rejectUnauthorized: false.
    const servername = this.#tls.isIP(serverHostname) === 0 && serverHostname !== "" && { servername: serverHostname };
    const { secureContext } = this.#context.client();
    return { isServer: false, secureContext, requestCert: true, rejectUnauthorized: false, ...alpn, ...servername };
  }

  async #choose(name: string, done: ChooseContext): Promise<void> {
    this.#waitsForHello = false;
    this.#sink.choosing(true);
    try {
      const settings = await this.#side.sni!(name);
      if (this.#accepted === null) return;
      done(null, settings && this.#context.choose(settings).secureContext);
      const answer = this.#wrap.drainEncOut();
      if (answer.length > 0) this.#sink.ciphertext(answer);
      // Deno does not report that it rejects the context.
      else this.#failure ??= new TlsError("FAILED", "TLS: node:tls rejects the context that sni has returned");
      if (this.#afterwards()) this.#sink.choosing(false);
    } catch (error) {
      if (this.#accepted !== null) this.#reject(toError(error), plainAlert("FAILED"));
    }
  }
}
