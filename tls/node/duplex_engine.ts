/**
 * The TLS engine over nothing but what `node:tls` documents: a `TLSSocket` over a `Duplex`. It is slower than
 * {@linkcode WrapEngine}, and takes its place where Deno has changed inside.
 *
 * @module
 */
import type { Duplex } from "node:stream";
import { toError } from "../../errors.ts";
import type { LegacyCertificate, NodeTls, TlsSocket } from "./node_tls.ts";
import {
  HELLO_SLICE,
  plainAlert,
  type TlsEngine,
  type TlsEngineOptions,
  type TlsEngineSink,
  type TlsSession,
} from "../tls_engine.ts";
import { TlsError, type TlsErrorCode, toTlsError } from "../tls_error.ts";
import type { TlsCipher } from "../../transports/transport.ts";
import { toCipher, toPeerCertificate } from "../peer_certificate.ts";
import { verifyPeer } from "./verify.ts";

/** One side of a TLS connection, over a `TLSSocket` and its streams. */
export class DuplexEngine implements TlsEngine {
  #tls: NodeTls;
  #sink: TlsEngineSink;
  #options: TlsEngineOptions;
  #wire: Duplex;
  /** There from the start on a client, after the handshake on a server. */
  #socket: TlsSocket | null = null;
  /** Ciphertext from before the socket has started, which takes a tick; handing it over earlier would break it. */
  #early: Uint8Array[] | null = [];
  /** Whether the peer was accepted; `null` once it was refused, or all is over. */
  #accepted: boolean | null = false;
  /** Nothing has left yet. */
  #silent = true;
  /** Nothing leaves any more: the peer was refused. Where rustls itself has failed, its alert still does. */
  #mute = false;

