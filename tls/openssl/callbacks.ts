/**
 * The functions that OpenSSL calls, where it has no counterpart without (`hooks.ts` has others). All but one run inside the `SSL_do_handshake` of a
 * connection, which is `current` then. A call takes up to 1 µs.
 */
import type { TlsError } from "../tls_error.ts";
import * as c from "./constants.ts";
import { openLibssl, type Pointer } from "./libssl.ts";
import { onInfo } from "./messages.ts";
import type { ServerSessions } from "./server_sessions.ts";
import { setTicketKey } from "./ticket_keys.ts";

/** A connection whose handshake runs. */
export interface Handshaking {
  /** The sessions of a server. */
  readonly sessions: ServerSessions;
  /** Selects a protocol of a list (RFC 7301, 3.1). Returns where its length stands; -1 for none. */
  selectProtocol(offered: Uint8Array): number;
  /** Accepts or rejects what OpenSSL has found about a certificate. `ok`: whether OpenSSL accepts it. */
  verify(ok: boolean, storeContext: Pointer): boolean;
  /** Keeps why a callback makes the handshake fail, for the error that follows. */
  reject(error: TlsError): void;
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
    if (at < 0) return c.SSL_TLSEXT_ERR_ALERT_FATAL;
    // The result stays where the client's list is, which OpenSSL copies from.
    const address = Deno.UnsafePointer.value(offered) + BigInt(at + 1);
    new BigUint64Array(Deno.UnsafePointerView.getArrayBuffer(out!, 8))[0] = address;
    new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(outLength!, 1))[0] = list[at]!;
    return c.SSL_TLSEXT_ERR_OK;
  } catch {
    return c.SSL_TLSEXT_ERR_ALERT_FATAL;
  }
}

function onVerify(ok: number, storeContext: Deno.PointerValue): number {
  try {
    return current!.verify(ok === 1, storeContext!) ? 1 : 0;
  } catch {
    return 0;
  }
}

/** A server has decrypted a ticket, or could not. */
function onTicket(
  _ssl: Deno.PointerValue,
  session: Deno.PointerValue,
  _name: Deno.PointerValue,
  _nameLength: number | bigint,
  status: number,
): number {
  try {
    const isDecrypted = status === c.SSL_TICKET_SUCCESS || status === c.SSL_TICKET_SUCCESS_RENEW;
    if (!isDecrypted || !current!.sessions.mayResume(session!)) return c.SSL_TICKET_RETURN_IGNORE_RENEW;
    return status === c.SSL_TICKET_SUCCESS ? c.SSL_TICKET_RETURN_USE : c.SSL_TICKET_RETURN_USE_RENEW;
  } catch {
    return c.SSL_TICKET_RETURN_IGNORE_RENEW;
  }
}

/** A server with several keys encrypts or decrypts a ticket. */
function onTicketKey(
  ssl: Deno.PointerValue,
  name: Deno.PointerValue,
  iv: Deno.PointerValue,
  cipher: Deno.PointerValue,
  hmac: Deno.PointerValue,
  isNew: number,
): number {
  try {
    const bytes = (pointer: Deno.PointerValue) =>
      new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer!, 16) as ArrayBuffer);
    const lib = openLibssl();
    const keys = current!.sessions.keys.current();
    const isTls13 = lib.SSL_version(ssl) === 0x304;
    return setTicketKey(lib, keys, bytes(name), bytes(iv), cipher!, hmac!, isNew === 1, isTls13);
  } catch {
    return -1;
  }
}

/** Takes a session of a client, with its reference. Returns whether it does. */
export type TakeSession = (session: Pointer) => boolean;

/** By the address of the `SSL`. A server may send tickets at any time, so `current` is of no use. */
const clients = new Map<bigint, TakeSession>();

/** Passes on the sessions of a client until `null` is passed. */
export function setTakeSession(ssl: Pointer, take: TakeSession | null): void {
  const address = Deno.UnsafePointer.value(ssl);
  if (take === null) clients.delete(address);
  else clients.set(address, take);
}

function onNewSession(ssl: Deno.PointerValue, session: Deno.PointerValue): number {
  try {
    return clients.get(Deno.UnsafePointer.value(ssl))?.(session!) ? 1 : 0;
  } catch {
    return 0;
  }
}

/** The functions as C has them. They live as long as the isolate. */
export interface Callbacks {
  alpn: Pointer;
  verify: Pointer;
  ticket: Pointer;
  ticketKey: Pointer;
  newSession: Pointer;
  info: Pointer;
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
    ticket: new Deno.UnsafeCallback(
      { parameters: ["pointer", "pointer", "pointer", "usize", "i32", "pointer"], result: "i32" },
      onTicket,
    ).pointer,
    ticketKey: new Deno.UnsafeCallback(
      { parameters: ["pointer", "pointer", "pointer", "pointer", "pointer", "i32"], result: "i32" },
      onTicketKey,
    ).pointer,
    newSession: new Deno.UnsafeCallback({ parameters: ["pointer", "pointer"], result: "i32" }, onNewSession).pointer,
    info: new Deno.UnsafeCallback({ parameters: ["pointer", "i32", "i32"], result: "void" }, onInfo).pointer,
  };
}
