/** Sockets of the epoll engine: options, the state of TCP, credentials, socket pairs. */
import { constants } from "node:os";
import {
  IPPROTO_TCP,
  OwnedSocket,
  SO_ACCEPTCONN,
  SO_DOMAIN,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_RCVBUF,
  SO_TYPE,
  Socket,
  socketOf,
  socketPair,
  SOL_SOCKET,
  TCP_CONGESTION,
  TCP_DEFER_ACCEPT,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_USER_TIMEOUT,
} from "../../engines/epoll/mod.ts";
import { decodeTcpInfo } from "../../engines/epoll/tcp_info.ts";
import { assert, assertEquals, assertGreater, assertInstanceOf, assertStrictEquals, assertThrows } from "../std.ts";
import { bytes, connect, loop as defaultLoop, Recorder, tempPath, text } from "../kit.ts";
import { flags, isOpen, loop } from "./descriptors_kit.ts";
import { epollTest, failCalls } from "./epoll_kit.ts";

epollTest("socketOf() returns the socket of a transport, whose options can be read and set", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder(), { loop, client: { keepAlive: true } });
  const socket = socketOf(pair.clientTransport);
  assertInstanceOf(socket, Socket);
  assert(isOpen(socket.fd));
  assertEquals(socket.getOption(SOL_SOCKET, SO_KEEPALIVE), 1);
  for (const [name, value] of [[TCP_KEEPIDLE, 61], [TCP_KEEPINTVL, 7], [TCP_KEEPCNT, 3], [TCP_USER_TIMEOUT, 5000]]) {
    socket.setOption(IPPROTO_TCP, name!, value!);
    assertEquals(socket.getOption(IPPROTO_TCP, name!), value);
  }
  socket.setOption(SOL_SOCKET, SO_RCVBUF, 20_000);
  assertEquals(socket.getOption(SOL_SOCKET, SO_RCVBUF), 40_000); // The kernel doubles it.
  const linger = new Uint8Array(new Int32Array([1, 30]).buffer);
  socket.setOption(SOL_SOCKET, SO_LINGER, linger);
  assertEquals(socket.getOption(SOL_SOCKET, SO_LINGER, 8), linger);
  assertEquals(socket.getOption(SOL_SOCKET, SO_LINGER, 100).length, 8);
  assertEquals(text(socket.getOption(IPPROTO_TCP, TCP_CONGESTION, 16)).replaceAll("\0", "").length > 2, true);
  socket.setOption(SOL_SOCKET, SO_LINGER, new Uint8Array(8));
});

epollTest("getOption() and setOption() say which numbers they take if a level or a name is a string", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder(), { loop });
  const socket = socketOf(pair.clientTransport);
  const accepted = "must be a number, such as IPPROTO_TCP and TCP_NODELAY of @tandem/io/epoll, got string";
  assertThrows(
    () => socket.getOption("TCP_NODELAY" as never, 1),
    TypeError,
    `getOption(): level ${accepted} "TCP_NODELAY"`,
  );
  assertThrows(
    () => socket.setOption(IPPROTO_TCP, "NODELAY" as never, 1),
    TypeError,
    `setOption(): name ${accepted} "NODELAY"`,
  );
});

epollTest("socketOf() refuses what has no socket of the engine", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder(), { loop: defaultLoop });
  const message = "socketOf(): holder must be a transport or a server over sockets of EpollEngine, got ";
  assertThrows(() => socketOf(pair.clientTransport), TypeError, `${message}one whose socket is TcpConn`);
  assertThrows(() => socketOf(pair.server), TypeError, `${message}one whose socket is Listener`);
  assertThrows(() => socketOf({} as never), TypeError, `${message}Object`);
  assertThrows(() => socketOf(null as never), TypeError, `${message}null`);
});

epollTest("socketOf() returns the listening socket of a server, and Server.sockets all of them", async () => {
  const hostname = ["127.0.0.1", "127.0.0.2"];
  const server = await loop.createServer(() => new Recorder(), { hostname, port: 0 });
  const [first, second] = server.sockets as Socket[];
  assertStrictEquals(socketOf(server), first);
  socketOf(server).setOption(IPPROTO_TCP, TCP_DEFER_ACCEPT, 3);
  assertEquals([first!.getOption(SOL_SOCKET, SO_ACCEPTCONN), second!.getOption(SOL_SOCKET, SO_ACCEPTCONN)], [1, 1]);
  assertEquals(first!.tcpInfo().state, "listen");
  server.close();
  assertEquals([first!.fd, second!.fd, server.sockets.length], [-1, -1, 2]);
});

