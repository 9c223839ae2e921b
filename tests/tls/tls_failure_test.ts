/** Handshakes that fail for a reason: the client is told why, the server's exception handler too, and the server goes on. */
import { Protocol, socketPair, TlsError, type TlsOptions } from "../../mod.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../std.ts";
import { captureExceptions, loop, tempPath } from "../kit.ts";
import { isOverOpenssl, onNodeTlsOnly } from "../engine.ts";
import {
  CA,
  causeOf,
  CLIENT,
  clientTls,
  ENGINES,
  EXPIRED,
  FailingServer,
  FUTURE,
  refusal,
  SECOND,
  serverTls,
  STRANGER,
} from "./kit.ts";

interface Cause {
  /** What is wrong. */
  what: string;
  server?: TlsOptions;
  client?: TlsOptions;
  /** The code of the client's error, and of the server's. */
  codes: [client: string, server: string];
  /** What makes it right, besides not verifying the server; `null` where nothing does. */
  remedy?: TlsOptions | null;
  /** A certificate for another use is one that nobody has signed for this one: the complete engine cannot tell them apart. */
  otherUse?: true;
  /** Whether Deno's own TLS can be told so, too. */
  native?: false;
}

const causes: Cause[] = [
  { what: "an unknown issuer", client: { caCerts: [STRANGER] }, codes: ["UNKNOWN_ISSUER", "ALERT"] },
  { what: "no authority of ours", client: { caCerts: [] }, codes: ["UNKNOWN_ISSUER", "ALERT"] },
  { what: "another name", client: { serverHostname: "other.test" }, codes: ["WRONG_NAME", "ALERT"] },
  { what: "another address", client: { serverHostname: "127.0.0.2" }, codes: ["WRONG_NAME", "ALERT"] },
  {
    what: "a name two below a wildcard",
    client: { serverHostname: "a.b.example.test" },
    codes: ["WRONG_NAME", "ALERT"],
  },
  { what: "an expired certificate", server: EXPIRED, codes: ["CERTIFICATE_EXPIRED", "ALERT"] },
  { what: "a certificate of the future", server: FUTURE, codes: ["CERTIFICATE_NOT_YET_VALID", "ALERT"] },
  {
    what: "a client's certificate",
    server: CLIENT,
    client: { serverHostname: "client" },
    codes: ["BAD_CERTIFICATE", "ALERT"],
    otherUse: true,
  },
  {
    what: "no shared protocol",
    server: { alpnProtocols: ["a"] },
    client: { alpnProtocols: ["b"] },
    codes: ["NO_SHARED_PROTOCOL", "NO_SHARED_PROTOCOL"],
  },
  {
    what: "no shared version, the server being newer",
    server: { minVersion: "TLSv1.3" },
    client: { maxVersion: "TLSv1.2" },
    codes: ["NO_SHARED_VERSION", "NO_SHARED_VERSION"],
    native: false,
  },
  {
    what: "no shared version, the client being newer",
    server: { maxVersion: "TLSv1.2" },
    client: { minVersion: "TLSv1.3" },
    codes: ["NO_SHARED_VERSION", "NO_SHARED_VERSION"],
    native: false,
  },
  ...(["TLSv1.2", "TLSv1.3"] as const).flatMap((maxVersion): Cause[] => [
    {
      what: `no client certificate in ${maxVersion}`,
      server: { requestCert: true, caCerts: [CA], maxVersion },
      // The alert of OpenSSL in TLS 1.2 is handshake_failure: certificate_required came with TLS 1.3.
      codes: [
        isOverOpenssl() && maxVersion === "TLSv1.2" ? "ALERT" : "NO_CLIENT_CERTIFICATE",
        "NO_CLIENT_CERTIFICATE",
      ],
      remedy: CLIENT,
      native: false,
    },
    ...([["an unknown client", STRANGER, CLIENT, "UNKNOWN_ISSUER"], [
      "an expired client",
      CA,
      EXPIRED,
      "CERTIFICATE_EXPIRED",
    ], [
      "a client of the future",
      CA,
      FUTURE,
      "CERTIFICATE_NOT_YET_VALID",
    ], ["a server for a client", CA, SECOND, "BAD_CERTIFICATE"]] as const).map(([what, ca, identity, code]): Cause => ({
      what: `${what} in ${maxVersion}`,
      server: { requestCert: true, caCerts: [ca], maxVersion },
      client: identity,
      // In TLS 1.3, node:tls can send no alert at that point: the client only sees the connection close.
      codes: [maxVersion === "TLSv1.2" || isOverOpenssl() ? "ALERT" : "UnexpectedEof", code],
      remedy: ca === CA ? CLIENT : null,
      ...code === "BAD_CERTIFICATE" && { otherUse: true },
      native: false,
    })),
  ]),
];

