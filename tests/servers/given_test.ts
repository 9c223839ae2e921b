/**
 * Who owns what a call was given, and has failed: a `conn`, `listener`, pipe or transport that is refused for the
 * call's arguments is still the caller's; after any other failure it is closed.
 */
import { type ExistingConnOptions, socketPair, type StreamCallbacks, type Transport } from "../../mod.ts";
import { assert, assertEquals, assertRejects, assertStrictEquals } from "../std.ts";
import { HOSTILE_PROTOCOLS } from "../hostile/kit.ts";
import { bytes, captureExceptions, loop, Recorder, tempPath, text, turn } from "../kit.ts";
import { closeQuietly, readAll, readBytes, writeAll } from "../streams/kit.ts";
import { exchange, plainPair } from "../start_tls/kit.ts";
import { CLIENT, clientTls, readCert, SERVER, serverTls } from "../tls/kit.ts";

type Factory = () => StreamCallbacks;
type Options = Partial<ExistingConnOptions>;

/** Arguments that are not what they should be. */
type Bad = { factory?: unknown } & Record<string, unknown>;

const BROKEN = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/** What is wrong with arguments of every call that makes streams. */
const BAD: Record<string, Bad> = {
  "a factory that is none": { factory: 5 },
  "a closeTimeout below 0": { closeTimeout: -1 },
  "an option called ssl": { ssl: true },
  "a signal that is none": { signal: {} },
  "tls of another kind": { tls: 5 },
  "an unknown option of tls": { tls: { ...clientTls(SERVER), certificate: "" } },
  "versions in the wrong order": { tls: { ...clientTls(SERVER), minVersion: "TLSv1.3", maxVersion: "TLSv1.2" } },
  "a certificate that cannot be read": { tls: { ...clientTls(SERVER), cert: BROKEN } },
  "the key of another certificate": { tls: { ...clientTls(SERVER), key: CLIENT.key } },
  "an authority that cannot be read": { tls: { ...clientTls(SERVER), caCerts: [readCert("ca.pem"), BROKEN] } },
};

/** What goes wrong later, and what is said of it. */
const FAILING_FACTORIES: Record<string, Factory> = {
  "a factory that throws": () => {
    throw new EvalError("factory");
  },
  "a factory that returns null": () => null as unknown as StreamCallbacks,
  "an async factory": () => Promise.resolve(new Recorder()) as unknown as StreamCallbacks,
  ...HOSTILE_PROTOCOLS,
};

const CONN_CALLS: Record<
  string,
  (factory: Factory, conn: Deno.Conn, options: Options) => Promise<[Transport, object]>
> = {
  createConnection: (factory, conn, options) => loop.createConnection(factory, { ...options, conn }),
  createUnixConnection: (factory, conn, options) => loop.createUnixConnection(factory, { ...options, conn }),
  connectAcceptedSocket: (factory, conn, options) => loop.connectAcceptedSocket(factory, conn, options),
};

/** Two connected sockets; leaving the scope closes what is open. */
async function sockets(): Promise<Disposable & { near: Deno.Conn; far: Deno.Conn }> {
  const [near, far] = await socketPair();
  return {
    near,
    far,
    [Symbol.dispose]: () => {
      closeQuietly(near);
      closeQuietly(far);
    },
  };
}

/** Insists that a socket is open, and that nothing has been written to it or read from it. */
async function assertOpen(near: Deno.Conn, far: Deno.Conn): Promise<void> {
  await writeAll(near, bytes("mine"));
  assertEquals(text(await readBytes(far, 4)), "mine");
  await writeAll(far, bytes("yours"));
  assertEquals(text(await readBytes(near, 5)), "yours");
}

