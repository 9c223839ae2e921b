/** Protocols whose properties throw when they are read: the caller is told, and nothing is left behind. */
import { type Server, socketPair, type StreamCallbacks, type Transport } from "../../mod.ts";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "../std.ts";
import { HOSTILE_PROTOCOLS } from "./kit.ts";
import { BufferedRecorder, bytes, captureExceptions, loop, portOf, Recorder, tempPath, text, turn } from "../kit.ts";
import { connectionOf } from "../../transports/stream_transport.ts";
import { FakeHandle, makeTransport, readAll } from "../streams/kit.ts";
import { exchange, plainPair } from "../start_tls/kit.ts";
import { clientTls, serverTls } from "../tls/kit.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0 };

for (const [name, make] of Object.entries(HOSTILE_PROTOCOLS)) {
  Deno.test(`calls that make a pair reject for ${name}, and close what they were given`, async () => {
    using exceptions = captureExceptions();
    using file = tempPath();
    using listener = Deno.listen(LOCAL);
    using unixListener = Deno.listen({ transport: "unix", path: file.path });
    const { port } = listener.addr;
    const accepted: Record<string, [() => Promise<unknown>, Deno.Listener]> = {
      dialled: [() => loop.createConnection(make, { port }), listener],
      unix: [() => loop.createUnixConnection(make, { path: file.path }), unixListener],
    };
    for (const [call, listener] of Object.values(accepted)) {
      await assertRejects(call, Error);
      using peer = await listener.accept();
      assertEquals(await readAll(peer), bytes(""));
    }
    for (const call of ["createConnection", "createUnixConnection", "connectAcceptedSocket"] as const) {
      const [near, far] = await socketPair();
      const made = call === "connectAcceptedSocket"
        ? loop.connectAcceptedSocket(make, near)
        : loop[call](make, { conn: near });
      await assertRejects(() => made, Error);
      assertEquals(await readAll(far), bytes(""));
      far.close();
    }
    const ends: string[] = [];
    const sink = new WritableStream({ abort: () => void ends.push("aborted"), close: () => void ends.push("closed") });
    await assertRejects(() => loop.connectWritePipe(make, sink), Error);
    const source = new ReadableStream({ cancel: () => void ends.push("cancelled") });
    await assertRejects(() => loop.connectReadPipe(make, source), Error);
    await turn();
    assertEquals(ends, ["aborted", "cancelled"]);
    assertEquals(exceptions.contexts, []);
  });

  Deno.test(`a server reports ${name}, closes that connection and goes on`, async () => {
    for (const tls of [undefined, serverTls()]) {
      using exceptions = captureExceptions();
      let count = 0;
      const factory = () => ++count === 1 ? make() : new Recorder();
      const server = await loop.createServer(factory, { ...LOCAL, tls });
      const where = { port: portOf(server), tls: tls && clientTls() };
      const [, first] = await loop.createConnection(() => new Recorder(), where);
      await first.untilLost();
      assertEquals(exceptions.log.entries, ["Exception in a server's protocol factory"]);
      const [second] = await loop.createConnection(() => new Recorder(), where);
      while (count < 2) await turn();
      second.abort();
      server.close();
      server.abortClients();
      await server.waitClosed();
    }
  });

  Deno.test(`setProtocol() throws for ${name}, and changes nothing`, async () => {
    for (const recorder of [new Recorder(), new BufferedRecorder()]) {
      const handle = new FakeHandle();
      const transport = makeTransport(recorder, handle);
      handle.deliver(bytes("first "));
      assertThrows(() => transport.setProtocol(make()), Error);
      assertStrictEquals(transport.getProtocol(), recorder);
      handle.deliver(bytes("second"));
      assertEquals(text(recorder.data), "first second");
      transport.close();
      await turn();
      assertEquals(recorder.log.entries.at(-1), "connectionLost null");
    }
  });

  Deno.test(`startTls() rejects for ${name}, and the connection goes on in the clear`, async () => {
    await using pair = await plainPair("TCP");
    const { transport } = pair.clientSide;
    await assertRejects(() => loop.startTls(transport, make(), clientTls()), Error);
    assertEquals(transport.isClosing(), false);
    await exchange(pair, 1000);
  });

  Deno.test(`datagram endpoints and processes report ${name} and run to their end`, async () => {
    using exceptions = captureExceptions();
    const [endpoint] = await loop.createDatagramEndpoint(make as () => object);
    endpoint.close();
    const [process] = await loop.subprocessExec(make as () => object, "true");
    while (process.getReturncode() === null || !process.isClosing()) await turn();
    await turn();
    const proxies = exceptions.log.entries.length > 0;
    assertEquals(proxies, name.includes("proxy"));
    for (const { message } of exceptions.contexts) assert(message.startsWith("Exception in protocol."), message);
  });
}

/** A protocol whose getter of getBuffer throws from its second reading on. */
function throwsLater(recorder: Recorder): Recorder {
  let count = 0;
  Object.defineProperty(recorder, "bufferUpdated", { value: () => {} });
  return Object.defineProperty(recorder, "getBuffer", {
    get() {
      if (count++ > 0) throw new RangeError("the second time");
      return () => new Uint8Array(8);
    },
  });
}

Deno.test("a getter of getBuffer that throws the second time is fatal: the handler is told, then connectionLost()", async () => {
  for (const tls of [false, true]) {
    using exceptions = captureExceptions();
    const greeter = { connectionMade: (transport: Transport) => transport.write(bytes("x")) };
    const server = await loop.createServer(() => greeter, { ...LOCAL, ...tls && { tls: serverTls() } });
    const client = throwsLater(new Recorder());
    await loop.createConnection(() => client, { port: portOf(server), ...tls && { tls: clientTls() } });
    await client.untilLost();
    assertEquals(client.log.entries, ["connectionMade", "connectionLost RangeError"]);
    assertEquals(exceptions.log.entries, ["Fatal error: protocol.getBuffer() call failed."]);
    server.close();
    await server.waitClosed();
  }
});

