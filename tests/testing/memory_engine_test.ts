/** What the network in memory promises beyond the scenarios of `tests/engines/memory_test.ts`. */
import { AsyncLocalStorage } from "node:async_hooks";
import { EventLoop, Protocol } from "../../mod.ts";
import { fromStreams } from "../../streams/mod.ts";
import { MemoryEngine, MemoryLoop, memoryPair, recorder as recordCallbacks } from "../../testing/mod.ts";
import { endpointsOf, net } from "../datagrams/kit.ts";
import { bytes, connect, pattern, Recorder, turn } from "../kit.ts";
import { assertEquals, assertInstanceOf, assertRejects, assertStringIncludes, assertThrows } from "../std.ts";

function memoryLoop(hosts: Record<string, string> = {}): EventLoop {
  return new EventLoop({ engine: new MemoryEngine({ hosts }) });
}

const recorder = () => new Recorder();

Deno.test("MemoryEngine: a server binds any name, and clients reach it by the name and by its address", async () => {
  const loop = memoryLoop();
  await using server = await loop.createServer(recorder, { hostname: "db.test", port: 5432 });
  assertEquals(server.addresses, [{ transport: "tcp", hostname: "10.0.0.1", port: 5432 }]);
  for (const hostname of ["db.test", "DB.test", "10.0.0.1"]) {
    const [transport] = await loop.createConnection(recorder, { hostname, port: 5432 });
    assertEquals(transport.getExtraInfo("peername"), { transport: "tcp", hostname: "10.0.0.1", port: 5432 });
    transport.close();
  }
  const error = await assertRejects(() => loop.createConnection(recorder, { hostname: "no.test", port: 5432 }), Error);
  assertStringIncludes(error.message, "createConnection(): cannot resolve no.test");
});

Deno.test("MemoryEngine: both sides of a connection know the same two addresses", async () => {
  const loop = memoryLoop();
  for (const hostname of ["127.0.0.1", "::1", "192.0.2.7"]) {
    await using pair = await connect(recorder, recorder, { loop, server: { hostname }, client: { hostname } });
    const [client, server] = [pair.clientTransport, pair.serverSide.transport];
    assertEquals(client.getExtraInfo("sockname"), server.getExtraInfo("peername"));
    assertEquals(client.getExtraInfo("peername"), server.getExtraInfo("sockname"));
    assertEquals((client.getExtraInfo("peername") as Deno.NetAddr).hostname, hostname);
  }
});

Deno.test("MemoryEngine: hosts gives names addresses, and a wildcard listens on all of them", async () => {
  const loop = memoryLoop({ "a.test": "192.0.2.1", "b.test": "2001:DB8::0001" });
  await using server = await loop.createServer(recorder, { hostname: "::", port: 80 });
  const seen: unknown[] = [];
  for (const hostname of ["a.test", "b.test"]) {
    const [transport] = await loop.createConnection(recorder, { hostname, port: 80 });
    seen.push((transport.getExtraInfo("peername") as Deno.NetAddr).hostname);
    transport.close();
  }
  assertEquals(seen, ["192.0.2.1", "2001:db8::1"]);
  assertEquals(server.port, 80);
});

Deno.test("new MemoryEngine() rejects unknown options and hosts that are no addresses", () => {
  assertThrows(
    () => new MemoryEngine({ hosts: { "a.test": "b.test" } }),
    TypeError,
    'new MemoryEngine(): hosts[string "a.test"] must be an IP address, got string "b.test"',
  );
  for (const [hosts, got] of [[5, "number 5"], [null, "null"], [["192.0.2.1"], "Array"]] as const) {
    assertThrows(
      () => new MemoryEngine({ hosts: hosts as unknown as Record<string, string> }),
      TypeError,
      `new MemoryEngine(): hosts must be an object of names and IP addresses, got ${got}`,
    );
  }
  assertThrows(() => new MemoryEngine({ host: {} } as unknown as Record<string, never>), TypeError, "host");
});

Deno.test("new MemoryLoop() rejects options that are no object, and unknown ones", () => {
  for (const [options, got] of [[5, "number 5"], [null, "null"], [[], "Array"]] as const) {
    const message = `new MemoryLoop(): options must be a plain object, got ${got}`;
    assertThrows(() => new MemoryLoop(options as never), TypeError, message);
  }
  const message = "new MemoryLoop(): sed is not an option; did you mean seed?";
  assertThrows(() => new MemoryLoop({ sed: 1 } as never), TypeError, message);
});

