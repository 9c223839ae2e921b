/**
 * What is used of `node:tls`, a part of which nobody has documented.
 *
 * @module
 */
import type { Duplex } from "node:stream";

/** A certificate as `node:tls` gives it. */
export interface LegacyCertificate {
  subject?: Record<string, string | string[]>;
  issuer?: Record<string, string | string[]>;
  subjectaltname?: string;
  serialNumber: string;
  valid_from: string;
  valid_to: string;
  fingerprint256: string;
  raw: Uint8Array;
}

/** What `node:tls` makes of certificates and keys. */
export interface SecureContext {
  /** What rustls is made with. */
  context: { addCACert(pem: string): void };
}

/** The part of `node:tls` that is used, and what its sockets are made over. */
export interface NodeTls {
  /** The class of `node:stream`. */
  Duplex: typeof Duplex;
  /** Parses certificates and keys. */
  createSecureContext(options: object): SecureContext;
  /** Compares a certificate with the name that it should be for. */
  checkServerIdentity(hostname: string, certificate: Partial<LegacyCertificate>): Error | undefined;
  /** Makes the client's side. */
  connect(options: object): TlsSocket;
  /** Makes the server's side. */
  TLSSocket: new (stream: Duplex, options: object) => TlsSocket;
}

/**
 * Loads it.
 *
 * @returns The parts of both modules. Only where TLS is used: they take 12 ms, and 1 MB of what every full garbage
 * collection looks through.
 */
export async function loadNodeTls(): Promise<NodeTls> {
  const [{ default: tls }, { Duplex }] = await Promise.all([import("node:tls"), import("node:stream")]);
  return { ...tls, Duplex } as unknown as NodeTls;
}

/** The part of a `TLSSocket` that is used: the handshake's events, what it knows afterwards, and what is inside. */
export interface TlsSocket {
  on(event: string, listener: (error: Error) => void): void;
  getCipher(): { name: string };
  getProtocol(): string;
  getPeerCertificate(): Partial<LegacyCertificate> | null;
  isSessionReused(): boolean;
  authorized: boolean;
  authorizationError: unknown;
  alpnProtocol: string | false | null;
  destroy(): void;
  _handle: TlsWrap;
}

/** The rustls connection inside a `TLSSocket`. Its methods return once all is done that can be. */
export interface TlsWrap {
  /** Takes cleartext, or nothing where the other side has sent close_notify. */
  onread: (data?: ArrayBuffer) => void;
  /** Makes it look at `onread` again. */
  readStart(): number;
  /** Takes ciphertext. */
  readBuffer(data: Uint8Array): void;
  /** Gives the ciphertext that is to be sent. */
  drainEncOut(): Uint8Array;
  /** Takes cleartext. */
  writeBuffer(request: object, data: Uint8Array): number;
  /** Makes a close_notify. */
  shutdown(request: object): number;
  /** Gives what is wrong with the other side's certificate, or nothing. */
  verifyError(): string;
  /** Gives the certificates that the other side has shown, as DER, its own first. */
  getPeerCertificateChain(): { certificates: Uint8Array[] } | null;
}

const METHODS = [
  "readStart",
  "readBuffer",
  "drainEncOut",
  "writeBuffer",
  "shutdown",
  "verifyError",
  "getPeerCertificateChain",
] as const;

/**
 * Insists that this Deno is made inside as {@linkcode TlsWrap} says.
 *
 * @param wrap What a `TLSSocket` has inside.
 * @returns It.
 * @throws {Deno.errors.NotSupported} If it is not.
 */
export function checkWrap(wrap: TlsWrap): TlsWrap {
  const missing = METHODS.find((name) => typeof wrap?.[name] !== "function");
  if (missing === undefined) return wrap;
  throw new Deno.errors.NotSupported(
    `tls: this version of Deno, ${Deno.version.deno}, has no ${missing}() in node:tls; 2.9.6 has; what Deno.listenTls() and Deno.connectTls() give needs none, as { listener } and { conn }`,
  );
}
