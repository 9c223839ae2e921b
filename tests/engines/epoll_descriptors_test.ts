/** `{ fd }` of sockets on the epoll engine: who owns the descriptor, and what is refused. */
import type { Transport } from "../../mod.ts";
import { OwnedSocket, type Socket, socketOf, socketPair } from "../../engines/epoll/mod.ts";
import { AF_UNIX, F_SETFL, SOCK_STREAM } from "../../engines/epoll/constants.ts";
import { assert, assertEquals, assertRejects, assertStrictEquals } from "../std.ts";
import { bytes, EventLog, loop as defaultLoop, pattern, Recorder, tempPath, text, turn } from "../kit.ts";
import { clientTls, SERVER, serverTls, TRUSTING } from "../tls/kit.ts";
import { CALLS, CONNECTING, Fds, flags, isOpen, libc, loop, portOf, put, refused, take } from "./descriptors_kit.ts";
import { epollTest } from "./epoll_kit.ts";

epollTest("createConnection() takes a connected socket by its descriptor, and closes it", async () => {
  using fds = new Fds();
  const [client, server] = fds.tcp();
  const [transport, protocol] = await loop.createConnection(() => new Recorder(), { fd: client, keepAlive: true });
  assertEquals(flags(client), { nonblocking: true, inherited: false });
  const socket = transport.getExtraInfo("socket") as unknown as Socket;
  assertStrictEquals(socketOf(transport), socket);
  assertEquals([socket.fd, socket.getOption(6, 1), socket.getOption(1, 9)], [client, 1, 1]);
  const addressOf = (fd: number) => ({ transport: "tcp" as const, hostname: "127.0.0.1", port: portOf(fd) });
  assertEquals(transport.getExtraInfo("sockname"), addressOf(client));
  assertEquals(transport.getExtraInfo("peername"), addressOf(server));
  put(server, bytes("to you"));
  await protocol.untilReceived(6);
  transport.write(bytes("to me"));
  await turn(loop);
  assertEquals(text(take(server) as Uint8Array), "to me");
  transport.close();
  await protocol.untilLost();
  await turn(loop);
  assertEquals([isOpen(client), take(server)], [false, "end"]);
});

epollTest("a connection whose socket another process has made blocking does not stop the loop", async () => {
  const [near, far] = socketPair();
  using _ = far;
  const { fd } = near;
  const data = pattern(2_000_000);
  const [transport, protocol] = await loop.createConnection(() => new Recorder(), { fd: near });
  libc.fcntl(fd, F_SETFL, 0);
  assertEquals(flags(fd).nonblocking, false);
  transport.write(data);
  await turn(loop);
  assert(transport.getWriteBufferSize() > 0);
  const buffer = new Uint8Array(data.length);
  let received = 0;
  while (received < data.length) {
    received += far.recv(buffer.subarray(received)) ?? 0;
    await turn(loop);
  }
  assertEquals(buffer, data);
  far.send(bytes("to you"));
  await protocol.untilReceived(6);
  transport.abort();
  await protocol.untilLost();
});

epollTest("noDelay and keepAlive are set on a connection that is given by its descriptor", async () => {
  using fds = new Fds();
  const [client] = fds.tcp();
  libc.setsockopt(client, 6, 1, new Int32Array([1]), 4);
  const options = { fd: client, noDelay: false, keepAlive: false };
  const [transport, protocol] = await loop.createConnection(() => new Recorder(), options);
  assertEquals([socketOf(transport).getOption(6, 1), socketOf(transport).getOption(1, 9)], [0, 0]);
  transport.close();
  await protocol.untilLost();
});

