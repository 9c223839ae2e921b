import { DatagramConnHandle, type DatagramConnLike } from "../../engines/deno/datagram_conn_handle.ts";
import { isOverEpoll, onDenoOnly } from "../engine.ts";
import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "../std.ts";
import { codeOf, DatagramRecorder, LOOPBACK, open } from "./kit.ts";
import { bytes, EventLog, loop, pattern, tempPath } from "../kit.ts";
import { filesIn } from "../servers/kit.ts";

/** Opens a Unix endpoint. */
function openUnix(path: string, remotePath?: string): Promise<DatagramRecorder> {
  return open({ localAddr: { path }, ...remotePath !== undefined && { remoteAddr: { path: remotePath } } });
}

function addrOf(path: string): Deno.UnixAddr {
  return { transport: "unixpacket", path };
}

Deno.test("createDatagramEndpoint() with a path echoes between Unix sockets, and nothing else happens", async () => {
  using temp = tempPath();
  const [serverPath, clientPath] = [`${temp.directory}/server`, `${temp.directory}/client`];
  {
    await using server = await openUnix(serverPath);
    await using client = await openUnix(clientPath, serverPath);
    server.onDatagram = (data, addr) => server.transport.sendto(data, addr);
    client.transport.sendto(bytes("one"));
    await client.untilReceived(1);
    // Both sides wait for a datagram by now.
    client.transport.sendto(new Uint8Array(0));
    client.transport.sendto(bytes("two"));
    await client.untilReceived(3);
    assertEquals(server.log.entries, [
      "connectionMade",
      'datagramReceived "one"',
      'datagramReceived ""',
      'datagramReceived "two"',
    ]);
    assertEquals(client.log.entries, server.log.entries);
    assertEquals({ ...server.received[0]!.addr }, addrOf(clientPath));
    assertEquals({ ...client.received[0]!.addr }, addrOf(serverPath));
    assertEquals({ ...server.transport.getExtraInfo("sockname")! }, addrOf(serverPath));
    assertEquals({ ...client.transport.getExtraInfo("peername")! }, addrOf(serverPath));
    assertEquals(filesIn(temp.directory), ["client", "server"]);
  }
  assertEquals(filesIn(temp.directory), []);
});

Deno.test("createDatagramEndpoint() with a path exchanges many datagrams both ways at once, in order", async () => {
  using temp = tempPath();
  const [aPath, bPath] = [`${temp.directory}/a`, `${temp.directory}/b`];
  await using a = await openUnix(aPath, bPath);
  await using b = await openUnix(bPath, aPath);
  const texts = Array.from({ length: 50 }, (_, i) => `${i}`);
  for (const text of texts) {
    a.transport.sendto(bytes(text));
    b.transport.sendto(bytes(text));
  }
  await Promise.all([a.untilReceived(50), b.untilReceived(50)]);
  assertEquals([a.texts, b.texts], [texts, texts]);
  assertEquals([...a.errors, ...b.errors], []);
});

Deno.test("createDatagramEndpoint() with a remote path alone sends without a name of its own", async () => {
  using temp = tempPath();
  await using server = await openUnix(temp.path);
  const [, client] = await loop.createDatagramEndpoint(() => new DatagramRecorder(), {
    remoteAddr: { path: temp.path },
  });
  await using _ = client;
  client.transport.sendto(bytes("one"));
  await server.untilReceived(1);
  client.transport.sendto(bytes("two"));
  await server.untilReceived(2);
  assertEquals(server.texts, ["one", "two"]);
  assertEquals(client.log.entries, ["connectionMade"]);
  assertEquals(filesIn(temp.directory), ["socket"]);
});

Deno.test("createDatagramEndpoint() with a remote path does not deliver datagrams from strangers", async () => {
  using temp = tempPath();
  const [friendPath, clientPath] = [`${temp.directory}/friend`, `${temp.directory}/client`];
  await using friend = await openUnix(friendPath);
  await using client = await openUnix(clientPath, friendPath);
  const stranger = await openUnix(`${temp.directory}/stranger`, clientPath);
  stranger.transport.sendto(bytes("stranger"));
  await stranger.close();
  friend.transport.sendto(bytes("friend"), addrOf(clientPath));
  await client.untilReceived(1);
  assertEquals(client.log.entries, ["connectionMade", 'datagramReceived "friend"']);
});

