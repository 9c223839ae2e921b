/** Handshakes that fail: the client is told why, the server's exception handler too, and the server goes on. */
import { connect as connectNode } from "node:net";
import { Protocol, type Server, socketPair, TimeoutError, TlsError, type TlsOptions, type Transport } from "../mod.ts";
import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects, assertStrictEquals } from "./std.ts";
import { bytes, captureExceptions, loop, portOf, Recorder, tempPath, turn } from "./kit.ts";
import { readAll, resetNode, writeAll } from "./stream_kit.ts";
import {
  CA,
  CLIENT,
  clientTls,
  ENGINES,
  EXPIRED,
  FUTURE,
  SECOND,
  serverTls,
  STRANGER,
  tlsRecorders,
} from "./tls_kit.ts";

/** Sends back what it gets. */
class Echo extends Recorder {
  override dataReceived(data: Uint8Array): void {
    this.transport.write(data);
  }
}

/** A TCP server with TLS, and all that its handshakes come to. */
class FailingServer implements AsyncDisposable {
  readonly server: Server;
  readonly protocols: Recorder[];
  readonly #captured = captureExceptions();

  constructor(server: Server, protocols: Recorder[]) {
    this.server = server;
    this.protocols = protocols;
  }

  static async start(tls: TlsOptions): Promise<FailingServer> {
    const protocols: Recorder[] = [];
    const factory = () => {
      const protocol = new Recorder();
      protocols.push(protocol);
      return protocol;
    };
    const server = await loop.createServer(factory, { hostname: "127.0.0.1", port: 0, tls });
    return new FailingServer(server, protocols);
  }

  get port(): number {
    return portOf(this.server);
  }

  /** What the exception handler is told: that, once, and no protocol is made. */
  async reported(): Promise<Error & { code?: unknown }> {
    await this.#captured.log.has("TLS handshake with 127.0.0.1 port ");
    const [context, ...others] = this.#captured.contexts.splice(0);
    this.#captured.log.entries.length = 0;
    assertEquals(others, []);
    assertEquals(Object.keys(context!).sort(), ["error", "message"]);
    assertMatch(context!.message, /^TLS handshake with 127\.0\.0\.1 port \d+ failed$/);
    assertEquals(this.protocols, []);
    return context!.error as Error;
  }

  /** Insists that a client that does it right gets in. */
  async goesOn(tls: TlsOptions = {}): Promise<void> {
    const before = this.protocols.length;
    const options = { port: this.port, tls: clientTls({ rejectUnauthorized: false, ...tls }) };
    const [transport, client] = await loop.createConnection(() => new Recorder(), options);
    transport.close();
    await client.untilLost();
    assertEquals(client.error, null);
    assertEquals(this.protocols.length, before + 1);
    await turn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
    this.server.abortClients();
    await this.server.waitClosed();
    this.#captured[Symbol.dispose]();
    assertEquals(this.#captured.contexts, []);
  }
}

/** Dials, and tells the error: of the handshake or, where the server decides after the client's part, of the end. */
async function dial(port: number, tls: TlsOptions): Promise<{ error: Error; rejected: boolean }> {
  const client = new Recorder();
  try {
    await loop.createConnection(() => client, { port, tls });
  } catch (error) {
    assertEquals(client.log.entries, []);
    return { error: error as Error, rejected: true };
  }
  await client.untilLost();
  await turn();
  return { error: client.error as Error, rejected: false };
}

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
      codes: ["NO_CLIENT_CERTIFICATE", "NO_CLIENT_CERTIFICATE"],
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
      // In TLS 1.3 nobody can send an alert at that point: the client only sees the connection close.
      codes: [maxVersion === "TLSv1.2" ? "ALERT" : "UnexpectedEof", code],
      remedy: ca === CA ? CLIENT : null,
      ...code === "BAD_CERTIFICATE" && { otherUse: true },
      native: false,
    })),
  ]),
];

/** A TLS error's cause, or what kind of error it is else. */
function causeOf(error: Error): string {
  return error instanceof TlsError ? error.code : error.name;
}