for (const name of CONNECTING) {
  epollTest(`${name}() takes an end of socketPair(), which is then detached`, async () => {
    const [near, far] = socketPair();
    using _ = far;
    const { fd } = near;
    const protocol = new Recorder();
    await CALLS[name]!(near, {}, () => protocol);
    assertEquals(near.fd, -1);
    assertEquals(socketOf(protocol.transport).fd, fd);
    assertEquals(protocol.transport.getExtraInfo("peername"), { transport: "unix", path: "" });
    assertEquals(protocol.transport.getExtraInfo("sockname"), { transport: "unix", path: "" });
    far.send(bytes("hello"));
    far.close();
    await protocol.untilLost();
    await turn(loop);
    assertEquals([protocol.text, isOpen(fd)], ["hello", false]);
  });

  epollTest(`${name}() refuses descriptors of the wrong kind, and leaves them alone`, async () => {
    using fds = new Fds();
    const kind = name === "createUnixConnection" ? AF_UNIX : 2;
    const file = fds.open(new URL(import.meta.url).pathname);
    await refused(name, file, TypeError, `fd must be a stream socket, got descriptor ${file}, which is not a socket`);
    const datagram = fds.socket(2, kind);
    const isDatagram = `fd must be a stream socket, got descriptor ${datagram}, which is a datagram socket`;
    await refused(name, datagram, TypeError, isDatagram);
    const fresh = fds.socket(SOCK_STREAM, kind);
    const { NotConnected } = Deno.errors;
    const unconnected = `fd must be a connected socket, got descriptor ${fresh}: `;
    await refused(name, fresh, NotConnected, unconnected, "ENOTCONN");
  });
}

for (const name of ["createConnection", "connectAcceptedSocket"]) {
  epollTest(`${name}() refuses a listening socket`, async () => {
    using fds = new Fds();
    const fd = fds.listener();
    const message = `fd must be a connected socket, got descriptor ${fd}, which is a listening socket`;
    await refused(name, fd, TypeError, message);
  });
}

epollTest("createUnixConnection() and createUnixServer() refuse TCP", async () => {
  using fds = new Fds();
  const [client] = fds.tcp();
  const listener = fds.listener();
  await refused(
    "createUnixConnection",
    client,
    TypeError,
    `fd must be a Unix socket, got descriptor ${client}, which is not one`,
  );
  await refused(
    "createUnixServer",
    listener,
    TypeError,
    `fd must be a Unix socket, got descriptor ${listener}, which is not one`,
  );
});