Deno.test("errorReceived() is called for a Unix datagram that is too large or has no receiver, and the transport stays open", async () => {
  using temp = tempPath();
  await using server = await openUnix(temp.path);
  await using client = await openUnix(`${temp.directory}/client`);
  client.transport.sendto(new Uint8Array(4 * 1024 * 1024), addrOf(temp.path));
  client.transport.sendto(bytes("lost"), addrOf(`${temp.directory}/missing`));
  client.transport.sendto(pattern(30_000), addrOf(temp.path));
  await server.untilReceived(1);
  assertEquals(client.errors.map(codeOf), ["EMSGSIZE", "ENOENT"]);
  assertEquals(server.received[0]!.data, pattern(30_000));
});

Deno.test("datagramReceived() is given a large Unix datagram whole", {
  // Elsewhere the system takes 2 KiB or so.
  ignore: Deno.build.os !== "linux",
}, async () => {
  using temp = tempPath();
  await using server = await openUnix(temp.path);
  await using client = await openUnix(`${temp.directory}/client`, temp.path);
  const sizes = [100_000, 65_536, 65_537, 1, 200_000, 0];
  for (const [seed, size] of sizes.entries()) client.transport.sendto(pattern(size, seed));
  await server.untilReceived(sizes.length);
  assertEquals(server.received.map(({ data }) => data.length), sizes);
  assert(server.received.every(({ data }, seed) => String(data) === String(pattern(data.length, seed))));
  assertEquals([...server.errors, ...client.errors], []);
});

Deno.test("errorReceived() is told of a Unix datagram that was cut, and the next one of that size is whole", async () => {
  using temp = tempPath();
  const receiver = Deno.listenDatagram({ transport: "unixpacket", path: temp.path });
  // The memory that it begins with is larger than what can be sent without a say in the system's settings.
  const handle = new DatagramConnHandle(receiver as unknown as DatagramConnLike, {
    remoteAddr: null,
    bufferSize: 1000,
  });
  const log = new EventLog();
  handle.receiveStart({
    received: (data) => log.add(`received ${data.length}: ${String(data) === String(pattern(data.length))}`),
    failed: (error) => log.add(`failed ${codeOf(error)}: ${error.message}`),
  });
  await using client = await openUnix(`${temp.directory}/client`, temp.path);
  for (const size of [999, 1000, 1001, 3000, 2500, 3000]) client.transport.sendto(pattern(size));
  await log.until(() => log.entries.length === 6);
  assertEquals(log.entries, [
    "received 999: true",
    "failed EMSGSIZE: a datagram of 1000 bytes or more was dropped: the receive buffer holds 999 bytes",
    "received 1001: true",
    "failed EMSGSIZE: a datagram of 2000 bytes or more was dropped: the receive buffer holds 1999 bytes",
    "received 2500: true",
    "received 3000: true",
  ]);
  await handle.close();
  Deno.removeSync(temp.path);
});

Deno.test("sendto() on a Unix socket throws for an address of another kind or another remote path", async () => {
  using temp = tempPath();
  await using server = await openUnix(temp.path);
  await using client = await openUnix(`${temp.directory}/client`, temp.path);
  const wrong = addrOf(`${temp.directory}/client`);
  assertThrows(() => client.transport.sendto(bytes("x"), wrong), RangeError, wrong.path);
  assertThrows(
    () => server.transport.sendto(bytes("x"), { transport: "udp", hostname: "127.0.0.1", port: 9 }),
    TypeError,
  );
  assertThrows(() => server.transport.sendto(bytes("x")), TypeError);
});

