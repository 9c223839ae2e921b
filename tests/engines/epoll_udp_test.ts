/** What UDP has over the epoll engine and not over Deno's sockets. */
import { AsyncLocalStorage } from "node:async_hooks";
import { constants } from "node:os";
import { type DatagramSocket, socketOf as socketOfTransport } from "../../engines/epoll/mod.ts";
import { codeOf, DatagramRecorder, endpointsOf, net } from "../datagrams/kit.ts";
import { bytes, pattern, text, turn } from "../kit.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../std.ts";
import { epollLoop, epollTest, failCalls, ipv6Test, replaceCall, watchSockets } from "./epoll_kit.ts";

const { EINTR, EAGAIN, ENOMEM, EACCES, ENOBUFS } = constants.errno;

const makeEndpoints = () => endpointsOf(epollLoop());

function socketOf({ transport }: DatagramRecorder): DatagramSocket {
  return socketOfTransport(transport);
}

/** The address of a UDP port of this machine that is closed. */
async function closedPort(on: ReturnType<typeof makeEndpoints>): Promise<Deno.NetAddr> {
  const endpoint = await on.open();
  const addr = net(endpoint.addr);
  await endpoint.close();
  return addr;
}

epollTest("errorReceived() gets ConnectionRefused for a closed port, and the endpoint lives on", async () => {
  const on = makeEndpoints();
  const remoteAddr = await closedPort(on);
  await using client = await on.open({ remoteAddr });
  client.transport.sendto(bytes("lost"));
  await client.log.has("errorReceived");
  assert(client.errors[0] instanceof Deno.errors.ConnectionRefused);
  await using server = await on.open({ localAddr: remoteAddr });
  client.transport.sendto(bytes("received"));
  await server.untilReceived(1);
  assertEquals([client.log.entries, server.texts], [["connectionMade", "errorReceived ECONNREFUSED"], ["received"]]);
});

epollTest("sendto() sends its datagram also if the system reports then that an earlier one was refused", async () => {
  const on = makeEndpoints();
  const remoteAddr = await closedPort(on);
  await using client = await on.open({ remoteAddr });
  client.transport.sendto(bytes("lost"));
  // Bound in the same turn, before the client can read the report.
  const peer = Deno.listenDatagram({ ...remoteAddr, transport: "udp" });
  client.transport.sendto(bytes("received"));
  const [data] = await peer.receive();
  peer.close();
  await client.log.has("errorReceived");
  assertEquals([text(data), client.errors.map(codeOf)], ["received", ["ECONNREFUSED"]]);
});

epollTest("createDatagramEndpoint() with remoteAddr alone has the local address that leads to the peer", async () => {
  const on = makeEndpoints();
  await using server = await on.open();
  const [transport, client] = await on.loop.createDatagramEndpoint(() => new DatagramRecorder(), {
    remoteAddr: net(server.addr),
  });
  await using _ = client;
  assertEquals(net(transport.getExtraInfo("sockname")!).hostname, "127.0.0.1");
  transport.sendto(bytes("x"));
  await server.untilReceived(1);
  assertEquals(server.received[0]!.addr, transport.getExtraInfo("sockname"));
});

epollTest("createDatagramEndpoint() with reusePort shares a port, and without it does not", async () => {
  const on = makeEndpoints();
  await using first = await on.open({ reusePort: true });
  await using second = await on.open({ localAddr: net(first.addr), reusePort: true });
  assertEquals(second.addr, first.addr);
  await assertRejects(() => on.open({ localAddr: net(first.addr) }), Deno.errors.AddrInUse);
});

epollTest("sendto() to a broadcast address without allowBroadcast is errorReceived(EACCES)", async () => {
  const on = makeEndpoints();
  await using client = await on.open({ localAddr: { hostname: "0.0.0.0", port: 0 } });
  const broadcast: Deno.NetAddr = { transport: "udp", hostname: "127.255.255.255", port: 9 };
  client.transport.sendto(bytes("x"), broadcast);
  await client.log.has("errorReceived");
  assertEquals([client.errors.map(codeOf), socketOf(client).broadcast], [["EACCES"], false]);
  socketOf(client).setBroadcast(true);
  client.transport.sendto(bytes("x"), broadcast);
  await turn(on.loop);
  assertEquals([client.errors.length, socketOf(client).broadcast], [1, true]);
});