Deno.test("MemoryEngine: errors have the class and the code of the system's, and name the address", async () => {
  const loop = memoryLoop();
  await using server = await loop.createServer(recorder, { hostname: "127.0.0.1", port: 80 });
  const cases: [() => Promise<unknown>, new (message: string) => Error, string, string][] = [
    [
      () => loop.createConnection(recorder, { port: 81 }),
      Deno.errors.ConnectionRefused,
      "ECONNREFUSED",
      "127.0.0.1:81",
    ],
    [() => loop.createServer(recorder, { port: 80 }), Deno.errors.AddrInUse, "EADDRINUSE", "0.0.0.0:80"],
    [() => loop.createUnixConnection(recorder, { path: "/no" }), Deno.errors.NotFound, "ENOENT", "/no"],
  ];
  for (const [run, Class, code, address] of cases) {
    const error = await assertRejects(run, Class);
    assertEquals((error as Error & { code?: string }).code, code);
    assertStringIncludes(error.message, address);
  }
  assertEquals(server.isServing(), true);
});

Deno.test("MemoryEngine: createServer() with hostname: null listens over IPv4 and IPv6 on one port", async () => {
  const loop = memoryLoop();
  await using server = await loop.createServer(recorder, { hostname: null, port: 0 });
  const [ipv4, ipv6] = server.addresses as Deno.NetAddr[];
  assertEquals([ipv4!.hostname, ipv6!.hostname, ipv6!.port], ["0.0.0.0", "::", ipv4!.port]);
  for (const hostname of ["127.0.0.1", "::1"]) {
    (await loop.createConnection(recorder, { hostname, port: server.port }))[0].close();
  }
});

Deno.test("MemoryEngine: servers that share a port by reusePort take turns", async () => {
  const loop = memoryLoop();
  const counts = [0, 0];
  const serve = (i: number, port: number) =>
    loop.createServer(() => (counts[i]!++, {}), { hostname: "127.0.0.1", port, reusePort: true });
  await using first = await serve(0, 0);
  await using second = await serve(1, first.port);
  for (let i = 0; i < 6; i++) (await loop.createConnection(recorder, { port: second.port }))[0].close();
  await turn(loop);
  await turn(loop);
  assertEquals(counts, [3, 3]);
});

Deno.test("MemoryEngine: close() with bytes that were not read resets the connection, close() without ends it", async () => {
  const loop = memoryLoop();
  for (const unread of [true, false]) {
    await using pair = await connect(recorder, () => new Recorder({ keepOpen: true }), { loop });
    pair.serverSide.transport.pauseReading();
    if (unread) pair.clientTransport.write(bytes("unread"));
    await turn(loop);
    pair.serverSide.transport.close();
    await pair.clientSide.log.until(() => pair.clientSide.log.entries.length === 2);
    assertEquals(pair.clientSide.log.entries[1], unread ? "connectionLost ConnectionReset" : "eofReceived");
    if (unread) assertEquals((pair.clientSide.error as Error & { code?: string }).code, "ECONNRESET");
  }
});

Deno.test("MemoryEngine: the first write to a peer that has closed is lost, the next one fails with BrokenPipe", async () => {
  const loop = memoryLoop();
  await using pair = await connect(recorder, () => new Recorder({ keepOpen: true }), { loop });
  pair.serverSide.transport.close();
  await pair.clientSide.log.has("eofReceived");
  pair.clientTransport.write(bytes("lost"));
  await turn(loop);
  await turn(loop);
  assertEquals(pair.clientTransport.isClosing(), false);
  pair.clientTransport.write(bytes("fails"));
  await pair.clientSide.untilLost();
  assertInstanceOf(pair.clientSide.error, Deno.errors.BrokenPipe);
});

Deno.test("MemoryEngine: abort({ reset }) resets, after the bytes that were sent", async () => {
  const loop = memoryLoop();
  await using pair = await connect(recorder, recorder, { loop });
  pair.serverSide.transport.write(bytes("last"));
  await turn(loop);
  pair.serverSide.transport.abort({ reset: true });
  await pair.clientSide.untilLost();
  assertEquals(pair.clientSide.log.entries, ["connectionMade", "dataReceived 4", "connectionLost ConnectionReset"]);
});

Deno.test("MemoryEngine: a stream holds 64 KiB in each direction while its reader does not read", async () => {
  const loop = memoryLoop();
  await using pair = await connect(recorder, recorder, { loop });
  pair.serverSide.transport.pauseReading();
  await turn(loop);
  pair.clientTransport.write(pattern(100_000));
  await turn(loop);
  assertEquals(pair.clientTransport.getWriteBufferSize(), 100_000 - 65_536);
  pair.serverSide.transport.resumeReading();
  await pair.serverSide.untilReceived(100_000);
  assertEquals(pair.clientTransport.getWriteBufferSize(), 0);
});

Deno.test("MemoryEngine: createConnection() waits for room in the backlog, and signal ends the wait", async () => {
  const loop = memoryLoop();
  await using server = await loop.createServer(recorder, { port: 80, backlog: 1, startServing: false });
  const dial = (signal?: AbortSignal) => loop.createConnection(recorder, { port: 80, signal });
  const clients = [await dial(), await dial()];
  const controller = new AbortController();
  const aborted = assertRejects(() => dial(controller.signal), DOMException, "aborted");
  const waiting = dial();
  await turn(loop);
  await turn(loop);
  controller.abort();
  await aborted;
  server.startServing();
  clients.push(await waiting);
  for (const [transport] of clients) transport.close();
});

