/** What the faults of the network in memory promise. */
import { Protocol, type Transport } from "../../mod.ts";
import {
  type FaultOptions,
  MemoryEngine,
  MemoryLoop,
  memoryPair,
  recorder,
  type Recording,
  type StreamFaults,
  withSeed,
} from "../../testing/mod.ts";
import { endpointsOf, net } from "../datagrams/kit.ts";
import { bytes, pattern, Recorder } from "../kit.ts";
import { assertBytes } from "../kit.ts";
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "../std.ts";

/** A recorder whose lines begin with the time. */
class Timed extends Recorder {
  readonly lines: string[] = [];
  #time: () => number;
  constructor(time: () => number) {
    super({ keepOpen: true });
    this.#time = time;
  }
  override dataReceived(data: Uint8Array): void {
    super.dataReceived(data);
    this.lines.push(`${Math.round(this.#time())} ${data.length}`);
  }
  override eofReceived(): boolean {
    this.lines.push(`${Math.round(this.#time())} end`);
    return super.eofReceived();
  }
  override connectionLost(error: Error | null): void {
    super.connectionLost(error);
    this.lines.push(`${Math.round(this.#time())} lost ${error?.name ?? "null"}`);
  }
}

/** A pair in which A sends upstream to B. */
async function timedPair(upstream: StreamFaults = {}, seed = 1) {
  const loop = new MemoryLoop({ seed });
  const time = () => loop.time();
  const [a, b] = [new Timed(time), new Timed(time)];
  const pair = await memoryPair(a, b, { loop });
  const fault = loop.engine.inject({ upstream });
  return { loop, pair, a, b, fault, clock: loop.clock };
}

Deno.test("latency delays bytes and the end, and a later latency does not overtake", async () => {
  const { pair, b, clock, fault } = await timedPair({ latency: { latency: 100 } });
  pair.transportA.write(bytes("one"));
  await clock.advance(10);
  fault.set({ upstream: { latency: { latency: 5 } } });
  pair.transportA.write(bytes("second"));
  pair.transportA.writeEof();
  await clock.advance(1000);
  assertEquals(b.lines, ["100 9", "100 end"]);
  fault.remove();
  pair.transportB.abort();
  await clock.advance(0);
});

Deno.test("latency makes a connection attempt take a round trip, which signal can end", async () => {
  const loop = new MemoryLoop();
  loop.engine.inject({ upstream: { latency: { latency: 30 } }, downstream: { latency: { latency: 20 } } });
  await using _server = await loop.createServer(() => new Protocol(), { hostname: "a.test", port: 80 });
  const dial = (signal?: AbortSignal) =>
    loop.createConnection(() => new Protocol(), { hostname: "a.test", port: 80, signal });
  let connected = -1;
  const dialling = dial().then(([transport]) => {
    connected = loop.time();
    transport.close();
  });
  await loop.clock.advance(100);
  await dialling;
  assertEquals(connected, 50);
  const controller = new AbortController();
  const aborted = assertRejects(() => dial(controller.signal), DOMException, "aborted");
  await loop.clock.advance(40);
  controller.abort();
  await aborted;
  assertEquals(loop.clock.due, null);
});

Deno.test("jitter draws from the seed: the same seed gives the same times, another one others", async () => {
  const times = async (seed: number) => {
    const { pair, b, clock } = await timedPair({ latency: { latency: 100, jitter: 50 } }, seed);
    for (let i = 0; i < 10; i++) {
      pair.transportA.write(bytes("x"));
      await clock.advance(200);
    }
    for (const [i, line] of b.lines.entries()) {
      const delay = Number(line.split(" ")[0]) - 200 * i;
      assert(delay >= 50 && delay <= 150, line);
    }
    const lines = [...b.lines];
    pair.transportB.abort();
    return lines;
  };
  const first = await times(7);
  assertEquals(await times(7), first);
  assert(first.join() !== (await times(8)).join());
});

Deno.test("bandwidth limits the rate, in pieces of a tenth of a second", async () => {
  const { pair, b, clock } = await timedPair({ bandwidth: { rate: 1000 } });
  pair.transportA.write(pattern(250));
  await clock.advance(1000);
  assertEquals(b.lines, ["100 100", "200 100", "250 50"]);
  assertBytes(b.data, pattern(250));
  pair.transportB.abort();
});

