/** Unix datagrams over the epoll engine: one socket for each endpoint, abstract names, and peers that come and go. */
import { constants } from "node:os";
import { codeOf, DatagramRecorder, endpointsOf } from "../datagrams/kit.ts";
import { bytes, pattern, tempPath } from "../kit.ts";
import { filesIn, staleSocket } from "../servers/kit.ts";
import { assert, assertEquals, assertRejects } from "../std.ts";
import { epollLoop, epollTest, replaceCall, watchSockets } from "./epoll_kit.ts";

const { EINTR, EAGAIN } = constants.errno;

/** Endpoints on a loop of their own. Without a path, an endpoint has no name. */
function makeUnix() {
  const on = endpointsOf(epollLoop());
  return async (path?: string, remotePath?: string): Promise<DatagramRecorder> => {
    const [, endpoint] = await on.loop.createDatagramEndpoint(() => new DatagramRecorder(on.loop), {
      ...path !== undefined && { localAddr: { path } },
      ...remotePath !== undefined && { remoteAddr: { path: remotePath } },
    });
    return endpoint;
  };
}

function addrOf(path: string): Deno.UnixAddr {
  return { transport: "unixpacket", path };
}

epollTest("a Unix endpoint is one socket, and its datagrams have its path as their sender", async () => {
  using temp = tempPath();
  const open = makeUnix();
  using sockets = watchSockets();
  {
    await using server = await open(temp.path);
    await using client = await open(`${temp.directory}/client`, temp.path);
    assertEquals(sockets.open, 2);
    server.onDatagram = (data, addr) => server.transport.sendto(data, addr);
    for (const data of ["one", "", "two"]) client.transport.sendto(bytes(data));
    await client.untilReceived(3);
    assertEquals(client.texts, ["one", "", "two"]);
    const [first, second] = server.received.map(({ addr }) => addr);
    assertEquals(first, addrOf(`${temp.directory}/client`));
    assert(first === second);
    assertEquals(client.transport.getExtraInfo("peername"), addrOf(temp.path));
    assertEquals(filesIn(temp.directory), ["client", "socket"]);
  }
  assertEquals([sockets.open, filesIn(temp.directory)], [0, []]);
});

epollTest("sendto() of the sender's address replies to names with zero bytes and with U+FEFF, too", async () => {
  using temp = tempPath();
  const open = makeUnix();
  await using server = await open(temp.path);
  server.onDatagram = (data, addr) => server.transport.sendto(data, addr);
  for (const name of [`\0tandem\0\0${temp.directory}\0`, `\ufeff${temp.directory.replaceAll("/", "")}`]) {
    const directory = Deno.cwd();
    try {
      Deno.chdir(temp.directory);
      await using client = await open(name, temp.path);
      client.transport.sendto(bytes("ping"));
      await client.untilReceived(1);
      assertEquals([server.received.at(-1)!.addr, client.texts], [addrOf(name), ["ping"]]);
    } finally {
      Deno.chdir(directory);
    }
  }
});

epollTest(
  "a Unix endpoint can have an abstract name, which leaves no file and is free again after close()",
  async () => {
    const open = makeUnix();
    const name = `\0tandem-${crypto.randomUUID()}`;
    for (let round = 0; round < 2; round++) {
      await using server = await open(name);
      await using client = await open(`${name}-client`, name);
      server.onDatagram = (data, addr) => server.transport.sendto(data, addr);
      client.transport.sendto(bytes("hello"));
      await client.untilReceived(1);
      assertEquals([client.texts, server.received[0]!.addr], [["hello"], addrOf(`${name}-client`)]);
      const error = await assertRejects(() => open(name), Deno.errors.AddrInUse);
      assertEquals(codeOf(error), "EADDRINUSE");
    }
  },
);

epollTest("a sender without a name has an empty path, and a reply to it is errorReceived(TypeError)", async () => {
  using temp = tempPath();
  const open = makeUnix();
  await using server = await open(temp.path);
  await using client = await open(undefined, temp.path);
  client.transport.sendto(bytes("x"));
  await server.untilReceived(1);
  assertEquals([server.received[0]!.addr, client.addr], [addrOf(""), addrOf("")]);
  server.transport.sendto(bytes("reply"), server.received[0]!.addr);
  server.transport.sendto(bytes("reply"), addrOf(`${temp.directory}/${"x".repeat(200)}`));
  await server.log.until(() => server.errors.length === 2);
  assertEquals(server.errors.map(({ name }) => name), ["TypeError", "TypeError"]);
  assert(server.errors[0]!.message.startsWith('sendto(): addr.path must be the path of a socket, got ""'));
});