Deno.test("close() on a Unix socket sends what is queued and removes the file, abort() drops and removes it", async () => {
  using temp = tempPath();
  await using server = await openUnix(temp.path);
  const flushing = await openUnix(`${temp.directory}/flushing`, temp.path);
  for (let i = 0; i < 20; i++) flushing.transport.sendto(bytes(`${i}`));
  await flushing.close();
  await server.untilReceived(20);
  assertEquals(server.texts, Array.from({ length: 20 }, (_, i) => `${i}`));
  const dropping = await openUnix(`${temp.directory}/dropping`, temp.path);
  for (let i = 0; i < 20; i++) dropping.transport.sendto(bytes("dropped"));
  await dropping[Symbol.asyncDispose]();
  assertEquals(filesIn(temp.directory), ["socket"]);
  await using last = await openUnix(`${temp.directory}/last`, temp.path);
  last.transport.sendto(bytes("last"));
  await server.log.has('datagramReceived "last"');
  // The first may have been on its way. Over epoll, sendto() gives the kernel what it takes at once.
  assertEquals(server.texts.slice(20).slice(-2).filter((text) => text === "last"), ["last"]);
  if (!isOverEpoll()) assertLess(server.texts.length, 23);
});

Deno.test("close() on a Unix socket does not remove a file of another program in its place", async () => {
  using temp = tempPath();
  const endpoint = await openUnix(temp.path);
  Deno.removeSync(temp.path);
  Deno.writeTextFileSync(temp.path, "another program's");
  await endpoint.close();
  assertEquals(Deno.readTextFileSync(temp.path), "another program's");
});

Deno.test("createDatagramEndpoint() replaces the Unix socket file of a dead endpoint", async () => {
  using temp = tempPath();
  {
    await using _ = await openUnix(temp.path);
    // A second name keeps the file when the endpoint has gone.
    Deno.linkSync(temp.path, `${temp.directory}/stale`);
  }
  await using server = await openUnix(`${temp.directory}/stale`);
  await using client = await openUnix(temp.path, `${temp.directory}/stale`);
  client.transport.sendto(bytes("alive"));
  await server.untilReceived(1);
  assertEquals(filesIn(temp.directory), ["socket", "stale"]);
});

Deno.test("createDatagramEndpoint() on a live Unix socket rejects with AddrInUse and leaves it working", async () => {
  using temp = tempPath();
  await using server = await openUnix(temp.path);
  const error = await assertRejects(() => openUnix(temp.path), Deno.errors.AddrInUse);
  assertEquals(codeOf(error), "EADDRINUSE");
  await using client = await openUnix(`${temp.directory}/client`, temp.path);
  client.transport.sendto(bytes("still there"));
  await server.untilReceived(1);
  assertEquals(server.log.entries, ["connectionMade", 'datagramReceived "still there"']);
  assertEquals(filesIn(temp.directory), ["client", "socket"]);
});

Deno.test("createDatagramEndpoint() never touches a regular file or a stream server's socket", async () => {
  using temp = tempPath();
  Deno.writeTextFileSync(temp.path, "precious");
  await assertRejects(() => openUnix(temp.path), Deno.errors.AddrInUse);
  assertEquals(Deno.readTextFileSync(temp.path), "precious");
  const server = await loop.createUnixServer(() => ({}), { path: `${temp.directory}/server` });
  await assertRejects(() => openUnix(`${temp.directory}/server`), Deno.errors.AddrInUse);
  assertEquals(filesIn(temp.directory), ["server", "socket"]);
  server.close();
  await server.waitClosed();
});

Deno.test("createDatagramEndpoint() with a path leaves no file behind when the factory throws", async () => {
  using temp = tempPath();
  const factory = () => {
    throw new EvalError("factory");
  };
  await assertRejects(
    () => loop.createDatagramEndpoint(factory, { localAddr: { path: temp.path } }),
    EvalError,
    "factory",
  );
  assertEquals(filesIn(temp.directory), []);
  await assertRejects(() => openUnix(`${temp.directory}/no/such/directory`), Deno.errors.NotFound);
});

const sockets = onDenoOnly("the sockets are Deno's");

Deno.test("createDatagramEndpoint() uses Deno's own sockets where it can", sockets, async () => {
  await using endpoint = await open({ localAddr: LOOPBACK });
  const socket = endpoint.transport.getExtraInfo("socket") as unknown as Record<string, unknown>;
  assertEquals(typeof socket["receive"], "function");
});

Deno.test("createDatagramEndpoint() with reusePort is NotSupported on Deno's sockets", sockets, async () => {
  await assertRejects(() => open({ localAddr: LOOPBACK, reusePort: true }), Deno.errors.NotSupported, "reusePort");
});