Deno.test("slicer delivers single bytes, and pieces with pauses", async () => {
  const single = await timedPair({ slicer: { averageSize: 1 } });
  single.pair.transportA.write(bytes("abc"));
  await single.pair.settle();
  assertEquals(single.b.lines, ["0 1", "0 1", "0 1"]);
  single.fault.remove();
  single.pair.transportA.write(bytes("defg"));
  await single.pair.settle();
  assertEquals([single.b.lines.at(-1), single.b.text], ["0 4", "abcdefg"]);
  const slow = await timedPair({ slicer: { averageSize: 100, sizeVariation: 50, delay: 10 } });
  slow.pair.transportA.write(pattern(10_000));
  await slow.clock.advance(10_000);
  assertBytes(slow.b.data, pattern(10_000));
  const sizes = slow.b.lines.map((line) => Number(line.split(" ")[1]));
  assert(sizes.slice(0, -1).every((size) => size >= 50 && size <= 150), String(sizes));
  assert(new Set(sizes).size > 10, String(sizes));
  assertEquals(slow.b.lines.map((line) => Number(line.split(" ")[0])), sizes.map((_, i) => i * 10));
});

Deno.test("timeout lets nothing through until it is removed, or closes the connection", async () => {
  const silent = await timedPair({ timeout: { timeout: 0 } });
  silent.pair.transportA.write(bytes("held"));
  silent.pair.transportA.writeEof();
  await silent.clock.advance(100_000);
  assertEquals(silent.b.lines, []);
  silent.fault.remove();
  await silent.clock.advance(0);
  assertEquals(silent.b.lines, ["100000 4", "100000 end"]);
  const closing = await timedPair({ timeout: { timeout: 5000 } });
  closing.pair.transportA.write(bytes("lost"));
  await closing.clock.advance(5000);
  assertEquals([closing.a.lines, closing.b.lines], [["5000 end"], ["5000 end"]]);
  closing.pair.transportA.write(bytes("x"));
  await closing.clock.advance(0);
  assertInstanceOf(closing.a.error, Deno.errors.BrokenPipe);
});

Deno.test("timeout also holds back what is on its way", async () => {
  const { pair, b, clock, fault } = await timedPair({ latency: { latency: 100 } });
  pair.transportA.write(bytes("on its way"));
  await clock.advance(50);
  fault.set({ upstream: { timeout: { timeout: 0 } } });
  await clock.advance(100);
  assertEquals(b.lines, []);
  fault.remove();
  await clock.advance(0);
  assertEquals(b.lines, ["150 10"]);
});

Deno.test("a datagram that is reordered arrives right after the next one", async () => {
  const loop = new MemoryLoop();
  const on = endpointsOf(loop);
  await using server = await on.open();
  await using client = await on.open({ remoteAddr: net(server.addr) });
  await loop.clock.advance(0);
  const fault = loop.engine.inject({ datagrams: { reordering: 1 } });
  client.transport.sendto(bytes("first"));
  fault.remove();
  client.transport.sendto(bytes("second"));
  await loop.clock.advance(0);
  assertEquals(server.texts, ["second", "first"]);
});

Deno.test("timeout makes a connection attempt wait until it is removed", async () => {
  const loop = new MemoryLoop();
  const fault = loop.engine.inject({ downstream: { timeout: { timeout: 0 } } });
  const server = await loop.createServer(() => new Protocol(), { hostname: "a.test", port: 80 });
  let connected = false;
  const dialling = loop.createConnection(() => new Protocol(), { hostname: "a.test", port: 80 }).then(([transport]) => {
    connected = true;
    transport.close();
  });
  await loop.clock.advance(60_000);
  assertEquals(connected, false);
  fault.remove();
  await dialling;
  server.close();
});

Deno.test("resetPeer resets both sides after a time, of new connections too", async () => {
  const { loop, clock, a, b } = await timedPair({ resetPeer: { timeout: 10 } });
  await clock.advance(10);
  assertEquals([a.lines, b.lines], [["10 lost ConnectionReset"], ["10 lost ConnectionReset"]]);
  const { protocol, calls } = recorder();
  await memoryPair(protocol, {}, { loop });
  await clock.advance(9);
  assertEquals(calls, ["connectionMade"]);
  await clock.advance(1);
  assertEquals(calls, ["connectionMade", "connectionLost ConnectionReset ECONNRESET"]);
});

Deno.test("limitData closes the connection after so many bytes", async () => {
  const { pair, a, b, clock } = await timedPair({ limitData: { bytes: 5 }, latency: { latency: 10 } });
  pair.transportA.write(bytes("abc"));
  await clock.advance(20);
  pair.transportA.write(bytes("defgh"));
  await clock.advance(20);
  assertEquals([b.text, b.lines, a.lines], ["abcde", ["10 3", "30 2", "30 end"], ["30 end"]]);
});