for (const [name, call] of Object.entries(CONN_CALLS)) {
  const serverSide = name === "connectAcceptedSocket";
  const tls = serverSide ? serverTls() : clientTls();
  const bad: Record<string, Bad> = {
    ...BAD,
    "conn and an address": { port: 1, path: "socket" },
    "tls without what it needs": { tls: {} },
  };
  for (const [what, { factory = () => new Recorder(), ...options }] of Object.entries(bad)) {
    Deno.test(`${name}() that is refused for ${what} leaves the connection to its owner`, async () => {
      using pair = await sockets();
      const attempt = call(factory as Factory, pair.near, options);
      const error = await assertRejects(() => attempt, Error);
      assert(error instanceof TypeError || error instanceof RangeError, String(error));
      await assertOpen(pair.near, pair.far);
    });
  }

  for (const [what, factory] of Object.entries(FAILING_FACTORIES)) {
    Deno.test(`${name}() with ${what} closes the connection`, async () => {
      using pair = await sockets();
      await assertRejects(() => call(factory, pair.near, {}), Error);
      assertEquals(await readAll(pair.far), bytes(""));
    });

    Deno.test(`${name}() over TLS with ${what} closes the connection`, async () => {
      using pair = await sockets();
      const peer = new Recorder();
      const answering = serverSide
        ? loop.createConnection(() => peer, { conn: pair.far, tls: clientTls() })
        : loop.connectAcceptedSocket(() => peer, pair.far, { tls: serverTls() });
      await Promise.all([answering, assertRejects(() => call(factory, pair.near, { tls }), Error)]);
      await peer.untilLost();
    });
  }

  Deno.test(`${name}() whose handshake fails closes the connection`, async () => {
    using pair = await sockets();
    const attempt = assertRejects(() => call(() => new Recorder(), pair.near, { tls }), Error);
    await writeAll(pair.far, bytes("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await attempt;
    await readAll(pair.far).catch(() => {}); // The end, or a reset.
  });

  Deno.test(`${name}() whose handshake takes too long closes the connection`, async () => {
    using pair = await sockets();
    const late = { tls: { ...tls, handshakeTimeout: 20 } };
    await assertRejects(() => call(() => new Recorder(), pair.near, late), Error, "handshakeTimeout");
    await readAll(pair.far);
  });

  for (const encrypted of [false, true]) {
    const over = encrypted ? "over TLS" : "in the clear";
    Deno.test(`${name}() ${over} whose signal has aborted rejects with its reason and closes the connection`, async () => {
      using pair = await sockets();
      const reason = new EvalError("changed my mind");
      const options = { signal: AbortSignal.abort(reason), ...encrypted && { tls } };
      const made: Recorder[] = [];
      const factory = () => made[0] = new Recorder();
      assertStrictEquals(await call(factory, pair.near, options).catch((error) => error), reason);
      assertEquals(await readAll(pair.far), bytes(""));
      assertEquals(made, []);
    });
  }

  Deno.test(`${name}() whose signal aborts in the handshake rejects with its reason and closes the connection`, async () => {
    using pair = await sockets();
    const controller = new AbortController();
    const reason = new EvalError("changed my mind");
    const attempt = call(() => new Recorder(), pair.near, { tls, signal: controller.signal });
    const error = attempt.catch((error) => error);
    // The handshake is under way: a client has said hello, and a server waits for that.
    if (serverSide) await turn();
    else await pair.far.read(new Uint8Array(16 * 1024));
    controller.abort(reason);
    assertStrictEquals(await error, reason);
    await readAll(pair.far);
  });

  Deno.test(`${name}() no longer listens to its signal once it has resolved`, async () => {
    using pair = await sockets();
    const controller = new AbortController();
    const [transport, recorder] = await call(() => new Recorder(), pair.near, { signal: controller.signal });
    controller.abort();
    await turn();
    assertEquals(transport.isClosing(), false);
    transport.abort();
    await (recorder as Recorder).untilLost();
  });

  Deno.test(`${name}() names what it was given in place of a connection`, async () => {
    using file = tempPath();
    using fsFile = await Deno.open(file.path, { create: true, write: true });
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    for (const [given, got] of [[null, "null"], [{}, "Object"], [fsFile, "FsFile"], [listener, "Listener"]] as const) {
      const conn = given as unknown as Deno.Conn;
      const error = await assertRejects(() => call(() => new Recorder(), conn, {}), TypeError);
      assert(
        error.message.startsWith(`${name}(): conn must be a Deno.Conn, got `) && error.message.includes(got),
        error.message,
      );
    }
    await fsFile.write(bytes("still open"));
  });
}

Deno.test("connections of Deno's own TLS are closed by the same rule", async () => {
  using listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...SERVER });
  const { port } = listener.addr;
  const dial = async () => {
    const accepted = listener.accept();
    const conn = await Deno.connectTls({ hostname: "localhost", port, caCerts: [readCert("ca.pem")] });
    return [conn, await accepted] as const;
  };
  const failures: [Factory, Options][] = [
    [FAILING_FACTORIES["a factory that throws"]!, {}],
    [() => new Recorder(), { signal: AbortSignal.abort(new EvalError("changed my mind")) }],
  ];
  for (const [factory, options] of failures) {
    const [near, far] = await dial();
    const reading = far.read(new Uint8Array(1)).catch(() => null); // The end, or UnexpectedEof.
    await assertRejects(() => loop.createConnection(factory, { conn: near, ...options }), EvalError);
    assertEquals(await reading, null);
    far.close();
  }
});

