/** Reads the results of a handshake. */
import type { TlsSession } from "../../transports/tls_provider.ts";
import { toPeerCertificate } from "../peer_certificate.ts";
import { SSL_CTRL_GET_NEGOTIATED_GROUP, VERSION_NUMBERS } from "./constants.ts";
import { toDer } from "./credentials.ts";
import { type Libssl, type Pointer, textOf } from "./libssl.ts";
import type { OpensslObject } from "./openssl_object.ts";
import { sha256 } from "./sha256.ts";

/** Reads the results of a handshake. Without a certificate of the peer, it takes 2 µs. */
export function readSession(
  lib: Libssl,
  ssl: Pointer,
): { object: Pick<OpensslObject, "version" | "sessionReused" | "group">; session: TlsSession; reused: boolean } {
  const version = BigInt(lib.SSL_version(ssl)) === VERSION_NUMBERS["TLSv1.3"] ? "TLSv1.3" : "TLSv1.2";
  const cipher = lib.SSL_get_current_cipher(ssl);
  const reused = lib.SSL_session_reused(ssl) === 1;
  return {
    reused,
    object: { version, sessionReused: reused, group: readGroup(lib, ssl) },
    session: {
      cipher: cipher === null
        ? null
        : { name: nameOf(lib.SSL_CIPHER_get_name(cipher)), version, bits: lib.SSL_CIPHER_get_bits(cipher, null) },
      peercert: readPeer(lib, ssl),
      alpnProtocol: readProtocol(lib, ssl),
    },
  };
}

/** The names of OpenSSL's ciphers and groups, which connections share. */
const names = new Map<string, string>();

function nameOf(pointer: Deno.PointerValue): string {
  const text = textOf(pointer);
  const known = names.get(text);
  if (known === undefined) names.set(text, text);
  return known ?? text;
}

/** Numbers above this are groups that have no NID, such as X25519MLKEM768: tls1.h. */
const GROUP_WITHOUT_NID = 0x1000000;

function readGroup(lib: Libssl, ssl: Pointer): string | null {
  const nid = lib.SSL_ctrl(ssl, SSL_CTRL_GET_NEGOTIATED_GROUP, 0n, null);
  if (nid <= 0) return null;
  if (nid >= GROUP_WITHOUT_NID) return nameOf(lib.SSL_group_to_name(ssl, nid)) || null;
  return nameOf(lib.OBJ_nid2sn(nid)) || null;
}

function readPeer(lib: Libssl, ssl: Pointer): TlsSession["peercert"] {
  const x509 = lib.SSL_get1_peer_certificate(ssl);
  if (x509 === null) return null;
  try {
    return toPeerCertificate(toDer(lib, x509), (data) => sha256(lib, data).toHex());
  } finally {
    lib.X509_free(x509);
  }
}

const address = new BigUint64Array(1);
const length = new Uint32Array(1);

function readProtocol(lib: Libssl, ssl: Pointer): string | null {
  lib.SSL_get0_alpn_selected(ssl, address, length);
  const pointer = Deno.UnsafePointer.create(address[0]!);
  if (pointer === null || length[0] === 0) return null;
  return new TextDecoder().decode(Deno.UnsafePointerView.getArrayBuffer(pointer, length[0]!));
}
