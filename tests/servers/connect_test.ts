import {
  type ConnectionOptions,
  type ExistingConnOptions,
  Protocol,
  type ServerOptions,
  socketPair,
} from "../../mod.ts";
import { onDenoOnly } from "../engine.ts";
import { assert, assertEquals, assertRejects, assertStrictEquals } from "../std.ts";
import { bytes, connect, loop, pattern, portOf, Recorder, text, turn } from "../kit.ts";
import { microtasks, readAll, readBytes } from "../streams/kit.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0 } as const;

Deno.test("createConnection() by {conn} adopts the connection and closes it at the end", async () => {
  const [near, far] = await socketPair();
  const recorder = new Recorder();
  const [transport, protocol] = await loop.createConnection(() => recorder, { conn: near });
  assertStrictEquals(protocol, recorder);
  assertStrictEquals(transport.getExtraInfo("socket"), near);
  await far.write(bytes("ping"));
  await recorder.untilReceived(4);
  transport.write(bytes("pong"));
  assertEquals(text(await readBytes(far, 4)), "pong");
  far.close();
  await recorder.untilLost();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "dataReceived 4", "eofReceived", "connectionLost null"]);
  await assertRejects(() => near.read(new Uint8Array(1)), Deno.errors.BadResource);
});

Deno.test("createConnection() by a {conn} that is closed already ends in connectionLost(error)", async () => {
  const [near, far] = await socketPair();
  near.close();
  far.close();
  const recorder = new Recorder();
  const [transport] = await loop.createConnection(() => recorder, { conn: near });
  await recorder.untilLost();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost BadResource"]);
  assertEquals(transport.isClosing(), true);
  await turn();
});

Deno.test("connectAcceptedSocket() makes a pair over a connection that was accepted elsewhere", async () => {
  using listener = Deno.listen(LOCAL);
  using client = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  const conn = await listener.accept();
  const [transport, recorder] = await loop.connectAcceptedSocket(() => new Recorder(), conn);
  assertEquals(recorder.log.entries, ["connectionMade"]);
  assertStrictEquals(recorder.transport, transport);
  assertEquals(transport.getExtraInfo("peername"), client.localAddr);
  assertEquals(transport.getExtraInfo("sockname"), client.remoteAddr);
  await client.write(pattern(1000));
  await recorder.untilReceived(1000);
  transport.write(pattern(2000));
  transport.close();
  assertEquals(await readAll(client), pattern(2000));
  await recorder.untilLost();
});

Deno.test("connectAcceptedSocket() takes a closeTimeout, and leaves a connection alone whose options it refuses", async () => {
  const [near, far] = await socketPair();
  await assertRejects(
    () => loop.connectAcceptedSocket(() => new Recorder(), near, { tls: {} }),
    TypeError,
    "a TLS server requires tls.cert and tls.key",
  );
  // It is still the caller's.
  await near.write(bytes("mine"));
  assertEquals(text(await readBytes(far, 4)), "mine");
  const [transport, recorder] = await loop.connectAcceptedSocket(() => new Recorder(), near, { closeTimeout: 20 });
  transport.write(pattern(16 * 1024 * 1024));
  transport.close();
  await recorder.untilLost();
  assertEquals(recorder.error!.name, "TimeoutError");
  far.close();
  await turn();
});

Deno.test("createConnection() finds a host by its name", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder(), { client: { hostname: "localhost" } });
  assertEquals((pair.clientTransport.getExtraInfo("peername") as Deno.NetAddr).port, portOf(pair.server));
});

Deno.test("createConnection() resolves before the first data callback, even if bytes are there already", async () => {
  const [near, far] = await socketPair();
  const read = near.read.bind(near);
  // A read that is over before anybody can await it.
  near.read = (buffer) => {
    near.read = read;
    buffer.set(bytes("first"));
    return Promise.resolve(5);
  };
  const client = new Recorder();
  const [transport] = await loop.createConnection(() => client, { conn: near });
  client.log.add("resolved");
  await client.untilReceived(5);
  assertEquals(client.log.entries, ["connectionMade", "resolved", "dataReceived 5"]);
  transport.abort();
  far.close();
  await turn();
});

