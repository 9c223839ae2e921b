/** What the limits of a server that are times promise, on a virtual clock. */
import { LimitError, type LimitOptions, type Transport } from "../../mod.ts";
import { MemoryLoop } from "../../testing/mod.ts";
import { bytes, Recorder } from "../kit.ts";
import { assert, assertEquals, assertInstanceOf, assertLess, assertStrictEquals } from "../std.ts";
import { ANSWERING } from "../start_tls/kit.ts";
import { SERVER, TRUSTING } from "../tls/kit.ts";
import { Limited } from "./kit.ts";

/** How late a limit of one second may act: an eighth. */
const LATE = 125;

/** Asserts that a limit of a second acts neither before a moment nor much later. */
async function assertEnds(served: Limited, limit: string, rest: number): Promise<void> {
  const [serverSide] = served.accepted;
  await served.advance(rest - 1);
  assertEquals([served.limits, serverSide!.error], [[], undefined]);
  await served.advance(LATE + 1);
  assertEquals(served.limits, [limit]);
  assertInstanceOf(serverSide!.error, LimitError);
  assertStrictEquals(serverSide!.error, served.events[0]);
  assertEquals(served.captured.contexts, []);
}

Deno.test("idleTimeout ends a connection that has moved no byte, and connectionLost gets a LimitError", async () => {
  await using served = await Limited.serve({ idleTimeout: 1000 });
  const client = await served.connect();
  await assertEnds(served, "idleTimeout", 1000);
  const [error] = served.events;
  const peername = served.accepted[0]!.transport.getExtraInfo("peername");
  assertEquals([error!.name, error!.limit, error!.peername], ["LimitError", "idleTimeout", peername]);
  const { hostname, port } = peername as Deno.NetAddr;
  assertEquals(error!.message, `limits.idleTimeout: ${hostname}:${port} sent and took no bytes for 1000 ms`);
  await served.advance(0);
  assertEquals(client.error, null);
});

Deno.test("idleTimeout begins again with each byte that is received, and with each that the kernel takes", async () => {
  await using served = await Limited.serve({ idleTimeout: 1000 });
  const client = await served.connect();
  for (let i = 0; i < 5; i++) {
    await served.advance(900);
    client.transport.write(bytes("x"));
    await served.advance(900);
    served.accepted[0]!.transport.write(bytes("y"));
  }
  await served.advance(0);
  await assertEnds(served, "idleTimeout", 1000);
});

Deno.test("idleTimeout does not count while the program has paused reading, and begins again after it", async () => {
  await using served = await Limited.serve({ idleTimeout: 1000 });
  const client = await served.connect();
  const { transport } = served.accepted[0]!;
  await served.advance(900);
  transport.pauseReading();
  client.transport.write(bytes("held"));
  await served.advance(10_000);
  assertEquals(served.limits, []);
  transport.resumeReading();
  await served.advance(0);
  assertEquals(served.accepted[0]!.text, "held");
  await assertEnds(served, "idleTimeout", 1000);
});

Deno.test("idleTimeout does not count a pause that is over before the server looks", async () => {
  await using served = await Limited.serve({ idleTimeout: 1000 });
  await served.connect();
  const { transport } = served.accepted[0]!;
  await served.advance(999);
  transport.pauseReading();
  transport.resumeReading();
  await assertEnds(served, "idleTimeout", 1000);
});

Deno.test("idleTimeout counts a pause in which the peer does not read: it causes the pause", async () => {
  await using served = await Limited.serve({ idleTimeout: 1000 });
  const client = await served.connect();
  client.transport.pauseReading();
  const { transport } = served.accepted[0]!;
  transport.write(new Uint8Array(1_000_000));
  transport.pauseReading();
  await served.advance(0);
  assert(transport.getWriteBufferSize() > 0);
  await served.advance(1000 + 2 * LATE);
  assertEquals(served.limits, ["idleTimeout"]);
});

Deno.test("idleTimeout ends a half-closed connection on which nothing moves, and no earlier", async () => {
  await using served = await Limited.serve({ idleTimeout: 1000 }, {}, () => new Recorder({ keepOpen: true }));
  const client = await served.connect("10.0.0.1", new Recorder({ keepOpen: true }));
  client.transport.writeEof();
  for (let i = 0; i < 3; i++) {
    await served.advance(900);
    served.accepted[0]!.transport.write(bytes("answer"));
  }
  await served.advance(0);
  assertEquals(client.text, "answeransweranswer");
  await assertEnds(served, "idleTimeout", 1000);
});

Deno.test("progress ends a peer that sends one byte after the other: slowloris", async () => {
  await using served = await Limited.serve({ idleTimeout: 1000, progress: { bytes: 100, within: 10_000 } });
  const client = await served.connect();
  for (let i = 0; i < 20 && served.limits.length === 0; i++) {
    client.transport.write(bytes("x"));
    await served.advance(700);
  }
  assertEquals(served.limits, ["progress"]);
  assertLess(served.loop.time(), 12_000);
  const { message } = served.accepted[0]!.error!;
  assert(/ sent 1[5-7] bytes within 10000 ms, of at least 100$/.test(message), message);
});

