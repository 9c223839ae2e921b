/** The parts of `node:tls` that Tandem uses. Some are not documented. */
import type { createPrivateKey, X509Certificate } from "node:crypto";
import type { Duplex } from "node:stream";

/** Certificates and keys that `node:tls` has parsed. */
export interface SecureContext {
  /** The part that rustls uses. */
  context: { addCACert?(pem: string): void };
}

/** The parts of Node's modules that are used. */
export interface NodeTls {
  /** The class of `node:stream`. */
  Duplex: typeof Duplex;
  /** The class of `node:crypto`. */
  X509Certificate: typeof X509Certificate;
  /** The function of `node:crypto`. */
  createPrivateKey: typeof createPrivateKey;
  /** Whether the inside of a `TLSSocket` can be used; if not, only what is documented is used. */
  hasWrap: boolean;
  /** The function of `node:net`: 0 for a name. */
  isIP(hostname: string): number;
  /** Returns a digest in hexadecimal. */
  sha256(data: Uint8Array): string;
  /** The function of `node:process`. */
  nextTick(callback: () => void): void;
  /** Parses certificates and keys. */
  createSecureContext(options: object): SecureContext;
  /** Returns the CAs that are trusted by default, PEM, or those of one source. */
  getCACertificates(type: "default" | "bundled" | "extra" | "system"): string[];
  /** Makes a client. */
  connect(options: object): TlsSocket;
  /** Makes a server, which takes streams by its event `connection`. */
  createServer(options: object): TlsServer;
  /** Makes either side. */
  TLSSocket: new (stream: Duplex, options: object) => TlsSocket;
}

/** The part of a `tls.Server` that is used. */
export interface TlsServer {
  on(event: "secureConnection", listener: (socket: TlsSocket) => void): this;
  on(event: "tlsClientError", listener: (error: Error) => void): this;
  emit(event: "connection", stream: Duplex): boolean;
}

/** A certificate as `getPeerCertificate(true)` returns it. */
export interface LegacyCertificate {
  raw?: Uint8Array;
  issuerCertificate?: LegacyCertificate;
}

/** The part of a `TLSSocket` that is used. */
export interface TlsSocket {
  on(event: string, listener: (argument: Error) => void): this;
  on(event: "data", listener: (data: Uint8Array) => void): this;
  emit(event: string, ...args: unknown[]): boolean;
  getCipher(): { name: string };
  getProtocol(): string;
  getPeerCertificate(detailed: true): LegacyCertificate | null;
  isSessionReused(): boolean;
  authorized: boolean;
  authorizationError: unknown;
  alpnProtocol: string | false | null;
  write(data: Uint8Array, done: () => void): boolean;
  end(done: () => void): void;
  destroy(): void;
  /** Not documented. */
  _handle: TlsWrap;
  /** Not documented: called by a server in the tick after it was made. */
  _start: () => void;
}

/** The rustls connection inside a `TLSSocket`. Its methods are synchronous. */
export interface TlsWrap {
  /** Called with cleartext, or with nothing if the peer has sent close_notify. */
  onread: (data?: ArrayBuffer) => void;
  /** Called with an error of rustls. */
  onerror: (error: Error) => void;
  /** Called when the handshake is complete. */
  onhandshakedone: () => void;
  /** The stream that the socket makes around its own. */
  _parentWrap?: { removeAllListeners(event: "close"): unknown; destroy(): unknown };
  /** Makes the rustls connection. Returns 0 if that succeeds. */
  start(): number;
  /** Takes `onread` over. */
  readStart(): number;
  /** Drops `onread`. */
  readStop(): number;
  /** Sets the object whose callbacks are called. */
  setHandle(handle: object): void;
  /** Takes ciphertext. */
  readBuffer(data: Uint8Array): void;
  /** Returns the ciphertext to send. */
  drainEncOut(): Uint8Array;
  /** Takes cleartext. */
  writeBuffer(request: object, data: Uint8Array): number;
  /** Makes a close_notify. */
  shutdown(request: object): number;
  /** Frees the rustls connection. */
  destroySsl(): void;
  /** Returns why rustls rejects the peer's certificate, or `""`. */
  verifyError(): unknown;
  /** Returns the peer's certificates as DER, its own first. */
  getPeerCertificateChain(): { certificates: Uint8Array[] } | null;
}

/** What an object must have to be a {@linkcode TlsWrap}. */
const METHODS = [
  "onerror",
  "onhandshakedone",
  "start",
  "readStart",
  "readStop",
  "setHandle",
  "readBuffer",
  "drainEncOut",
  "writeBuffer",
  "shutdown",
  "destroySsl",
  "verifyError",
  "getPeerCertificateChain",
] as const;

/** What `node:tls` passes to an `SNICallback`. */
export type ChooseContext = (error: Error | null, context: object | null) => void;

/**
 * How many bytes of a ClientHello Deno is given at a time if an `SNICallback` waits for it. Of a larger piece, Deno would
 * leave a part unread (`process_acceptor` in its ext/node/ops/tls_wrap.rs). With pieces of 2048 bytes a ClientHello can
 * have 30 KB, with 4096 only 14.
 */
export const HELLO_SLICE = 2048;

/** A stream that does nothing, for every `TLSSocket` whose inside is used. */
export const NO_STREAM: Duplex = {
  readable: true,
  writable: true,
  allowHalfOpen: true,
  readableLength: 0,
  on: () => NO_STREAM,
  once: () => NO_STREAM,
  pause: () => NO_STREAM,
  resume: () => NO_STREAM,
  write: () => true,
  destroy: () => NO_STREAM,
} as unknown as Duplex;

let loaded: Promise<NodeTls> | undefined;
let documentedOnly = false;

/** Loads Node's modules, once. Programs without TLS save 12 ms, and 1 MB of heap. */
export function loadNodeTls(): Promise<NodeTls> {
  return loaded ??= load();
}

/** Makes new connections use only what is documented, as if the inside of Deno had changed. For tests. */
export function useDocumentedTls(on: boolean): void {
  documentedOnly = on;
}

async function load(): Promise<NodeTls> {
  const [{ default: tls }, { Duplex }, crypto, { isIP }, { nextTick }] = await Promise.all([
    import("node:tls"),
    import("node:stream"),
    import("node:crypto"),
    import("node:net"),
    import("node:process"),
  ]);
  const { createHash, createPrivateKey, X509Certificate } = crypto;
  const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");
  const own = { Duplex, X509Certificate, createPrivateKey, isIP, nextTick, sha256 };
  const parts = { ...tls, ...own } as unknown as NodeTls;
  const hasWrap = probe(parts);
  return Object.defineProperty(parts, "hasWrap", { get: () => hasWrap && !documentedOnly });
}

/** Reports whether this Deno has a {@linkcode TlsWrap}. */
function probe(tls: NodeTls): boolean {
  try {
    const secureContext = tls.createSecureContext({});
    const socket = new tls.TLSSocket(NO_STREAM, { isServer: false, secureContext });
    socket.on("error", () => {});
    const { _handle: wrap } = socket;
    const found = typeof socket._start === "function" && METHODS.every((name) => typeof wrap?.[name] === "function");
    socket.destroy();
    return found;
  } catch {
    return false;
  }
}

/** Returns the rustls connection inside a `TLSSocket`. */
export function wrapOf(socket: TlsSocket): TlsWrap {
  return socket._handle;
}

/** Returns the peer's certificates. */
export function readChain(wrap: TlsWrap): Uint8Array[] {
  return wrap.getPeerCertificateChain()?.certificates ?? [];
}