ipv6Test("createDatagramEndpoint() at :: serves IPv4 and IPv6, and reaches both", async () => {
  const on = makeEndpoints();
  await using server = await on.open({ localAddr: { hostname: "::", port: 0 } });
  server.onDatagram = (data, addr) => server.transport.sendto(data, addr);
  const { port } = net(server.addr);
  for (const [hostname, seen] of [["127.0.0.1", "::ffff:127.0.0.1"], ["::1", "::1"]] as const) {
    await using client = await on.open({ localAddr: { hostname, port: 0 }, remoteAddr: { hostname, port } });
    client.transport.sendto(bytes("hello"));
    await client.untilReceived(1);
    assertEquals(net(server.received.at(-1)!.addr).hostname, seen);
    server.transport.sendto(bytes("by its own address"), { ...net(client.addr) });
    await client.untilReceived(2);
  }
  await using dual = await on.open({
    localAddr: { hostname: "::", port: 0 },
    remoteAddr: { hostname: "127.0.0.1", port },
  });
  dual.transport.sendto(bytes("mapped"));
  await dual.untilReceived(1);
  assertEquals(dual.transport.getExtraInfo("peername"), { transport: "udp", hostname: "::ffff:127.0.0.1", port });
});

epollTest("createDatagramEndpoint() with addresses of two families names both, and leaves nothing open", async () => {
  const on = makeEndpoints();
  using sockets = watchSockets();
  const error = await assertRejects(
    () => on.open({ localAddr: { hostname: "127.0.0.1", port: 0 }, remoteAddr: { hostname: "::1", port: 9 } }),
    Error,
    "localAddr 127.0.0.1 and remoteAddr ::1 must have addresses of the same family, got 127.0.0.1 and ::1",
  );
  assertEquals([codeOf(error), sockets.open], ["EAFNOSUPPORT", 0]);
});

epollTest("createDatagramEndpoint() that fails leaves nothing open, and names the address", async () => {
  const on = makeEndpoints();
  await using taken = await on.open();
  for (const [name, what] of [["setsockopt", "bind"], ["bind", "bind"], ["connect", "connect to"]] as const) {
    using sockets = watchSockets();
    using _ = failCalls(name, ENOBUFS);
    const localAddr = { hostname: "127.0.0.1", port: 0 };
    const options = { localAddr, remoteAddr: net(taken.addr), reuseAddress: true };
    const error = await assertRejects(
      () => on.open(options),
      Error,
      `createDatagramEndpoint(): cannot ${what} 127.0.0.1:`,
    );
    assertEquals([codeOf(error), sockets.open], ["ENOBUFS", 0]);
  }
});

epollTest("sendto() to an address of another family is errorReceived() with a message that says so", async () => {
  const on = makeEndpoints();
  await using client = await on.open();
  client.transport.sendto(bytes("x"), { transport: "udp", hostname: "::1", port: 9 });
  client.transport.sendto(bytes("to myself"), { ...net(client.addr), hostname: "::ffff:127.0.0.1" });
  await client.untilReceived(1);
  await client.log.has("errorReceived");
  assertEquals(client.errors.map((error) => [codeOf(error), error.message]), [
    ["EAFNOSUPPORT", "sendto(): addr ::1 has no address that an IPv4 socket can reach"],
  ]);
});

epollTest("sendto() resolves a name, and what follows waits for it, in order", async () => {
  const on = makeEndpoints();
  await using server = await on.open();
  await using client = await on.open();
  const named: Deno.NetAddr = { ...net(server.addr), hostname: "localhost" };
  client.transport.sendto(bytes("by name"), named);
  client.transport.sendto(bytes("by address"), server.addr);
  client.transport.sendto(bytes("no such name"), { ...named, hostname: "no-such-name.invalid" });
  client.transport.sendto(bytes("by name again"), named);
  await server.untilReceived(3);
  assertEquals(server.texts, ["by name", "by address", "by name again"]);
  await client.log.has("errorReceived");
  assertEquals([client.errors.length, client.transport.getWriteBufferSize()], [1, 0]);
});

epollTest("close() while a name is being resolved ends the endpoint, and nothing is sent", async () => {
  const on = makeEndpoints();
  const client = await on.open();
  let resolved: Promise<number> | undefined;
  using _ = replaceCall("getaddrinfo", (real, ...args) => resolved = real(...args));
  client.transport.sendto(bytes("x"), { transport: "udp", hostname: "localhost", port: 9 });
  client.transport.abort();
  await client.log.has("connectionLost");
  await resolved;
  await turn(on.loop);
  assertEquals(client.log.entries, ["connectionMade", "connectionLost null"]);
});

epollTest(
  "datagramReceived() gets one frozen object for all datagrams of a sender, and others for others",
  async () => {
    const on = makeEndpoints();
    await using server = await on.open();
    await using one = await on.open();
    await using two = await on.open();
    for (const client of [one, two, one, two]) client.transport.sendto(bytes("x"), server.addr);
    await server.untilReceived(4);
    const [first, second, third, fourth] = server.received.map(({ addr }) => addr);
    assertEquals([first, second], [one.addr, two.addr]);
    assert(first === third && second === fourth && Object.isFrozen(first));
  },
);

