import { InvalidStateError, Protocol, type Server, type Transport } from "../../mod.ts";
import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "../std.ts";
import { bytes, connect, EventLog, loop, pattern, portOf, Recorder, text, turn } from "../kit.ts";
import { readAll, readBytes, serveRaw } from "../streams/kit.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0 } as const;
const linux = Deno.build.os === "linux";

class Echo extends Protocol {
  #transport!: Transport;
  override connectionMade(transport: Transport): void {
    this.#transport = transport;
  }
  override dataReceived(data: Uint8Array): void {
    this.#transport.write(data);
  }
}

/** Sends a word to an echo server and gives back what returns. */
async function echo(addr: Deno.Addr, word: string): Promise<string> {
  const { hostname, port } = addr as Deno.NetAddr;
  using conn = await Deno.connect({ hostname, port });
  await conn.write(bytes(word));
  await conn.closeWrite();
  return text(await readAll(conn));
}

function hasIpv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

Deno.test("createServer() with a list of hostnames and port 0 serves each at a port of its own", {
  // Only Linux answers on all of 127.0.0.0/8 without being told to.
  ignore: !linux,
}, async () => {
  const hostnames = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
  await using server = await loop.createServer(() => new Echo(), { hostname: hostnames, port: 0 });
  const addresses = server.addresses as Deno.NetAddr[];
  assertEquals(addresses.map(({ hostname }) => hostname), hostnames);
  for (const addr of addresses) {
    assertNotEquals(addr.port, 0);
    assertEquals(await echo(addr, `to ${addr.hostname}`), `to ${addr.hostname}`);
  }
});

Deno.test("createServer() serves IPv6", { ignore: !hasIpv6() }, async () => {
  await using server = await loop.createServer(() => new Echo(), { hostname: ["::1", "127.0.0.1"], port: 0 });
  assertEquals((server.addresses as Deno.NetAddr[]).map(({ hostname }) => hostname), ["::1", "127.0.0.1"]);
  for (const addr of server.addresses) assertEquals(await echo(addr, "hello"), "hello");
  const client = new Recorder();
  const [transport] = await loop.createConnection(() => client, { hostname: "::1", port: portOf(server) });
  assertEquals((transport.getExtraInfo("peername") as Deno.NetAddr).hostname, "::1");
  transport.close();
  await client.untilLost();
});

Deno.test("createServer() on a port that is taken rejects with AddrInUse and closes what it had opened", {
  ignore: !linux,
}, async () => {
  using taken = Deno.listen({ hostname: "127.0.0.3", port: 0 });
  const { port } = taken.addr;
  const hostname = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"];
  const error = await assertRejects(
    () => loop.createServer(() => new Echo(), { hostname, port }),
    Deno.errors.AddrInUse,
  );
  assertEquals((error as Error & { code: string }).code, "EADDRINUSE");
  for (const name of ["127.0.0.1", "127.0.0.2"]) Deno.listen({ hostname: name, port }).close();
});

Deno.test("createServer() with startServing: false accepts nobody until startServing()", async () => {
  const log = new EventLog();
  const factory = () => {
    log.add("factory");
    return new Echo();
  };
  await using server = await loop.createServer(factory, { ...LOCAL, startServing: false });
  assertEquals(server.isServing(), false);
  using conn = await Deno.connect({ port: portOf(server) });
  await conn.write(bytes("waiting"));
  await turn();
  assertEquals(log.entries, []);
  server.startServing();
  server.startServing();
  assertEquals(server.isServing(), true);
  assertEquals(text(await readBytes(conn, 7)), "waiting");
  assertEquals(log.entries, ["factory"]);
  conn.close();
});

Deno.test("createServer() with startServing: false closes without ever having served", async () => {
  const server = await loop.createServer(() => new Echo(), { ...LOCAL, startServing: false });
  server.close();
  assertEquals(server.isServing(), false);
  await server.waitClosed();
  assertThrows(() => server.startServing(), InvalidStateError, "closed");
  await assertRejects(() => server.serveForever(), InvalidStateError, "closed");
});

Deno.test("Server.serveForever() starts serving, and resolves when the signal or close() closes the server", async () => {
  for (const how of ["signal", "close"] as const) {
    const controller = new AbortController();
    const server = await loop.createServer(() => new Echo(), { ...LOCAL, startServing: false });
    let over = false;
    const forever = server.serveForever({ signal: controller.signal }).then(() => over = true);
    assertEquals(server.isServing(), true);
    await assertRejects(() => server.serveForever(), InvalidStateError, "already running");
    assertEquals(await echo(server.addresses[0]!, how), how);
    assertEquals(over, false);
    if (how === "signal") controller.abort();
    else server.close();
    assertEquals(server.isServing(), false);
    await forever;
    controller.abort();
    await server.waitClosed();
  }
});