epollTest("a stale socket file is replaced, and a live socket and a file are AddrInUse", async () => {
  using temp = tempPath();
  const open = makeUnix();
  staleSocket(temp.path);
  await using server = await open(temp.path);
  using sockets = watchSockets();
  await assertRejects(() => open(temp.path), Deno.errors.AddrInUse, "a live socket is there");
  Deno.writeTextFileSync(`${temp.directory}/file`, "precious");
  await assertRejects(() => open(`${temp.directory}/file`), Deno.errors.AddrInUse, "not a socket");
  assertEquals([sockets.open, Deno.readTextFileSync(`${temp.directory}/file`)], [0, "precious"]);
  await using client = await open(undefined, temp.path);
  client.transport.sendto(bytes("still there"));
  await server.untilReceived(1);
});

epollTest("close() of a Unix endpoint does not remove a file that has replaced its own", async () => {
  using temp = tempPath();
  const open = makeUnix();
  const endpoint = await open(temp.path);
  Deno.removeSync(temp.path);
  Deno.writeTextFileSync(temp.path, "another program's");
  await endpoint.close();
  assertEquals(Deno.readTextFileSync(temp.path), "another program's");
});

epollTest("a Unix datagram of any size is received whole, also if signals interrupt", async () => {
  using temp = tempPath();
  const open = makeUnix();
  await using server = await open(temp.path);
  await using client = await open(undefined, temp.path);
  let calls = 0;
  using _ = replaceCall("recvfrom", (real, ...args) => calls++ % 2 === 0 ? -EINTR : real(...args));
  const sizes = [1, 16 * 1024, 16 * 1024 + 1, 200_000, 0, 65_537];
  for (const [seed, size] of sizes.entries()) client.transport.sendto(pattern(size, seed));
  await server.untilReceived(sizes.length);
  assertEquals(server.received.map(({ data }) => data.length), sizes);
  assert(server.received.every(({ data }, seed) => String(data) === String(pattern(data.length, seed))));
  client.transport.sendto(new Uint8Array(8 * 1024 * 1024));
  await client.log.has("errorReceived");
  assertEquals(client.errors.map(codeOf), ["EMSGSIZE"]);
});

epollTest("sendto() waits while the receiver's queue is full, connected or not, and keeps the order", async () => {
  using temp = tempPath();
  const open = makeUnix();
  const texts = Array.from({ length: 300 }, (_, i) => `${i}`);
  for (const connected of [true, false]) {
    const path = `${temp.directory}/${connected}`;
    await using server = await open(path);
    await using client = await (connected ? open(undefined, path) : open(`${path}-client`));
    client.transport.setWriteBufferLimits({ high: 100 });
    for (const data of texts) client.transport.sendto(bytes(data), connected ? null : addrOf(path));
    assert(client.transport.getWriteBufferSize() > 100);
    await server.untilReceived(texts.length);
    await client.log.has("resumeWriting");
    assertEquals([server.texts, client.log.entries], [texts, ["connectionMade", "pauseWriting", "resumeWriting"]]);
  }
});

epollTest("abort() of a Unix endpoint drops what waits for a full receiver, and leaves no timer", async () => {
  using temp = tempPath();
  const open = makeUnix();
  await using server = await open(temp.path);
  const client = await open(`${temp.directory}/client`);
  let full = true;
  using _ = replaceCall("sendto", (real, ...args) => full ? -EAGAIN : real(...args));
  client.transport.sendto(bytes("dropped"), addrOf(temp.path));
  await new Promise((resolve) => setTimeout(resolve, 0)); // The first attempt after the socket was writable has failed.
  client.transport.abort();
  await client.log.has("connectionLost");
  full = false;
  await using last = await open(undefined, temp.path);
  last.transport.sendto(bytes("last"));
  await server.untilReceived(1);
  assertEquals(server.texts, ["last"]);
});

epollTest("an endpoint with a remote path reaches a peer that comes later, and one that comes back", async () => {
  using temp = tempPath();
  const open = makeUnix();
  await using client = await open(`${temp.directory}/client`, temp.path);
  client.transport.sendto(bytes("too early"));
  await client.log.has("errorReceived ENOENT");
  for (const name of ["first", "second"]) {
    await using server = await open(temp.path);
    client.transport.sendto(bytes(name));
    await server.untilReceived(1);
    assertEquals(server.texts, [name]);
  }
  client.transport.sendto(bytes("too late"));
  await client.log.until(() => client.errors.length === 2);
  assertEquals(client.errors.map(codeOf), ["ENOENT", "ENOENT"]);
});

epollTest("an endpoint with a remote path takes no datagrams of others", async () => {
  using temp = tempPath();
  const open = makeUnix();
  await using friend = await open(temp.path);
  await using client = await open(`${temp.directory}/client`, temp.path);
  await using stranger = await open(undefined, `${temp.directory}/client`);
  stranger.transport.sendto(bytes("stranger"));
  await stranger.log.has("errorReceived");
  friend.transport.sendto(bytes("friend"), addrOf(`${temp.directory}/client`));
  await client.untilReceived(1);
  assertEquals([client.texts, stranger.errors.map(codeOf)], [["friend"], ["EPERM"]]);
});
