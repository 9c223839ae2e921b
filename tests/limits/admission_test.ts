/** What the limits of a server that are numbers of connections promise. */
import { AsyncLocalStorage } from "node:async_hooks";
import { type AcceptSink, type LimitError, type ListenHandle, Protocol, TlsError, type Transport } from "../../mod.ts";
import { MemoryLoop } from "../../testing/mod.ts";
import { bytes, captureExceptions, EventLog, loop, Recorder, tempPath, turn } from "../kit.ts";
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "../std.ts";
import { CA, HOST, SERVER } from "../tls/kit.ts";
import { Limited } from "./kit.ts";

/** Says hello, so that a client knows that it is served. */
class Greeter extends Recorder {
  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    transport.write(bytes("hello"));
  }
}

/** A server of greeters over the engine of the tests, and its clients. */
async function serve(limits: Parameters<typeof Limited.serve>[0], path?: string) {
  const log = new EventLog();
  const events: LimitError[] = [];
  const accepted: Greeter[] = [];
  const factory = () => {
    accepted.push(new Greeter());
    return accepted.at(-1)!;
  };
  const onLimit = (error: LimitError) => {
    events.push(error);
    log.add(error.limit);
  };
  const options = { limits: { onLimit, ...limits } };
  const server = path === undefined
    ? await loop.createServer(factory, { hostname: HOST, port: 0, ...options })
    : await loop.createUnixServer(factory, { path, ...options });
  const clients: Recorder[] = [];
  const connect = async () => {
    const client = new Recorder();
    clients.push(client);
    if (path === undefined) await loop.createConnection(() => client, { hostname: HOST, port: server.port });
    else await loop.createUnixConnection(() => client, { path });
    return client;
  };
  return {
    log,
    events,
    accepted,
    server,
    connect,
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.transport.abort();
      server.close();
      server.abortClients();
      await server.waitClosed();
      await Promise.all(clients.map((client) => client.untilLost()));
      await turn();
    },
  };
}

for (const kind of ["createServer()", "createUnixServer()"]) {
  const where = () => {
    const temp = tempPath("socket");
    return kind === "createServer()" ? { path: undefined, [Symbol.dispose]: () => temp[Symbol.dispose]() } : temp;
  };

  Deno.test(`${kind}: maxConnections with "refuse" closes at once what is too much`, async () => {
    using place = where();
    await using served = await serve({ maxConnections: 2, whenFull: "refuse" }, place.path);
    const clients = [await served.connect(), await served.connect()];
    for (const client of clients) await client.untilReceived(5);
    const third = await served.connect();
    await third.untilLost();
    assertEquals([third.received, served.accepted.length], [0, 2]);
    await served.log.has("maxConnections");
    const [error] = served.events;
    assertStringIncludes(error!.message, "was refused: there are 2 connections");
    // Room again.
    clients[0]!.transport.close();
    await served.accepted[0]!.untilLost();
    await turn();
    await (await served.connect()).untilReceived(5);
    assertEquals(served.events.length, 1);
  });

  Deno.test(`${kind}: maxConnections with "wait" serves the next client, in order, when one has ended`, async () => {
    using place = where();
    await using served = await serve({ maxConnections: 2 }, place.path);
    const clients = [await served.connect(), await served.connect()];
    for (const client of clients) await client.untilReceived(5);
    // With Deno's sockets, an accept that is pending takes the third one; it waits all the same.
    clients.push(await served.connect(), await served.connect(), await served.connect());
    for (let i = 0; i < 3; i++) {
      assertEquals(clients.map(({ received }) => received), [...Array(2 + i).fill(5), ...Array(3 - i).fill(0)]);
      clients[i]!.transport.close();
      await clients[2 + i]!.untilReceived(5);
    }
    await turn(); // The report of the last limit has a turn of its own.
    assertEquals(served.accepted.length, 5);
    assertEquals(served.events.map(({ limit }) => limit), Array(4).fill("maxConnections"));
    assertStringIncludes(served.events[0]!.message, "there are 2 connections, so the next ones wait");
  });
}

