/** How many sessions a client keeps, and values of `sessionTickets` that are rejected. */
import { TlsContext, type TlsOptions } from "../../mod.ts";
import { nodeProvider } from "../../tls/node/node_provider.ts";
import { ClientSessions } from "../../tls/openssl/client_sessions.ts";
import { Handles } from "../../tls/openssl/credentials.ts";
import type { Libssl, Pointer } from "../../tls/openssl/libssl.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../std.ts";

/** Sessions that are only counted. */
function fakeSessions() {
  const freed: number[] = [];
  let made = 0;
  const numbers = new Map<Pointer, number>();
  const lib = {
    SSL_SESSION_free: (session: Pointer) => freed.push(numbers.get(session)!),
    SSL_SESSION_is_resumable: () => 1,
    SSL_SESSION_get_protocol_version: () => 0x304,
    SSL_set_session: () => 1,
  } as unknown as Libssl;
  const handles = new Handles();
  const sessions = new ClientSessions(lib, handles);
  const keep = (server: string, times: number) => {
    for (let i = 0; i < times; i++) {
      const pointer = { number: made } as unknown as Pointer;
      numbers.set(pointer, made++);
      sessions.keep(server, { pointer, chain: [], expires: Infinity });
    }
  };
  return { sessions, handles, keep, freed };
}

Deno.test("ClientSessions keeps 16 sessions of a server and 128 in total, and frees each once", () => {
  const { sessions, handles, keep, freed } = fakeSessions();
  keep("a", 18);
  assertEquals(freed, [0, 1]);
  keep("b", 3);
  sessions.forget("a");
  assertEquals(freed.splice(0).sort((a, b) => a - b), Array.from({ length: 18 }, (_, i) => i));
  for (let i = 0; i < 130; i++) keep(`server ${i}`, 1);
  assertEquals(freed, [18, 19, 20, 21, 22]);
  assert(sessions.offer("server 129", {} as Pointer) !== null);
  assertEquals(sessions.offer("server 129", {} as Pointer), null);
  handles.freeAll();
  handles.freeAll();
  assertEquals([freed.length, new Set(freed).size], [133, 133]);
});

const WRONG: [value: unknown, type: new () => Error, message: string][] = [
  [1, TypeError, "sessionTickets must be a boolean or an object with options, got number 1"],
  [null, TypeError, "sessionTickets must be a boolean or an object with options, got null"],
  [{ keys: [] }, TypeError, "sessionTickets.keys must be an array of at least one Uint8Array of 80 bytes"],
  [{ keys: [new Uint8Array(48)] }, TypeError, "sessionTickets.keys[0] must be a Uint8Array of 80 bytes, got 48 bytes"],
  [{ keys: ["secret"] }, TypeError, "sessionTickets.keys[0] must be a Uint8Array of 80 bytes"],
  [{ count: 0 }, RangeError, "sessionTickets.count must be a whole number from 1 to 100, got number 0"],
  [{ count: 101 }, RangeError, "sessionTickets.count must be a whole number from 1 to 100, got number 101"],
  [{ key: [] }, TypeError, "sessionTickets.key"],
];

Deno.test("new TlsContext() rejects sessionTickets that it cannot use", () => {
  for (const [sessionTickets, type, message] of WRONG) {
    assertThrows(() => new TlsContext({ sessionTickets } as TlsOptions), type, message);
  }
});

Deno.test("sessionTickets is NotSupported with node:tls", async () => {
  for (const sessionTickets of [false, { count: 1 }]) {
    await assertRejects(() => nodeProvider.load({ sessionTickets }), Deno.errors.NotSupported, "sessionTickets");
  }
  await nodeProvider.load({ sessionTickets: true });
});