epollTest("a Socket throws BadResource once its transport is closed", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder(), { loop });
  const socket = socketOf(pair.clientTransport);
  pair.clientTransport.abort();
  await pair.clientSide.untilLost();
  await new Promise<void>((resolve) => void loop.callSoon(resolve));
  assertEquals(socket.fd, -1);
  for (
    const [name, call] of Object.entries({
      "getOption()": () => socket.getOption(SOL_SOCKET, SO_TYPE),
      "setOption()": () => socket.setOption(SOL_SOCKET, SO_KEEPALIVE, 1),
      "tcpInfo()": () => socket.tcpInfo(),
      "peerCredentials()": () => socket.peerCredentials(),
    })
  ) {
    const error = assertThrows(call, Deno.errors.BadResource, `${name}: the socket is closed: `);
    assertEquals((error as { code?: string }).code, "EBADF");
  }
});

epollTest("getOption() and setOption() refuse wrong arguments, and report what the system refuses", () => {
  const [near, far] = socketPair();
  using _near = near;
  using _far = far;
  assertThrows(
    () => near.getOption(-1, 1),
    RangeError,
    "getOption(): level must be a whole number from 0 to 2147483647, got number -1",
  );
  assertThrows(
    () => near.getOption(1, "3" as never),
    TypeError,
    'getOption(): name must be a number, such as IPPROTO_TCP and TCP_NODELAY of @tandem/io/epoll, got string "3"',
  );
  assertThrows(() => near.getOption(1, 3, 0), RangeError, "getOption(): length must be");
  assertThrows(() => near.getOption(1, 3, 2 ** 40), RangeError, "getOption(): length must be");
  assertThrows(() => near.setOption(1, 9, 2 ** 32), RangeError, "setOption(): value must be");
  assertThrows(
    () => near.setOption(1, 9, true as never),
    TypeError,
    "setOption(): value must be a whole number or a Uint8Array, got boolean true",
  );
  assertThrows(
    () => near.setOption(1, 9, new Uint8Array(70_000)),
    RangeError,
    "setOption(): value must have at most 65536 bytes, got 70000",
  );
  const error = assertThrows(
    () => near.getOption(SOL_SOCKET, 999),
    Error,
    "getOption(): cannot read option 999 of level 1: ",
  );
  assertEquals((error as { code?: string }).code, "ENOPROTOOPT");
  assertThrows(() => near.setOption(SOL_SOCKET, SO_TYPE, 2), Error, "setOption(): cannot set option 3 of level 1: ");
});

epollTest("setOption() takes bytes in shared and resizable memory", () => {
  const [near, far] = socketPair();
  using _near = near;
  using _far = far;
  for (const memory of [new SharedArrayBuffer(8), new ArrayBuffer(8, { maxByteLength: 64 })]) {
    const value = new Uint8Array(memory);
    value.set([1, 0, 0, 0, 9, 0, 0, 0]);
    near.setOption(SOL_SOCKET, SO_LINGER, value);
    assertEquals([...near.getOption(SOL_SOCKET, SO_LINGER, 8)], [...value]);
  }
  const detached = new Uint8Array(4);
  detached.buffer.transfer();
  assertThrows(() => near.setOption(SOL_SOCKET, SO_KEEPALIVE, detached), Error);
});

epollTest("tcpInfo() returns the state of a connection", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder(), { loop });
  pair.clientTransport.write(bytes("hello"));
  await pair.serverSide.untilReceived(5);
  const info = socketOf(pair.clientTransport).tcpInfo();
  assertEquals(info.state, "established");
  assertGreater(info.rtt, 0);
  assertGreater(1000, info.rtt);
  assertGreater(info.rto, 1);
  assertGreater(info.mss, 500);
  assertGreater(info.sndCwnd, 0);
  assertEquals([info.lost, info.retransmits, info.totalRetransmits], [0, 0, 0]);
  const peer = socketOf(pair.serverSide.transport).tcpInfo();
  // Since Linux 4.1.
  if (peer.bytesReceived !== undefined) assertEquals(peer.bytesReceived, 5);
  // Since Linux 4.19.
  if (info.bytesSent !== undefined) assertEquals([info.bytesSent, info.bytesRetransmitted], [5, 0]);
});

epollTest("tcpInfo() leaves out what an older kernel does not return", () => {
  const oldest = decodeTcpInfo(new Uint8Array(104));
  assertEquals([oldest.rtt, oldest.state, "bytesAcked" in oldest], [0, "unknown", false]);
  const newer = decodeTcpInfo(new Uint8Array(148).fill(1));
  assertEquals([newer.notSentBytes, "minRtt" in newer], [0x01010101, false]);
});

epollTest("tcpInfo() and peerCredentials() are NotSupported on the other kind of socket", async () => {
  const [near, far] = socketPair();
  using _near = near;
  using _far = far;
  assertThrows(() => near.tcpInfo(), Deno.errors.NotSupported, "tcpInfo(): this is a Unix socket, and not TCP");
  await using pair = await connect(() => new Recorder(), () => new Recorder(), { loop });
  const socket = socketOf(pair.clientTransport);
  assertThrows(
    () => socket.peerCredentials(),
    Deno.errors.NotSupported,
    "peerCredentials(): this is not a Unix socket",
  );
});