Deno.test("Server.close() of a full server ends what waits, and waitClosed() resolves", async () => {
  await using served = await serve({ maxConnections: 1 });
  const first = await served.connect();
  await first.untilReceived(5);
  const [second, third] = [await served.connect(), await served.connect()];
  served.server.close();
  await Promise.all([second.untilLost(), third.untilLost()]);
  assertEquals([second.received, third.received, first.error], [0, 0, undefined]);
  assertStringIncludes(served.events[0]!.message, "there is 1 connection, so the next ones wait");
  first.transport.close();
  await served.server.waitClosed();
  assertEquals(served.accepted.length, 1);
});

for (const closes of [false, true]) {
  const what = closes ? "is closed with it" : "waits for its turn";
  Deno.test(`a connection that another listener of a full server has accepted ${what}`, async () => {
    const accepted: Greeter[] = [];
    const factory = () => {
      accepted.push(new Greeter());
      return accepted.at(-1)!;
    };
    const hostname = [HOST, "127.0.0.2", "127.0.0.3"];
    const server = await loop.createServer(factory, { hostname, port: 0, limits: { maxConnections: 1 } });
    const clients: Recorder[] = [];
    for (const address of server.addresses as Deno.NetAddr[]) {
      clients.push(new Recorder());
      const { hostname, port } = address;
      await loop.createConnection(() => clients.at(-1)!, { hostname, port });
      await clients[0]!.untilReceived(5);
    }
    // Time for the accepts that are pending.
    for (let i = 0; i < 10; i++) await turn();
    assertEquals(clients.map(({ received }) => received), [5, 0, 0]);
    if (closes) {
      server.close();
      await Promise.all([clients[1]!.untilLost(), clients[2]!.untilLost()]);
      assertEquals(clients.map(({ received }) => received), [5, 0, 0]);
    }
    clients[0]!.transport.close();
    if (!closes) {
      await accepted[0]!.untilLost();
      await Promise.race([clients[1]!.untilReceived(5), clients[2]!.untilReceived(5)]);
      const [second, third] = clients[1]!.received > 0 ? [clients[1]!, clients[2]!] : [clients[2]!, clients[1]!];
      assertEquals(third.received, 0);
      second.transport.close();
      await third.untilReceived(5);
      third.transport.close();
      server.close();
    }
    await server.waitClosed();
    await Promise.all(clients.map((client) => client.untilLost()));
    await turn();
    assertEquals(accepted.length, closes ? 1 : 3);
  });
}

Deno.test("a server with maxConnections: 1 survives a factory that throws", async () => {
  using captured = captureExceptions();
  let made = 0;
  const factory = () => {
    if (made++ === 0) throw new Error("oops");
    return new Greeter();
  };
  await using server = await loop.createServer(factory, { hostname: HOST, port: 0, limits: { maxConnections: 1 } });
  const connect = async () => {
    const client = new Recorder();
    await loop.createConnection(() => client, { hostname: HOST, port: server.port });
    return client;
  };
  await (await connect()).untilLost();
  const second = await connect();
  await second.untilReceived(5);
  second.transport.close();
  await second.untilLost();
  assert(captured.log.entries.includes("Exception in a server's protocol factory"));
});

Deno.test("a full server accepts nothing when the pause after a failed accept is over", async () => {
  const network = new MemoryLoop();
  const { engine } = network;
  const listen = engine.listen.bind(engine);
  let sink!: AcceptSink;
  let delivered = 0;
  engine.listen = async (target) => {
    const handle = await listen(target) as ListenHandle;
    const acceptStart = handle.acceptStart.bind(handle);
    handle.acceptStart = (given) => {
      sink = given;
      acceptStart({
        ...given,
        accepted: (end) => {
          delivered++;
          given.accepted(end);
        },
      });
    };
    return handle;
  };
  await using served = await Limited.serve({ maxConnections: 1 }, {}, undefined, network);
  const client = await served.connect();
  sink.failed(new Error("EMFILE"));
  await served.connect();
  await served.advance(1000);
  assertEquals(delivered, 1);
  client.transport.close();
  await served.advance(0);
  assertEquals([served.accepted.length, served.captured.contexts.length], [2, 1]);
});

