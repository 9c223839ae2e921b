/** The times of `loop.inspect()`, on a virtual clock, and what it keeps. */
import { EventLoop, type TransportInfo } from "../../mod.ts";
import { Roster } from "../../loop/roster.ts";
import { MemoryLoop } from "../../testing/mod.ts";
import { assert, assertEquals, assertLess, assertRejects } from "../std.ts";
import { bytes, Recorder } from "../kit.ts";

const WHERE = { hostname: "10.0.0.1", port: 99 };

class ServerSide extends Recorder {}
class ClientSide extends Recorder {}

Deno.test("inspect() counts age, idle time and pauses by the loop's clock", async () => {
  const loop = new MemoryLoop();
  const { clock } = loop;
  const side = new ServerSide();
  const server = await loop.createServer(() => side, WHERE);
  await clock.advance(1000);
  const client = new ClientSide();
  await loop.createConnection(() => client, WHERE);
  await clock.advance(0);
  const look = () => loop.inspect().transports.find(({ protocol }) => protocol === "ClientSide") as TransportInfo;
  await clock.advance(500);
  // No byte has ever moved, so the idle time is exact.
  assertEquals([look().age, look().idle, loop.inspect().servers[0]!.age], [500, 500, 1500]);
  client.transport.write(bytes("x"));
  await clock.advance(100);
  assertEquals([look().age, look().idle], [600, 0]);
  await clock.advance(200);
  assertEquals([look().age, look().idle], [800, 200]);
  side.transport.write(bytes("y"));
  await clock.advance(50);
  assertEquals(look().idle, 0);

  client.transport.pauseReading();
  await clock.advance(70);
  client.transport.pauseReading();
  assertEquals(look().readingPaused, { by: "program", for: 70 });
  client.transport.setWriteBufferLimits({ high: 0 });
  client.transport.write(bytes("z"));
  const { writingPaused, writeBufferSize } = look();
  assertEquals([writingPaused, writeBufferSize], [{ by: "peer", for: 0 }, 1]);
  await clock.advance(0);
  assertEquals(look().writingPaused, null);

  const drained = server.drain({ delay: 10 });
  assertEquals([loop.inspect().servers[0]!.draining, loop.inspect().servers[0]!.serving], [true, true]);
  await clock.advance(10);
  await drained;
  client.transport.abort();
  await clock.advance(0);
  assertEquals(loop.inspect(), { transports: [], servers: [] });
});

Deno.test("inspect() changes nothing that is told by its result", async () => {
  const loop = new MemoryLoop();
  const server = await loop.createServer(() => new ServerSide(), WHERE);
  const [described] = loop.inspect().servers;
  (described!.addresses[0] as Deno.NetAddr).port = 1;
  assertEquals((server.addresses[0] as Deno.NetAddr).port, 99);
  server.close();
  assertEquals(new EventLoop().inspect(), { transports: [], servers: [] });
});

Deno.test("inspect() is empty after 10,000 connections", async () => {
  const loop = new MemoryLoop();
  const server = await loop.createServer(() => new ServerSide(), WHERE);
  for (let i = 0; i < 10_000; i += 500) {
    const clients = await Promise.all(
      Array.from({ length: 500 }, () => loop.createConnection(() => new ClientSide(), WHERE)),
    );
    await loop.clock.advance(0);
    assertEquals(loop.inspect().transports.length, 1000);
    for (const [transport] of clients) transport.abort();
    await loop.clock.advance(0);
  }
  assertEquals(loop.inspect().transports, []);
  server.close();
});

Deno.test("Roster keeps no transport alive that is dropped without being closed", async () => {
  const roster = new Roster();
  const describe = () => ({
    addresses: [],
    serving: false,
    draining: false,
    connections: 0,
    handshakes: 0,
    proxyHeaders: 0,
  });
  let largest = 0;
  for (let i = 0; i < 200; i++) {
    for (let j = 0; j < 1000; j++) roster.enter({ data: new Uint8Array(1000) }, describe, 0);
    largest = Math.max(largest, roster.size);
    // A weak reference holds its target until the turn ends.
    await new Promise((resolve) => setTimeout(resolve));
  }
  assertLess(largest, 200_000);
  assert(roster.inspect(0).servers.length < 200_000);
});

Deno.test("inspect() says that startTls() pauses reading while it sends what was written before", async () => {
  const loop = new MemoryLoop();
  const server = await loop.createServer(() => new ServerSide(), WHERE);
  const client = new ClientSide();
  const [transport] = await loop.createConnection(() => client, WHERE);
  await loop.clock.advance(0);
  transport.write(bytes("STARTTLS"));
  const upgrade = loop.startTls(transport, client, { serverHostname: "localhost" });
  const { readingPaused } = loop.inspect().transports.find(({ protocol }) => protocol === "ClientSide")!;
  assertEquals(readingPaused, { by: "startTls", for: 0 });
  transport.abort();
  server.abortClients();
  server.close();
  await Promise.all([assertRejects(() => upgrade, Error), loop.clock.advance(0)]);
});