for (const { name, native } of ENGINES) {
  for (const { what, server, client, codes, remedy, otherUse, native: mayBeNative } of causes) {
    if (native && mayBeNative === false) continue;
    Deno.test({
      name: `createConnection() and the exception handler are told of ${what} (${name})`,
      fn: async () => {
        await using failing = await FailingServer.start(serverTls({ native, ...server }));
        const { error } = await refusal(failing.port, clientTls({ native, ...client }));
        const reported = await failing.reported();
        const expected = codes.map((code) =>
          otherUse && !native && code === "BAD_CERTIFICATE" ? "UNKNOWN_ISSUER" : code
        );
        assertEquals([causeOf(error), causeOf(reported)], expected);
        if (remedy !== null) await failing.goesOn(remedy);
      },
    });
  }
}

Deno.test("createUnixServer() and createUnixConnection() are told why a handshake fails", async () => {
  using file = tempPath();
  using captured = captureExceptions();
  await using _server = await loop.createUnixServer(() => new Protocol(), { path: file.path, tls: serverTls() });
  const options = { path: file.path, tls: clientTls({ caCerts: [STRANGER] }) };
  const error = await assertRejects(() => loop.createUnixConnection(() => new Protocol(), options), TlsError);
  assertEquals(error.code, "UNKNOWN_ISSUER");
  await captured.log.has("TLS handshake with a client failed");
  assertEquals(captured.contexts.map(({ error }) => causeOf(error as Error)), ["ALERT"]);
});

Deno.test("connectAcceptedSocket() and createConnection() with a conn reject with the cause, and close it", async () => {
  const [near, far] = await socketPair();
  const [server, client] = await Promise.allSettled([
    loop.connectAcceptedSocket(() => new Protocol(), far, { tls: serverTls() }),
    loop.createConnection(() => new Protocol(), { conn: near, tls: clientTls({ caCerts: [STRANGER] }) }),
  ]);
  assert(server.status === "rejected" && client.status === "rejected");
  assertEquals([causeOf(server.reason), causeOf(client.reason)], ["ALERT", "UNKNOWN_ISSUER"]);
  for (const conn of [near, far]) await assertRejects(() => conn.read(new Uint8Array(1)), Deno.errors.BadResource);
});

for (const side of ["server", "client"] as const) {
  const options = onNodeTlsOnly("OpenSSL negotiates what is named: see openssl_test.ts");
  Deno.test(`ciphers of a ${side} refuses what it does not name`, options, async () => {
    const ciphers = "TLS_CHACHA20_POLY1305_SHA256";
    await using failing = await FailingServer.start(serverTls(side === "server" ? { ciphers } : {}));
    const { error } = await refusal(failing.port, clientTls(side === "client" ? { ciphers } : {}));
    const reported = await failing.reported();
    const [refused, other] = side === "client" ? [error, reported] : [reported, error];
    assertEquals(causeOf(refused), "NO_SHARED_VERSION");
    assertMatch(refused.message, /TLS_AES_256_GCM_SHA384/);
    assertEquals(causeOf(other), side === "client" ? "ALERT" : "UnexpectedEof");
  });
}
