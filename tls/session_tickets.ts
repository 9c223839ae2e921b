/** The option `sessionTickets`. */
import { checkOptions, namesOf } from "../check_options.ts";
import { checkInteger } from "../checks.ts";
import { describe } from "../errors.ts";
import type { SessionTicketOptions } from "../transports/tls_provider.ts";

/** How many bytes a key has, as in OpenSSL and nginx. */
export const TICKET_KEY_BYTES = 80;

/** Of each client, for each handshake. A ticket has 250 bytes, and more with a client's certificate. */
const MAX_TICKETS = 100;

const KNOWN = namesOf<SessionTicketOptions>({ keys: true, count: true });

/** Checks the option `sessionTickets`, which has this name in messages. */
export function checkSessionTickets(method: string, name: string, value: unknown): void {
  if (value === undefined || typeof value === "boolean") return;
  if (typeof value !== "object" || value === null) {
    throw new TypeError(`${method}: ${name} must be a boolean or an object with options, got ${describe(value)}`);
  }
  checkOptions(method, value, KNOWN, { prefix: `${name}.`, name });
  const { keys, count } = value as SessionTicketOptions;
  if (count !== undefined) checkInteger(method, `${name}.count`, count, 1, MAX_TICKETS);
  if (keys === undefined) return;
  if (!Array.isArray(keys) || keys.length === 0) {
    const what = `an array of at least one Uint8Array of ${TICKET_KEY_BYTES} bytes`;
    throw new TypeError(`${method}: ${name}.keys must be ${what}, got ${describe(keys)}`);
  }
  keys.forEach((key: unknown, i) => {
    if (key instanceof Uint8Array && key.length === TICKET_KEY_BYTES) return;
    // A key is a secret: the message has its length alone.
    const got = key instanceof Uint8Array ? `${key.length} bytes` : describe(key);
    throw new TypeError(`${method}: ${name}.keys[${i}] must be a Uint8Array of ${TICKET_KEY_BYTES} bytes, got ${got}`);
  });
}