Deno.test("a full server serves the next clients in the context of createServer()", async () => {
  const storage = new AsyncLocalStorage<string>();
  const seen: (string | undefined)[] = [];
  class Context extends Greeter {
    override connectionMade(transport: Transport): void {
      super.connectionMade(transport);
      seen.push(storage.getStore());
    }
  }
  const options = { hostname: HOST, port: 0, limits: { maxConnections: 1 } };
  const accepted: Context[] = [];
  const factory = () => {
    accepted.push(new Context());
    return accepted.at(-1)!;
  };
  const server = await storage.run("server", () => loop.createServer(factory, options));
  await storage.run("client", async () => {
    const clients: Recorder[] = [];
    for (let i = 0; i < 3; i++) {
      clients.push(new Recorder());
      await loop.createConnection(() => clients[i]!, { hostname: HOST, port: server.port });
    }
    for (const [i, client] of clients.entries()) {
      await client.untilReceived(5);
      accepted[i]!.transport.abort();
      await client.untilLost();
    }
  });
  server.close();
  await server.waitClosed();
  assertEquals(seen, Array(3).fill("server"));
});

Deno.test("maxConnectionsPerPeer closes what one address has too much, and others are served", async () => {
  const network = new MemoryLoop();
  await using served = await Limited.serve({ maxConnectionsPerPeer: 2 }, { hostname: "::" }, undefined, network);
  // In memory, a client has the address that it connects to.
  const connect = async (hostname: string) => {
    const before = served.accepted.length;
    const client = await served.connect(hostname);
    await served.advance(0);
    return served.accepted.length > before ? client : null;
  };
  const first = await connect("192.0.2.1");
  assert(first !== null && await connect("192.0.2.1") !== null);
  assertEquals(await connect("192.0.2.1"), null);
  assertEquals(await connect("::ffff:192.0.2.1"), null);
  assert(await connect("192.0.2.2") !== null);
  assert(await connect("2001:db8:0:1::1") !== null && await connect("2001:db8:0:1:ffff::2") !== null);
  assertEquals(await connect("2001:db8:0:1::3"), null);
  assert(await connect("2001:db8:0:2::3") !== null);
  first.transport.close();
  await served.advance(0);
  assert(await connect("::ffff:192.0.2.1") !== null);
  assertEquals(served.limits, Array(3).fill("maxConnectionsPerPeer"));
  assertStringIncludes(served.events[0]!.message, "was refused: 192.0.2.1 has 2 connections");
  assertStringIncludes(served.events[2]!.message, "was refused: 2001:db8:0:1::/64 has 2 connections");
});

Deno.test("maxConnectionsPerPeer holds at the sockets of the engine, too", async () => {
  await using served = await serve({ maxConnectionsPerPeer: 1 });
  await (await served.connect()).untilReceived(5);
  const second = await served.connect();
  await second.untilLost();
  assertEquals([second.received, served.events.map(({ limit }) => limit)], [0, ["maxConnectionsPerPeer"]]);
  served.accepted[0]!.transport.close();
  await served.accepted[0]!.untilLost();
  await turn();
  await (await served.connect()).untilReceived(5);
});