Deno.test("progress begins with the connection, and so ends a peer that never sends", async () => {
  await using served = await Limited.serve({ progress: { bytes: 10, within: 1000 } });
  await served.connect();
  await assertEnds(served, "progress", 1000);
});

Deno.test("progress leaves a peer alone that is silent between messages", async () => {
  await using served = await Limited.serve({ progress: { bytes: 10, within: 1000 } });
  const client = await served.connect();
  for (let i = 0; i < 3; i++) {
    client.transport.write(bytes("0123456789"));
    await served.advance(60_000);
  }
  assertEquals([served.limits, served.accepted[0]!.received], [[], 30]);
  client.transport.write(bytes("012345678"));
  await served.advance(0);
  await assertEnds(served, "progress", 1000);
});

Deno.test("progress does not count the time in which the program has paused reading", async () => {
  await using served = await Limited.serve({ progress: { bytes: 10, within: 1000 } });
  const client = await served.connect();
  const { transport } = served.accepted[0]!;
  // One pause that checks see, and many that begin and end between two of them.
  await served.advance(200);
  transport.pauseReading();
  await served.advance(5000);
  transport.resumeReading();
  for (let i = 0; i < 100; i++) {
    transport.pauseReading();
    await served.advance(60);
    transport.resumeReading();
    await served.advance(1);
  }
  client.transport.write(bytes("x"));
  await assertEnds(served, "progress", 700);
});

Deno.test("progress says nothing after the end of the stream", async () => {
  await using served = await Limited.serve(
    { progress: { bytes: 10, within: 1000 } },
    {},
    () => new Recorder({ keepOpen: true }),
  );
  const client = await served.connect("10.0.0.1", new Recorder({ keepOpen: true }));
  client.transport.write(bytes("short"));
  client.transport.writeEof();
  await served.advance(10_000);
  assertEquals([served.limits, served.accepted[0]!.log.entries.at(-1)], [[], "eofReceived"]);
});

Deno.test("lifetime ends a connection though bytes move", async () => {
  await using served = await Limited.serve({ lifetime: 1000, idleTimeout: 500 });
  const client = await served.connect();
  for (let i = 0; i < 9; i++) {
    await served.advance(100);
    client.transport.write(bytes("x"));
  }
  await assertEnds(served, "lifetime", 100);
});

Deno.test("writeTimeout ends a peer that does not read, by what the kernel took and not by what was queued", async () => {
  await using served = await Limited.serve({ writeTimeout: 1000 });
  const client = await served.connect();
  const { transport } = served.accepted[0]!;
  client.transport.pauseReading();
  // The stream in memory is full, and no byte waits.
  transport.write(new Uint8Array(64 * 1024));
  await served.advance(0);
  assertEquals(transport.getWriteBufferSize(), 0);
  // Not at a check: what has passed of the interval before does not count.
  await served.advance(50_010);
  transport.write(new Uint8Array(1_000_000));
  for (let i = 0; i < 9; i++) {
    await served.advance(100);
    transport.write(bytes("more"));
  }
  await assertEnds(served, "writeTimeout", 100);
  assert(served.accepted[0]!.error!.message.endsWith("took none of the bytes that wait for it within 1000 ms"));
});

/** Pauses reading after each piece. */
class Nibbler extends Recorder {
  override dataReceived(data: Uint8Array): void {
    super.dataReceived(data);
    this.transport.pauseReading();
  }
}

Deno.test("writeTimeout begins again with each byte that a slow reader lets the kernel take", async () => {
  await using served = await Limited.serve({ writeTimeout: 1000 });
  const client = await served.connect("10.0.0.1", new Nibbler());
  const { transport } = served.accepted[0]!;
  transport.write(new Uint8Array(2_000_000));
  await served.advance(0);
  for (let i = 0; i < 5; i++) {
    await served.advance(800);
    const before = transport.getWriteBufferSize();
    client.transport.resumeReading();
    await served.advance(0);
    assertLess(transport.getWriteBufferSize(), before);
  }
  await assertEnds(served, "writeTimeout", 1000);
});

Deno.test("writeTimeout ends a flush of close() that the peer does not read", async () => {
  await using served = await Limited.serve({ writeTimeout: 1000 });
  const client = await served.connect();
  client.transport.pauseReading();
  const { transport } = served.accepted[0]!;
  transport.write(new Uint8Array(1_000_000));
  transport.close();
  await served.advance(0);
  await assertEnds(served, "writeTimeout", 1000);
});

Deno.test("limits that are times do not count the time in which the program blocks the event loop", async () => {
  await using served = await Limited.serve({ idleTimeout: 1000, lifetime: 2000 });
  await served.connect();
  await served.advance(500);
  served.loop.clock.skip(30_000);
  await served.advance(0);
  assertEquals(served.limits, []);
  await assertEnds(served, "idleTimeout", 500);
});

