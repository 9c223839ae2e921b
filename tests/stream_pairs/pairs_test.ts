/** Pairs over real connections: how they are made, flow control, half-close, and how they end. */
import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "../std.ts";
import { EventLoop, getRunningLoop, InvalidStateError, TlsError } from "../../mod.ts";
import { openConnection, startServer, type StreamPair, type StreamProtocol, toStreams } from "../../streams/mod.ts";
import { bytes, captureExceptions, concat, loop, pattern, portOf, tempPath, text, turn } from "../kit.ts";
import { serveResettable } from "../streams/kit.ts";
import { SERVER, TRUSTING } from "../tls/kit.ts";
import { connectPairs } from "./kit.ts";

Deno.test("openConnection() and startServer() connect a pair with a pair, over TCP and TLS", async () => {
  for (const way of [{}, { server: { tls: SERVER }, client: { tls: TRUSTING } }]) {
    await using ends = await connectPairs(way);
    ends.client.writer.write(bytes("question\n"));
    assertEquals(text(await ends.served.reader.readLine()), "question\n");
    ends.served.writer.writelines([bytes("ans"), bytes("wer\n")]);
    assertEquals(text(await ends.client.reader.readLine()), "answer\n");
    ends.served.writer.close();
    assertEquals((await ends.client.reader.read()).length, 0);
    await ends.served.closed;
  }
});

Deno.test("openConnection({ path }) and startServer({ path }) use a Unix socket", async () => {
  using temp = tempPath();
  const { promise, resolve } = Promise.withResolvers<StreamPair>();
  await using _server = await startServer(resolve, { path: temp.path });
  await using pair = await openConnection({ path: temp.path });
  await using served = await promise;
  pair.writer.write(bytes("hello\n"));
  assertEquals(text(await served.reader.readLine()), "hello\n");
});

Deno.test("toStreams() makes pairs of a conn, and of the two ends of pipes", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [conn, accepted] = await Promise.all([Deno.connect({ port: listener.addr.port }), listener.accept()]);
  const [, { pair }] = await loop.createConnection(toStreams(), { conn });
  const [, { pair: other }] = await loop.connectAcceptedSocket(toStreams(), accepted);
  pair.writer.write(bytes("by a conn\n"));
  assertEquals(text(await other.reader.readLine()), "by a conn\n");
  pair.close();
  assertEquals((await other.reader.read()).length, 0);
  other.close();
  await Promise.all([pair.closed, other.closed]);

  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const [, { pair: source }] = await loop.connectReadPipe(toStreams(), readable);
  const [, { pair: sink }] = await loop.connectWritePipe(toStreams(), writable);
  sink.writer.write(bytes("through a pipe"));
  sink.writer.writeEof();
  assertEquals(text(await source.reader.read()), "through a pipe");
  source.close();
  await Promise.all([source.closed, sink.closed]);
  await turn();
});

Deno.test("what a handler throws goes to the exception handler, and closes that connection alone", async () => {
  using exceptions = captureExceptions();
  const handlers = [
    () => {
      throw new Error("at once");
    },
    async () => {
      await turn();
      throw new Error("later");
    },
    async (pair: StreamPair) => {
      pair.writer.write(await pair.reader.readLine());
    },
  ];
  const pairs: StreamPair[] = [];
  await using server = await startServer((pair) => handlers[pairs.push(pair) - 1]!(pair), {
    hostname: "127.0.0.1",
    port: 0,
  });
  for (const message of ["at once", "later"]) {
    await using client = await openConnection({ port: portOf(server) });
    assertEquals((await client.reader.read()).length, 0);
    const context = exceptions.contexts.pop()!;
    assertEquals(context.message, "Exception in the handler of a connection");
    assertEquals(context.error!.message, message);
    assertStrictEquals(context.transport, pairs.at(-1)!.transport);
    assertEquals(exceptions.contexts.length, 0);
  }
  await using client = await openConnection({ port: portOf(server) });
  client.writer.write(bytes("still here\n"));
  assertEquals(text(await client.reader.readLine()), "still here\n");
  server.abortClients();
});