for (const name of Object.keys(CALLS)) {
  epollTest(`${name}() refuses a descriptor that is not open, and what is none`, async () => {
    for (
      const [fd, Class, message] of [
        [-1, RangeError, "fd must be a whole number from 0 to 2147483647, got number -1"],
        [1.5, RangeError, "fd must be a whole number from 0 to 2147483647, got number 1.5"],
        [NaN, RangeError, "fd must be a whole number from 0 to 2147483647, got number NaN"],
        ["3", TypeError, 'fd must be a file descriptor or a socket of socketPair(), got string "3"'],
        [null, TypeError, "fd must be a file descriptor or a socket of socketPair(), got null"],
        [undefined, TypeError, "fd must be a file descriptor or a socket of socketPair(), got undefined"],
        [{}, TypeError, "fd must be a file descriptor or a socket of socketPair(), got Object"],
      ] as const
    ) {
      const error = await assertRejects(() => CALLS[name]!(fd), Error);
      assertEquals([error.constructor, error.message], [Class, `${name}(): ${message}`]);
    }
    const { BadResource } = Deno.errors;
    const unused = await assertRejects(() => CALLS[name]!(99_999), BadResource);
    assertEquals(unused.message.startsWith(`${name}(): fd must be an open file descriptor, got 99999: `), true);
    assertEquals((unused as { code?: string }).code, "EBADF");
    const [near, far] = socketPair();
    near.close();
    far.close();
    const closed = await assertRejects(() => CALLS[name]!(near), BadResource);
    assertEquals(
      closed.message.startsWith(`${name}(): fd must be open, got a socket that is closed or was given away: `),
      true,
    );
  });

  epollTest(`${name}() with { fd } is NotSupported on the default engine`, async () => {
    const [near, far] = socketPair();
    using _near = near;
    using _far = far;
    const call = {
      createConnection: () => defaultLoop.createConnection(() => new Recorder(), { fd: near }),
      createUnixConnection: () => defaultLoop.createUnixConnection(() => new Recorder(), { fd: near }),
      connectAcceptedSocket: () => defaultLoop.connectAcceptedSocket(() => new Recorder(), near),
      createDatagramEndpoint: () => defaultLoop.createDatagramEndpoint(() => ({}), { fd: near }),
      createServer: () => defaultLoop.createServer(() => new Recorder(), { fd: near }),
      createUnixServer: () => defaultLoop.createUnixServer(() => new Recorder(), { fd: near }),
      connectReadPipe: () => defaultLoop.connectReadPipe(() => new Recorder(), near),
      connectWritePipe: () => defaultLoop.connectWritePipe(() => new Recorder(), near),
    }[name] as () => Promise<unknown>;
    const error = await assertRejects(call, Deno.errors.NotSupported);
    const message = `${name}(): fd is not supported by the engine "deno"; use EpollEngine of "@tandem/io/epoll"`;
    assertEquals([error.message, near.fd !== -1], [message, true]);
  });

  epollTest(`${name}() with a wrong argument leaves the descriptor to its owner`, async () => {
    const [near, far] = socketPair();
    using _near = near;
    using _far = far;
    const isStream = !name.endsWith("Pipe") && name !== "createDatagramEndpoint";
    for (const options of [{ closeTimeout: -1 }, { ssl: true }, ...isStream ? [{ tls: 5 }] : []]) {
      await assertRejects(() => CALLS[name]!(near, options), Error, `${name}():`);
    }
    await assertRejects(() => CALLS[name]!(near, {}, 5 as never), TypeError, `${name}(): factory must be`);
    if (isStream && name !== "connectAcceptedSocket") {
      const rivals = name.includes("Unix") ? { path: "/x" } : { port: 1 };
      const rival = Object.keys(rivals)[0];
      await assertRejects(
        () => CALLS[name]!(near, rivals),
        TypeError,
        `${name}(): fd and ${rival} cannot both be given`,
      );
      const other = name.includes("Server") ? "listener" : "conn";
      await assertRejects(
        () => CALLS[name]!(near, { [other]: {} }),
        TypeError,
        `${name}(): fd and ${other} cannot both be given`,
      );
    }
    assertEquals([near.fd !== -1, flags(near.fd).nonblocking], [true, false]);
    far.send(bytes("x"));
    assertEquals(near.recv(new Uint8Array(2)), 1);
  });
}

epollTest("a call that gets a bare descriptor says how to write it", async () => {
  const factory = () => new Recorder();
  const given = 7 as never;
  await assertRejects(
    () => loop.connectAcceptedSocket(factory, given),
    TypeError,
    "connectAcceptedSocket(): conn must be a Deno.Conn or, on EpollEngine, { fd: 7 }, got number 7",
  );
  for (const name of ["connectReadPipe", "connectWritePipe"] as const) {
    await assertRejects(() => loop[name](factory, given), TypeError, "or on EpollEngine { fd }, got number 7");
  }
});

epollTest("every call refuses a descriptor that a transport uses", async () => {
  const [near, far] = socketPair();
  using _ = far;
  const { fd } = near;
  const [transport, protocol] = await loop.createConnection(() => new Recorder(), { fd: near });
  for (const reading of [true, false]) {
    if (!reading) transport.pauseReading();
    await turn(loop);
    for (const [name, call] of Object.entries(CALLS)) {
      const error = await assertRejects(() => call(fd), TypeError);
      const message = `fd must be a descriptor of its own, got descriptor ${fd}, which a transport uses`;
      assertEquals(error.message, `${name}(): ${message}`);
    }
  }
  transport.resumeReading();
  far.send(bytes("still there"));
  await protocol.untilReceived(11);
  transport.close();
  await protocol.untilLost();
});

