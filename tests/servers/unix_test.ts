import { assert, assertEquals, assertRejects } from "../std.ts";
import { bytes, closed, concat, loop, pattern, Recorder, tempPath, turn } from "../kit.ts";
import { filesIn, staleSocket, UnixPair, unixPair } from "./kit.ts";

const unixAddr = (path: string): Deno.UnixAddr => ({ transport: "unix", path });

Deno.test("createUnixServer() and createUnixConnection() make a pair that talks both ways and knows its addresses", async () => {
  using temp = tempPath();
  await using pair = await unixPair(temp.path);
  const { server, serverSide, clientSide } = pair;
  clientSide.transport.write(bytes("hello"));
  await serverSide.untilReceived(5);
  serverSide.transport.write(bytes("world"));
  await clientSide.untilReceived(5);
  assertEquals([serverSide.text, clientSide.text], ["hello", "world"]);
  assertEquals(server.addresses, [unixAddr(temp.path)]);
  assertEquals(serverSide.transport.getExtraInfo("sockname"), unixAddr(temp.path));
  assertEquals(clientSide.transport.getExtraInfo("peername"), unixAddr(temp.path));
  assertEquals(typeof clientSide.transport.getExtraInfo("socket"), "object");
  assertEquals(filesIn(temp.directory), ["socket"]);
  await closed(clientSide.transport, clientSide);
  await serverSide.untilLost();
  assertEquals(clientSide.log.entries, ["connectionMade", "dataReceived 5", "connectionLost null"]);
  assertEquals(serverSide.log.entries, ["connectionMade", "dataReceived 5", "eofReceived", "connectionLost null"]);
  assertEquals(clientSide.transport.getExtraInfo("peername"), unixAddr(temp.path));
});

Deno.test("writeEof() half-closes a Unix connection: the answer still arrives", async () => {
  using temp = tempPath();
  await using pair = await unixPair(temp.path, { keepOpen: true });
  const { serverSide, clientSide } = pair;
  assert(clientSide.transport.canWriteEof());
  clientSide.transport.write(bytes("question"));
  clientSide.transport.writeEof();
  await serverSide.log.has("eofReceived");
  assert(!serverSide.transport.isClosing());
  serverSide.transport.write(bytes("answer"));
  serverSide.transport.close();
  await clientSide.untilLost();
  assertEquals(serverSide.text, "question");
  assertEquals(clientSide.log.entries, ["connectionMade", "dataReceived 6", "eofReceived", "connectionLost null"]);
});

Deno.test("write() over a Unix connection pauses, resumes and loses nothing of 4 MiB", async () => {
  using temp = tempPath();
  await using pair = await unixPair(temp.path);
  const { serverSide, clientSide } = pair;
  serverSide.transport.pauseReading();
  const piece = pattern(1024 * 1024);
  for (let i = 0; i < 4; i++) clientSide.transport.write(piece);
  assertEquals(clientSide.log.entries, ["connectionMade", "pauseWriting"]);
  serverSide.transport.resumeReading();
  await serverSide.untilReceived(4 * piece.length);
  assertEquals(clientSide.log.entries, ["connectionMade", "pauseWriting", "resumeWriting"]);
  assertEquals(serverSide.data, concat([piece, piece, piece, piece]));
});

Deno.test("createUnixServer() removes its file inside close(), and connections go on", async () => {
  using temp = tempPath();
  await using pair = await unixPair(temp.path);
  pair.server.close();
  assertEquals(filesIn(temp.directory), []);
  pair.clientSide.transport.write(bytes("still here"));
  await pair.serverSide.untilReceived(10);
  assertEquals(pair.serverSide.text, "still here");
});

Deno.test("createUnixServer() with cleanupSocket: false keeps its file, also when the last connection is gone", async () => {
  using temp = tempPath();
  {
    await using pair = await unixPair(temp.path, {}, { cleanupSocket: false });
    pair.server.close();
    assertEquals(filesIn(temp.directory), ["socket"]);
  }
  await turn();
  assertEquals(filesIn(temp.directory), ["socket"]);
  // It is stale now, and the next server takes its place.
  await using again = await unixPair(temp.path);
  again.clientSide.transport.write(bytes("hello"));
  await again.serverSide.untilReceived(5);
});

