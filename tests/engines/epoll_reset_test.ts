/** How a connection of the epoll engine ends for its peer: by an end of the stream or by a reset. */
import { constants } from "node:os";
import { socketPair } from "../../engines/epoll/mod.ts";
import { assertEquals, assertInstanceOf, assertRejects, assertThrows } from "../std.ts";
import { bytes, connect, loop as defaultLoop, Recorder, turn } from "../kit.ts";
import { SERVER, TRUSTING } from "../tls/kit.ts";
import { Fds, loop, openAs, put, take } from "./descriptors_kit.ts";
import { epollTest } from "./epoll_kit.ts";

const { ECONNRESET } = constants.errno;

epollTest("abort({ reset: true }) resets the connection, also with nothing unread", async () => {
  for (const state of ["idle", "writing", "closing"] as const) {
    using fds = new Fds();
    const [client, server] = fds.tcp();
    const socket = openAs(client);
    const [transport, protocol] = await loop.createConnection(() => new Recorder(), { fd: client });
    if (state !== "idle") transport.write(new Uint8Array(8_000_000));
    await turn(loop);
    if (state === "closing") transport.close();
    transport.abort({ reset: true });
    assertEquals(protocol.log.entries.includes("connectionLost null"), false);
    transport.abort({ reset: true });
    await protocol.untilLost();
    await turn(loop);
    // Not the number alone: a test of another file in this process may have it by now.
    assertEquals([protocol.error, openAs(client) === socket], [null, false]);
    transport.abort({ reset: true });
    let answer;
    while ((answer = take(server)) instanceof Uint8Array);
    assertEquals(answer, ECONNRESET, state);
  }
});

epollTest("abort() and close() without unread bytes end the stream for the peer", async () => {
  for (const method of ["abort", "close"] as const) {
    using fds = new Fds();
    const [client, server] = fds.tcp();
    const [transport, protocol] = await loop.createConnection(() => new Recorder(), { fd: client });
    transport[method]();
    await protocol.untilLost();
    await turn(loop);
    assertEquals(take(server), "end");
  }
});

epollTest("abort() and close() with unread bytes reset the connection", async () => {
  for (const method of ["abort", "close"] as const) {
    using fds = new Fds();
    const [client, server] = fds.tcp();
    const [transport, protocol] = await loop.createConnection(() => new Recorder(), { fd: client });
    transport.pauseReading();
    put(server, bytes("unread"));
    await turn(loop);
    transport[method]();
    await protocol.untilLost();
    await turn(loop);
    assertEquals([protocol.error, protocol.received, take(server)], [null, 0, ECONNRESET]);
  }
});

epollTest("abort({ reset: true }) resets the connection under TLS", async () => {
  const server = new Recorder();
  await using _server = await loop.createServer(() => server, { hostname: "127.0.0.1", port: 0, tls: SERVER });
  const [transport, client] = await loop.createConnection(() => new Recorder(), {
    hostname: "localhost",
    port: _server.port,
    tls: TRUSTING,
  });
  await server.log.has("connectionMade");
  transport.abort({ reset: true });
  await Promise.all([client.untilLost(), server.untilLost()]);
  assertEquals(client.error, null);
  assertInstanceOf(server.error, Deno.errors.ConnectionReset);
});

epollTest("abort({ reset: true }) is NotSupported where there is no reset, and leaves the transport open", async () => {
  const [near, far] = socketPair();
  using _ = far;
  const [unix, protocol] = await loop.createConnection(() => new Recorder(), { fd: near });
  await assertRejects(
    async () => await unix.abort({ reset: true }),
    Deno.errors.NotSupported,
    "abort(): reset is not supported",
  );
  assertEquals(unix.isClosing(), false);
  unix.abort();
  unix.abort({ reset: true });
  await protocol.untilLost();
  for (const secure of [false, true]) {
    const [ours, theirs] = secure ? [{ tls: SERVER }, { tls: TRUSTING }] : [{}, {}];
    await using server = await defaultLoop.createServer(() => new Recorder(), { port: 0, ...ours });
    const options = { hostname: "localhost", port: server.port, ...theirs };
    const [transport, client] = await defaultLoop.createConnection(() => new Recorder(), options);
    await assertRejects(
      async () => await transport.abort({ reset: true }),
      Deno.errors.NotSupported,
      "abort(): reset is not supported",
    );
    assertEquals(transport.isClosing(), false);
    transport.close();
    await client.untilLost();
  }
});

epollTest("abort({ reset: true }) refuses wrong options", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder(), { loop });
  const { clientTransport: transport } = pair;
  assertThrows(
    () => transport.abort({ rest: true } as never),
    TypeError,
    "abort(): rest is not an option; did you mean reset?",
  );
  assertThrows(
    () => transport.abort({ reset: 1 } as never),
    TypeError,
    "abort(): reset must be a boolean, got number 1",
  );
  assertThrows(() => transport.abort(null as never), TypeError, "abort(): options must be a plain object, got null");
  assertEquals(transport.isClosing(), false);
});
