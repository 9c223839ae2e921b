/** Upgrades that fail: the caller is told why, then the protocol, once and with the same error. */
import { assertEquals, assertInstanceOf, assertMatch, assertRejects, assertStrictEquals } from "../std.ts";
import { type StartTlsOptions, TimeoutError, TlsContext, TlsError, type Transport } from "../../mod.ts";
import { bytes, captureExceptions, loop, pattern, portOf, Recorder, turn } from "../kit.ts";
import { isOverOpenssl } from "../engine.ts";
import { readBytes, serveRaw, serveResettable, writeAll } from "../streams/kit.ts";
import { ANSWERING, plainPair, upgrade } from "./kit.ts";
import { CA, CLIENT, clientTls, EXPIRED, FUTURE, serverTls, STRANGER } from "../tls/kit.ts";

/** A handshake that fails: what each side is given beside the usual, and what each hears of it. */
interface Failure {
  client?: StartTlsOptions;
  server?: StartTlsOptions;
  /** The code of each side's error; `"ok"` where the handshake is over before the other side refuses. */
  codes: [client: string, server: string];
}

const FAILURES: Record<string, Failure> = {
  "an unknown issuer": { client: { caCerts: [STRANGER] }, codes: ["UNKNOWN_ISSUER", "ALERT"] },
  "a wrong name": { client: { serverHostname: "other.test" }, codes: ["WRONG_NAME", "ALERT"] },
  "a client certificate of an untrusted CA": {
    client: CLIENT,
    server: { requestCert: true, caCerts: [STRANGER] },
    codes: ["ok", "UNKNOWN_ISSUER"],
  },
  "an expired certificate": { server: EXPIRED, codes: ["CERTIFICATE_EXPIRED", "ALERT"] },
  "a certificate of the future": { server: FUTURE, codes: ["CERTIFICATE_NOT_YET_VALID", "ALERT"] },
  "no shared protocol": {
    client: { alpnProtocols: ["h2"] },
    server: { alpnProtocols: ["imap"] },
    codes: ["NO_SHARED_PROTOCOL", "NO_SHARED_PROTOCOL"],
  },
  "no shared version": {
    client: { maxVersion: "TLSv1.2" },
    server: { minVersion: "TLSv1.3" },
    codes: ["NO_SHARED_VERSION", "NO_SHARED_VERSION"],
  },
  "no client certificate": {
    client: { maxVersion: "TLSv1.2" },
    server: { requestCert: true, caCerts: [CA] },
    // The alert of OpenSSL in TLS 1.2 is handshake_failure: certificate_required came with TLS 1.3.
    codes: [isOverOpenssl() ? "ALERT" : "NO_CLIENT_CERTIFICATE", "NO_CLIENT_CERTIFICATE"],
  },
};

/** Upgrades, and gives what came of it, with the new transport where there is one. */
async function outcome(upgrading: Promise<Transport>, protocol: Recorder): Promise<Error | "ok"> {
  try {
    protocol.transport = await upgrading;
    return "ok";
  } catch (error) {
    return error as Error;
  }
}

/** Insists that a failed upgrade has told everybody once: the caller, then the protocol, with the same error. */
async function assertFailed(protocol: Recorder, error: Error | "ok", code: string): Promise<void> {
  assertInstanceOf(error, TlsError);
  assertEquals(error.code, code);
  await protocol.untilLost();
  assertStrictEquals(protocol.error, error);
  assertEquals(protocol.log.entries, ["connectionMade", "connectionLost TlsError"]);
  assertEquals(protocol.transport.isClosing(), true);
}

