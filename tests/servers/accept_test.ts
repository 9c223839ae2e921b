import { Protocol, type Transport } from "../../mod.ts";
import { makeLoop } from "../engine.ts";
import { assertEquals, assertStrictEquals } from "../std.ts";
import { bytes, captureExceptions, loop, ManualClock, portOf, Recorder, text, turn } from "../kit.ts";
import { readAll, resetNode } from "../streams/kit.ts";
import { connect as connectNode } from "node:net";

const LOCAL = { hostname: "127.0.0.1", port: 0 } as const;

class Greeter extends Protocol {
  override connectionMade(transport: Transport): void {
    transport.write(bytes("hello"));
    transport.close();
  }
}

/** A real listener whose next accepts fail with these errors. */
function failingListener(...errors: Error[]): Deno.TcpListener {
  const listener = Deno.listen(LOCAL);
  const accept = listener.accept.bind(listener);
  listener.accept = () => {
    const error = errors.shift();
    return error === undefined ? accept() : Promise.reject(error);
  };
  return listener;
}

/** What Deno throws when the process has no file descriptor left. */
function emfile(): Error {
  return Object.assign(new Error("Too many open files (os error 24)"), { code: "EMFILE" });
}

async function greeting(port: number): Promise<string> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  return text(await readAll(conn));
}

Deno.test("a server that runs out of file descriptors tells the handler, waits, and goes on", async () => {
  const clock = new ManualClock();
  const loop = makeLoop({ clock });
  using captured = captureExceptions(loop);
  const errors = [emfile(), emfile()];
  await using server = await loop.createServer(() => new Greeter(), { listener: failingListener(...errors) });
  let greeted = "";
  const greeter = greeting(portOf(server)).then((text) => greeted = text);
  for (const count of [1, 2]) {
    await captured.log.until(() => captured.contexts.length === count);
    await clock.advance(999, loop);
    assertEquals([captured.contexts.length, greeted], [count, ""]);
    await clock.advance(1, loop);
  }
  assertEquals(await greeter, "hello");
  for (const [i, context] of captured.contexts.entries()) {
    assertEquals(Object.keys(context).sort(), ["error", "message"]);
    assertEquals(context.message, "accept() failed; trying again in 1000 ms");
    assertStrictEquals(context.error, errors[i]);
  }
});

Deno.test("Server.close() while accept() waits to be tried again leaves no timer", async () => {
  const clock = new ManualClock();
  const loop = makeLoop({ clock });
  using captured = captureExceptions(loop);
  const server = await loop.createServer(() => new Greeter(), { listener: failingListener(emfile()) });
  await captured.log.has("accept() failed");
  assertEquals(clock.due, 1000);
  server.close();
  await server.waitClosed();
  assertEquals(clock.due, null);
});

Deno.test("Server.close() inside the exception handler that an accept() error calls leaves no timer", async () => {
  const server = await loop.createServer(() => new Greeter(), {
    listener: failingListener(emfile()),
    startServing: false,
  });
  const before = loop.getExceptionHandler();
  loop.setExceptionHandler(() => server.close());
  server.startServing();
  await server.waitClosed();
  loop.setExceptionHandler(before);
});

Deno.test("a connection that was reset before accept() took it is no error at all", async () => {
  // Nothing waits: the clock stands still.
  const loop = makeLoop({ clock: new ManualClock() });
  using captured = captureExceptions(loop);
  const errors = [new Deno.errors.ConnectionAborted("gone"), new Deno.errors.ConnectionReset("gone")];
  await using server = await loop.createServer(() => new Greeter(), { listener: failingListener(...errors) });
  assertEquals(await greeting(portOf(server)), "hello");
  assertEquals(captured.contexts, []);
});

Deno.test("a connection that was closed or reset before accept() does not affect the server", async () => {
  using captured = captureExceptions();
  const recorders: Recorder[] = [];
  const factory = () => {
    recorders.push(new Recorder());
    return recorders.at(-1)!;
  };
  await using server = await loop.createServer(factory, { ...LOCAL, startServing: false });
  const port = portOf(server);
  (await Deno.connect({ hostname: "127.0.0.1", port })).close();
  const socket = connectNode(port, "127.0.0.1");
  await new Promise<void>((resolve) => void socket.once("connect", () => resolve()));
  await resetNode(socket);
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(bytes("me too"));
  server.startServing();
  while (recorders.at(-1)?.received !== 6) await turn();
  conn.close();
  for (const recorder of recorders) await recorder.untilLost();
  const histories = recorders.map(({ log }) => log.entries.join());
  assertEquals(histories.at(0), "connectionMade,eofReceived,connectionLost null");
  assertEquals(histories.at(-1), "connectionMade,dataReceived 6,eofReceived,connectionLost null");
  assertEquals(captured.contexts, []);
});

Deno.test("a connection that accept() yields after Server.close() is closed and makes no protocol", async () => {
  const listener = Deno.listen(LOCAL);
  const gate = Promise.withResolvers<void>();
  const accept = listener.accept.bind(listener);
  const accepted = Promise.withResolvers<void>();
  listener.accept = async () => {
    const conn = await accept();
    accepted.resolve();
    await gate.promise;
    return conn;
  };
  let made = 0;
  const server = await loop.createServer(() => (made++, new Greeter()), { listener });
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: portOf(server) });
  await accepted.promise;
  server.close();
  gate.resolve();
  assertEquals(await conn.read(new Uint8Array(1)), null);
  await server.waitClosed();
  assertEquals(made, 0);
});

Deno.test("a listener that the program closes ends the accept loop without a report", async () => {
  using captured = captureExceptions();
  const listener = Deno.listen(LOCAL);
  const server = await loop.createServer(() => new Greeter(), { listener });
  listener.close();
  await turn();
  server.close();
  await server.waitClosed();
  assertEquals(captured.contexts, []);
});

Deno.test("createServer() sets TCP_NODELAY unless noDelay is false, and SO_KEEPALIVE as keepAlive says", async () => {
  for (
    const [options, expected] of [
      [{}, ["noDelay true"]],
      [{ noDelay: false }, ["noDelay false"]],
      [{ keepAlive: true }, ["noDelay true", "keepAlive true"]],
      [{ noDelay: false, keepAlive: true }, ["noDelay false", "keepAlive true"]],
    ] as const
  ) {
    const calls: string[] = [];
    const listener = Deno.listen(LOCAL);
    const accept = listener.accept.bind(listener);
    listener.accept = async () => {
      const conn = await accept();
      conn.setNoDelay = (on) => void calls.push(`noDelay ${on}`);
      conn.setKeepAlive = (on) => void calls.push(`keepAlive ${on}`);
      return conn;
    };
    await using server = await loop.createServer(() => new Greeter(), { listener, ...options });
    assertEquals(await greeting(portOf(server)), "hello");
    assertEquals(calls, [...expected]);
  }
});