Deno.test("startTls() to a protocol whose getter throws the second time ends in connectionLost()", async () => {
  using exceptions = captureExceptions();
  await using pair = await plainPair("TCP");
  const { clientSide, serverSide } = pair;
  const next = throwsLater(new Recorder());
  const [upgraded, answering] = await Promise.all([
    loop.startTls(clientSide.transport, next, clientTls()),
    loop.startTls(serverSide.transport, serverSide, { ...serverTls(), serverSide: true }),
  ]);
  [clientSide.transport, serverSide.transport] = [upgraded, answering];
  answering.write(bytes("x"));
  await next.untilLost();
  assertEquals(next.log.entries, ["connectionLost RangeError"]);
  assertEquals(upgraded.isClosing(), true);
  assertEquals(exceptions.log.entries, ["Fatal error: protocol.getBuffer() call failed."]);
});

Deno.test("a transport that cannot be taken over ends, and its protocol is told", async () => {
  for (const end of ["close", "abort", null] as const) {
    const handle = new FakeHandle();
    const recorder = new Recorder();
    const transport = makeTransport(recorder, handle);
    const connection = connectionOf(transport)!;
    connection.beginUpgrade(transport);
    const error = new RangeError("no TLS");
    const failing = () => {
      throw error;
    };
    assertThrows(() => connection.upgrade(failing, recorder, false, failing), RangeError, "no TLS");
    (transport as Transport).write(bytes("dropped"));
    if (end !== null) transport[end]();
    assertEquals(transport.isClosing(), true);
    await turn();
    assertEquals(recorder.log.entries, ["connectionMade", "connectionLost RangeError"]);
    assertStrictEquals(recorder.error, error);
    assertEquals(handle.closed, true);
  }
});

/** A protocol one of whose properties throws, the `nth` that is read; `done.threw` says whether that came. */
function throwsAt(nth: number, protocol: StreamCallbacks, done: { threw: boolean }): StreamCallbacks {
  return new Proxy(protocol, {
    get(target, key) {
      if (nth-- === 0) {
        done.threw = true;
        throw new EvalError(`of ${String(key)}`);
      }
      return Reflect.get(target, key, target);
    },
  });
}

/** Protocols that do a little of everything, with no property of their own but the callbacks. */
const LIVELY: Record<string, () => StreamCallbacks> = {
  Protocol: () => ({
    connectionMade: (transport) => transport.setWriteBufferLimits({ high: 0 }),
    dataReceived: () => {},
    eofReceived: () => false,
    pauseWriting: () => {},
    resumeWriting: () => {},
    connectionLost: () => {},
  }),
  BufferedProtocol: () => ({ getBuffer: () => new Uint8Array(2), bufferUpdated: () => {}, connectionLost: () => {} }),
};

for (const [kind, make] of Object.entries(LIVELY)) {
  for (const upgrades of [false, true]) {
    const call = upgrades ? "startTls() to" : "createConnection() of";
    Deno.test(`${call} a ${kind} whose nth property throws is reported or rejected once, for every n`, async () => {
      for (let nth = 0, done = { threw: true }; done.threw; nth++) {
        assert(nth < 100);
        done = { threw: false };
        using exceptions = captureExceptions();
        const peer = await serveRecorder();
        const { conn, closed } = await watchedConn(peer.port);
        const protocol = throwsAt(nth, make(), done);
        let rejected = 0;
        try {
          const transport = upgrades
            ? await upgradeTo(protocol, conn, peer.recorder)
            : (await loop.createConnection(() => protocol, { conn }))[0];
          transport.write(bytes("hello"));
          await Promise.race([peer.recorder.untilReceived(5), peer.recorder.untilLost()]);
          peer.recorder.transport.write(bytes("world"));
          peer.recorder.transport.close();
        } catch (error) {
          assertEquals((error as Error).name, "EvalError");
          rejected++;
        }
        await closed;
        await peer.recorder.untilLost();
        assertEquals(rejected + exceptions.contexts.length, done.threw ? 1 : 0);
        peer.server.close();
        await peer.server.waitClosed();
      }
    });
  }
}

/** A server with one recorder. */
async function serveRecorder(): Promise<{ server: Server; port: number; recorder: Recorder }> {
  const recorder = new Recorder();
  const server = await loop.createServer(() => recorder, LOCAL);
  return { server, port: portOf(server), recorder };
}

/** A connection, and a promise that resolves when it is closed. */
async function watchedConn(port: number): Promise<{ conn: Deno.Conn; closed: Promise<void> }> {
  const conn = await Deno.connect({ port });
  const { close } = conn;
  const { promise, resolve } = Promise.withResolvers<void>();
  conn.close = () => {
    close.call(conn);
    resolve();
  };
  return { conn, closed: promise };
}

/** Upgrades a connection in both directions; where that is refused the connection is still good, and is closed. */
async function upgradeTo(protocol: StreamCallbacks, conn: Deno.Conn, peer: Recorder): Promise<Transport> {
  const [transport] = await loop.createConnection(() => new Recorder(), { conn });
  await peer.log.has("connectionMade");
  const answering = loop.startTls(peer.transport, peer, { ...serverTls(), serverSide: true });
  answering.catch(() => {});
  try {
    const upgraded = await loop.startTls(transport, protocol, clientTls());
    peer.transport = await answering;
    return upgraded;
  } catch (error) {
    assertEquals(transport.isClosing(), false);
    transport.close();
    throw error;
  }
}
