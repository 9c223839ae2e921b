/** The engines, and TLS, pass `testTransport()`; a transport that is wrong does not. */
import { EventLoop, type StreamCallbacks, type Transport } from "../../mod.ts";
import { DenoEngine } from "../../engines/deno/mod.ts";
import { EpollEngine } from "../../engines/epoll/mod.ts";
import { MemoryEngine, memoryPair, testTransport, type TransportPair } from "../../testing/mod.ts";
import { connect } from "../kit.ts";
import { assertEquals, assertGreater, assertRejects, assertThrows } from "../std.ts";
import { SERVER, TRUSTING } from "../tls/kit.ts";

type MakePair = (a: StreamCallbacks, b: StreamCallbacks) => Promise<TransportPair>;

/** Connects over TCP of an engine. */
function over(makeLoop: () => EventLoop, options: Parameters<typeof connect>[2] = {}): MakePair {
  return async (a, b) => {
    const loop = makeLoop();
    const made = Promise.withResolvers<Transport>();
    const finder = () => ({
      connectionMade(transport: Transport): void {
        transport.setProtocol(b);
        made.resolve(transport);
        b.connectionMade?.(transport);
      },
    });
    const pair = await connect(finder, () => a, { ...options, loop });
    return {
      loop,
      transportA: pair.clientTransport,
      transportB: await made.promise,
      [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose](),
    };
  };
}

const TLS = { server: { tls: SERVER }, client: { tls: TRUSTING } };
const { supported } = EpollEngine.isSupported();
const engines: Record<string, () => EventLoop> = {
  "the Deno engine": () => new EventLoop({ engine: new DenoEngine() }),
  "the epoll engine": () => new EventLoop({ engine: new EpollEngine() }),
  "the memory engine": () => new EventLoop({ engine: new MemoryEngine() }),
};

for (const [name, makeLoop] of Object.entries(engines)) {
  const ignore = name === "the epoll engine" && !supported;
  testTransport(over(makeLoop), { name, register: (name, fn) => Deno.test({ name, fn, ignore }) });
}
testTransport(over(engines["the memory engine"]!, TLS), { name: "TLS in memory", halfCloses: false });
testTransport(memoryPair, { name: "memoryPair()" });

/** Runs all tests on a pair, and returns the names of those that fail. */
async function failing(makePair: MakePair): Promise<string[]> {
  const tests: [string, () => Promise<void>][] = [];
  testTransport(makePair, { register: (...test) => tests.push(test) });
  assertGreater(tests.length, 15);
  const failed: string[] = [];
  for (const [name, run] of tests) await run().catch(() => failed.push(name));
  return failed;
}

Deno.test("testTransport() finds transports that are wrong", async () => {
  assertEquals(await failing(memoryPair), []);
  // Wrong in one method each.
  const wrong = async (change: (transport: Transport) => object): Promise<string[]> =>
    await failing(async (a, b) => {
      const pair = await memoryPair(a, b);
      const { loop, transportB } = pair;
      const transportA = pair.transportA;
      Object.assign(transportA, change(transportA));
      return { loop, transportA, transportB, [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose]() };
    });
  assertEquals((await wrong(() => ({ isClosing: () => false }))).length, 1);
  assertEquals(await wrong(() => ({ canWriteEof: () => false })), [
    "writeEof() ends one direction after what is buffered, and the other one goes on",
  ]);
  assertEquals(await wrong(() => ({ getWriteBufferLimits: () => [1, 2] })), [
    "pauseWriting() runs inside the write() that goes over high, and resumeWriting() at low",
  ]);
});

Deno.test("testTransport() rejects wrong arguments, and fails if no pair can be made", async () => {
  assertThrows(() => testTransport(null as unknown as MakePair), TypeError, "testTransport(): makePair must be");
  assertThrows(() => testTransport(memoryPair, { names: "" } as unknown as Record<string, never>), TypeError, "names");
  const tests: (() => Promise<void>)[] = [];
  const makePair = () => Promise.reject(new RangeError("no pair"));
  testTransport(makePair, { register: (_, run) => tests.push(run) });
  await assertRejects(tests[0]!, RangeError, "no pair");
});
