/** Handshakes that come to nothing: silence, something that is no TLS, the end, a reset, a signal. */
import { connect as connectNode } from "node:net";
import { type EventLoop, TimeoutError, TlsError } from "../../mod.ts";
import { makeLoop } from "../engine.ts";
import { assert, assertEquals, assertInstanceOf, assertStrictEquals } from "../std.ts";
import { bytes, loop, ManualClock, portOf, Recorder, tempPath } from "../kit.ts";
import { readAll, resetNode, writeAll } from "../streams/kit.ts";
import { causeOf, clientTls, Echo, ENGINES, FailingServer, refusal, serverTls, tlsRecorders } from "./kit.ts";

/** A loop of its own, whose clock the test moves. */
function clocked(): { clock: ManualClock; loop: EventLoop } {
  const clock = new ManualClock();
  return { clock, loop: makeLoop({ clock }) };
}

const LATE = "handshakeTimeout: the TLS handshake did not complete within 60000 ms";

for (const { name, native } of ENGINES) {
  Deno.test(`createConnection() rejects with a TimeoutError where the server does not answer (${name})`, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { clock, loop } = clocked();
    let over = false;
    const attempt = refusal(listener.addr.port, clientTls({ native }), loop).finally(() => over = true);
    using silent = await listener.accept();
    await clock.untilSet(loop);
    await clock.advance(59_999, loop);
    assertEquals(over, false);
    await clock.advance(1, loop);
    const { error, rejected } = await attempt;
    assertInstanceOf(error, TimeoutError);
    assertEquals([rejected, error.message], [true, LATE]);
    // Deno does not close a socket before its handshake is over.
    if (!native) assert((await readAll(silent)).length > 0, "a ClientHello, then the end");
  });

  Deno.test(`createServer() ends the connection of a client that says nothing (${name})`, async () => {
    const { clock, loop } = clocked();
    await using failing = await FailingServer.start(serverTls({ native }), loop);
    using silent = await Deno.connect({ hostname: "127.0.0.1", port: failing.port });
    await clock.untilSet(loop);
    await clock.advance(60_000, loop);
    if (!native) assertEquals(await readAll(silent), bytes(""));
    const reported = await failing.reported();
    assertInstanceOf(reported, TimeoutError);
    assertEquals(reported.message, LATE);
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
      const attempt = refusal(listener.addr.port, clientTls({ native }));
      using plain = await listener.accept();
      await writeAll(plain, bytes(greeting));
      const { error, rejected } = await attempt;
      assertEquals([causeOf(error), rejected], ["NOT_TLS", true]);
      await readAll(plain).catch(() => {}); // The end, or a reset: nobody has kept the connection.
    });
  }

  Deno.test(`createConnection() rejects if the server echoes the handshake (${name})`, async () => {
    await using server = await loop.createServer(() => new Echo(), { hostname: "127.0.0.1", port: 0 });
    const { error, rejected } = await refusal(portOf(server), clientTls({ native }));
    assertInstanceOf(error, TlsError);
    assertEquals(rejected, true);
  });

  Deno.test(`createConnection() rejects with UnexpectedEof where the server closes at once (${name})`, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const attempt = refusal(listener.addr.port, clientTls({ native }));
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
}

Deno.test("createConnection() rejects with the reason of a signal that aborts in the handshake", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const controller = new AbortController();
  const { signal } = controller;
  const options = { port: listener.addr.port, tls: clientTls(), signal };
  const attempt = loop.createConnection(() => new Recorder(), options);
  attempt.catch(() => {});
  using silent = await listener.accept();
  await silent.read(new Uint8Array(16 * 1024)); // The ClientHello: the handshake is under way.
  const reason = new Error("changed my mind");
  controller.abort(reason);
  assertStrictEquals(await attempt.catch((error) => error), reason);
  await readAll(silent);
});

Deno.test("createConnection() leaves nothing behind a signal that aborts after the handshake", async () => {
  const controller = new AbortController();
  await using pair = await tlsRecorders({ client: { signal: controller.signal } });
  controller.abort();
  pair.clientSide.transport.write(bytes("still there"));
  await pair.serverSide.untilReceived(11);
});

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