Deno.test("slowClose delays the end, and halfClose ends one direction", async () => {
  const slow = await timedPair({ slowClose: { delay: 500 } });
  slow.pair.transportA.write(bytes("x"));
  slow.pair.transportA.writeEof();
  await slow.clock.advance(1000);
  assertEquals(slow.b.lines, ["0 1", "500 end"]);
  const half = await timedPair({ halfClose: { delay: 50 } });
  await half.clock.advance(50);
  half.pair.transportA.write(bytes("vanishes"));
  half.pair.transportB.write(bytes("arrives"));
  await half.clock.advance(50);
  assertEquals([half.a.lines, half.b.lines], [["50 7"], ["50 end"]]);
});

Deno.test("neverReads fills the way, pauses the writer, and ends when it is removed", async () => {
  const { pair, a, b, fault, clock } = await timedPair({ neverReads: true });
  const { transportA } = pair;
  transportA.write(pattern(300_000));
  await clock.advance(10);
  assertEquals([b.lines, transportA.getWriteBufferSize()], [[], 300_000 - 65_536]);
  assertEquals(a.log.entries, ["connectionMade", "pauseWriting"]);
  fault.remove();
  await b.untilReceived(300_000);
  assertBytes(b.data, pattern(300_000));
  assertEquals(a.log.entries, ["connectionMade", "pauseWriting", "resumeWriting"]);
});

Deno.test("refuses and a target: only connections to that server are refused", async () => {
  const loop = new MemoryLoop();
  await using _a = await loop.createServer(() => new Protocol(), { hostname: "a.test", port: 80 });
  await using _b = await loop.createServer(() => new Protocol(), { hostname: "b.test", port: 80 });
  using fault = loop.engine.inject({ to: { hostname: "A.test", port: 80 }, refuses: true });
  const dial = (hostname: string) => loop.createConnection(() => new Protocol(), { hostname, port: 80 });
  const error = await assertRejects(() => dial("a.test"), Deno.errors.ConnectionRefused);
  assertEquals((error as Error & { code?: string }).code, "ECONNREFUSED");
  (await dial("b.test"))[0].close();
  fault.set({ to: { port: 81 }, refuses: true });
  (await dial("a.test"))[0].close();
});

Deno.test("later faults win over earlier ones of the same name, and leave the others", async () => {
  const { pair, b, loop, clock } = await timedPair({ latency: { latency: 100 }, slicer: { averageSize: 1 } });
  const second = loop.engine.inject({ upstream: { latency: { latency: 10 } } });
  pair.transportA.write(bytes("ab"));
  await clock.advance(50);
  assertEquals(b.lines, ["10 1", "10 1"]);
  second.remove();
  second.remove();
  pair.transportA.write(bytes("c"));
  await clock.advance(100);
  assertEquals(b.lines.at(-1), "150 1");
});

/** Sends numbers, and returns what arrives. */
async function sendNumbers(datagrams: FaultOptions["datagrams"], seed: number, count = 200): Promise<number[]> {
  const loop = new MemoryLoop({ seed });
  const on = endpointsOf(loop);
  await using server = await on.open();
  await using client = await on.open({ remoteAddr: net(server.addr) });
  loop.engine.inject({ datagrams });
  await loop.clock.advance(0);
  for (let i = 0; i < count; i++) {
    client.transport.sendto(Uint8Array.of(i));
    await loop.clock.advance(1);
  }
  await loop.clock.advance(1000);
  return server.received.map(({ data }) => data[0]!);
}

Deno.test("loss, duplication and reordering of datagrams follow their probabilities, and the seed", async () => {
  const all = Array.from({ length: 200 }, (_, i) => i);
  assertEquals(await sendNumbers({ loss: 1 }, 1), []);
  assertEquals(await sendNumbers({ duplication: 1 }, 1), all.flatMap((i) => [i, i]));
  const lossy = await sendNumbers({ loss: 0.5 }, 1);
  assert(lossy.length > 60 && lossy.length < 140, String(lossy.length));
  const reordered = await sendNumbers({ reordering: 0.3 }, 1);
  assertEquals(reordered.toSorted((a, b) => a - b), all);
  assert(reordered.some((number, i) => number !== i));
  assertEquals(await sendNumbers({ reordering: 0.3 }, 1), reordered);
  assertEquals(await sendNumbers({ reordering: 1 }, 1, 1), [0]);
  const jittery = await sendNumbers({ latency: { latency: 50, jitter: 50 } }, 2);
  assertEquals(jittery.toSorted((a, b) => a - b), all);
  assert(jittery.some((number, i) => number !== i));
});

