/** What `getExtraInfo("sslObject")` returns over OpenSSL. */
import { checkBytes, checkInteger, checkOneOf, checkString } from "../../checks.ts";
import { InvalidStateError } from "../../errors.ts";
import type { PeerCertificate } from "../../transports/transport.ts";
import { toPeerCertificate } from "../peer_certificate.ts";
import * as c from "./constants.ts";
import { cString, type Libssl, type Pointer, textOf } from "./libssl.ts";
import type { LiveConnection } from "./live_connection.ts";
import { takeError } from "./openssl_error.ts";
import { sha256 } from "./sha256.ts";

/** A way to bind an authentication to the connection: RFC 9266 and RFC 5929. */
export type ChannelBinding = "tls-exporter" | "tls-server-end-point";

let connectionOf: (object: OpensslObject) => LiveConnection | null;
let setConnection: (object: OpensslObject, connection: LiveConnection) => void;

/** What one HKDF can make with SHA-256: RFC 5869, 2.3. */
const MAX_EXPORT = 255 * 32;

/**
 * The inside of a TLS connection by OpenSSL: what `getExtraInfo("sslObject")` returns with an `EpollEngine`.
 *
 * @example Usage
 * ```ts ignore
 * const tls = transport.getExtraInfo("sslObject");
 * if (tls instanceof OpensslObject) console.log(tls.version, tls.getChannelBinding("tls-exporter"));
 * ```
 */
export class OpensslObject {
  /** `"TLSv1.2"` or `"TLSv1.3"`. */
  version = "";
  /** Whether a session was resumed. */
  sessionReused = false;
  /** The group of the key exchange, such as `"X25519"`; `null` if there was none. */
  group: string | null = null;
  /** `null` until the handshake is complete. */
  #connection: LiveConnection | null = null;

