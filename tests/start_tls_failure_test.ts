import { assertEquals, assertInstanceOf, assertMatch, assertRejects, assertStrictEquals } from "./std.ts";
import {
  DatagramProtocol,
  InvalidStateError,
  type StartTlsOptions,
  SubprocessProtocol,
  TimeoutError,
  TlsContext,
  TlsError,
  type Transport,
} from "../mod.ts";
import { bytes, captureExceptions, closed, EventLog, loop, pattern, portOf, Recorder, turn } from "./kit.ts";
import { readBytes, serveResettable, writeAll } from "./stream_kit.ts";
import { serveRaw } from "./stream_kit.ts";
import { ANSWERING, plainPair, upgrade } from "./start_tls_kit.ts";
import { CA, CLIENT, clientTls, EXPIRED, FUTURE, serverTls, STRANGER } from "./tls_kit.ts";

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
  "a client certificate of nobody's": {
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
    codes: ["NO_CLIENT_CERTIFICATE", "NO_CLIENT_CERTIFICATE"],
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
          assertMatch(
            side.log.entries.join(),
            /^connectionMade,(eofReceived,connectionLost null|connectionLost UnexpectedEof)$/,
          );
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

Deno.test("startTls() is an InvalidStateError on a transport that is being upgraded, or was", async () => {
  await using pair = await plainPair("TCP");
  const { clientSide } = pair;
  const old = clientSide.transport;
  const upgrading = upgrade(pair);
  await assertRejects(() => loop.startTls(old, clientSide, clientTls()), InvalidStateError, "taken");
  await upgrading;
  await assertRejects(() => loop.startTls(old, clientSide, clientTls()), InvalidStateError, "taken");
  clientSide.transport.write(bytes("still here"));
  await pair.serverSide.untilReceived(10);
});

Deno.test("startTls() is an InvalidStateError on a transport that is closing, half closed or lost", async () => {
  await using pair = await plainPair("TCP");
  const { clientSide, serverSide } = pair;
  serverSide.keepOpen = true;
  const { transport } = clientSide;
  const refused = () => assertRejects(() => loop.startTls(transport, clientSide, clientTls()), InvalidStateError);
  transport.writeEof();
  await refused();
  serverSide.transport.write(bytes("half open"));
  await clientSide.untilReceived(9);
  transport.close();
  await refused();
  await clientSide.untilLost();
  await refused();
  assertEquals(clientSide.log.entries, ["connectionMade", "dataReceived 9", "connectionLost null"]);
});

Deno.test({
  name: "startTls() is an InvalidStateError during sendfile(), which goes on",
  async fn() {
    await using pair = await plainPair("TCP");
    const { clientSide, serverSide } = pair;
    const path = await Deno.makeTempFile();
    await Deno.writeFile(path, pattern(3_000_000));
    using file = await Deno.open(path);
    await Deno.remove(path);
    const refused = () => {
      return assertRejects(
        () => loop.startTls(clientSide.transport, clientSide, clientTls()),
        InvalidStateError,
        "sendfile()",
      );
    };
    const sending = loop.sendfile(clientSide.transport, file);
    await refused();
    for (let i = 0; i < 5; i++) {
      await turn();
      await refused();
    }
    assertEquals(await sending, 3_000_000);
    await serverSide.untilReceived(3_000_000);
    assertEquals(serverSide.data, pattern(3_000_000));
    await upgrade(pair);
  },
});

Deno.test("startTls() is a TypeError on what is no byte stream in both directions", async () => {
  const protocol = new Recorder();
  const refused = (transport: unknown) => {
    return assertRejects(() => loop.startTls(transport as Transport, protocol, clientTls()), TypeError, "transport");
  };
  for (const transport of [undefined, null, {}, protocol, Deno.stdin]) await refused(transport);
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const [reader] = await loop.connectReadPipe(() => new Recorder(), readable);
  const [writer] = await loop.connectWritePipe(() => new Recorder(), writable);
  const [child, { log }] = await loop.subprocessExec(() => new Child(), "cat", {});
  const [datagrams, endpoint] = await loop.createDatagramEndpoint(() => new Endpoint(), {
    localAddr: { hostname: "127.0.0.1", port: 0 },
  });
  for (const transport of [reader, writer, child, child.getPipeTransport(0), datagrams]) await refused(transport);
  child.close();
  await log.has("connectionLost");
  await closed(datagrams, endpoint);
  writer.abort();
  reader.close();
  await turn();
});

/** What has no data for the test, and an end. */
class Endpoint extends DatagramProtocol {
  readonly log = new EventLog();
  override connectionLost(): void {
    this.log.add("connectionLost");
  }
}

/** The same of a child. */
class Child extends SubprocessProtocol {
  readonly log = new EventLog();
  override connectionLost(): void {
    this.log.add("connectionLost");
  }
}

const BAD_OPTIONS: Record<string, StartTlsOptions> = {
  "no serverHostname": { caCerts: [CA] },
  "an empty serverHostname": clientTls({ serverHostname: "" }),
  "a server with no certificate": { serverSide: true },
  "cert without key": clientTls({ cert: CLIENT.cert }),
  "a key that is another's": clientTls({ cert: CLIENT.cert, key: EXPIRED.key }),
  "a certificate that is none": clientTls({
    caCerts: ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"],
  }),
  "alpnProtocols that is no array": clientTls({ alpnProtocols: "h2" as unknown as string[] }),
  "context and caCerts": { ...clientTls(), context: new TlsContext() },
  "a version that is none": clientTls({ minVersion: "TLSv1.1" as "TLSv1.2" }),
  "versions the wrong way round": clientTls({ minVersion: "TLSv1.3", maxVersion: "TLSv1.2" }),
  "a handshakeTimeout that is none": clientTls({ handshakeTimeout: -1 }),
  "native": clientTls({ native: true }),
  "null": null as unknown as StartTlsOptions,
};

for (const [name, options] of Object.entries(BAD_OPTIONS)) {
  for (const paused of [false, true]) {
    const state = paused ? ", paused" : "";
    Deno.test(`startTls() with ${name} rejects, and the transport goes on as before${state}`, async () => {
      await using pair = await plainPair("TCP");
      const { clientSide, serverSide } = pair;
      const { transport } = clientSide;
      if (paused) transport.pauseReading();
      await assertRejects(() => loop.startTls(transport, clientSide, options), Error);
      assertEquals([transport.isReading(), transport.isClosing()], [!paused, false]);
      transport.resumeReading();
      transport.write(bytes("there"));
      serverSide.transport.write(bytes("back"));
      await Promise.all([clientSide.untilReceived(4), serverSide.untilReceived(5)]);
      await upgrade(pair);
      assertEquals(clientSide.log.entries, ["connectionMade", "dataReceived 4"]);
    });
  }
}

for (
  const [name, pem] of Object.entries({
    "caCerts": `${CA}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
  })
) {
  Deno.test({
    name: `startTls() with ${name} of which only the first is good rejects, and the transport goes on as before`,
    async fn() {
      await using pair = await plainPair("TCP");
      const { clientSide } = pair;
      await assertRejects(
        () => loop.startTls(clientSide.transport, clientSide, clientTls({ caCerts: [pem] })),
        TypeError,
        "caCerts[0]",
      );
      await upgrade(pair);
    },
  });
}

Deno.test("pauseReading() while startTls() finds out that its options are bad is not undone", async () => {
  await using pair = await plainPair("TCP");
  const { clientSide, serverSide } = pair;
  const { transport } = clientSide;
  const failed = assertRejects(() => loop.startTls(transport, clientSide, clientTls({ caCerts: ["none"] })), TypeError);
  transport.pauseReading();
  await failed;
  assertEquals(transport.isReading(), false);
  serverSide.transport.write(bytes("held"));
  for (let i = 0; i < 20; i++) await turn();
  assertEquals(clientSide.received, 0);
  transport.resumeReading();
  await clientSide.untilReceived(4);
});

Deno.test("startTls() with a protocol that is none rejects, and the transport goes on as before", async () => {
  await using pair = await plainPair("TCP");
  for (const protocol of [undefined, null, "protocol", 5]) {
    await assertRejects(
      () => loop.startTls(pair.clientSide.transport, protocol as unknown as Recorder, clientTls()),
      TypeError,
      "protocol",
    );
  }
  await upgrade(pair);
});

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