/** Upgrades by startTls() as soon as it is connected. */
class Upgrades extends Recorder {
  #loop: MemoryLoop;
  constructor(loop: MemoryLoop) {
    super();
    this.#loop = loop;
  }
  override connectionMade(transport: Transport): void {
    super.connectionMade(transport);
    this.#loop.startTls(transport, this, ANSWERING).then((upgraded) => this.transport = upgraded, () => {});
  }
}

Deno.test("idleTimeout and progress do not count the handshake of startTls(), and go on after it", async () => {
  const limits: LimitOptions = { idleTimeout: 1000, progress: { bytes: 4, within: 1000 } };
  const loop = new MemoryLoop();
  await using served = await Limited.serve(limits, {}, () => new Upgrades(loop), loop);
  const client = await served.connect();
  await served.advance(30_000);
  assertEquals(served.limits, []);
  const upgrading = loop.startTls(client.transport, client, TRUSTING);
  const upgraded = await settled(served, upgrading);
  upgraded.write(bytes("over TLS"));
  await until(served, () => served.accepted[0]!.received === 8);
  await assertEnds(served, "idleTimeout", 1000);
});

Deno.test("idleTimeout ends a TLS connection whose peer never completes a record", async () => {
  await using served = await Limited.serve({ idleTimeout: 1000 }, { tls: SERVER });
  const client = new Recorder();
  const connecting = served.loop.createConnection(() => client, { hostname: "10.0.0.1", port: 99, tls: TRUSTING });
  const [transport] = await settled(served, connecting);
  await until(served, () => served.accepted.length === 1);
  const fault = served.loop.engine.inject({ upstream: { bandwidth: { rate: 1 } } });
  transport.write(new Uint8Array(10_000));
  for (let i = 0; i < 12 && served.limits.length === 0; i++) await served.advance(100);
  assertEquals(served.limits, ["idleTimeout"]);
  assertEquals(served.accepted[0]!.received, 0);
  fault.remove();
  transport.abort();
  await served.advance(0);
});

Deno.test("writeTimeout counts what the kernel takes of a piece that TLS has encrypted as a whole", async () => {
  await using served = await Limited.serve({ writeTimeout: 1000 }, { tls: SERVER });
  const client = new Recorder();
  const connecting = served.loop.createConnection(() => client, { hostname: "10.0.0.1", port: 99, tls: TRUSTING });
  const [transport] = await settled(served, connecting);
  await until(served, () => served.accepted.length === 1);
  using _fault = served.loop.engine.inject({ downstream: { bandwidth: { rate: 20 } } });
  served.accepted[0]!.transport.write(new Uint8Array(1_000_000));
  for (let i = 0; i < 100; i++) await served.advance(100);
  assertEquals(served.limits, []);
  assert(served.accepted[0]!.transport.getWriteBufferSize() > 500_000);
  transport.abort();
  await until(served, () => served.accepted[0]!.error !== undefined);
});

Deno.test("a TLS connection that waits for close_notify has its own time limit, and no other", async () => {
  await using served = await Limited.serve({ idleTimeout: 1000, lifetime: 2000 }, { tls: SERVER });
  const client = new Recorder();
  const connecting = served.loop.createConnection(() => client, { hostname: "10.0.0.1", port: 99, tls: TRUSTING });
  await settled(served, connecting);
  await until(served, () => served.accepted.length === 1);
  using _fault = served.loop.engine.inject({ upstream: { timeout: { timeout: 0 } } });
  served.accepted[0]!.transport.close();
  await served.advance(29_000);
  assertEquals([served.limits, served.accepted[0]!.error], [[], undefined]);
  await served.advance(2000);
  assertEquals(served.accepted[0]!.error!.name, "TimeoutError");
});

/** Waits for something outside of the virtual network: TLS runs in turns of Deno's own. */
async function until(served: Limited, done: () => boolean): Promise<void> {
  while (!done()) await served.advance(0);
}

async function settled<T>(served: Limited, promise: Promise<T>): Promise<T> {
  let over = false;
  const mark = () => void (over = true);
  promise.then(mark, mark);
  await until(served, () => over);
  return await promise;
}

Deno.test("a server with limits has one timer, none that is left, and none without connections", async () => {
  await using served = await Limited.serve({ idleTimeout: 1000 });
  const { clock } = served.loop;
  assertEquals(clock.due, null);
  const clients = [await served.connect(), await served.connect(), await served.connect()];
  assertLess(clock.due!, 1000);
  await clock.runUntilIdle(); // The timer does not keep the process alive.
  for (const client of clients) client.transport.close();
  await served.advance(0);
  assertEquals([clock.due, served.limits], [null, []]);
});

Deno.test("ten thousand idle connections are ended in their hour by few checks", async () => {
  await using served = await Limited.serve({ idleTimeout: 3_600_000 });
  for (let i = 0; i < 10_000; i++) {
    served.loop.createConnection(() => new Recorder(), { hostname: "10.0.0.1", port: 99 });
  }
  await served.advance(0);
  assertEquals(served.accepted.length, 10_000);
  await served.advance(3_599_999);
  assertEquals(served.limits.length, 0);
  await served.advance(10_001);
  assertEquals(served.limits.length, 10_000);
});