Deno.test("a connection that is not read stops its peer, in bounded memory, and loses nothing", async () => {
  await using ends = await connectPairs({ server: { limit: 10_000 } });
  const data = pattern(16_000_000);
  let sent = 0;
  let stalled = 0;
  const sending = (async () => {
    while (sent < data.length) {
      ends.client.writer.write(data.subarray(sent, sent += 100_000));
      await ends.client.writer.drain();
    }
    ends.client.writer.writeEof();
  })();
  // Until the buffers of the kernel are full, too.
  for (let quiet = 0; quiet < 200; quiet = sent === stalled ? quiet + 1 : 0) {
    stalled = sent;
    await turn();
  }
  assertEquals(ends.served.transport.isReading(), false);
  assertLess(sent, data.length);
  const received = await ends.served.reader.readExactly(data.length);
  assertEquals(received.length, data.length);
  assertEquals(
    concat([received.subarray(0, 1000), received.subarray(-1000)]),
    concat([data.subarray(0, 1000), data.subarray(-1000)]),
  );
  await sending;
  assertEquals((await ends.served.reader.read()).length, 0);
});

Deno.test("writeEof() leaves the reader open, the peer's end leaves the writer open, and both close the connection", async () => {
  await using ends = await connectPairs();
  ends.client.writer.write(bytes("all"));
  ends.client.writer.writeEof();
  assertEquals(text(await ends.served.reader.read()), "all");
  assertEquals([ends.served.reader.atEof(), ends.served.writer.isClosing()], [true, false]);
  ends.served.writer.write(bytes("answer"));
  await turn();
  assertEquals(ends.client.writer.isClosing(), false);
  ends.served.writer.writeEof();
  assertEquals(text(await ends.client.reader.read()), "answer");
  await Promise.all([ends.client.closed, ends.served.closed]);
});

