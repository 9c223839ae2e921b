/**
 * Counts the messages without data that a peer sends after the handshake: KeyUpdates, tickets, requests to renegotiate,
 * alerts. One call of `SSL_read` handles all of them that have arrived, and those that arrive meanwhile. Without a limit, a
 * peer could keep the process in that call for as long as it sends.
 */
import * as c from "./constants.ts";
import { openLibssl } from "./libssl.ts";
import { TlsError } from "../tls_error.ts";

/** The most in one read. A server may send 100 tickets at once; other peers send one KeyUpdate in gigabytes. */
export const MAX_MESSAGES = 128;

/** The number in the read that runs; -1 if none does. */
let count = -1;

/** Starts to count. No other read runs until `endRead()`. */
export function beginRead(): void {
  count = 0;
}

/** Returns how many there were. If there were more than `MAX_MESSAGES`, OpenSSL has read no further. */
export function endRead(): number {
  const messages = count;
  count = -1;
  return messages;
}

/** Makes the error for more than `MAX_MESSAGES`. */
export function tooManyMessages(): TlsError {
  return new TlsError("FAILED", `TLS: the peer has sent more than ${MAX_MESSAGES} messages at once without data`);
}

/** What OpenSSL calls for each message of a connection whose handshake is complete. */
export function onInfo(ssl: Deno.PointerValue, where: number): void {
  try {
    if (count === -1 || (where & (c.SSL_CB_EXIT | c.SSL_CB_ALERT)) === 0) return;
    // From now on, OpenSSL drops what it reads, and returns at the next record.
    if (++count > MAX_MESSAGES) openLibssl().SSL_set_shutdown(ssl, c.SSL_RECEIVED_SHUTDOWN);
  } catch {
    // Nothing may be thrown into C.
  }
}