  /**
   * @param tls The module `node:tls`.
   * @param sink Where to deliver.
   * @param options What for.
   */
  constructor(tls: NodeTls, sink: TlsEngineSink, options: TlsEngineOptions) {
    this.#tls = tls;
    this.#sink = sink;
    this.#options = options;
    this.#wire = new tls.Duplex({
      read: () => {},
      write: (data: Uint8Array, _encoding, done) => {
        this.#attempt(() => this.#leave(new Uint8Array(data)));
        done();
      },
    });
    // node:tls destroys what it is over as soon as it fails or ends, and what it wrote last, an alert or close_notify,
    // leaves a microtask later.
    this.#wire.destroy = () => this.#wire;
    this.#guard(this.#wire);
  }

  get sslObject(): object {
    return this.#socket ?? this.#wire;
  }

  start(): void {
    this.#attempt(() => this.#options.serverSide ? this.#serve() : this.#connect());
    this.#tls.nextTick(() => {
      const early = this.#early!;
      this.#early = null;
      for (const data of early) this.decrypt(data);
    });
  }

  decrypt(data: Uint8Array): null {
    if (this.#accepted === null) return null;
    const copy = new Uint8Array(data);
    if (this.#early !== null) this.#early.push(copy);
    else if (this.#options.sni === undefined || this.#accepted) this.#wire.push(copy);
    else for (let at = 0; at < copy.length; at += HELLO_SLICE) this.#wire.push(copy.subarray(at, at + HELLO_SLICE));
    return null;
  }

  encrypt(data: Uint8Array): Promise<void> {
    return new Promise((resolve) => void this.#socket!.write(data, () => resolve()));
  }

  closeNotify(): Promise<void> {
    return new Promise((resolve) => this.#socket!.end(() => resolve()));
  }

  session(): TlsSession & { cipher: TlsCipher } {
    const socket = this.#socket!;
    const [own] = readChain(socket);
    return {
      cipher: toCipher(socket.getCipher().name, socket.getProtocol()),
      peercert: !own?.length ? null : toPeerCertificate(own, this.#tls.sha256),
      alpnProtocol: socket.alpnProtocol || null,
    };
  }

  destroy(): void {
    this.#accepted = null;
    this.#mute = true;
    // Deno keeps what has failed before sni has heard a name (`teardown` in its ext/node/ops/tls_wrap.rs); not the rest
    // of the connection, then.
    this.#sink = NO_SINK;
    this.#socket?.destroy();
    this.#tls.Duplex.prototype.destroy.call(this.#wire);
  }

  #connect(): void {
    const { secureContext, serverHostname, alpnProtocols } = this.#options;
    const isName = this.#tls.isIP(serverHostname) === 0 && serverHostname !== "";
    const socket = this.#socket = this.#tls.connect({
      socket: this.#wire,
      secureContext,
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...isName && { servername: serverHostname },
      ...alpnProtocols.length > 0 && { ALPNProtocols: alpnProtocols },
    });
    this.#listen(socket);
    socket.on("secureConnect", () => this.#attempt(() => this.#done()));
  }

  #serve(): void {
    const { credentials, alpnProtocols, requestCert, sni } = this.#options;
    const server = this.#tls.createServer({
      ...credentials,
      requestCert,
      rejectUnauthorized: false,
      // None, as in Node: its timer would keep what has failed for two minutes.
      handshakeTimeout: -1,
      ...alpnProtocols.length > 0 && { ALPNProtocols: alpnProtocols },
      ...sni && { SNICallback: (name: string, done: ChooseContext) => void this.#choose(name, done) },
    });
    server.on("tlsClientError", (error) => this.#fail(error));
    server.on("secureConnection", (socket) => {
      this.#socket = socket;
      this.#listen(socket);
      this.#attempt(() => this.#done());
    });
    server.emit("connection", this.#wire);
  }

  #listen(socket: TlsSocket): void {
    this.#guard(socket);
    socket.on("data", (data: Uint8Array) => {
      if (this.#accepted) this.#sink.cleartext(new Uint8Array(data));
    });
    socket.on("end", () => {
      if (this.#accepted) this.#sink.ended();
    });
  }

  /**
   * Keeps whatever listeners of `node:tls` throw from ending the process: they run in ticks of their own, and what
   * they throw has no other way to go.
   */
  #guard(
    emitter: { emit(event: string, ...args: unknown[]): boolean; on(event: "error", f: (e: Error) => void): unknown },
  ) {
    const { emit } = emitter;
    emitter.emit = (...args) => this.#attempt(() => emit.apply(emitter, args)) ?? true;
    emitter.on("error", (error) => this.#fail(error));
  }

  /** Does something that a certificate of a stranger's may cause to throw. */
  #attempt<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#fail(toError(error));
      return undefined;
    }
  }

  /** The handshake is done. */
  #done(): void {
    const socket = this.#socket!;
    const verifyError = socket.authorized === true ? "" : socket.authorizationError ?? "unknown";
    if (this.#accepted !== false || !this.#verify(socket, verifyError)) return;
    this.#accepted = true;
    this.#sink.ready();
  }

  /** Sends what the socket has to send, but an answer to a server only if that one is who it should be. */
  #leave(ciphertext: Uint8Array): void {
    const socket = this.#socket;
    if (this.#accepted === false && !this.#options.serverSide && socket !== null && readChain(socket).length > 0) {
      // What the socket thinks of the path it says when the handshake is done.
      this.#verify(socket, "");
    }
    this.#silent = false;
    if (!this.#mute) this.#sink.ciphertext(ciphertext);
  }

  #verify(socket: TlsSocket, verifyError: unknown): boolean {
    const error = verifyPeer(this.#options, {
      chain: readChain(socket),
      cipher: socket.getCipher().name,
      verifyError,
      resumed: socket.isSessionReused(),
    });
    if (error === null) return true;
    const mute = this.#options.serverSide && socket.getProtocol() === "TLSv1.3";
    this.#refuse(error, mute ? null : plainAlert(error.code));
    return false;
  }

  async #choose(name: string, done: ChooseContext): Promise<void> {
    this.#sink.choosing(true);
    try {
      const context = await this.#options.sni!(name);
      if (this.#accepted === null) return;
      done(null, context);
      // The answer is ready, and leaves only behind something received.
      this.#wire.emit("data", new Uint8Array());
      this.#sink.choosing(false);
    } catch (error) {
      if (this.#accepted !== null) this.#refuse(toError(error), plainAlert("FAILED"));
    }
  }

  /** Ends the handshake, with the alert in place of what would have gone on with it. */
  #refuse(error: Error, alert: Uint8Array | null): void {
    this.#accepted = null;
    this.#mute = true;
    if (alert !== null) this.#sink.ciphertext(alert);
    this.#sink.failed(error);
  }

  /** Ends it for what rustls has found. Its alert follows, where it has been heard of; before, there is one here. */
  #fail(cause: Error): void {
    if (this.#accepted === null) return;
    const error = toTlsError(cause);
    // A server that fails where sni has chosen sends none. What a client has to send may be a Finished before the alert,
    // and the server is not known yet.
    if (this.#accepted === false && (this.#silent || !this.#options.serverSide)) {
      const isTold = error instanceof TlsError && !error.message.includes("fatal alert");
      this.#refuse(error, isTold ? plainAlert(error.code, PROTOCOL_ALERTS[error.code]) : null);
      return;
    }
    this.#accepted = null;
    this.#sink.failed(error);
  }
}

/** Where nothing is delivered any more. */
const NO_SINK: TlsEngineSink = {
  ciphertext: () => {},
  cleartext: () => {},
  ended: () => {},
  choosing: () => {},
  ready: () => {},
  failed: () => {},
};

/** What rustls sends where the two have nothing in common, or do not speak TLS. */
const PROTOCOL_ALERTS: Partial<Record<TlsErrorCode, number>> = {
  NOT_TLS: 50,
  NO_SHARED_VERSION: 70,
  NO_SHARED_PROTOCOL: 120,
};

/** What `node:tls` gives an `SNICallback`. */
type ChooseContext = (error: Error | null, context: object | null) => void;

/**
 * All certificates that the other side has shown, as DER, its own first; behind them those of `caCerts` that they name.
 * One that `node:crypto` cannot read keeps the others from being seen: an empty one stands for them, and is refused.
 */
function readChain(socket: TlsSocket): Uint8Array[] {
  const chain: Uint8Array[] = [];
  const seen = new Set<LegacyCertificate>();
  let certificate: LegacyCertificate | null | undefined;
  try {
    certificate = socket.getPeerCertificate(true);
  } catch {
    return [new Uint8Array()];
  }
  while (certificate?.raw !== undefined && !seen.has(certificate)) {
    seen.add(certificate);
    chain.push(new Uint8Array(certificate.raw));
    certificate = certificate.issuerCertificate;
  }
  return chain;
}