epollTest("peerCredentials() returns the process at the other end", async () => {
  const [near, far] = socketPair();
  const expected = { pid: Deno.pid, uid: Deno.uid()!, gid: Deno.gid()! };
  assertEquals(near.peerCredentials(), expected);
  near.close();
  far.close();
  using temp = tempPath();
  const accepted = Promise.withResolvers<Recorder>();
  const factory = () => {
    const protocol = new Recorder();
    loop.callSoon(() => accepted.resolve(protocol));
    return protocol;
  };
  const { path } = temp;
  await using _server = await loop.createUnixServer(factory, { path });
  const [transport, client] = await loop.createUnixConnection(() => new Recorder(), { path });
  assertEquals(socketOf((await accepted.promise).transport).peerCredentials(), expected);
  transport.close();
  await client.untilLost();
});

epollTest("socketPair() returns two connected sockets, whose calls never wait", () => {
  const [near, far] = socketPair();
  assertEquals([near, far].map(({ fd }) => flags(fd).inherited), [false, false]);
  assertEquals(near.getOption(SOL_SOCKET, SO_DOMAIN), 1);
  const buffer = new Uint8Array(10);
  assertEquals(far.recv(buffer), null);
  assertEquals(near.send(bytes("hello")), 5);
  assertEquals(far.recv(buffer), 5);
  assertEquals(text(buffer.subarray(0, 5)), "hello");
  let sent = 0;
  for (let count; (count = near.send(new Uint8Array(65536))) !== null;) sent += count;
  assertGreater(sent, 1000);
  assertEquals(near.send(new Uint8Array(0)), 0);
  near.close();
  near.close();
  let received = 0;
  for (let count; (count = far.recv(new Uint8Array(65536))) !== 0;) received += count!;
  assertEquals(received, sent);
  assertEquals(far.recv(buffer), 0);
  const error = assertThrows(() => far.send(buffer), Deno.errors.BrokenPipe, "send(): ");
  assertEquals((error as { code?: string }).code, "EPIPE");
  far.close();
  assertEquals([near.fd, far.fd], [-1, -1]);
  assertThrows(() => far.recv(buffer), Deno.errors.BadResource, "recv(): the socket is closed");
  assertThrows(() => far.send(buffer), Deno.errors.BadResource, "send(): the socket is closed");
});

epollTest("OwnedSocket.detach() gives the descriptor up without closing it", () => {
  const [near, far] = socketPair();
  const { fd } = near;
  assertEquals(near.detach(), fd);
  assertEquals([near.fd, near.detach()], [-1, -1]);
  near.close();
  assert(isOpen(fd));
  using again = new OwnedSocket(fd);
  assertEquals(again.send(bytes("x")), 1);
  far[Symbol.dispose]();
  assertThrows(() => new OwnedSocket(-1), RangeError, "new OwnedSocket(): fd must be");
  assertThrows(() => new OwnedSocket("3" as never), TypeError, "new OwnedSocket(): fd must be");
});

epollTest("recv() and send() take shared and resizable memory, and refuse detached memory and other values", () => {
  const [near, far] = socketPair();
  using _near = near;
  using _far = far;
  for (const memory of [new SharedArrayBuffer(8), new ArrayBuffer(8, { maxByteLength: 64 })]) {
    const data = new Uint8Array(memory);
    data.set(bytes("12345678"));
    assertEquals(near.send(data), 8);
    data.fill(0);
    assertEquals(far.recv(data), 8);
    assertEquals(text(new Uint8Array(data)), "12345678");
  }
  const shrunk = new ArrayBuffer(8, { maxByteLength: 8 });
  const view = new Uint8Array(shrunk);
  shrunk.resize(3);
  near.send(bytes("12345678"));
  assertEquals(far.recv(view), 3);
  shrunk.resize(0);
  const empty = "recv(): buffer must have at least 1 byte, got an empty Uint8Array";
  assertThrows(() => far.recv(view), RangeError, empty);
  const detached = new Uint8Array(8);
  detached.buffer.transfer();
  assertThrows(() => far.recv(detached), RangeError, empty);
  assertEquals(near.send(detached), 0);
  assertThrows(
    () => far.recv(new DataView(new ArrayBuffer(8)) as never),
    TypeError,
    "recv(): buffer must be a Uint8Array",
  );
  assertThrows(() => far.send("x" as never), TypeError, "send(): data must be a Uint8Array, got string");
});

epollTest("recv() goes on after a signal", () => {
  const [near, far] = socketPair();
  using _near = near;
  using _far = far;
  near.send(bytes("x"));
  using calls = failCalls("recv", constants.errno.EINTR);
  assertEquals(far.recv(new Uint8Array(4)), 1);
  assertEquals(calls.left(), 0);
});

epollTest("socketPair() reports that no descriptor is left", () => {
  using _failing = failCalls("socketpair", constants.errno.EMFILE);
  const error = assertThrows(() => socketPair(), Error, "socketPair(): ");
  assertEquals((error as { code?: string }).code, "EMFILE");
});