Deno.test("maxConnections counts TLS handshakes that are pending, and a failed one makes room", async () => {
  using captured = captureExceptions();
  const options = { hostname: HOST, port: 0, tls: SERVER, limits: { maxConnections: 1 } };
  await using server = await loop.createServer(() => new Greeter(), options);
  const stalled = await Deno.connect({ hostname: HOST, port: server.port });
  await stalled.write(bytes("G"));
  const client = new Recorder();
  const connecting = loop.createConnection(() => client, { hostname: HOST, port: server.port, tls: { caCerts: [CA] } });
  await captured.log.has("createServer(): a limit was reached");
  await turn();
  assertEquals(client.log.entries, []);
  stalled.close();
  await connecting;
  await client.untilReceived(5);
  client.transport.close();
  await client.untilLost();
});

for (const whenFull of ["refuse", "wait"] as const) {
  Deno.test(`after clients that came and went in every way, as many are served as before, with "${whenFull}"`, async () => {
    using _captured = captureExceptions();
    const limits = { maxConnections: 5, whenFull, maxConnectionsPerPeer: 5, maxHandshakes: 3 };
    const options = { hostname: HOST, port: 0, tls: SERVER, limits };
    await using server = await loop.createServer(() => new Greeter(), options);
    const { port } = server;
    const tls = { caCerts: [CA] };
    const visit = async (i: number) => {
      if (i % 3 === 0) {
        // No TLS, or an end in the middle of the handshake.
        const conn = await Deno.connect({ hostname: HOST, port });
        if (i % 2 === 0) await conn.write(bytes("GET / HTTP/1.0\r\n\r\n")).catch(() => {});
        conn.close();
        return;
      }
      const client = new Recorder();
      await loop.createConnection(() => client, { hostname: HOST, port, tls });
      if (i % 3 === 1) client.transport.abort();
      else client.transport.close();
      await client.untilLost();
    };
    for (let i = 0; i < 60; i += 6) {
      await Promise.allSettled(Array.from({ length: 6 }, (_, j) => visit(i + j)));
    }
    server.closeClients();
    const clients: Recorder[] = [];
    while (clients.length < 5) {
      // What was aborted above may still count for a moment.
      const client = new Recorder();
      const made = await loop.createConnection(() => client, { hostname: HOST, port, tls }).catch(() => null);
      if (made === null) continue;
      await client.log.until(() => client.received > 0 || client.error !== undefined);
      if (client.error === undefined) clients.push(client);
    }
    const sixth = await Deno.connect({ hostname: HOST, port });
    if (whenFull === "refuse") assertEquals(await sixth.read(new Uint8Array(1)).catch(() => null), null);
    sixth.close();
    for (const client of clients) client.transport.abort();
    await Promise.all(clients.map((client) => client.untilLost()));
  });
}

Deno.test("limits.maxHandshakes aborts the oldest handshake, and reports it to onLimit", async () => {
  using captured = captureExceptions();
  const events: LimitError[] = [];
  const log = new EventLog();
  const onLimit = (error: LimitError) => {
    events.push(error);
    log.changed();
  };
  const options = { hostname: HOST, port: 0, tls: SERVER, limits: { maxHandshakes: 2, onLimit } };
  await using server = await loop.createServer(() => new Greeter(), options);
  const conns: Deno.Conn[] = [];
  for (let i = 0; i < 3; i++) conns.push(await Deno.connect({ hostname: HOST, port: server.port }));
  await log.until(() => events.length === 1);
  assertEquals([events[0]!.limit, captured.contexts.length], ["maxHandshakes", 0]);
  assertEquals(events[0]!.peername, conns[0]!.localAddr);
  assertStringIncludes(events[0]!.message, "aborted for newer ones (maxHandshakes: 2)");
  for (const conn of conns) conn.close();
});

Deno.test("limits.maxHandshakes without onLimit is reported as maxHandshakes of tls is", async () => {
  using captured = captureExceptions();
  const options = { hostname: HOST, port: 0, tls: SERVER, limits: { maxHandshakes: 1 } };
  await using server = await loop.createServer(() => new Greeter(), options);
  const conns = [await Deno.connect({ hostname: HOST, port: server.port })];
  conns.push(await Deno.connect({ hostname: HOST, port: server.port }));
  await captured.log.has("TLS handshake with");
  assertInstanceOf(captured.contexts[0]!.error, TlsError);
  for (const conn of conns) conn.close();
});