Deno.test("Server.serveForever() with a signal that is aborted already closes the server", async () => {
  const server = await loop.createServer(() => new Echo(), { ...LOCAL, startServing: false });
  await server.serveForever({ signal: AbortSignal.abort() });
  assertEquals(server.isServing(), false);
  await server.waitClosed();
});

Deno.test("Server.serveForever() refuses what is no AbortSignal, and changes nothing", async () => {
  const server = await loop.createServer(() => new Echo(), { ...LOCAL, startServing: false });
  const serveForever = (options: unknown) => server.serveForever(options as { signal: AbortSignal });
  for (const signal of [{}, null, "signal", new AbortController(), new EventTarget()]) {
    await assertRejects(() => serveForever({ signal }), TypeError, "signal must be an AbortSignal, got ");
  }
  await assertRejects(() => serveForever({ signal: {} }), TypeError, "got Object");
  await assertRejects(() => serveForever(null), TypeError, "options must be an object, got null");
  assertEquals(server.isServing(), false);
  const forever = server.serveForever();
  await assertRejects(() => serveForever({ signal: {} }), TypeError, "signal");
  assertEquals(server.isServing(), true);
  server.close();
  await forever;
  await server.waitClosed();
});

for (const broken of ["addEventListener", "aborted"] as const) {
  Deno.test(`Server.serveForever() with a signal whose ${broken} throws rejects with that, and can be called again`, async () => {
    const server = await loop.createServer(() => new Echo(), { ...LOCAL, startServing: false });
    const { signal } = new AbortController();
    Object.defineProperty(signal, broken, {
      get() {
        throw new EvalError(broken);
      },
    });
    await assertRejects(() => server.serveForever({ signal }), EvalError, broken);
    assertEquals(server.isServing(), false);
    const forever = server.serveForever();
    assertEquals(server.isServing(), true);
    server.close();
    await forever;
    await server.waitClosed();
  });
}

Deno.test("Server.serveForever() with a signal whose removeEventListener throws leaves nothing running", async () => {
  const server = await loop.createServer(() => new Echo(), LOCAL);
  const { signal } = new AbortController();
  signal.removeEventListener = () => {
    throw new EvalError("removeEventListener");
  };
  const forever = server.serveForever({ signal });
  server.close();
  await assertRejects(() => forever, EvalError, "removeEventListener");
  // Not "already running".
  await assertRejects(() => server.serveForever(), InvalidStateError, "closed server");
  await server.waitClosed();
});

Deno.test("Server.serveForever() on a closed server does not listen to the signal", async () => {
  const server = await loop.createServer(() => new Echo(), LOCAL);
  server.close();
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  await assertRejects(() => server.serveForever({ signal }), InvalidStateError, "closed server");
  assertEquals(listeners, 0);
  await server.waitClosed();
});

Deno.test("Server.serveForever() that has ended leaves connections alone", async () => {
  const controller = new AbortController();
  await using peer = await serveRaw(() => new Echo());
  const forever = peer.server.serveForever({ signal: controller.signal });
  controller.abort();
  await forever;
  await peer.conn.write(bytes("still here"));
  assertEquals(text(await readBytes(peer.conn, 10)), "still here");
});

Deno.test("Server.close() stops accepting, leaves connections alone and is idempotent", async () => {
  await using peer = await serveRaw(() => new Echo());
  const { server } = peer;
  const port = portOf(server);
  assertEquals(server.isServing(), true);
  server.close();
  server.close();
  assertEquals(server.isServing(), false);
  assertEquals(portOf(server), port);
  // Deno lets go of the listener when its pending accept has been called off.
  await turn();
  await assertRejects(() => Deno.connect({ port }), Deno.errors.ConnectionRefused);
  await peer.conn.write(bytes("still here"));
  assertEquals(text(await readBytes(peer.conn, 10)), "still here");
});

Deno.test("Server.closeClients() closes every connection after its buffer is flushed", async () => {
  const recorders: Recorder[] = [];
  const factory = () => {
    const recorder = new Recorder();
    recorders.push(recorder);
    return recorder;
  };
  await using server = await loop.createServer(factory, LOCAL);
  const conns = [];
  for (let i = 0; i < 3; i++) conns.push(await Deno.connect({ port: portOf(server) }));
  while (recorders.length < 3) await turn();
  for (const { transport } of recorders) transport.write(pattern(3_000_000));
  server.closeClients();
  assertEquals(recorders.map(({ transport }) => transport.isClosing()), [true, true, true]);
  for (const conn of conns) {
    assertEquals((await readAll(conn)).length, 3_000_000);
    conn.close();
  }
  for (const recorder of recorders) {
    await recorder.untilLost();
    assertEquals(recorder.log.entries, ["connectionMade", "pauseWriting", "resumeWriting", "connectionLost null"]);
  }
  assertEquals(server.isServing(), true);
});

Deno.test("Server.abortClients() closes every connection at once", async () => {
  await using peer = await serveRaw(() => new Recorder());
  peer.protocol.transport.write(pattern(32 * 1024 * 1024));
  peer.server.abortClients();
  await peer.protocol.untilLost();
  assertEquals(peer.protocol.log.entries, ["connectionMade", "pauseWriting", "connectionLost null"]);
  assertEquals(peer.server.isServing(), true);
});

