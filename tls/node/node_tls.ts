/**
 * What is used of `node:tls`, a part of which is not documented.
 *
 * @module
 */
import type { createPrivateKey, X509Certificate } from "node:crypto";
import type { Duplex } from "node:stream";

/** What `node:tls` makes of certificates and keys. */
export interface SecureContext {
  /** What rustls is made with. */
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
  /** Whether the engine over the inside of a `TLSSocket` is used, or the documented one. */
  hasWrap: boolean;
  /** `isIP` of `node:net`: 0 for a name. */
  isIP(hostname: string): number;
  /** A digest in hexadecimal. */
  sha256(data: Uint8Array): string;
  /** `nextTick` of `node:process`. */
  nextTick(callback: () => void): void;
  /** Parses certificates and keys. */
  createSecureContext(options: object): SecureContext;
  /** The authorities that are trusted where nothing else is said, PEM, and where they come from. */
  getCACertificates(type: "default" | "bundled" | "extra" | "system"): string[];
  /** Makes the client's side. */
  connect(options: object): TlsSocket;
  /** Makes what makes the server's side of streams that it is given. */
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

/** A certificate as `getPeerCertificate(true)` gives it. */
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
  /** Not documented, as the rest is. */
  _handle: TlsWrap;
  /** Not documented: what a server runs in the tick after it was made. */
  _start: () => void;
}

/** The rustls connection inside a `TLSSocket`. Its methods return once all is done that can be. */
export interface TlsWrap {
  /** Takes cleartext, or nothing where the other side has sent close_notify. */
  onread: (data?: ArrayBuffer) => void;
  /** Takes the error that rustls has failed with. */
  onerror: (error: Error) => void;
  /** Called when the handshake is done. */
  onhandshakedone: () => void;
  /** The stream around what the socket is over. */
  _parentWrap?: { removeAllListeners(event: "close"): unknown; destroy(): unknown };
  /** Makes the rustls connection; 0 if that went well. */
  start(): number;
  /** Makes it look at `onread` again. */
  readStart(): number;
  /** Makes it forget `onread`. */
  readStop(): number;
  /** Sets whose callbacks are called. */
  setHandle(handle: object): void;
  /** Takes ciphertext. */
  readBuffer(data: Uint8Array): void;
  /** Gives the ciphertext that is to be sent. */
  drainEncOut(): Uint8Array;
  /** Takes cleartext. */
  writeBuffer(request: object, data: Uint8Array): number;
  /** Makes a close_notify. */
  shutdown(request: object): number;
  /** Frees the rustls connection. */
  destroySsl(): void;
  /** Gives what is wrong with the other side's certificate, or `""`. */
  verifyError(): unknown;
  /** Gives the certificates that the other side has shown, as DER, its own first. */
  getPeerCertificateChain(): { certificates: Uint8Array[] } | null;
}

/** Everything of a {@linkcode TlsWrap} that must be there. */
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

/** The stream that a `TLSSocket` wants to be over where its inside is driven by hand: all of them share it. */
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

/**
 * Loads it, once.
 *
 * @returns The parts of the modules. Only where TLS is used: they take 12 ms, and 1 MB of what every full garbage
 * collection looks through.
 */
export function loadNodeTls(): Promise<NodeTls> {
  return loaded ??= load();
}

/**
 * Makes connections to come use what is documented alone, as they do where Deno has changed inside. For tests.
 *
 * @param on Whether to.
 */
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

/** Looks whether this Deno is made inside as {@linkcode TlsWrap} says. */
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

/**
 * Gives the rustls connection inside a `TLSSocket`.
 *
 * @param socket The socket.
 * @returns The connection, which `probe` has looked at.
 */
export function wrapOf(socket: TlsSocket): TlsWrap {
  return socket._handle;
}

/**
 * Gives all certificates that the other side has shown.
 *
 * @param wrap The connection.
 * @returns Them as DER, its own first; none where it has shown none.
 */
export function readChain(wrap: TlsWrap): Uint8Array[] {
  return wrap.getPeerCertificateChain()?.certificates ?? [];
}