epollTest("a call refuses the Socket of a transport, which is not the program's to give away", async () => {
  const [near, far] = socketPair();
  const [transport, protocol] = await loop.createConnection(() => new Recorder(), { fd: near });
  using _ = far;
  const error = await assertRejects(
    () => loop.createConnection(() => new Recorder(), { fd: socketOf(transport) as never }),
    TypeError,
  );
  assertEquals(
    error.message,
    "createConnection(): fd must be a file descriptor or a socket of socketPair(), got Socket",
  );
  transport.close();
  await protocol.untilLost();
});

for (const name of [...CONNECTING, "connectReadPipe", "connectWritePipe"]) {
  epollTest(`${name}() with a factory that throws closes the descriptor`, async () => {
    const [near, far] = socketPair();
    using _ = far;
    const { fd } = near;
    const factory = () => {
      throw new EvalError("factory");
    };
    await assertRejects(() => CALLS[name]!(near, {}, factory), EvalError, "factory");
    assertEquals([near.fd, isOpen(fd), far.recv(new Uint8Array(1))], [-1, false, 0]);
  });
}

for (const name of CONNECTING) {
  epollTest(`${name}() with a signal that has aborted closes the descriptor`, async () => {
    const [near, far] = socketPair();
    using _ = far;
    const reason = new EvalError("reason");
    await assertRejects(() => CALLS[name]!(near, { signal: AbortSignal.abort(reason) }), EvalError, "reason");
    assertEquals([near.fd, far.recv(new Uint8Array(1))], [-1, 0]);
  });
}

epollTest("TLS runs over sockets that are given by their descriptors", async () => {
  const [near, far] = socketPair();
  const [client, server] = [new Recorder(), new Recorder()];
  const [[transport]] = await Promise.all([
    loop.createConnection(() => client, { fd: near, tls: clientTls() }),
    loop.connectAcceptedSocket(() => server, { fd: far }, { tls: serverTls() }),
  ]);
  transport.write(pattern(100_000));
  await server.untilReceived(100_000);
  transport.close();
  await Promise.all([client.untilLost(), server.untilLost()]);
  assertEquals([client.error, server.error], [null, null]);
});

epollTest("createConnection() of a connection that the peer has reset is NotConnected", async () => {
  using fds = new Fds();
  const [client, server] = fds.tcp();
  libc.setsockopt(server, 1, 13, new Int32Array([1, 0]), 8);
  libc.close(server);
  await refused(
    "createConnection",
    client,
    Deno.errors.NotConnected,
    `fd must be a connected socket, got descriptor ${client}: `,
    "ENOTCONN",
  );
});

epollTest("an owner whose detach() throws keeps its descriptor", async () => {
  const [near, far] = socketPair();
  using _near = near;
  using _far = far;
  const owner = {
    fd: near.fd,
    detach: () => {
      throw new EvalError("detach");
    },
  };
  for (const name of [...CONNECTING, "connectReadPipe", "connectWritePipe"]) {
    await assertRejects(() => CALLS[name]!(owner), EvalError, "detach");
  }
  far.send(bytes("x"));
  assertEquals(near.recv(new Uint8Array(2)), 1);
});

epollTest("new OwnedSocket() makes a descriptor an owner that a call can take", async () => {
  using fds = new Fds();
  const [client, server] = fds.tcp();
  const owned = new OwnedSocket(client);
  const [transport, protocol] = await loop.createConnection(() => new Recorder(), { fd: owned });
  assertEquals(owned.fd, -1);
  transport.close();
  await protocol.untilLost();
  await turn(loop);
  assertEquals(take(server), "end");
});
epollTest("createServer() serves a listening socket that is given by its descriptor, and closes it", async () => {
  using fds = new Fds();
  const fd = fds.listener();
  const port = portOf(fd);
  const served = new EventLog();
  const server = await loop.createServer(() => new Recorder(), { fd, startServing: false });
  assertEquals(server.addresses, [{ transport: "tcp", hostname: "127.0.0.1", port }]);
  assertEquals(flags(fd), { nonblocking: true, inherited: false });
  server.close();
  assertEquals(isOpen(fd), false);

  const second = fds.listener();
  const echo = () => ({
    connectionMade: (transport: Transport) => {
      served.add("made");
      transport.write(bytes("welcome"));
      transport.close();
      assertEquals(socketOf(transport).getOption(6, 1), 1);
    },
  });
  await using _server = await loop.createServer(echo, { fd: second });
  const [, client] = await defaultLoop.createConnection(() => new Recorder(), { port: portOf(second) });
  await client.untilLost();
  assertEquals([client.text, served.entries], ["welcome", ["made"]]);
});