Deno.test("createUnixServer() does not remove a file of another program in its place", async () => {
  using temp = tempPath();
  const server = await loop.createUnixServer(() => new Recorder(), { path: temp.path });
  Deno.removeSync(temp.path);
  Deno.writeTextFileSync(temp.path, "another program's");
  server.close();
  assertEquals(Deno.readTextFileSync(temp.path), "another program's");
  await server.waitClosed();
  await turn();
  assertEquals(Deno.readTextFileSync(temp.path), "another program's");
});

Deno.test("createUnixServer() does not remove the socket of another server that has taken its place", async () => {
  using temp = tempPath();
  const old = await loop.createUnixServer(() => new Recorder(), { path: temp.path });
  Deno.removeSync(temp.path);
  await using pair = await unixPair(temp.path);
  old.close();
  await old.waitClosed();
  await turn();
  assertEquals(filesIn(temp.directory), ["socket"]);
  await using second = await UnixPair.connectTo(pair.server, pair.accepted, temp.path);
  second.clientSide.transport.write(bytes("hello"));
  await second.serverSide.untilReceived(5);
});

for (const cleanupSocket of [true, false]) {
  Deno.test(`createUnixServer() takes a path over at once after close(), with cleanupSocket: ${cleanupSocket}`, async () => {
    using temp = tempPath();
    const old = await loop.createUnixServer(() => new Recorder(), { path: temp.path, cleanupSocket });
    old.close();
    await using pair = await unixPair(temp.path);
    await old.waitClosed();
    await turn();
    assertEquals(filesIn(temp.directory), ["socket"]);
    await using second = await UnixPair.connectTo(pair.server, pair.accepted, temp.path);
    second.clientSide.transport.write(bytes("hello"));
    await second.serverSide.untilReceived(5);
  });
}

Deno.test("createUnixServer() replaces the stale socket file of a dead server", async () => {
  using temp = tempPath();
  staleSocket(temp.path);
  await assertRejects(
    () => loop.createUnixConnection(() => new Recorder(), { path: temp.path }),
    Deno.errors.ConnectionRefused,
  );
  await using pair = await unixPair(temp.path);
  pair.clientSide.transport.write(bytes("hello"));
  await pair.serverSide.untilReceived(5);
  assertEquals(filesIn(temp.directory), ["socket"]);
});

Deno.test("createUnixServer() on a live socket rejects with AddrInUse, and the live one goes on", async () => {
  using temp = tempPath();
  await using pair = await unixPair(temp.path);
  const error = await assertRejects(
    () => loop.createUnixServer(() => new Recorder(), { path: temp.path }),
    Deno.errors.AddrInUse,
    temp.path,
  );
  assertEquals((error as Error & { code?: string }).code, "EADDRINUSE");
  await turn();
  assertEquals(filesIn(temp.directory), ["socket"]);
  await using second = await UnixPair.connectTo(pair.server, pair.accepted, temp.path);
  second.clientSide.transport.write(bytes("hello"));
  await second.serverSide.untilReceived(5);
});

Deno.test("createUnixServer() on a live socket that does not accept yet rejects with AddrInUse", async () => {
  using temp = tempPath();
  const idle = await loop.createUnixServer(() => new Recorder(), { path: temp.path, startServing: false });
  await assertRejects(
    () => loop.createUnixServer(() => new Recorder(), { path: temp.path }),
    Deno.errors.AddrInUse,
  );
  idle.close();
  await idle.waitClosed();
  assertEquals(filesIn(temp.directory), []);
});