for (const way of ["TCP", "a Unix socket", "TLS", "TLS (native)"] as const) {
  for (const [cause, { client, server, codes }] of Object.entries(FAILURES)) {
    Deno.test(`startTls() over ${way} fails with its cause for ${cause}, and tells the protocol once`, async () => {
      using exceptions = captureExceptions();
      await using pair = await plainPair(way);
      const { clientSide, serverSide } = pair;
      const outcomes = await Promise.all([
        outcome(loop.startTls(clientSide.transport, clientSide, clientTls(client)), clientSide),
        outcome(
          loop.startTls(serverSide.transport, serverSide, { ...serverTls(server), serverSide: true }),
          serverSide,
        ),
      ]);
      for (const [i, side] of [clientSide, serverSide].entries()) {
        if (codes[i] === "ok") {
          assertEquals(outcomes[i], "ok");
          await side.untilLost();
          // Deno can send no alert any more; what the other side sees is a connection that comes and goes.
          const ends = isOverOpenssl()
            ? /^connectionMade,connectionLost TlsError$/
            : /^connectionMade,(eofReceived,connectionLost null|connectionLost UnexpectedEof)$/;
          assertMatch(side.log.entries.join(), ends);
        } else {
          await assertFailed(side, outcomes[i]!, codes[i]!);
        }
      }
      await turn();
      assertEquals(exceptions.contexts, []);
    });
  }
}

Deno.test("startTls() that fails leaves its server's accept loop and waitClosed() at work", async () => {
  await using pair = await plainPair("TCP");
  const { server } = pair;
  for (let i = 0; i < 5; i++) {
    const [, client] = await loop.createConnection(() => new Recorder(), { port: portOf(server!) });
    const accepted = await pair.next();
    const failed = loop.startTls(accepted.transport, accepted, ANSWERING);
    client.transport.write(bytes("this is no ClientHello\r\n"));
    const error = await assertRejects(() => failed, TlsError);
    assertEquals(error.code, "NOT_TLS");
    await Promise.all([accepted.untilLost(), client.untilLost()]);
    assertStrictEquals(accepted.error, error);
  }
  await upgrade(pair);
  server!.close();
  server!.closeClients();
  await server!.waitClosed();
  assertEquals(pair.serverSide.error, null);
});

Deno.test("startTls() answers what is no TLS with an alert, and then closes", async () => {
  await using peer = await serveRaw(() => new Recorder());
  const { protocol, conn } = peer;
  const failed = assertRejects(() => loop.startTls(protocol.transport, protocol, ANSWERING), TlsError);
  await writeAll(conn, bytes("GET / HTTP/1.0\r\n\r\n"));
  await failed;
  const alert = await readBytes(conn, 100);
  // RFC 8446, 5.1: an alert record; 6: a fatal one, of two bytes.
  assertEquals([alert[0], alert.length, alert[5]], [21, 7, 2]);
  await protocol.untilLost();
});

for (const way of ["TCP", "TLS", "TLS (native)"] as const) {
  Deno.test(`startTls() over ${way} fails with a TimeoutError after handshakeTimeout`, async () => {
    await using pair = await plainPair(way);
    const { clientSide } = pair;
    const old = clientSide.transport;
    const error = await assertRejects(
      () => loop.startTls(old, clientSide, clientTls({ handshakeTimeout: 30 })),
      TimeoutError,
    );
    assertMatch(error.message, /^handshakeTimeout: .* 30 ms$/);
    await clientSide.untilLost();
    assertStrictEquals(clientSide.error, error);
    assertEquals(clientSide.log.entries, ["connectionMade", "connectionLost TimeoutError"]);
    assertEquals(old.isClosing(), true);
    await pair.serverSide.untilLost();
  });
}

Deno.test("startTls() fails when the other side ends the connection during the handshake", async () => {
  await using pair = await plainPair("TCP");
  const { clientSide, serverSide } = pair;
  const failed = assertRejects(
    () => loop.startTls(serverSide.transport, serverSide, ANSWERING),
    Deno.errors.UnexpectedEof,
    "during the handshake",
  );
  clientSide.transport.close();
  await Promise.all([failed, serverSide.untilLost()]);
  assertInstanceOf(serverSide.error, Deno.errors.UnexpectedEof);
  // The end is not the plain protocol's any more.
  assertEquals(serverSide.log.entries, ["connectionMade", "connectionLost UnexpectedEof"]);
});

