/**
 * The two functions that OpenSSL always calls (`hooks.ts` has others), both only during a handshake: `SSL_CTX_set_alpn_select_cb` and `SSL_CTX_set_verify` have
 * no counterpart without. They run inside the `SSL_do_handshake` of a connection, which is `current` then. A call takes 1 µs.
 */
import type { TlsError } from "../tls_error.ts";
import { SSL_TLSEXT_ERR_ALERT_FATAL, SSL_TLSEXT_ERR_OK } from "./constants.ts";
import type { Pointer } from "./libssl.ts";

/** A connection whose handshake runs. */
export interface Handshaking {
  /** Selects a protocol of a list (RFC 7301, 3.1). Returns where its length stands; -1 for none. */
  selectProtocol(offered: Uint8Array): number;
  /** Accepts or rejects what OpenSSL has found about a certificate. `ok`: whether OpenSSL accepts it. */
  verify(ok: boolean, storeContext: Pointer): boolean;
  /** Keeps why a callback makes the handshake fail, for the error that follows. */
  reject(error: TlsError): void;
  /** Ends the connection: a function of the program has failed. Not called while OpenSSL runs. */
  fail(error: Error): void;
}

let current: Handshaking | null = null;

/** Returns the connection whose handshake runs. */
export function handshaking(): Handshaking | null {
  return current;
}

/** Runs a function of OpenSSL that may call back. */
export function handshakeOf<T>(connection: Handshaking, call: () => T): T {
  const before = current;
  current = connection;
  try {
    return call();
  } finally {
    current = before;
  }
}

function onAlpn(
  _ssl: Deno.PointerValue,
  out: Deno.PointerValue,
  outLength: Deno.PointerValue,
  offered: Deno.PointerValue,
  length: number,
): number {
  try {
    const list = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(offered!, length));
    const at = current!.selectProtocol(list);
    if (at < 0) return SSL_TLSEXT_ERR_ALERT_FATAL;
    // The result stays where the client's list is, which OpenSSL copies from.
    const address = Deno.UnsafePointer.value(offered) + BigInt(at + 1);
    new BigUint64Array(Deno.UnsafePointerView.getArrayBuffer(out!, 8))[0] = address;
    new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(outLength!, 1))[0] = list[at]!;
    return SSL_TLSEXT_ERR_OK;
  } catch {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
}

function onVerify(ok: number, storeContext: Deno.PointerValue): number {
  try {
    return current!.verify(ok === 1, storeContext!) ? 1 : 0;
  } catch {
    return 0;
  }
}

/** The functions as C has them. They live as long as the isolate. */
export interface Callbacks {
  alpn: Pointer;
  verify: Pointer;
}

let made: Callbacks | undefined;

/** Makes the functions, once for each isolate. */
export function callbacks(): Callbacks {
  return made ??= {
    alpn: new Deno.UnsafeCallback(
      { parameters: ["pointer", "pointer", "pointer", "pointer", "u32", "pointer"], result: "i32" },
      onAlpn,
    ).pointer,
    verify: new Deno.UnsafeCallback({ parameters: ["i32", "pointer"], result: "i32" }, onVerify).pointer,
  };
}