Deno.test("createConnection() sets TCP_NODELAY unless noDelay is false, and SO_KEEPALIVE as keepAlive says", async () => {
  for (
    const [options, expected] of [
      [{}, ["noDelay true"]],
      [{ noDelay: false }, ["noDelay false"]],
      [{ noDelay: false, keepAlive: true }, ["noDelay false", "keepAlive true"]],
      [{ keepAlive: false }, ["noDelay true", "keepAlive false"]],
    ] as const
  ) {
    const calls: string[] = [];
    using listener = Deno.listen(LOCAL);
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    conn.setNoDelay = (on) => void calls.push(`noDelay ${on}`);
    conn.setKeepAlive = (on) => void calls.push(`keepAlive ${on}`);
    const [transport] = await loop.createConnection(() => new Protocol(), { conn, ...options });
    assertEquals(calls, [...expected]);
    transport.abort();
    await turn();
  }
});

Deno.test("createConnection() with an aborted signal rejects with its reason and does not connect", async () => {
  using listener = Deno.listen(LOCAL);
  const reason = new Error("changed my mind");
  let made = 0;
  const error = await assertRejects(() =>
    loop.createConnection(() => (made++, new Protocol()), {
      port: listener.addr.port,
      signal: AbortSignal.abort(reason),
    }), Error);
  assertStrictEquals(error, reason);
  assertEquals(made, 0);
});

Deno.test("createConnection() whose signal aborts while it is pending rejects with its reason and leaks nothing", {
  // Where the queue of a listener that accepts nobody is full, Linux leaves the next one waiting.
  ignore: Deno.build.os !== "linux",
}, async () => {
  using listener = Deno.listen({ ...LOCAL, tcpBacklog: 1 } as Deno.TcpListenOptions);
  const { port } = listener.addr;
  const waiting = [await Deno.connect({ port }), await Deno.connect({ port })];
  for (const give of ["error", "nothing"] as const) {
    const controller = new AbortController();
    let made = 0;
    const attempt = loop.createConnection(() => (made++, new Protocol()), { port, signal: controller.signal });
    for (let i = 0; i < 5; i++) await turn();
    const reason = new Error("too slow");
    controller.abort(give === "error" ? reason : undefined);
    const error = await assertRejects(() => attempt, Error);
    assertStrictEquals(error, controller.signal.reason);
    assertEquals(error.name, give === "error" ? "Error" : "AbortError");
    assertEquals(made, 0);
  }
  for (const conn of waiting) conn.close();
});

Deno.test("createConnection() whose signal aborts at any moment rejects or connects, and leaks nothing", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const port = portOf(pair.server);
  let [connected, aborted] = [0, 0];
  for (let delay = 0; delay < 40; delay++) {
    const controller = new AbortController();
    const reason = new Error(`after ${delay}`);
    const client = new Recorder();
    const attempt = loop.createConnection(() => client, { port, signal: controller.signal });
    if (delay < 20) { for (let i = 0; i < delay; i++) await Promise.resolve(); }
    else for (let i = 20; i < delay; i++) await turn();
    controller.abort(reason);
    try {
      const [transport] = await attempt;
      connected++;
      assertEquals(client.log.entries, ["connectionMade"]);
      // The signal calls the attempt off, not the connection.
      await turn();
      assertEquals(transport.isClosing(), false);
      transport.abort();
      await client.untilLost();
    } catch (error) {
      aborted++;
      assertStrictEquals(error, reason);
      assertEquals(client.log.entries, []);
    }
  }
  assert(aborted > 0);
  assertEquals(connected + aborted, 40);
});

const replaced = onDenoOnly("the test replaces Deno.connect");

Deno.test(
  "createConnection() whose signal aborts just as the system has connected closes that connection",
  replaced,
  async () => {
    using listener = Deno.listen(LOCAL);
    const controller = new AbortController();
    const { connect: dial } = Deno;
    const fake = async (options: Deno.ConnectOptions) => {
      const conn = await dial({ hostname: "127.0.0.1", port: options.port });
      controller.abort();
      return conn;
    };
    Deno.connect = fake as typeof dial;
    try {
      const { port } = listener.addr;
      const attempt = () => loop.createConnection(() => new Protocol(), { port, signal: controller.signal });
      const error = await assertRejects(attempt, DOMException);
      assertStrictEquals(error, controller.signal.reason);
    } finally {
      Deno.connect = dial;
    }
    using conn = await listener.accept();
    assertEquals(await conn.read(new Uint8Array(1)), null);
  },
);