Deno.test("startTls() on a connection whose other side has ended its half fails at once", async () => {
  await using pair = await plainPair("TCP");
  const { clientSide, serverSide } = pair;
  serverSide.keepOpen = true;
  clientSide.transport.writeEof();
  await serverSide.log.has("eofReceived");
  await assertRejects(
    () => loop.startTls(serverSide.transport, serverSide, ANSWERING),
    Deno.errors.UnexpectedEof,
  );
  await serverSide.untilLost();
  assertEquals(serverSide.log.entries, ["connectionMade", "eofReceived", "connectionLost UnexpectedEof"]);
});

for (const paused of [false, true]) {
  Deno.test(`startTls() fails with the reset of a peer, ${paused ? "reading paused" : "reading"}`, async () => {
    await using peer = await serveResettable(() => new Recorder());
    const { protocol } = peer;
    if (paused) protocol.transport.pauseReading();
    const failed = assertRejects(
      () => loop.startTls(protocol.transport, protocol, ANSWERING),
      Deno.errors.ConnectionReset,
    );
    await peer.reset();
    await failed;
    await protocol.untilLost();
    assertEquals(protocol.log.entries, ["connectionMade", "connectionLost ConnectionReset"]);
  });
}

const ENDINGS: Record<string, (transport: Transport) => void> = {
  "close()": (transport) => transport.close(),
  "abort()": (transport) => transport.abort(),
};

for (const [name, end] of Object.entries(ENDINGS)) {
  for (const turns of [0, 20]) {
    const when = turns === 0 ? "in the turn of startTls()" : "during the handshake";
    Deno.test(`${name} ${when} ends the connection, and startTls() rejects`, async () => {
      await using pair = await plainPair("TCP");
      const { clientSide, serverSide } = pair;
      const old = clientSide.transport;
      const failed = assertRejects(() => loop.startTls(old, clientSide, clientTls()), Deno.errors.ConnectionAborted);
      for (let i = 0; i < turns; i++) await turn();
      assertEquals(old.isClosing(), turns > 0);
      end(old);
      assertEquals(old.isClosing(), true);
      await Promise.all([failed, clientSide.untilLost(), serverSide.untilLost()]);
      assertEquals(clientSide.log.entries, ["connectionMade", "connectionLost null"]);
    });
  }

  Deno.test(`${name} while startTls() waits for the buffer ends the connection, and startTls() rejects`, async () => {
    await using pair = await plainPair("TCP");
    const { clientSide, serverSide } = pair;
    serverSide.transport.pauseReading();
    const old = clientSide.transport;
    old.write(pattern(16_000_000));
    const failed = assertRejects(() => loop.startTls(old, clientSide, clientTls()), Deno.errors.ConnectionAborted);
    for (let i = 0; i < 20; i++) await turn();
    assertEquals(old.isClosing(), false);
    end(old);
    serverSide.transport.resumeReading();
    await Promise.all([failed, clientSide.untilLost(), serverSide.untilLost()]);
    assertEquals(clientSide.error, null);
    if (name === "close()") assertEquals(serverSide.received, 16_000_000);
  });
}

Deno.test("a context that is reloaded while startTls() runs is taken as it was or as it is, never half", async () => {
  await using pair = await plainPair("TCP");
  const { clientSide, serverSide } = pair;
  const context = new TlsContext({ caCerts: [STRANGER] });
  const reloading = context.reload({ caCerts: [CA] });
  const server = outcome(loop.startTls(serverSide.transport, serverSide, ANSWERING), serverSide);
  await reloading;
  const client = await outcome(
    loop.startTls(clientSide.transport, clientSide, { context, serverHostname: "localhost" }),
    clientSide,
  );
  assertEquals([client, await server], ["ok", "ok"]);
});