epollTest("createServer() serves TLS on a listening socket that is given by its descriptor", async () => {
  using fds = new Fds();
  const fd = fds.listener();
  const options = { port: portOf(fd), tls: TRUSTING };
  await using _server = await loop.createServer(() => new Recorder(), { fd, tls: SERVER });
  const [transport, client] = await loop.createConnection(() => new Recorder(), { hostname: "localhost", ...options });
  assert(transport.getExtraInfo("cipher") !== null);
  transport.close();
  await client.untilLost();
});

epollTest("drain() of a server on a descriptor ends its connections, and closes the descriptor", async () => {
  using fds = new Fds();
  const fd = fds.listener();
  const port = portOf(fd);
  const served = new EventLog();
  class Draining extends Recorder {
    override drain(): void {
      served.add("drain");
      this.transport.write(bytes("bye"));
      this.transport.close();
    }
  }
  const server = await loop.createServer(() => new Draining(), { fd });
  const [, client] = await defaultLoop.createConnection(() => new Recorder(), { port });
  while (loop.inspect().servers[0]!.connections === 0) await turn(loop);
  const counts = server.drain({ grace: 60_000 });
  assertEquals(isOpen(fd), false);
  assertEquals(await counts, { ended: 1, closed: 0, aborted: 0, abortedHandshakes: 0, abortedProxyHeaders: 0 });
  await client.untilLost();
  assertEquals([client.text, served.entries], ["bye", ["drain"]]);
});

epollTest("createUnixServer() serves a socket that is given by its descriptor, and leaves its file", async () => {
  using temp = tempPath();
  using fds = new Fds();
  const { path } = temp;
  const fd = fds.socket(SOCK_STREAM, AF_UNIX);
  const address = new Uint8Array([1, 0, ...bytes(path), 0]);
  assertEquals(libc.bind(fd, address, address.length), 0);
  await refused(
    "createUnixServer",
    fd,
    TypeError,
    `fd must be a listening socket, got descriptor ${fd}, which does not listen`,
  );
  assertEquals(libc.listen(fd, 5), 0);
  const server = await loop.createUnixServer(() => new Recorder({ keepOpen: true }), { fd });
  assertEquals(server.addresses, [{ transport: "unix", path }]);
  const [transport, client] = await loop.createUnixConnection(() => new Recorder(), { path });
  transport.close();
  await client.untilLost();
  server.close();
  server.abortClients();
  await server.waitClosed();
  assert(Deno.lstatSync(path).isSocket);
});

for (const name of ["createServer", "createUnixServer"]) {
  epollTest(`${name}() refuses descriptors that do not listen, and leaves them alone`, async () => {
    using fds = new Fds();
    const [near, far] = socketPair();
    using _near = near;
    using _far = far;
    const silent = `fd must be a listening socket, got descriptor ${near.fd}, which does not listen`;
    await refused(name, near.fd, TypeError, silent);
    const file = fds.open(new URL(import.meta.url).pathname);
    await refused(name, file, TypeError, `fd must be a stream socket, got descriptor ${file}, which is not a socket`);
    const datagram = fds.udp();
    await refused(
      name,
      datagram,
      TypeError,
      `fd must be a stream socket, got descriptor ${datagram}, which is a datagram socket`,
    );
  });
}