epollTest("sendto() replies to a sender in a later turn, and from another endpoint", async () => {
  const on = makeEndpoints();
  await using server = await on.open();
  await using other = await on.open();
  await using one = await on.open();
  await using two = await on.open();
  for (const client of [one, two]) client.transport.sendto(bytes("x"), server.addr);
  await server.untilReceived(2);
  for (const { addr } of server.received) {
    server.transport.sendto(bytes("later"), addr);
    other.transport.sendto(bytes("other"), addr);
  }
  await Promise.all([one.untilReceived(2), two.untilReceived(2)]);
  assertEquals([one.texts, two.texts], [["later", "other"], ["later", "other"]]);
});

epollTest(
  "datagramReceived() is called for at most 128 datagrams of a flood before the others are polled",
  async () => {
    const on = makeEndpoints();
    await using server = await on.open();
    await using client = await on.open();
    const batches: number[] = [];
    let seen = 0;
    using _ = replaceCall("epoll_wait", (real, ...args) => {
      batches.push(server.received.length - seen);
      seen = server.received.length;
      return real(...args);
    });
    for (let i = 0; i < 200; i++) client.transport.sendto(bytes("x"), server.addr);
    await server.untilReceived(200);
    assertEquals(Math.max(...batches), 128);
  },
);

epollTest(
  "datagramReceived() gets datagrams of any sizes whole, few and many at once, in memory that is never written again",
  async () => {
    const on = makeEndpoints();
    await using server = await on.open();
    await using client = await on.open({ remoteAddr: net(server.addr) });
    const sizes = [0, 1, 63, 64, 65, 511, 512, 513, 1472, 2047, 2048, 2049, 9000, 3, 700];
    const expected: Uint8Array[] = [];
    for (const count of [15, 3, 15, 1, ...new Array(20).fill(12), 15, 15]) {
      // Twenty batches of small datagrams, between those of all sizes.
      const batch = Array.from({ length: count }, (_, i) => pattern(count === 12 ? i : sizes[i]!, expected.length + i));
      for (const data of batch) client.transport.sendto(data);
      expected.push(...batch);
      await server.untilReceived(expected.length);
    }
    assertEquals(server.errors, []);
    assertEquals(server.received.map(({ data }) => data), expected);
  },
);

epollTest("close() in datagramReceived() stops the rest of the batch", async () => {
  const on = makeEndpoints();
  await using client = await on.open();
  const server = await on.open();
  server.onDatagram = () => server.transport.abort();
  for (let i = 0; i < 40; i++) client.transport.sendto(bytes(`${i}`), server.addr);
  await server.log.has("connectionLost");
  assertEquals(server.log.entries, ["connectionMade", 'datagramReceived "0"', "connectionLost null"]);
});

epollTest("sendto() repeats an interrupted call, and waits where the system has no room, in order", async () => {
  const on = makeEndpoints();
  await using server = await on.open();
  await using client = await on.open();
  await using connected = await on.open({ remoteAddr: net(server.addr) });
  for (const [name, { transport }] of [["sendto", client], ["send", connected]] as const) {
    const from = server.received.length;
    const target = name === "send" ? null : server.addr;
    using calls = failCalls(name, EINTR, EAGAIN, EAGAIN, EINTR);
    transport.sendto(bytes("one"), target);
    transport.sendto(bytes("two"), target);
    assertEquals(transport.getWriteBufferSize(), 2 * (3 + 8));
    await server.untilReceived(from + 2);
    assertEquals([server.texts.slice(from), calls.left()], [["one", "two"], 0]);
  }
});

epollTest("close() sends what waits for room first", async () => {
  const on = makeEndpoints();
  await using server = await on.open();
  const client = await on.open();
  {
    using _ = failCalls("sendto", EAGAIN, EAGAIN);
    client.transport.sendto(bytes("one"), server.addr);
    client.transport.sendto(bytes("two"), server.addr);
    await client.close();
  }
  await server.untilReceived(2);
  assertEquals(server.texts, ["one", "two"]);
});

epollTest("errorReceived() gets what the system says about a datagram, and the endpoint lives on", async () => {
  const on = makeEndpoints();
  await using server = await on.open();
  await using client = await on.open();
  using _ = failCalls("sendto", ENOBUFS, EACCES, EAGAIN, EAGAIN, ENOBUFS);
  for (let i = 0; i < 4; i++) client.transport.sendto(bytes(`${i}`), server.addr);
  await server.untilReceived(1);
  await client.log.until(() => client.errors.length === 3);
  assertEquals([client.errors.map(codeOf).sort(), server.texts], [["EACCES", "ENOBUFS", "ENOBUFS"], ["3"]]);
  assert(client.errors.some((error) => error instanceof Deno.errors.PermissionDenied));
});

