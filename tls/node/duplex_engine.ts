/**
 * The engine by what `node:tls` documents: a `TLSSocket` over a `Duplex`. It is slower than {@linkcode WrapEngine}, and
 * replaces it if the inside of Deno has changed.
 */
import type { Duplex } from "node:stream";
import { toError } from "../../errors.ts";
import type { TlsEngine, TlsEngineSink, TlsSession, TlsSide } from "../../transports/tls_provider.ts";
import { toCipher, toPeerCertificate } from "../peer_certificate.ts";
import { NO_SINK } from "../no_sink.ts";
import { TlsError, type TlsErrorCode, toTlsError } from "../tls_error.ts";
import type { NodeContext } from "./node_context.ts";
import { type ChooseContext, HELLO_SLICE, type LegacyCertificate, type NodeTls, type TlsSocket } from "./node_tls.ts";
import { plainAlert } from "./plain_alert.ts";
import { verifyPeer } from "./verify.ts";

/** One side of a TLS connection, over a `TLSSocket` and its streams. */
export class DuplexEngine implements TlsEngine {
  #tls: NodeTls;
  #sink: TlsEngineSink;
  #context: NodeContext;
  #side: TlsSide;
  #wire: Duplex;
  /** Set by `start()` on a client, and after the handshake on a server. */
  #socket: TlsSocket | null = null;
  /** Ciphertext that has come before the socket has started. The socket needs a tick, and breaks if it gets any before. */
  #early: Uint8Array[] | null = [];
  /** Whether the peer is accepted; `null` once it is rejected, or the connection has ended. */
  #accepted: boolean | null = false;
  /** Nothing has been sent yet. */
  #silent = true;
  /** Nothing is sent any more, since the peer is rejected. If rustls itself has failed, its alert is still sent. */
  #mute = false;