Deno.test("createConnection() no longer listens to its signal once connected", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const controller = new AbortController();
  let listening = 0;
  const { signal } = controller;
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
  signal.addEventListener = (...args: Parameters<typeof add>) => (listening++, add(...args));
  signal.removeEventListener = (...args: Parameters<typeof remove>) => (listening--, remove(...args));
  const [transport] = await loop.createConnection(() => new Protocol(), { port: portOf(pair.server), signal });
  assertEquals(listening, 0);
  controller.abort();
  assertEquals(transport.isClosing(), false);
  transport.abort();
  await turn();
});

const cannot = onDenoOnly("epoll can do all of this");

Deno.test("createConnection() and servers refuse what Deno cannot do with NotSupported", cannot, async () => {
  const factory = () => new Protocol();
  const isWindows = Deno.build.os === "windows";
  const rows: [call: () => Promise<unknown>, option: string][] = [
    [() => loop.createConnection(factory, { port: 1, localAddr: { hostname: "127.0.0.1", port: 4000 } }), "localAddr"],
    [() => loop.createConnection(factory, { port: 1, localAddr: {} }), "localAddr"],
    [() => loop.createConnection(factory, { port: 1, interleave: 0 }), "interleave"],
    [() => loop.createServer(factory, { port: 0, hostname: null }), "hostname: null"],
    [() => loop.createServer(factory, { port: 0, hostname: "::", dualStack: isWindows }), "dualStack"],
    [() => loop.createServer(factory, { port: 0, hostname: "[0:0::0]", dualStack: isWindows }), "dualStack"],
    [() => loop.createUnixServer(factory, { path: "/nowhere", backlog: 5 }), "backlog"],
  ];
  for (const [call, option] of rows) await assertRejects(call, Deno.errors.NotSupported, option);
  (await loop.createServer(factory, { port: 0, hostname: "127.0.0.1", dualStack: false })).close();
});

Deno.test("createConnection() refuses bad options with an error that names argument, value and what is accepted", async () => {
  const create = (options: unknown) => loop.createConnection(() => new Protocol(), options as ConnectionOptions);
  const accepted = "port must be a whole number from 1 to 65535, got ";
  for (
    const [port, name] of [
      [0, "number 0"],
      [-1, "number -1"],
      [65_536, "number 65536"],
      [80.5, "number 80.5"],
      [NaN, "number NaN"],
      [Infinity, "number Infinity"],
      ["80", 'string "80"'],
      [80n, "bigint 80"],
      [null, "null"],
      [undefined, "undefined"],
      [{}, "Object"],
    ]
  ) {
    await assertRejects(() => create({ port }), typeof port === "number" ? RangeError : TypeError, accepted + name);
  }
  for (const [closeTimeout, name] of [[-1, "number -1"], [NaN, "number NaN"], ["1", 'string "1"'], [2 ** 31, ""]]) {
    const ErrorClass = typeof closeTimeout === "number" ? RangeError : TypeError;
    const error = await assertRejects(() => create({ port: 1, closeTimeout }), ErrorClass, "closeTimeout must be");
    assert(error.message.includes(`got ${name}`), error.message);
  }
  const [near, far] = await socketPair();
  await assertRejects(() => create({ conn: near, port: 1 }), TypeError, "conn and port");
  await assertRejects(() => create({ conn: near, closeTimeout: -1 }), RangeError, "closeTimeout");
  // A call that refuses its options owns nothing yet.
  await near.write(bytes("mine"));
  assertEquals(text(await readBytes(far, 4)), "mine");
  near.close();
  far.close();
});

Deno.test("createConnection() refuses a factory that is no function before it dials", async () => {
  using listener = Deno.listen(LOCAL);
  const create = (factory: unknown) => loop.createConnection(factory as () => Protocol, { port: listener.addr.port });
  for (const [factory, name] of [[new Protocol(), "Protocol"], [null, "null"], ["Echo", 'string "Echo"']]) {
    await assertRejects(() => create(factory), TypeError, "factory must be a function");
    await assertRejects(() => create(factory), TypeError, `got ${name}`);
  }
});