Deno.test("faults replay by the seed that a failure names", async () => {
  const run = async (seed: number) => {
    const received = await sendNumbers({ loss: 0.2 }, seed, 20);
    if (received.length < 20) throw new RangeError(`got ${received}`);
  };
  const error = await assertRejects(() => withSeed(run, { runs: 50 }), RangeError, "replay with { seed: ");
  const seed = Number(/seed: (\d+)/.exec(error.message)![1]);
  const again = await assertRejects(() => withSeed(run, { seed }), RangeError);
  assertEquals(again.message, error.message);
  assert(again.stack!.includes("replay with"));
  const seeds: number[] = [];
  await withSeed((seed) => void seeds.push(seed), { seed: 2 ** 32 - 1, runs: 3 });
  assertEquals(seeds, [2 ** 32 - 1, 0, 1]);
});

/** A hundred connections under everything that does not lose bytes. */
Deno.test("faults keep every byte in order, whatever they are", async () => {
  await withSeed(async (seed) => {
    const loop = new MemoryLoop({ seed });
    loop.engine.inject({
      upstream: { latency: { latency: 20, jitter: 20 }, slicer: { averageSize: 700, sizeVariation: 600 } },
      downstream: { bandwidth: { rate: 50_000 }, latency: { latency: 5, jitter: 5 }, slowClose: { delay: 100 } },
    });
    class Echo extends Protocol {
      #transport!: Transport;
      override connectionMade(transport: Transport): void {
        this.#transport = transport;
      }
      override dataReceived(data: Uint8Array): void {
        this.#transport.write(data);
      }
    }
    const server = await loop.createServer(() => new Echo(), { hostname: "a.test", port: 80 });
    const clients: Recording<Protocol>[] = [];
    const dialling: Promise<unknown>[] = [];
    for (let i = 0; i < 20; i++) {
      const client = recorder();
      clients.push(client);
      const connecting = loop.createConnection(() => client.protocol, { hostname: "a.test", port: 80 });
      dialling.push(connecting.then(([transport]) => {
        transport.write(pattern(20_000, i));
        transport.writeEof();
      }));
    }
    await loop.clock.advance(60_000);
    await Promise.all(dialling);
    for (const [i, client] of clients.entries()) {
      assertBytes(client.received, pattern(20_000, i));
      assertEquals(await client.lost, null);
    }
    server.close();
  }, { runs: 3 });
});

Deno.test("MemoryEngine.inject() rejects wrong faults by name", () => {
  const engine = new MemoryEngine();
  const wrong: [unknown, typeof TypeError | typeof RangeError, string][] = [
    [{ upstraem: {} }, TypeError, "upstraem is not an option"],
    [{ upstream: { delay: {} } }, TypeError, "upstream.delay is not an option"],
    [{ upstream: { latency: 5 } }, TypeError, "upstream.latency must be a plain object, got number 5"],
    [{ upstream: { latency: { ms: 5 } } }, TypeError, "upstream.latency.ms is not an option"],
    [{ upstream: { latency: {} } }, TypeError, "upstream.latency.latency must be a finite number, at least 0"],
    [{ downstream: { latency: { latency: -1 } } }, RangeError, "downstream.latency.latency must be"],
    [{ upstream: { bandwidth: { rate: 0 } } }, RangeError, "upstream.bandwidth.rate must be a finite number over 0"],
    [
      { upstream: { limitData: { bytes: 1.5 } } },
      RangeError,
      "upstream.limitData.bytes must be a whole number of bytes",
    ],
    [{ upstream: { slicer: { averageSize: 0 } } }, RangeError, "upstream.slicer.averageSize must be a whole number"],
    [{ upstream: { neverReads: 1 } }, TypeError, "upstream.neverReads must be"],
    [{ datagrams: { loss: 1.5 } }, RangeError, "datagrams.loss must be a probability from 0 to 1, got number 1.5"],
    [{ refuses: "yes" }, TypeError, "refuses must be"],
    [{ to: { host: "a" } }, TypeError, "to.host is not an option"],
    [{ to: { hostname: "" } }, TypeError, "to.hostname must be a non-empty string"],
    [{ to: { hostname: 5 } }, TypeError, "to.hostname must be a non-empty string, got number 5"],
    [{ to: { port: -1 } }, RangeError, "to.port must be a whole number from 1 to 65535, got number -1"],
    [{ to: { path: null } }, TypeError, "to.path must be a non-empty string, got null"],
  ];
  for (const [options, Class, message] of wrong) {
    assertThrows(() => engine.inject(options as FaultOptions), Class, `inject(): ${message}`);
  }
  assertThrows(() => new MemoryEngine({ seed: -1 }), RangeError, "seed must be");
});