  static {
    connectionOf = (object) => object.#connection;
    setConnection = (object, connection) => void (object.#connection = connection);
  }

  /**
   * Derives a key from the connection, the same on both sides (RFC 5705, and RFC 8446, 7.5).
   *
   * @param label The purpose of the key, such as `"EXPORTER-my-protocol"`.
   * @param length How many bytes to return.
   * @param context What the key depends on as well. In TLS 1.2, none is different from an empty one.
   * @returns The key.
   * @throws {InvalidStateError} If the connection is closed.
   * @throws {TypeError} If an argument is of the wrong kind, or OpenSSL rejects the label.
   * @throws {RangeError} If `length` is not a whole number from 1 to 8160.
   */
  exportKeyingMaterial(label: string, length: number, context?: Uint8Array): Uint8Array {
    const method = "exportKeyingMaterial()";
    checkString(method, "label", label);
    checkInteger(method, "length", length, 1, MAX_EXPORT);
    if (context !== undefined) {
      checkBytes(method, "context", context);
      // RFC 5705, 4: the length has two bytes.
      checkInteger(method, "the length of context", context.length, 0, 0xffff);
    }
    const { lib, ssl } = open(this, method);
    const key = exportKey(lib, ssl, label, length, context);
    if (key !== null) return key;
    throw new TypeError(`${method}: OpenSSL rejects the label: ${takeError(lib)?.text ?? "it gives no reason"}`);
  }

  /**
   * Returns the bytes that bind an authentication, such as SCRAM-SHA-256-PLUS, to this connection, the same on both sides.
   *
   * @param type `"tls-exporter"` (RFC 9266) is unique for the connection; `"tls-server-end-point"` (RFC 5929) is a digest
   * of the server's certificate.
   * @returns The bytes.
   * @throws {InvalidStateError} If the connection is closed.
   * @throws {TypeError} If `type` is another one.
   * @throws {Deno.errors.NotSupported} If the connection has no such binding: the first needs TLS 1.3 or an extended master
   * secret, the second a certificate whose signature algorithm has one digest.
   */
  getChannelBinding(type: ChannelBinding): Uint8Array {
    const method = "getChannelBinding()";
    checkOneOf(method, "type", type, ["tls-exporter", "tls-server-end-point"]);
    const { lib, ssl, serverSide } = open(this, method);
    const bytes = type === "tls-exporter" ? exporterBinding(lib, ssl) : endPointBinding(lib, ssl, serverSide);
    lib.ERR_clear_error();
    if (bytes !== null) return bytes;
    const why = type === "tls-exporter"
      ? "it needs TLS 1.3 or an extended master secret"
      : "the signature of the server's certificate has no digest of its own";
    throw new Deno.errors.NotSupported(`${method}: this connection has no ${type}: ${why}`);
  }

  /**
   * Returns the certificates by which the peer was verified, its own first and the trusted CA last.
   *
   * @returns The certificates. If a client has resumed a session, they are those of the first connection. There are none
   * if the peer was not verified (`rejectUnauthorized: false`, or no certificate), and for a server that has resumed a
   * session: a ticket has the client's own certificate alone, which is in `peercert`. The CA is missing if only Deno
   * knows it.
   */
  getVerifiedChain(): PeerCertificate[] {
    if (this.#connection === null) return [];
    const { lib, chain } = this.#connection;
    return chain.map((der) => toPeerCertificate(der, (data) => sha256(lib, data).toHex()));
  }

  /**
   * Returns the OCSP response that a client has requested by `requestOcsp`.
   *
   * @returns The response (RFC 6960, DER); `null` if the server has sent none. With `requestOcsp`, no session is resumed.
   */
  getOcspResponse(): Uint8Array | null {
    return this.#connection?.response?.slice() ?? null;
  }
}

/** Gives an object the connection whose handshake is complete. */
export function attachConnection(object: OpensslObject, connection: LiveConnection): void {
  setConnection(object, connection);
}

function open(object: OpensslObject, method: string): { lib: Libssl; ssl: Pointer; serverSide: boolean } {
  const connection = connectionOf(object);
  const ssl = connection?.ssl ?? null;
  if (connection === null || ssl === null) throw new InvalidStateError(`${method}: the TLS connection is closed`);
  const { lib } = connection;
  lib.ERR_clear_error();
  return { lib, ssl, serverSide: lib.SSL_is_server(ssl) === 1 };
}

function exportKey(lib: Libssl, ssl: Pointer, label: string, length: number, context?: Uint8Array): Uint8Array | null {
  const name = new TextEncoder().encode(label);
  const out = new Uint8Array(length);
  const [size, more] = [BigInt(length), context ?? new Uint8Array(0)];
  const hasContext = context === undefined ? 0 : 1;
  const sizes = [BigInt(name.length), BigInt(more.length)] as const;
  const done = lib.SSL_export_keying_material(ssl, out, size, name, sizes[0], more, sizes[1], hasContext);
  if (done === 1) return out;
  out.fill(0);
  return null;
}

function exporterBinding(lib: Libssl, ssl: Pointer): Uint8Array | null {
  // RFC 9266, 4.2: without an extended master secret, another connection could have the same.
  const isUnique = BigInt(lib.SSL_version(ssl)) === c.VERSION_NUMBERS["TLSv1.3"] ||
    lib.SSL_ctrl(ssl, c.SSL_CTRL_GET_EXTMS_SUPPORT, 0n, null) === 1;
  return isUnique ? exportKey(lib, ssl, "EXPORTER-Channel-Binding", 32, new Uint8Array(0)) : null;
}

/** RFC 5929, 4.1: the digest is that of the signature, but SHA-256 instead of MD5 and SHA-1. */
function endPointBinding(lib: Libssl, ssl: Pointer, serverSide: boolean): Uint8Array | null {
  const x509 = serverSide ? lib.SSL_get_certificate(ssl) : lib.SSL_get1_peer_certificate(ssl);
  if (x509 === null) return null;
  try {
    const nid = new Int32Array(1);
    if (lib.X509_get_signature_info(x509, nid, null, null, null) !== 1 || nid[0] === 0) return null;
    const name = textOf(lib.OBJ_nid2sn(nid[0]!));
    const digest = lib.EVP_get_digestbyname(cString(name === "MD5" || name === "SHA1" ? "SHA256" : name));
    const [out, size] = [new Uint8Array(64), new Uint32Array(1)];
    if (digest === null || lib.X509_digest(x509, digest, out, size) !== 1) return null;
    return out.slice(0, size[0]!);
  } finally {
    if (!serverSide) lib.X509_free(x509);
  }
}