Deno.test("MemoryEngine: a server that closes resets connections in its backlog", async () => {
  const loop = memoryLoop();
  const server = await loop.createServer(recorder, { port: 80, startServing: false });
  const [, client] = await loop.createConnection(recorder, { port: 80 });
  server.close();
  await client.untilLost();
  assertEquals(client.error?.name, "ConnectionReset");
});

Deno.test("MemoryEngine: callbacks run in the AsyncLocalStorage context of the call that made the transport", async () => {
  const loop = memoryLoop();
  const storage = new AsyncLocalStorage<string>();
  const seen: string[] = [];
  class Seeing extends Recorder {
    override dataReceived(data: Uint8Array): void {
      seen.push(storage.getStore() ?? "none");
      super.dataReceived(data);
    }
  }
  await using server = await storage.run(
    "server",
    () => loop.createServer(() => new Seeing(), { hostname: "127.0.0.1", port: 0 }),
  );
  const [transport] = await storage.run(
    "client",
    () => loop.createConnection(() => new Seeing(), { port: server.port }),
  );
  await turn(loop);
  storage.run("other", () => transport.write(bytes("x")));
  for (let i = 0; i < 5; i++) await turn(loop);
  assertEquals(seen, ["server"]);
  transport.close();
});

Deno.test("MemoryEngine: errorReceived() is called if no endpoint is bound to remoteAddr", async () => {
  const on = endpointsOf(memoryLoop());
  await using client = await on.open({ remoteAddr: { hostname: "127.0.0.1", port: 9 } });
  client.transport.sendto(bytes("x"));
  await client.log.has("errorReceived");
  assertInstanceOf(client.errors[0], Deno.errors.ConnectionRefused);
});

Deno.test("MemoryEngine: datagrams reach Unix paths and names, and a full receiver drops them", async () => {
  const on = endpointsOf(memoryLoop());
  await using named = await on.open({ localAddr: { hostname: "dns.test", port: 53 } });
  assertEquals(net(named.addr).hostname, "10.0.0.1");
  await using client = await on.open({ remoteAddr: { hostname: "dns.test", port: 53 } });
  for (let i = 0; i < 10; i++) client.transport.sendto(new Uint8Array(50_000));
  await named.untilReceived(4);
  await turn(on.loop);
  assertEquals(named.received.length, 4);
  await using a = await on.open({ localAddr: { path: "/a" } });
  await using b = await on.open({ localAddr: { path: "/b" }, remoteAddr: { path: "/a" } });
  b.transport.sendto(bytes("to a"));
  await a.untilReceived(1);
  assertEquals(a.received[0]!.addr, { transport: "unixpacket", path: "/b" });
});

Deno.test("MemoryEngine: what needs the system is NotSupported", async () => {
  const loop = memoryLoop();
  await assertRejects(
    () => loop.subprocessExec(() => ({}), "true", {}),
    Deno.errors.NotSupported,
    "a MemoryEngine does not support child processes",
  );
});

Deno.test("MemoryEngine: web streams are pipes, and fromStreams() makes a transport of two, by the clock of the loop", async () => {
  const loop = new MemoryLoop();
  const there = new TransformStream<Uint8Array, Uint8Array>();
  const back = new TransformStream<Uint8Array, Uint8Array>();
  class Late extends Recorder {
    override dataReceived(data: Uint8Array): void {
      super.dataReceived(data);
      loop.callLater(60_000, () => this.transport.write(bytes("answer")));
    }
  }
  const [, late] = await fromStreams({ readable: there.readable, writable: back.writable }, () => new Late(), { loop });
  const [sink] = await loop.connectWritePipe(() => new Recorder(), there.writable);
  const [, source] = await loop.connectReadPipe(() => new Recorder(), back.readable);
  sink.write(bytes("question"));
  await loop.clock.advance(59_999);
  assertEquals([late.text, source.text], ["question", ""]);
  await loop.clock.advance(1);
  assertEquals(source.text, "answer");
  sink.close();
  await loop.clock.runUntilIdle();
  assertEquals(late.log.entries.slice(-2), ["eofReceived", "connectionLost null"]);
  assertEquals(source.log.entries.slice(-2), ["eofReceived", "connectionLost null"]);
});

Deno.test("MemoryEngine: sendfile() sends a file", async () => {
  const server = recordCallbacks();
  await using pair = await memoryPair(new Protocol(), server.protocol);
  const path = new URL("../../README.md", import.meta.url);
  using file = await Deno.open(path);
  const count = await pair.loop.sendfile(pair.transportA, file);
  await pair.settle();
  assertEquals([count, server.text], [Deno.statSync(path).size, Deno.readTextFileSync(path)]);
});
