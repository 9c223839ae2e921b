/**
 * The functions of C that only some contexts need: `keylog`, and the OCSP response of a certificate. The second runs inside a
 * handshake; OpenSSL may log a key at any time. A connection is found by its `SSL_CTX`; one for which `sni` has selected another
 * context has that one's in its application data.
 */
import type { TlsSettings } from "../../transports/tls_provider.ts";
import type { TlsError } from "../tls_error.ts";
import { handshaking } from "./callbacks.ts";
import * as c from "./constants.ts";
import { made } from "./credentials.ts";
import { passLine } from "./keylog.ts";
import { type Libssl, openLibssl, type Pointer, textOf } from "./libssl.ts";

/** What is called for the connections of an `SSL_CTX`. */
export interface Hooks {
  /** Gets each line of the key log. */
  keylog?: TlsSettings["keylog"];
  /** Server: returns the OCSP response to send; `null` for none. */
  staple?: (() => Uint8Array | null) | undefined;
  /** Client: decides about the OCSP response of the server, `null` if there is none. Returns why it is rejected. */
  check?: ((ssl: Pointer, response: Uint8Array | null) => TlsError | null) | undefined;
}

/** By the address of the `SSL_CTX`. Not strongly: a function of the program may refer to its own context. */
const hooks = new Map<bigint, WeakRef<Hooks>>();

/** The place of the application data of an `SSL`: `SSL_set_app_data`. */
const APP_DATA = 0;

/** Makes OpenSSL call the hooks for the connections of a context, as long as the caller keeps them. */
export function addHooks(lib: Libssl, ctx: Pointer, given: Hooks): void {
  const { keylog, staple, check } = given;
  if (keylog === undefined && staple === undefined && check === undefined) return;
  hooks.set(Deno.UnsafePointer.value(ctx), new WeakRef(given));
  if (keylog !== undefined) lib.SSL_CTX_set_keylog_callback(ctx, hookCallbacks().keylog);
  if (staple !== undefined || check !== undefined) setStatusCallback(lib, ctx);
  if (check !== undefined) lib.SSL_CTX_ctrl(ctx, c.SSL_CTRL_SET_STATUS_REQ_TYPE, c.TLSEXT_STATUSTYPE_OCSP, null);
}

/** Forgets the hooks of a context that is freed. */
export function removeHooks(ctx: Pointer): void {
  hooks.delete(Deno.UnsafePointer.value(ctx));
}

/** Makes a connection staple what another context has, whose certificate it has got. */
export function stapleFor(lib: Libssl, connection: Pointer, chosen: Pointer): void {
  lib.SSL_set_ex_data(connection, APP_DATA, chosen);
  const isNeeded = hooksOf(chosen)?.staple !== undefined;
  if (isNeeded) setStatusCallback(lib, made(lib.SSL_get_SSL_CTX(connection)));
}

/** Returns the OCSP response that a client has got; `null` if there is none. */
export function receivedResponse(lib: Libssl, ssl: Pointer): Uint8Array | null {
  const address = new BigUint64Array(1);
  const size = lib.SSL_ctrl(ssl, c.SSL_CTRL_GET_STATUS_REQ_OCSP_RESP, 0n, address);
  const pointer = Deno.UnsafePointer.create(address[0]!);
  if (pointer === null || size <= 0) return null;
  return new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, size)).slice();
}

function hooksOf(ctx: Deno.PointerValue): Hooks | undefined {
  return hooks.get(Deno.UnsafePointer.value(ctx))?.deref();
}

function setStatusCallback(lib: Libssl, ctx: Pointer): void {
  lib.SSL_CTX_callback_ctrl(ctx, c.SSL_CTRL_SET_STATUS_REQ_CB, hookCallbacks().status);
}

function onStatus(ssl: Deno.PointerValue): number {
  try {
    const lib = openLibssl();
    const ctx = lib.SSL_get_ex_data(ssl, APP_DATA) ?? lib.SSL_get_SSL_CTX(ssl);
    const { staple, check } = hooksOf(ctx) ?? {};
    if (lib.SSL_is_server(ssl) === 1) return send(lib, ssl!, staple?.() ?? null);
    const error = check?.(ssl!, receivedResponse(lib, ssl!));
    if (error === null) return c.STATUS_ACCEPTED;
    if (error !== undefined) handshaking()?.reject(error);
    return c.STATUS_REJECTED;
  } catch {
    return c.STATUS_FAILED;
  }
}

function send(lib: Libssl, ssl: Pointer, response: Uint8Array | null): number {
  if (response === null) return c.SSL_TLSEXT_ERR_NOACK;
  const size = BigInt(response.length);
  // OpenSSL frees it with the connection.
  const memory = made(lib.CRYPTO_malloc(size, null, 0));
  new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(memory, response.length)).set(response);
  lib.SSL_ctrl_pointer(ssl, c.SSL_CTRL_SET_STATUS_REQ_OCSP_RESP, size, memory);
  return c.SSL_TLSEXT_ERR_OK;
}

/** What gets the errors of `keylog`, by the address of the `SSL`. */
const reports = new Map<bigint, (error: Error) => void>();

/** Reports what goes wrong with the key log of a connection, until `null` is passed: before the connection is freed. */
export function setKeylogReport(ssl: Pointer, report: ((error: Error) => void) | null): void {
  const address = Deno.UnsafePointer.value(ssl);
  if (report === null) reports.delete(address);
  else reports.set(address, report);
}

function onKeylog(ssl: Deno.PointerValue, line: Deno.PointerValue): void {
  try {
    const keylog = hooksOf(openLibssl().SSL_get_SSL_CTX(ssl))?.keylog;
    const report = reports.get(Deno.UnsafePointer.value(ssl));
    if (keylog === undefined || report === undefined) return;
    const text = textOf(line);
    // Not here: the program may close the connection, which would free what OpenSSL is using.
    queueMicrotask(() => passLine(keylog, text, report));
  } catch {
    // Nothing may be thrown into C.
  }
}

let callbacks: { keylog: Pointer; status: Pointer } | undefined;

/** Makes the functions, once for each isolate. They live as long as it does. */
export function hookCallbacks(): { keylog: Pointer; status: Pointer } {
  return callbacks ??= {
    keylog: new Deno.UnsafeCallback({ parameters: ["pointer", "pointer"], result: "void" }, onKeylog).pointer,
    status: new Deno.UnsafeCallback({ parameters: ["pointer", "pointer"], result: "i32" }, onStatus).pointer,
  };
}