for (const stale of [false, true]) {
  const where = stale ? "a stale socket" : "a path that is free";
  Deno.test(`createUnixServer() called many times at once for ${where} gives one server, and AddrInUse`, async () => {
    using temp = tempPath();
    if (stale) staleSocket(temp.path);
    const calls = Array.from({ length: 6 }, () => loop.createUnixServer(() => new Recorder(), { path: temp.path }));
    const results = await Promise.allSettled(calls);
    const servers = results.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
    const errors = results.flatMap((result) => result.status === "rejected" ? [result.reason.name] : []);
    assertEquals([servers.length, errors], [1, Array(5).fill("AddrInUse")]);
    assertEquals(filesIn(temp.directory), ["socket"]);
    const [transport, protocol] = await loop.createUnixConnection(() => new Recorder(), { path: temp.path });
    await closed(transport, protocol);
    servers[0]!.close();
    await servers[0]!.waitClosed();
    assertEquals(filesIn(temp.directory), []);
  });
}

Deno.test("createUnixServer() never touches a file, a directory or a link that is in its way", async () => {
  using temp = tempPath();
  const inTheWay = (name: string) => `${temp.directory}/${name}`;
  Deno.writeTextFileSync(inTheWay("file"), "precious");
  Deno.mkdirSync(inTheWay("folder"));
  staleSocket(inTheWay("stale"));
  Deno.symlinkSync(inTheWay("stale"), inTheWay("link"));
  const before = filesIn(temp.directory);
  for (const name of ["file", "folder", "link"]) {
    await assertRejects(
      () => loop.createUnixServer(() => new Recorder(), { path: inTheWay(name) }),
      Deno.errors.AddrInUse,
    );
  }
  await turn();
  assertEquals(filesIn(temp.directory), before);
  assertEquals(Deno.readTextFileSync(inTheWay("file")), "precious");
  assertEquals(Deno.lstatSync(inTheWay("link")).isSymlink, true);
});

Deno.test("createUnixServer() takes a relative path", async () => {
  using temp = tempPath();
  const up = Deno.cwd().split("/").filter((part) => part !== "").map(() => "..").join("/");
  const path = `${up}${temp.path}`;
  {
    await using pair = await unixPair(path);
    pair.clientSide.transport.write(bytes("hello"));
    await pair.serverSide.untilReceived(5);
    assertEquals(filesIn(temp.directory), ["socket"]);
    assertEquals(pair.server.addresses, [unixAddr(path)]);
  }
  assertEquals(filesIn(temp.directory), []);
});

Deno.test("createUnixServer() takes the longest path that the system takes, whatever its parts", async () => {
  using temp = tempPath();
  const folder = `${temp.directory}/${"d".repeat(104 - temp.directory.length)}`;
  Deno.mkdirSync(folder);
  const path = `${folder}/s`;
  assertEquals(path.length, 107);
  await using pair = await unixPair(path);
  pair.clientSide.transport.write(bytes("hello"));
  await pair.serverSide.untilReceived(5);
  assertEquals(filesIn(folder), ["s"]);
});

Deno.test({
  name: "createUnixServer() takes a name in the abstract namespace of Linux",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using pair = await unixPair(`\0tandem-test-${crypto.randomUUID()}`);
    pair.clientSide.transport.write(bytes("hello"));
    await pair.serverSide.untilReceived(5);
    assertEquals(pair.serverSide.text, "hello");
  },
});

Deno.test("createUnixServer() where no file can be made rejects with Deno's error and leaves nothing", async () => {
  using temp = tempPath();
  await assertRejects(
    () => loop.createUnixServer(() => new Recorder(), { path: `${temp.directory}/no/such/folder` }),
    Deno.errors.NotFound,
  );
  const tooLong = `${temp.path}${"x".repeat(200)}`;
  await assertRejects(
    () => loop.createUnixServer(() => new Recorder(), { path: tooLong }),
    Error,
    "path must have at most",
  );
  assertEquals(filesIn(temp.directory), []);
});