for (const { name, native } of ENGINES) {
  for (const { what, server, client, codes, remedy, otherUse, native: mayBeNative } of causes) {
    if (native && mayBeNative === false) continue;
    Deno.test({
      name: `createConnection() and the exception handler are told of ${what} (${name})`,
      fn: async () => {
        await using failing = await FailingServer.start(serverTls({ native, ...server }));
        const { error } = await dial(failing.port, clientTls({ native, ...client }));
        const reported = await failing.reported();
        const expected = codes.map((code) =>
          otherUse && !native && code === "BAD_CERTIFICATE" ? "UNKNOWN_ISSUER" : code
        );
        assertEquals([causeOf(error), causeOf(reported)], expected);
        if (remedy !== null) await failing.goesOn(remedy);
      },
    });
  }

  Deno.test(`createConnection() rejects with a TimeoutError where the server does not answer (${name})`, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const tls = clientTls({ native, handshakeTimeout: 20 });
    const attempt = dial(listener.addr.port, tls);
    using silent = await listener.accept();
    const { error, rejected } = await attempt;
    assertInstanceOf(error, TimeoutError);
    assertEquals(rejected, true);
    assertEquals(error.message, "handshakeTimeout: the TLS handshake was not done within 20 ms");
    // Deno does not close a socket before its handshake is over.
    if (!native) assert((await readAll(silent)).length > 0, "a ClientHello, then the end");
  });

  Deno.test(`createServer() ends the connection of a client that says nothing (${name})`, async () => {
    await using failing = await FailingServer.start(serverTls({ native, handshakeTimeout: 100 }));
    using silent = await Deno.connect({ hostname: "127.0.0.1", port: failing.port });
    if (!native) assertEquals(await readAll(silent), bytes(""));
    const reported = await failing.reported();
    assertInstanceOf(reported, TimeoutError);
    assertEquals(reported.message, "handshakeTimeout: the TLS handshake was not done within 100 ms");
    await failing.goesOn();
  });

  Deno.test(`createServer() does not let a silent client keep others waiting (${name})`, async () => {
    const failing = await FailingServer.start(serverTls({ native }));
    using _silent = await Deno.connect({ hostname: "127.0.0.1", port: failing.port });
    await failing.goesOn();
    await failing[Symbol.asyncDispose]();
  });

  for (const greeting of ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "EHLO localhost\r\n"]) {
    Deno.test(`createServer() reports plain text, ${greeting.slice(0, 4)}, as NOT_TLS (${name})`, async () => {
      await using failing = await FailingServer.start(serverTls({ native }));
      using plain = await Deno.connect({ hostname: "127.0.0.1", port: failing.port });
      await writeAll(plain, bytes(greeting));
      await readAll(plain).catch(() => {}); // The end, or a reset.
      assertEquals(causeOf(await failing.reported()), "NOT_TLS");
      await failing.goesOn();
    });
  }

  for (const greeting of ["220 mail.test ESMTP\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "\0\0\0\0\0\0\0\0"]) {
    Deno.test(`createConnection() rejects with NOT_TLS where the server says ${JSON.stringify(greeting)} (${name})`, async () => {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const attempt = dial(listener.addr.port, clientTls({ native }));
      using plain = await listener.accept();
      await writeAll(plain, bytes(greeting));
      const { error, rejected } = await attempt;
      assertEquals([causeOf(error), rejected], ["NOT_TLS", true]);
      await readAll(plain).catch(() => {}); // The end, or a reset: nobody has kept the connection.
    });
  }

  Deno.test(`createConnection() rejects where the server echoes what it hears (${name})`, async () => {
    await using server = await loop.createServer(() => new Echo(), { hostname: "127.0.0.1", port: 0 });
    const { error, rejected } = await dial(portOf(server), clientTls({ native }));
    assertInstanceOf(error, TlsError);
    assertEquals(rejected, true);
  });

  Deno.test(`createConnection() rejects with UnexpectedEof where the server closes at once (${name})`, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const attempt = dial(listener.addr.port, clientTls({ native }));
    const conn = await listener.accept();
    await conn.read(new Uint8Array(16 * 1024));
    conn.close();
    const { error, rejected } = await attempt;
    assertEquals([error.name, rejected], ["UnexpectedEof", true]);
  });

  Deno.test(`createServer() reports UnexpectedEof where the client closes in the handshake (${name})`, async () => {
    await using failing = await FailingServer.start(serverTls({ native }));
    for (const first of [bytes(""), bytes("\x16\x03\x01")]) {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port: failing.port });
      await writeAll(conn, first);
      conn.close();
      assertEquals(causeOf(await failing.reported()), "UnexpectedEof");
    }
    await failing.goesOn();
  });

  Deno.test(`createServer() reports a reset in the handshake (${name})`, async () => {
    await using failing = await FailingServer.start(serverTls({ native }));
    const socket = connectNode(failing.port, "127.0.0.1");
    await new Promise<void>((resolve) => void socket.write("\x16\x03\x01", () => resolve()));
    await resetNode(socket);
    assertEquals(causeOf(await failing.reported()), "ConnectionReset");
    await failing.goesOn();
  });

  Deno.test(`createConnection() rejects with the reason of a signal that aborts in the handshake (${name})`, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const controller = new AbortController();
    const { signal } = controller;
    const options = { port: listener.addr.port, tls: clientTls({ native }), signal };
    const attempt = loop.createConnection(() => new Recorder(), options);
    attempt.catch(() => {});
    using silent = await listener.accept();
    await silent.read(new Uint8Array(16 * 1024)); // The ClientHello: the handshake is under way.
    const reason = new Error("changed my mind");
    controller.abort(reason);
    assertStrictEquals(await attempt.catch((error) => error), reason);
    if (!native) await readAll(silent);
  });

  Deno.test(`createConnection() leaves nothing behind a signal that aborts after the handshake (${name})`, async () => {
    const controller = new AbortController();
    await using pair = await tlsRecorders({ native, client: { signal: controller.signal } });
    controller.abort();
    pair.clientSide.transport.write(bytes("still there"));
    await pair.serverSide.untilReceived(11);
  });
}