const LISTENER_CALLS = { createServer: "port", createUnixServer: "path" } as const;

for (const [name, rival] of Object.entries(LISTENER_CALLS)) {
  Deno.test(`${name}() that is refused leaves the listener to its owner`, async () => {
    const bad: Record<string, Bad> = {
      ...BAD,
      "listener and an address": { [rival]: rival === "port" ? 1 : "socket" },
      "tls without what it needs": { tls: {} },
    };
    for (const { factory = () => new Recorder(), ...options } of Object.values(bad)) {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const call = loop[name as keyof typeof LISTENER_CALLS].bind(loop);
      const error = await assertRejects(() => call(factory as Factory, { ...options, listener }), Error);
      assert(error instanceof TypeError || error instanceof RangeError, String(error));
      using _near = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
      using _far = await listener.accept();
    }
  });

  Deno.test(`${name}() names what it was given in place of a listener`, async () => {
    const [near, far] = await socketPair();
    const call = loop[name as keyof typeof LISTENER_CALLS].bind(loop);
    for (const given of [null, {}, near]) {
      const listener = given as unknown as Deno.Listener;
      await assertRejects(
        () => call(() => new Recorder(), { listener }),
        TypeError,
        "listener must be a Deno.Listener",
      );
    }
    await assertOpen(near, far);
    near.close();
    far.close();
  });
}

Deno.test("connectReadPipe() and connectWritePipe() that are refused leave the pipe to its owner", async () => {
  const none = 5 as unknown as Factory;
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  await assertRejects(() => loop.connectReadPipe(none, readable), TypeError);
  await assertRejects(() => loop.connectWritePipe(none, writable), TypeError);
  assertEquals([readable.locked, writable.locked], [false, false]);
  const [reader, writer] = [readable.getReader(), writable.getWriter()];
  await assertRejects(() => loop.connectReadPipe(() => new Recorder(), readable), TypeError);
  await assertRejects(() => loop.connectWritePipe(() => new Recorder(), writable), TypeError);
  writer.write(bytes("mine"));
  assertEquals((await reader.read()).value, bytes("mine"));
  await Promise.all([writer.close(), reader.read()]);
});

Deno.test("connectWritePipe() closes a file whose factory fails", async () => {
  using file = tempPath();
  for (const factory of Object.values(FAILING_FACTORIES)) {
    const fsFile = await Deno.open(file.path, { create: true, write: true });
    await assertRejects(() => loop.connectWritePipe(factory, fsFile), Error);
    await assertRejects(() => fsFile.write(bytes("x")), Deno.errors.BadResource);
  }
});

Deno.test("startTls() that is refused leaves the transport as it was", async () => {
  using exceptions = captureExceptions();
  await using pair = await plainPair("TCP");
  const { transport } = pair.clientSide;
  for (const { tls } of Object.values(BAD)) {
    if (tls === undefined) continue;
    await assertRejects(() => loop.startTls(transport, pair.clientSide, tls as never), Error);
    assertEquals(transport.isReading(), true);
    await exchange(pair, 100);
  }
  assertEquals(exceptions.contexts, []);
});