Deno.test("drain() waits while the peer does not read, and its signal ends the wait alone", async () => {
  await using ends = await connectPairs({ server: { limit: 1000 } });
  const { writer } = ends.client;
  while (writer.transport.getWriteBufferSize() <= 65536) {
    writer.write(new Uint8Array(1_000_000));
    await turn();
  }
  const signal = AbortSignal.abort(new Error("enough"));
  await assertRejects(() => writer.drain({ signal }), Error, "enough");
  const controller = new AbortController();
  const draining = writer.drain({ signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => draining, Error, "enough");
  assertEquals(writer.isClosing(), false);
  const drained = writer.drain();
  for await (const _ of ends.served.reader.chunks()) {
    if (writer.transport.getWriteBufferSize() === 0) break;
  }
  await drained;
});

Deno.test("drain() rejects once the connection is closed, by itself or by the peer", async () => {
  await using ends = await connectPairs();
  ends.client.close();
  await assertRejects(
    () => ends.client.writer.drain(),
    Deno.errors.ConnectionReset,
    "drain(): the connection is closed",
  );
  await ends.client.closed;
  await assertRejects(() => ends.client.writer.drain(), Deno.errors.ConnectionReset);
  ends.client.writer.write(bytes("dropped"));
});

Deno.test("closed rejects with the error of a lost connection, once, as reader, drain() and waitClosed() do", async () => {
  await using peer = await serveResettable(toStreams());
  const { pair } = peer.protocol;
  const reading = pair.reader.readExactly(1);
  await peer.reset();
  const error = await assertRejects(() => reading, Deno.errors.ConnectionReset);
  assertStrictEquals(await assertRejects(() => pair.closed, Error), error);
  assertStrictEquals(await assertRejects(() => pair.writer.waitClosed(), Error), error);
  assertStrictEquals(await assertRejects(() => pair.writer.drain(), Error), error);
});

Deno.test("using closes a pair after what was written, and await using waits for it", async () => {
  await using ends = await connectPairs();
  {
    using pair = ends.client;
    pair.writer.write(bytes("the last words"));
  }
  assertEquals(ends.client.writer.isClosing(), true);
  assertEquals(text(await ends.served.reader.read()), "the last words");
  let closed = false;
  ends.served.closed.then(() => closed = true);
  {
    await using _ = ends.served;
  }
  assertEquals(closed, true);
});

Deno.test("abort() drops what was written, and closed resolves", async () => {
  await using ends = await connectPairs({ server: { limit: 1000 } });
  ends.client.writer.write(new Uint8Array(20_000_000));
  ends.client.abort();
  await ends.client.closed;
  assertEquals(ends.client.reader.atEof(), true);
});

Deno.test("a pair of a loop of one's own uses that loop", async () => {
  const own = new EventLoop();
  assert(own !== getRunningLoop());
  await using ends = await connectPairs({ server: { loop: own }, client: { loop: own } });
  ends.client.writer.write(bytes("x"));
  assertEquals((await ends.served.reader.read(1)).length, 1);
});

Deno.test("wrong arguments of openConnection(), startServer() and toStreams() are errors that name them", async () => {
  const cases: [() => unknown, string][] = [
    [() => openConnection(null as never), "openConnection(): options must be a plain object, got null"],
    [
      () => openConnection({ port: 1, limit: -1 }),
      "openConnection(): limit must be a whole number of bytes, 1 or more, got number -1",
    ],
    [() => openConnection({ port: 1, loop: {} as never }), "openConnection(): loop must be an EventLoop, got Object"],
    [() => openConnection({ prot: 1 } as never), "openConnection(): prot is not an option; did you mean port?"],
    [
      () => startServer(() => {}, { path: "/tmp", backlg: 1 } as never),
      "startServer(): backlg is not an option; did you mean backlog?",
    ],
    [
      () => startServer({} as never, { port: 0 }),
      "startServer(): handler must be a function that takes a pair, got Object",
    ],
    [() => toStreams({ limit: 0 }), "toStreams(): limit must be a whole number of bytes, 1 or more, got number 0"],
    [() => toStreams({ handler: 1 as never }), "toStreams(): handler must be a function, got number 1"],
  ];
  for (const [call, message] of cases) {
    // deno-lint-ignore require-await -- what throws rejects
    const error = await assertRejects(async () => call(), Error);
    assertEquals(error.message, message);
  }
});

Deno.test("errors of the system name openConnection() and startServer(), and keep their class and code", async () => {
  using temp = tempPath();
  await using server = await startServer(() => {}, { hostname: "127.0.0.1", port: 0 });
  const { port } = server;
  const taken = await assertRejects(
    () => startServer(() => {}, { hostname: "127.0.0.1", port }),
    Deno.errors.AddrInUse,
  );
  assertMatch(taken.message, /^startServer\(\): cannot bind 127\.0\.0\.1:/);
  assertEquals((taken as { code?: string }).code, "EADDRINUSE");
  const missing = await assertRejects(() => openConnection({ path: temp.path }), Deno.errors.NotFound);
  assertMatch(missing.message, /^openConnection\(\): cannot connect to /);
  assertMatch(missing.stack!, /^NotFound: openConnection\(\): cannot connect to /);
  const reason = new EvalError("createConnection() is not named: ");
  const signal = AbortSignal.abort(reason);
  assertStrictEquals(await assertRejects(() => openConnection({ port, signal }), EvalError), reason);
});

Deno.test("startTls() upgrades both sides, and gives TLS what arrived with the plain header", async () => {
  await using ends = await connectPairs();
  const header = bytes("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
  // The header and the ClientHello in one segment.
  ends.client.writer.write(header);
  const client = ends.client.writer.startTls(TRUSTING);
  while ((await ends.served.reader.peek(header.length + 1)).length <= header.length);
  assertEquals(text(await ends.served.reader.readUntil("\r\n")), text(header));
  await Promise.all([client, ends.served.writer.startTls(SERVER)]);
  assert(ends.served.writer.getExtraInfo("cipher") !== null);
  ends.client.writer.write(bytes("a secret\n"));
  assertEquals(text(await ends.served.reader.readLine()), "a secret\n");
  ends.served.writer.write(bytes("another\n"));
  assertEquals(text(await ends.client.reader.readLine()), "another\n");
});

Deno.test("a pair goes on after startTls() of the loop, on either side, with the transport that it returns", async () => {
  let handled = 0;
  const served = Promise.withResolvers<StreamPair>();
  const factory = toStreams({ handler: (pair) => ++handled === 1 && served.resolve(pair) });
  let serving!: StreamProtocol;
  await using server = await loop.createServer(() => serving = factory(), { hostname: "127.0.0.1", port: 0 });
  const [transport, client] = await loop.createConnection(toStreams(), { port: portOf(server) });
  const there = await served.promise;
  const upgrades = await Promise.all([
    loop.startTls(there.transport, serving, { serverSide: true, ...SERVER }),
    loop.startTls(transport, client, TRUSTING),
  ]);
  serving.connectionMade(upgrades[0]);
  client.connectionMade(upgrades[1]);
  client.pair.writer.write(bytes("question\n"));
  assertEquals(text(await there.reader.readLine()), "question\n");
  there.writer.write(pattern(500_000));
  assertEquals((await client.pair.reader.readExactly(500_000)).length, 500_000);
  assertStrictEquals(client.pair.transport, upgrades[1]);
  client.pair.close();
  there.close();
  await Promise.all([client.pair.closed, there.closed]);
  assertEquals(handled, 1);
});

Deno.test("startTls() with wrong options leaves the connection and what was read ahead as they were", async () => {
  await using ends = await connectPairs();
  ends.client.writer.write(bytes("one\ntwo\n"));
  await ends.served.reader.peek(8);
  assertEquals(text(await ends.served.reader.readLine()), "one\n");
  await assertRejects(() => ends.served.writer.startTls({}), TypeError, "a TLS server requires cert and key");
  for (const [options, got] of [[null, "null"], [[], "Array"], [5, "number 5"]] as const) {
    const message = `startTls(): options must be a plain object, got ${got}`;
    await assertRejects(() => ends.served.writer.startTls(options as never), TypeError, message);
  }
  await assertRejects(
    () => ends.served.writer.startTls({ serverSide: null as never }),
    TypeError,
    "serverSide must be",
  );
  await assertRejects(() => ends.served.writer.startTls(null as never), TypeError);
  ends.client.writer.write(bytes("three\n"));
  assertEquals(text(await ends.served.reader.readLine()), "two\n");
  assertEquals(text(await ends.served.reader.readLine()), "three\n");
});

Deno.test("startTls() rejects if plain bytes follow the command, and the reader never gets them", async () => {
  await using ends = await connectPairs();
  ends.client.writer.write(bytes("STARTTLS\r\nMAIL FROM:<a@example.com>\r\n"));
  await ends.served.reader.peek(20);
  assertEquals(text(await ends.served.reader.readUntil("\r\n")), "STARTTLS\r\n");
  const error = await assertRejects(() => ends.served.writer.startTls(SERVER), TlsError);
  assertEquals(error.code, "NOT_TLS");
  assertStrictEquals(await assertRejects(() => ends.served.reader.readLine(), Error), error);
  assertStrictEquals(await assertRejects(() => ends.served.closed, Error), error);
});

Deno.test("a read that waits during startTls() gets the first decrypted bytes", async () => {
  await using ends = await connectPairs();
  const line = ends.served.reader.readLine();
  const upgrades = [
    ends.client.writer.startTls(TRUSTING),
    ends.served.writer.startTls(SERVER),
  ];
  assertThrows(
    () => ends.client.writer.write(bytes("x")),
    InvalidStateError,
    "startTls() has taken over the connection",
  );
  await Promise.all(upgrades);
  ends.client.writer.write(bytes("a secret\n"));
  assertEquals(text(await line), "a secret\n");
});