Deno.test("Server.waitClosed() waits for close() and for the last connection", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  const { server, serverSide } = pair;
  const log = new EventLog();
  serverSide.connectionLost = () => log.add("connectionLost");
  const waiting = [server.waitClosed(), server.waitClosed()].map((wait) => wait.then(() => log.add("waited")));
  await turn();
  server.close();
  await turn();
  assertEquals(log.entries, []);
  pair.clientTransport.close();
  await Promise.all(waiting);
  assertEquals(log.entries, ["connectionLost", "waited", "waited"]);
  await server.waitClosed();
});

Deno.test("Server.waitClosed() does not resolve when the last connection goes before close()", async () => {
  await using pair = await connect(() => new Recorder(), () => new Recorder());
  let over = false;
  const waiting = pair.server.waitClosed().then(() => over = true);
  pair.clientTransport.close();
  await pair.serverSide.untilLost();
  await turn();
  assertEquals(over, false);
  pair.server.close();
  await waiting;
});

Deno.test("a server that is disposed of closes its connections and waits for their end", async () => {
  const recorder = new Recorder();
  const client = new Recorder();
  let server: Server;
  {
    await using scoped = server = await loop.createServer(() => recorder, LOCAL);
    await loop.createConnection(() => client, { port: portOf(scoped) });
    await recorder.log.has("connectionMade");
  }
  assertEquals(server.isServing(), false);
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"]);
  await client.untilLost();
  await turn();
});

Deno.test("a server whose listener somebody else closes is closed, too", async () => {
  const listener = Deno.listen(LOCAL);
  const server = await loop.createServer(() => new Recorder(), { listener });
  listener.close();
  await server.waitClosed();
  assertEquals(server.isServing(), false);
});

Deno.test("createServer() with reusePort lets two servers share one port", { ignore: !linux }, async () => {
  const counts = [0, 0];
  const factory = (i: number) => () => {
    counts[i]!++;
    return new Echo();
  };
  await using first = await loop.createServer(factory(0), { ...LOCAL, reusePort: true });
  const port = portOf(first);
  await using second = await loop.createServer(factory(1), { hostname: "127.0.0.1", port, reusePort: true });
  assertEquals(portOf(second), port);
  // The system deals connections out by a hash of the client's port: 64 on one side only is once in 2 ** 63.
  for (let i = 0; i < 64; i++) assertEquals(await echo(first.addresses[0]!, "shared"), "shared");
  assertEquals(counts[0]! + counts[1]!, 64);
  assertNotEquals(counts[0], 0);
  assertNotEquals(counts[1], 0);
  second.close();
  await second.waitClosed();
  for (let i = 0; i < 8; i++) assertEquals(await echo(first.addresses[0]!, "alone"), "alone");
});

Deno.test("createServer() takes a listener that exists, and owns it", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const server = await loop.createServer(() => new Echo(), { listener });
  assertEquals(server.addresses, [listener.addr]);
  assertEquals(await echo(listener.addr, "given"), "given");
  server.close();
  await server.waitClosed();
  assertThrows(() => listener.close(), Deno.errors.BadResource);
});

Deno.test("createServer() refuses bad options with an error that names them", async () => {
  const create = (options: unknown) => loop.createServer(() => new Echo(), options as { port: number });
  for (const port of [-1, 65_536, 1.5, NaN, "80", null, undefined, 80n]) {
    const Class = typeof port === "number" ? RangeError : TypeError;
    await assertRejects(() => create({ port }), Class, "port must be a whole number from 0 to 65535, got ");
  }
  await assertRejects(() => create({ port: "80" }), TypeError, 'got string "80"');
  await assertRejects(() => create({ port: 80n }), TypeError, "bigint 80");
  await assertRejects(() => create({ port: NaN }), RangeError, "number NaN");
  await assertRejects(() => create({ port: 0, hostname: [] }), RangeError, "hostname");
  await assertRejects(() => create({ port: 0, closeTimeout: -1 }), RangeError, "closeTimeout");
  await assertRejects(() => create({ port: 0, tls: {} }), TypeError, "a TLS server requires cert and key");
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await assertRejects(() => create({ port: 0, listener }), TypeError, "listener and port");
  await assertRejects(() => create({ listener, tls: {} }), TypeError, "a TLS server requires cert and key");
  const factory = new Echo() as unknown as () => Echo;
  await assertRejects(() => loop.createServer(factory, LOCAL), TypeError, "factory must be a function");
});

Deno.test("createServer() on an address that is not this machine's rejects with Deno's own error", async () => {
  await assertRejects(
    () => loop.createServer(() => new Echo(), { hostname: ["127.0.0.1", "192.0.2.123"], port: 0 }),
    Deno.errors.AddrNotAvailable,
  );
});