Deno.test("createConnection() whose factory throws rejects with that error and closes the connection", async () => {
  using listener = Deno.listen(LOCAL);
  const error = new Error("no protocol today");
  for (const by of ["port", "conn"] as const) {
    const { port } = listener.addr;
    const options: ConnectionOptions | ExistingConnOptions = by === "port"
      ? { port }
      : { conn: await Deno.connect({ port }) };
    const rejected = await assertRejects(() =>
      loop.createConnection(() => {
        throw error;
      }, options), Error);
    assertStrictEquals(rejected, error);
    using conn = await listener.accept();
    assertEquals(await conn.read(new Uint8Array(1)), null);
  }
});

Deno.test("createConnection() whose factory returns no protocol rejects and closes the connection", async () => {
  using listener = Deno.listen(LOCAL);
  const { port } = listener.addr;
  for (
    const [returned, name] of [[undefined, "undefined"], [null, "null"], [42, "number 42"], [Protocol, "Protocol"]]
  ) {
    const factory = () => returned as unknown as Protocol;
    const error = await assertRejects(() => loop.createConnection(factory, { port }), TypeError, "factory");
    assert(error.message.includes(`${name}`), error.message);
    using conn = await listener.accept();
    assertEquals(await conn.read(new Uint8Array(1)), null);
  }
});

Deno.test("createConnection() whose factory is async rejects, also if its promise does", async () => {
  using listener = Deno.listen(LOCAL);
  const { port } = listener.addr;
  for (
    const factory of [() => Promise.resolve(new Protocol()), () => Promise.reject(new Error("not awaited"))]
  ) {
    await assertRejects(
      () => loop.createConnection(factory as unknown as () => Protocol, { port }),
      TypeError,
      "Promise",
    );
    using conn = await listener.accept();
    assertEquals(await conn.read(new Uint8Array(1)), null);
    await microtasks();
  }
});

Deno.test("createConnection() and createServer() name what they were given of the wrong kind", async () => {
  const connect = (options: unknown) => loop.createConnection(() => new Protocol(), options as ConnectionOptions);
  const serve = (options: unknown) => loop.createServer(() => new Protocol(), options as ServerOptions);
  for (
    const [call, options, message] of [
      [connect, undefined, "options must be a plain object, got undefined"],
      [connect, { port: 1, hostname: 7 }, "hostname must be a host name or an IP address, got number 7"],
      [connect, { port: 1, hostname: "" }, 'hostname must be a host name or an IP address, got string ""'],
      [connect, { port: 1, signal: {} }, "signal must be an AbortSignal, got Object"],
      [connect, { conn: null }, "conn must be a Deno.Conn, got null"],
      [serve, null, "options must be a plain object, got null"],
      [serve, { port: 0, hostname: [null] }, "hostname[0] must be a host name or an IP address, got null"],
      [serve, { listener: 42 }, "listener must be a Deno.Listener, got number 42"],
    ] as const
  ) {
    await assertRejects(() => call(options), TypeError, message);
  }
});

const onlyDeno = onDenoOnly("the options are Deno's");

Deno.test(
  "createConnection() gives autoSelectFamily and its delay to Deno, and nothing where they are not given",
  onlyDeno,
  async () => {
    using listener = Deno.listen(LOCAL);
    const { port } = listener.addr;
    const { connect } = Deno;
    const given: unknown[] = [];
    Deno.connect = ((options: Deno.ConnectOptions) => (given.push(options), connect(options))) as typeof connect;
    try {
      for (
        const options of [
          {},
          { autoSelectFamily: false },
          { autoSelectFamilyAttemptDelay: 25 },
          { happyEyeballsDelay: 7 },
          { happyEyeballsDelay: 8, autoSelectFamilyAttemptDelay: 8 },
        ]
      ) {
        const [transport] = await loop.createConnection(() => new Protocol(), {
          hostname: "localhost",
          port,
          ...options,
        });
        (await listener.accept()).close();
        transport.abort();
        await turn();
      }
    } finally {
      Deno.connect = connect;
    }
    assertEquals(given, [
      { hostname: "localhost", port },
      { hostname: "localhost", port, autoSelectFamily: false },
      { hostname: "localhost", port, autoSelectFamilyAttemptDelay: 25 },
      { hostname: "localhost", port, autoSelectFamilyAttemptDelay: 7 },
      { hostname: "localhost", port, autoSelectFamilyAttemptDelay: 8 },
    ]);
  },
);