Deno.test("createUnixConnection() rejects with the reason of a signal that aborts in the handshake", async () => {
  using file = tempPath();
  using listener = Deno.listen({ transport: "unix", path: file.path });
  const controller = new AbortController();
  const options = { path: file.path, tls: clientTls(), signal: controller.signal };
  const attempt = loop.createUnixConnection(() => new Recorder(), options);
  attempt.catch(() => {});
  using silent = await listener.accept();
  await silent.read(new Uint8Array(16 * 1024));
  controller.abort();
  assertStrictEquals(await attempt.catch((error) => error), controller.signal.reason);
  await readAll(silent);
});

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
  Deno.test(`ciphers of a ${side} refuses what it does not name`, async () => {
    const ciphers = "TLS_CHACHA20_POLY1305_SHA256";
    await using failing = await FailingServer.start(serverTls(side === "server" ? { ciphers } : {}));
    const { error } = await dial(failing.port, clientTls(side === "client" ? { ciphers } : {}));
    const reported = await failing.reported();
    const [refused, other] = side === "client" ? [error, reported] : [reported, error];
    assertEquals(causeOf(refused), "NO_SHARED_VERSION");
    assertMatch(refused.message, /TLS_AES_256_GCM_SHA384/);
    assertEquals(causeOf(other), side === "client" ? "ALERT" : "UnexpectedEof");
  });
}

const hasOpenssl = await new Deno.Command("openssl", { args: ["version"], stdout: "null", stderr: "null" }).output()
  .then(({ success }) => success, () => false);

/** Connects with openssl's client until the server has closed; tells all that it says. */
async function openssl(port: number, ...args: string[]): Promise<string> {
  const fixed = ["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "localhost", "-ign_eof"];
  const command = new Deno.Command("openssl", { args: [...fixed, ...args], stdin: "null", stderr: "null" });
  return new TextDecoder().decode((await command.output()).stdout);
}

/** Says something, so that there is a ticket in front of it, and closes. */
class Greeter extends Recorder {
  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    transport.write(bytes("what only some may read\n"));
    transport.close();
  }
}

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  Deno.test({
    name: `requestCert is not walked past by a session of another server of the process, ${maxVersion} (openssl)`,
    // Bug 8: it is.
    ignore: !hasOpenssl,
    fn: async () => {
      using session = tempPath("session");
      using captured = captureExceptions();
      const where = { hostname: "127.0.0.1", port: 0 };
      const open = serverTls({ maxVersion });
      const secret = serverTls({ maxVersion, requestCert: true, caCerts: [CA] });
      await using anybody = await loop.createServer(() => new Greeter(), { ...where, tls: open });
      await using some = await loop.createServer(() => new Greeter(), { ...where, tls: secret });
      await openssl(portOf(anybody), "-sess_out", session.path);
      const resumed = await openssl(portOf(anybody), "-sess_in", session.path);
      assertMatch(resumed, /^Reused, /m);
      assertMatch(resumed, /what only some may read/);
      const refused = await openssl(portOf(some), "-sess_in", session.path);
      assert(!refused.includes("what only some may read"), refused);
      await captured.log.has("TLS handshake with 127.0.0.1 port ");
      assertEquals(captured.contexts.map(({ error }) => causeOf(error as Error)), ["NO_CLIENT_CERTIFICATE"]);
    },
  });
}

Deno.test("rejectUnauthorized false leaves nothing behind that a later connection would trust", async () => {
  using captured = captureExceptions();
  await using server = await loop.createServer(() => new Greeter(), {
    hostname: "127.0.0.1",
    port: 0,
    tls: serverTls(),
  });
  // No caCerts: with them Deno would make a verifier of each connection's own.
  const tls = { serverHostname: "localhost" };
  for (let i = 0; i < 2; i++) {
    assertEquals((await dial(portOf(server), { ...tls, rejectUnauthorized: false })).rejected, false);
  }
  const { error, rejected } = await dial(portOf(server), tls);
  assertEquals([causeOf(error), rejected], ["UNKNOWN_ISSUER", true]);
  await captured.log.has("TLS handshake");
});