epollTest(
  "errorReceived() gets a failure to receive, and the endpoint lives on; an interrupted call is repeated",
  async () => {
    const on = makeEndpoints();
    await using server = await on.open();
    await using client = await on.open();
    using _ = failCalls("recvmmsg", EINTR, ENOMEM, EAGAIN);
    client.transport.sendto(bytes("x"), server.addr);
    await server.untilReceived(1);
    assertEquals(server.log.entries, ["connectionMade", "errorReceived ENOMEM", 'datagramReceived "x"']);
  },
);

epollTest("errorReceived() gets a datagram that was cut, with its size", async () => {
  const on = makeEndpoints();
  await using server = await on.open();
  await using client = await on.open();
  using _ = replaceCall("recvmmsg", (real, fd, headers, ...rest) => {
    const count = real(fd, headers, ...rest);
    (headers as Int32Array)[14] = 70_000; // msg_len of the first.
    return count;
  });
  client.transport.sendto(bytes("cut"), server.addr);
  client.transport.sendto(bytes("whole"), server.addr);
  await server.untilReceived(1);
  assertEquals(server.log.entries, ["connectionMade", "errorReceived EMSGSIZE", 'datagramReceived "whole"']);
  assertEquals(
    server.errors[0]!.message,
    "a datagram of 70000 bytes was dropped: the receive memory holds 65536 bytes",
  );
});

epollTest("datagrams are received by recvfrom where pointers are not permitted", async () => {
  const { of } = Deno.UnsafePointer;
  using calls = failCalls("recvfrom", EINTR);
  const on = makeEndpoints();
  Deno.UnsafePointer.of = () => {
    throw new Deno.errors.NotCapable("Requires ffi access");
  };
  try {
    await using server = await on.open();
    await using client = await on.open({ remoteAddr: net(server.addr) });
    server.onDatagram = (data, addr) => server.transport.sendto(data, addr);
    const sizes = [0, 1, 65507, 3, ...new Array(60).fill(9)];
    for (const [seed, size] of sizes.entries()) client.transport.sendto(pattern(size, seed));
    await client.untilReceived(sizes.length);
    assertEquals(client.received.map(({ data }) => data), sizes.map((size, seed) => pattern(size, seed)));
    assertEquals([server.received[0]!.addr, calls.left()], [client.addr, 0]);
  } finally {
    Deno.UnsafePointer.of = of;
  }
});

epollTest("sendto() takes memory that can be resized or shared", async () => {
  const on = makeEndpoints();
  await using server = await on.open();
  await using client = await on.open();
  const memories = [new ArrayBuffer(3, { maxByteLength: 10 }), new SharedArrayBuffer(3)];
  for (const memory of memories) {
    const data = new Uint8Array(memory);
    data.set(bytes("abc"));
    client.transport.sendto(data, server.addr);
    data.fill(0);
  }
  await server.untilReceived(2);
  assertEquals([server.texts, client.errors], [["abc", "abc"], []]);
});

epollTest("callbacks of an endpoint run in the context that created it", async () => {
  const on = makeEndpoints();
  const storage = new AsyncLocalStorage<string>();
  await using server = await storage.run("server", () => on.open());
  await using client = await storage.run("client", () => on.open());
  const seen: unknown[] = [];
  server.onDatagram = (data, addr) => {
    seen.push(storage.getStore());
    server.transport.sendto(data, addr);
  };
  client.onDatagram = () => seen.push(storage.getStore());
  storage.run("elsewhere", () => client.transport.sendto(bytes("x"), server.addr));
  await client.untilReceived(1);
  assertEquals(seen, ["server", "client"]);
});

epollTest("an error in a socket's queue of errors does not keep the loop busy", async () => {
  const on = makeEndpoints();
  const remoteAddr = await closedPort(on);
  await using client = await on.open({ remoteAddr });
  // IP_RECVERR: each ICMP message goes to the queue of errors, and the socket is woken until the queue is empty.
  socketOf(client).setOption(0, 11, 1);
  let polls = 0;
  client.transport.sendto(bytes("x"));
  await client.log.has("errorReceived");
  using _ = replaceCall("recvmmsg", (real, ...args) => {
    polls++;
    return real(...args);
  });
  for (let i = 0; i < 20; i++) await turn(on.loop);
  assert(polls <= 3, `${polls} attempts to receive`);
});

epollTest("methods of a closed datagram socket throw BadResource", async () => {
  const on = makeEndpoints();
  const endpoint = await on.open();
  const socket = socketOf(endpoint);
  await endpoint.close();
  assertEquals(socket.fd, -1);
  for (const call of [() => socket.setTtl(9), () => socket.ttl, () => socket.joinMulticast("224.0.0.251")]) {
    assertThrows(call, Deno.errors.BadResource);
  }
});
