/** Certificates and keys in OpenSSL's memory. */
import type { TlsSettings } from "../../transports/tls_provider.ts";
import type { Certificate } from "../certificate.ts";
import { certificatesIn, parsePem, readAuthority } from "../pem.ts";
import type { Libssl, Pointer } from "./libssl.ts";

/** What OpenSSL has made, and how each is freed. It is freed once. */
export class Handles {
  #owned = new Map<Pointer, (pointer: Pointer) => void>();

  /** Owns what OpenSSL has made. */
  own<T extends Pointer>(pointer: T, free: (pointer: Pointer) => void): T {
    this.#owned.set(pointer, free);
    return pointer;
  }

  /** Frees one. */
  free(pointer: Pointer): void {
    const free = this.#owned.get(pointer);
    this.#owned.delete(pointer);
    free?.(pointer);
  }

  /** Frees all. */
  freeAll(): void {
    for (const pointer of this.#owned.keys()) this.free(pointer);
  }
}

/** A CA of `caCerts`. */
export interface Root {
  certificate: Certificate;
  x509: Pointer;
}

/** Without one, OpenSSL would ask for the password of a key at the terminal. */
const NO_PASSWORD = new Uint8Array(1);

/** Parses `caCerts`. */
export function parseRoots(ssl: Libssl, handles: Handles, { caCerts = [] }: TlsSettings): Root[] {
  return caCerts.flatMap((pem, i) => {
    const name = `caCerts[${i}]`;
    return certificatesIn(pem).map((block) => {
      const [x509] = parseCertificates(ssl, handles, name, block);
      return { x509: x509!, certificate: parsePem(name, "certificate", pem, () => readAuthority(derOf(block))) };
    });
  });
}

/** Parses PEM with any number of certificates. */
export function parseCertificates(ssl: Libssl, handles: Handles, name: string, text: string): Pointer[] {
  return certificatesIn(text).map((block) =>
    parsePem(name, "certificate", text, () => {
      const pointer = readPem(ssl, block, (bio) => ssl.PEM_read_bio_X509(bio, null, null, NO_PASSWORD));
      return handles.own(pointer, (x509) => ssl.X509_free(x509));
    })
  );
}

/** Returns the bytes of PEM as they are. OpenSSL would return the shortest form of lengths. */
function derOf(block: string): Uint8Array {
  return Uint8Array.fromBase64(block.replaceAll(/-----[^-]+-----/g, ""));
}

/** Returns a certificate as DER. */
export function toDer(ssl: Libssl, x509: Pointer): Uint8Array {
  const bio = made(ssl.BIO_new(ssl.BIO_s_mem()));
  try {
    if (ssl.i2d_X509_bio(bio, x509) !== 1) throw outOfMemory();
    const der = new Uint8Array(ssl.BIO_ctrl_pending(bio));
    if (ssl.BIO_read(bio, der, der.length) !== der.length) throw outOfMemory();
    return der;
  } finally {
    ssl.BIO_free(bio);
    ssl.ERR_clear_error();
  }
}

/** Returns the certificates of an `OPENSSL_STACK` as DER. */
export function toDers(ssl: Libssl, stack: Deno.PointerValue): Uint8Array[] {
  if (stack === null) return [];
  const count = Math.max(0, ssl.OPENSSL_sk_num(stack));
  return Array.from({ length: count }, (_, i) => toDer(ssl, ssl.OPENSSL_sk_value(stack, i)!));
}

/** Returns what a function of OpenSSL has made, which it does unless memory is used up. */
export function made(pointer: Deno.PointerValue): Pointer {
  if (pointer === null) throw outOfMemory();
  return pointer;
}

/** Makes the error of a function of OpenSSL that fails for no other reason. */
export function outOfMemory(): Error {
  return new Error("OpenSSL is out of memory");
}

/** Reads PEM from memory, which is wiped afterwards: it may be a key. */
export function readPem(ssl: Libssl, text: string, read: (bio: Pointer) => Deno.PointerValue): Pointer {
  const bytes = new TextEncoder().encode(text);
  let bio: Deno.PointerValue = null;
  try {
    bio = made(ssl.BIO_new_mem_buf(bytes, bytes.length));
    ssl.ERR_clear_error();
    const pointer = read(bio);
    if (pointer === null) throw new Error("OpenSSL cannot parse it");
    return pointer;
  } finally {
    if (bio !== null) ssl.BIO_free(bio);
    ssl.ERR_clear_error();
    bytes.fill(0);
  }
}