  constructor(tls: NodeTls, sink: TlsEngineSink, context: NodeContext, side: TlsSide) {
    this.#tls = tls;
    this.#sink = sink;
    this.#context = context;
    this.#side = side;
    this.#wire = new tls.Duplex({
      read: () => {},
      write: (data: Uint8Array, _encoding, done) => {
        this.#attempt(() => this.#send(new Uint8Array(data)));
        done();
      },
    });
    // node:tls destroys its stream as soon as it fails or ends, a microtask before the stream gets the last bytes: an
    // alert or close_notify.
    this.#wire.destroy = () => this.#wire;
    this.#guard(this.#wire);
  }

  get sslObject(): object {
    return this.#socket ?? this.#wire;
  }

  start(): void {
    this.#attempt(() => this.#side.serverSide ? this.#serve() : this.#connect());
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
    else if (this.#side.sni === undefined || this.#accepted) this.#wire.push(copy);
    else for (let at = 0; at < copy.length; at += HELLO_SLICE) this.#wire.push(copy.subarray(at, at + HELLO_SLICE));
    return null;
  }

  encrypt(data: Uint8Array): Promise<void> {
    return new Promise((resolve) => void this.#socket!.write(data, () => resolve()));
  }

  closeNotify(): Promise<void> {
    return new Promise((resolve) => this.#socket!.end(() => resolve()));
  }

  session(): TlsSession {
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
    // Deno keeps this object if the connection has failed before sni got a name (`teardown` in its
    // ext/node/ops/tls_wrap.rs). The rest of the connection is freed.
    this.#sink = NO_SINK;
    this.#socket?.destroy();
    this.#tls.Duplex.prototype.destroy.call(this.#wire);
  }

  #connect(): void {
    const { serverHostname, settings: { alpnProtocols = [] } } = this.#side;
    const isName = this.#tls.isIP(serverHostname) === 0 && serverHostname !== "";
    const socket = this.#socket = this.#tls.connect({
      socket: this.#wire,
      secureContext: this.#context.client().secureContext,
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...isName && { servername: serverHostname },
      ...alpnProtocols.length > 0 && { ALPNProtocols: alpnProtocols },
    });
    this.#listen(socket);
    socket.on("secureConnect", () => this.#attempt(() => this.#done()));
  }

  #serve(): void {
    const { sni, settings: { alpnProtocols = [], requestCert = false } } = this.#side;
    const server = this.#tls.createServer({
      ...this.#context.server().options,
      requestCert,
      rejectUnauthorized: false,
      // No timer, which would keep a connection that has failed for two minutes.
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
   * Catches what listeners of `node:tls` throw. They run in ticks of their own, where an exception would end the
   * process.
   */
  #guard(
    emitter: { emit(event: string, ...args: unknown[]): boolean; on(event: "error", f: (e: Error) => void): unknown },
  ) {
    const { emit } = emitter;
    emitter.emit = (...args) => this.#attempt(() => emit.apply(emitter, args)) ?? true;
    emitter.on("error", (error) => this.#fail(error));
  }

  /** Calls a function that may throw because of a peer's certificate. */
  #attempt<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#fail(toError(error));
      return undefined;
    }
  }

  /** The handshake is complete. */
  #done(): void {
    const socket = this.#socket!;
    const verifyError = socket.authorized === true ? "" : socket.authorizationError ?? "unknown";
    if (this.#accepted !== false || !this.#verify(socket, verifyError)) return;
    this.#accepted = true;
    this.#sink.ready();
  }

  /** Sends ciphertext of the socket, on a client only if the server is accepted. */
  #send(ciphertext: Uint8Array): void {
    const socket = this.#socket;
    if (this.#accepted === false && !this.#side.serverSide && socket !== null && readChain(socket).length > 0) {
      // Whether rustls has verified the path is known only after the handshake.
      this.#verify(socket, "");
    }
    this.#silent = false;
    if (!this.#mute) this.#sink.ciphertext(ciphertext);
  }

  #verify(socket: TlsSocket, verifyError: unknown): boolean {
    const error = verifyPeer(this.#side, this.#context.authorities, {
      chain: readChain(socket),
      cipher: socket.getCipher().name,
      verifyError,
      resumed: socket.isSessionReused(),
    });
    if (error === null) return true;
    const mute = this.#side.serverSide && socket.getProtocol() === "TLSv1.3";
    this.#reject(error, mute ? null : plainAlert(error.code));
    return false;
  }

  async #choose(name: string, done: ChooseContext): Promise<void> {
    this.#sink.choosing(true);
    try {
      const settings = await this.#side.sni!(name);
      if (this.#accepted === null) return;
      done(null, settings && this.#context.choose(settings).secureContext);
      // The answer is ready, but sent only after something is received.
      this.#wire.emit("data", new Uint8Array());
      this.#sink.choosing(false);
    } catch (error) {
      if (this.#accepted !== null) this.#reject(toError(error), plainAlert("FAILED"));
    }
  }

  /** Ends the handshake, and sends the alert in place of the next message. */
  #reject(error: Error, alert: Uint8Array | null): void {
    this.#accepted = null;
    this.#mute = true;
    if (alert !== null) this.#sink.ciphertext(alert);
    this.#sink.failed(error);
  }

  /** Ends the connection after an error of rustls, whose own alert is sent later if the socket has sent anything. */
  #fail(cause: Error): void {
    if (this.#accepted === null) return;
    const error = toTlsError(cause);
    // A server that fails after sni has returned sends no alert. A client might send its Finished before the alert, to a
    // server that is not verified.
    if (this.#accepted === false && (this.#silent || !this.#side.serverSide)) {
      const hasAlert = error instanceof TlsError && !error.message.includes("fatal alert");
      this.#reject(error, hasAlert ? plainAlert(error.code, PROTOCOL_ALERTS[error.code]) : null);
      return;
    }
    this.#accepted = null;
    this.#sink.failed(error);
  }
}

/** The alerts of rustls if the sides have nothing in common, or the peer does not speak TLS. */
const PROTOCOL_ALERTS: Partial<Record<TlsErrorCode, number>> = {
  NOT_TLS: 50,
  NO_SHARED_VERSION: 70,
  NO_SHARED_PROTOCOL: 120,
};

/**
 * Returns the peer's certificates as DER, its own first, and then those of `caCerts` that they name. If `node:crypto`
 * cannot parse one, the others are unknown: then there is one empty certificate, which is rejected.
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