Deno.test("limits of a listener that exists are the same", async () => {
  const listener = Deno.listen({ hostname: HOST, port: 0 });
  const limits = { maxConnections: 1, whenFull: "refuse" } as const;
  await using server = await loop.createServer(() => new Greeter(), { listener, limits });
  const client = new Recorder();
  using captured = captureExceptions();
  await loop.createConnection(() => client, { hostname: HOST, port: server.port });
  await client.untilReceived(5);
  const second = new Recorder();
  await loop.createConnection(() => second, { hostname: HOST, port: server.port });
  await second.untilLost();
  assertEquals([client.received, second.received, captured.contexts.length], [5, 0, 1]);
  client.transport.close();
  await client.untilLost();
});

Deno.test("refused connections call the exception handler at most once a minute, with their number", async () => {
  const limits = { maxConnections: 1, whenFull: "refuse", onLimit: undefined } as const;
  await using served = await Limited.serve(limits);
  await served.connect();
  for (let i = 0; i < 50; i++) await served.connect();
  await served.advance(60_000);
  for (let i = 0; i < 50; i++) await served.connect();
  const [first, second, ...others] = served.captured.contexts;
  assertEquals(first!.message, "createServer(): a limit was reached");
  assertEquals(second!.message, "createServer(): a limit was reached (and 49 times since the last report)");
  assertEquals([(first!.error as LimitError).limit, Object.keys(first!), others.length], [
    "maxConnections",
    ["message", "error"],
    0,
  ]);
});

Deno.test("an onLimit that throws or rejects only reaches the exception handler", async () => {
  for (const isAsync of [false, true]) {
    const onLimit = () => {
      if (isAsync) return Promise.reject(new Error("oops"));
      throw new Error("oops");
    };
    await using served = await Limited.serve({ maxConnections: 1, whenFull: "refuse", idleTimeout: 1000, onLimit });
    const client = await served.connect();
    const second = await served.connect();
    assertEquals([client.error, second.error], [undefined, null]);
    await served.advance(2000);
    assertEquals(client.error, null);
    assertEquals(served.captured.contexts.map(({ message, error }) => [message, error!.message]), [
      ["Exception in callback onLimit", "oops"],
      ["Exception in callback onLimit", "oops"],
    ]);
  }
});

Deno.test("onLimit can close the server and its clients", async () => {
  const network = new MemoryLoop();
  const onLimit = () => {
    served.server.close();
    served.server.abortClients();
  };
  const served = await Limited.serve({ idleTimeout: 1000, maxConnections: 2, onLimit }, {}, undefined, network);
  const clients = [await served.connect()];
  await served.connect();
  await served.advance(10_000);
  await served.server.waitClosed();
  assertEquals([clients[0]!.error, network.clock.due], [null, null]);
});

Deno.test("a server with limits closes and aborts its clients as any other", async () => {
  await using served = await Limited.serve({ idleTimeout: 1000, maxConnectionsPerPeer: 5, maxConnections: 3 });
  const clients = [await served.connect(), await served.connect(), await served.connect(), await served.connect()];
  served.server.closeClients();
  await served.advance(0);
  assertEquals(clients.map(({ error }) => error), [null, null, null, undefined]);
  assertEquals(served.accepted.length, 4);
  served.server.abortClients();
  await served.advance(0);
  assertEquals(clients[3]!.error, null);
  assertEquals(served.loop.clock.due, null);
});

Deno.test("Protocol without callbacks is limited, too", async () => {
  await using served = await Limited.serve({ idleTimeout: 1000 });
  served.accepted.length = 0;
  const [transport] = await served.loop.createConnection(() => new Protocol(), { hostname: "10.0.0.1", port: 99 });
  await served.advance(1200);
  assertEquals([transport.isClosing(), served.limits], [true, ["idleTimeout"]]);
});