Deno.test("createUnixServer() with startServing: false accepts from startServing() on", async () => {
  using temp = tempPath();
  const made = Promise.withResolvers<Recorder>();
  const factory = () => {
    const protocol = new Recorder();
    made.resolve(protocol);
    return protocol;
  };
  const server = await loop.createUnixServer(factory, { path: temp.path, startServing: false });
  assertEquals(server.isServing(), false);
  const [transport, client] = await loop.createUnixConnection(() => new Recorder(), { path: temp.path });
  transport.write(bytes("early"));
  server.startServing();
  const serverSide = await made.promise;
  await serverSide.untilReceived(5);
  await closed(transport, client);
  server.close();
  await server.waitClosed();
  assertEquals(serverSide.text, "early");
});

Deno.test("createUnixServer() serves a listener that exists, and createUnixConnection() takes a connection that exists", async () => {
  using temp = tempPath();
  const listener = Deno.listen({ transport: "unix", path: temp.path });
  await using pair = await UnixPair.of((factory) => loop.createUnixServer(factory, { listener }), async () => {
    const conn = await Deno.connect({ transport: "unix", path: temp.path });
    return await loop.createUnixConnection(() => new Recorder(), { conn });
  });
  pair.clientSide.transport.write(bytes("hello"));
  await pair.serverSide.untilReceived(5);
  assertEquals(pair.server.addresses, [unixAddr(temp.path)]);
  assertEquals(pair.clientSide.transport.getExtraInfo("peername"), unixAddr(temp.path));
});

Deno.test("createUnixConnection() without a server rejects with Deno's own error", async () => {
  using temp = tempPath();
  const error = await assertRejects(
    () => loop.createUnixConnection(() => new Recorder(), { path: temp.path }),
    Deno.errors.NotFound,
  );
  assertEquals((error as Error & { code?: string }).code, "ENOENT");
});

Deno.test("createUnixConnection() with a signal that aborts rejects with its reason and leaves no connection", async () => {
  using temp = tempPath();
  await using pair = await unixPair(temp.path);
  const factory = () => {
    throw new Error("no protocol is to be made");
  };
  const reason = new EvalError("aborted before");
  const before = AbortSignal.abort(reason);
  await assertRejects(() => loop.createUnixConnection(factory, { path: temp.path, signal: before }), EvalError);
  const controller = new AbortController();
  const attempt = loop.createUnixConnection(factory, { path: temp.path, signal: controller.signal });
  controller.abort(new RangeError("aborted meanwhile"));
  await assertRejects(() => attempt, RangeError, "aborted meanwhile");
  // One that aborts later changes nothing.
  const late = new AbortController();
  await using second = await UnixPair.connectTo(pair.server, pair.accepted, temp.path, late.signal);
  late.abort();
  second.clientSide.transport.write(bytes("hello"));
  await second.clientSide.log.has("connectionMade");
  assertEquals(second.clientSide.transport.isClosing(), false);
});

Deno.test("createUnixServer() and createUnixConnection() reject options of the wrong kind", async () => {
  using temp = tempPath();
  const serve = (options: unknown) => loop.createUnixServer(() => ({}), options as { path: string });
  const connect = (options: unknown) => loop.createUnixConnection(() => ({}), options as { path: string });
  const conn = {} as Deno.Conn;
  for (const call of [serve, connect]) {
    await assertRejects(() => call({ path: "" }), TypeError, "path");
    await assertRejects(() => call({ path: 5 }), TypeError, "number 5");
    await assertRejects(() => call({}), TypeError, "undefined");
    await assertRejects(() => call({ path: temp.path, closeTimeout: -1 }), RangeError, "closeTimeout");
    await assertRejects(
      () => call({ path: temp.path, tls: {} }),
      TypeError,
      call === serve ? "cert" : "serverHostname",
    );
  }
  await assertRejects(() => serve({ path: temp.path, listener: {} }), TypeError, "listener and path");
  await assertRejects(() => connect({ path: temp.path, conn }), TypeError, "conn and path");
  await assertRejects(
    () => loop.createUnixServer("factory" as unknown as () => object, { path: temp.path }),
    TypeError,
    "factory",
  );
  assertEquals(filesIn(temp.directory), []);
});
