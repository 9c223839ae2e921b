import { BufferedProtocol, Protocol } from "../protocols/mod.ts";
import type { EventLoop } from "../loop/mod.ts";
import type { StreamCallbacks, Transport } from "../transports/mod.ts";
import { joinBytes, toBytes } from "./format_bytes.ts";

/** Two transports that are connected, as in `test_transport.ts`. */
interface Pair {
  readonly loop: EventLoop;
  readonly transportA: Transport;
  readonly transportB: Transport;
  [Symbol.asyncDispose]?(): PromiseLike<void>;
}
type MakePair = (protocolA: StreamCallbacks, protocolB: StreamCallbacks) => Promise<Pair>;
type Test = (makePair: MakePair) => Promise<void>;

/** More bytes than any transport takes while its peer does not read. */
const MUCH = 16 * 1024 * 1024;

/** A protocol that records, and can be waited for. */
class Probe extends Protocol {
  readonly calls: string[] = [];
  readonly pieces: Uint8Array[] = [];
  received = 0;
  error: Error | null | undefined;
  keepsOpen = false;
  onData: ((data: Uint8Array) => void) | undefined;
  #waiters: { done: () => boolean; resolve: () => void }[] = [];

  override connectionMade(): void {
    this.note("connectionMade");
  }
  override dataReceived(data: Uint8Array): void {
    this.pieces.push(data);
    this.received += data.length;
    if (this.calls.at(-1) !== "dataReceived") this.calls.push("dataReceived");
    this.note();
    this.onData?.(data);
  }
  override eofReceived(): boolean {
    this.note("eofReceived");
    return this.keepsOpen;
  }
  override pauseWriting(): void {
    this.note("pauseWriting");
  }
  override resumeWriting(): void {
    this.note("resumeWriting");
  }
  override connectionLost(error: Error | null): void {
    this.error = error;
    this.note("connectionLost");
  }

  /** Adds a call, and wakes those who wait. */
  note(call?: string): void {
    if (call !== undefined) this.calls.push(call);
    const ready = this.#waiters.filter(({ done }) => done());
    this.#waiters = this.#waiters.filter((waiter) => !ready.includes(waiter));
    for (const { resolve } of ready) resolve();
  }

  until(done: () => boolean): Promise<void> {
    return done() ? Promise.resolve() : new Promise((resolve) => void this.#waiters.push({ done, resolve }));
  }
  has(call: string): Promise<void> {
    return this.until(() => this.calls.includes(call));
  }
  untilReceived(count: number): Promise<void> {
    return this.until(() => this.received >= count);
  }
  get text(): string {
    return new TextDecoder().decode(joinBytes(this.pieces));
  }
}

/** What a test gets. */
interface Stage extends Pair {
  a: Probe;
  b: Probe;
  /** What the exception handler gets. */
  reported: string[];
  /** Waits for the next turn of the loop. */
  turn(): Promise<void>;
}

/** Makes a test that connects two probes, and closes what is left. */
function withProbes(run: (stage: Stage) => Promise<void>, prepare?: (a: Probe, b: Probe) => void): Test {
  return async (makePair) => {
    const [a, b] = [new Probe(), new Probe()];
    prepare?.(a, b);
    const pair = await makePair(a, b);
    const { loop, transportA, transportB } = pair;
    const before = loop.getExceptionHandler();
    const reported: string[] = [];
    loop.setExceptionHandler(({ message }) => void reported.push(message));
    const turn = () => new Promise<void>((resolve) => void loop.callSoon(resolve));
    try {
      await run({ loop, transportA, transportB, a, b, reported, turn });
    } finally {
      transportA.abort();
      transportB.abort();
      // In this turn, connectionLost() is called, and the handles are closed.
      await turn();
      await turn();
      await pair[Symbol.asyncDispose]?.();
      loop.setExceptionHandler(before);
    }
  };
}

function equal(actual: unknown, expected: unknown, what: string): void {
  const [got, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (got !== wanted) throw new Error(`${what}: expected ${wanted}, got ${got}`);
}

function ok(value: boolean, what: string): void {
  if (!value) throw new Error(what);
}

/** Bytes whose values tell their place. */
function pattern(length: number): Uint8Array {
  const data = new Uint8Array(length);
  for (let i = 0; i < length; i++) data[i] = i * 7 % 251;
  return data;
}

function checkPattern(probe: Probe, length: number): void {
  equal(probe.received, length, "bytes received");
  const data = joinBytes(probe.pieces);
  const wrong = data.findIndex((byte, i) => byte !== i * 7 % 251);
  equal(wrong, -1, "the first wrong byte");
}

function callsOf(probe: Probe, ...names: string[]): string[] {
  return probe.calls.filter((call) => names.includes(call));
}

/** The tests for all transports. */
export const transportTests: Record<string, Test> = {
  "connectionMade() is called first, and the bytes of both directions arrive in order": withProbes(
    async ({ a, b, transportA, transportB }) => {
      const data = pattern(1_000_000);
      transportA.write(data);
      transportB.write(data);
      await Promise.all([a.untilReceived(data.length), b.untilReceived(data.length)]);
      for (const probe of [a, b]) {
        equal(probe.calls[0], "connectionMade", "the first callback");
        checkPattern(probe, data.length);
      }
    },
  ),

  "write(), writelines() and writeOwned() keep their order, and the bytes of write() are yours again": withProbes(
    async ({ b, transportA }) => {
      const bytes = toBytes("1");
      transportA.write(bytes);
      bytes[0] = 0;
      transportA.writelines([toBytes("2"), toBytes("3")]);
      transportA.writeOwned(toBytes("4"));
      transportA.write(new Uint8Array(0));
      transportA.write(toBytes("5"));
      await b.untilReceived(5);
      equal(b.text, "12345", "the bytes");
    },
  ),

  "dataReceived() gives bytes that are never overwritten": withProbes(async ({ b, transportA }) => {
    for (let i = 0; i < 20; i++) {
      transportA.write(pattern(200_000).subarray(0, 251 * 100));
      await b.untilReceived(251 * 100 * (i + 1));
    }
    checkPattern(b, 251 * 100 * 20);
  }),

  "bufferUpdated() is called after each getBuffer(), with bytes in that memory": withProbes(
    async ({ b, transportA, transportB }) => {
      const memory = new Uint8Array(1000);
      let count = 0;
      class Filling extends BufferedProtocol {
        override getBuffer(): Uint8Array {
          return memory;
        }
        override bufferUpdated(nbytes: number): void {
          for (let i = 0; i < nbytes; i++) equal(memory[i], (count + i) * 7 % 251, `byte ${count + i}`);
          count += nbytes;
          b.note();
        }
      }
      transportB.setProtocol(new Filling());
      transportA.write(pattern(50_000));
      await b.until(() => count === 50_000);
    },
  ),

  "setProtocol() gives the next bytes to the new protocol": withProbes(async ({ b, transportA, transportB }) => {
    const next = new Probe();
    b.onData = () => transportB.setProtocol(next);
    transportA.write(toBytes("old"));
    await b.untilReceived(3);
    transportA.write(toBytes("new"));
    await next.untilReceived(3);
    equal([b.text, next.text], ["old", "new"], "the bytes of each");
    ok(transportB.getProtocol() === next, "getProtocol() returns the new one");
    equal(callsOf(next, "connectionMade"), [], "calls of connectionMade()");
  }),

  "pauseReading() lets no data callback run until resumeReading(), and loses nothing": withProbes(
    async ({ b, transportA, transportB, turn }) => {
      transportB.pauseReading();
      transportB.pauseReading();
      equal(transportB.isReading(), false, "isReading()");
      transportA.write(pattern(100_000));
      for (let i = 0; i < 10; i++) await turn();
      equal(b.received, 0, "bytes received while paused");
      transportB.resumeReading();
      transportB.resumeReading();
      equal(b.received, 0, "bytes received inside resumeReading()");
      await b.untilReceived(100_000);
      checkPattern(b, 100_000);
    },
  ),

  "pauseReading() inside dataReceived() holds the rest": withProbes(async ({ b, transportA, transportB, turn }) => {
    b.onData = () => transportB.pauseReading();
    transportA.write(pattern(1_000_000));
    await b.until(() => b.received > 0);
    const { received } = b;
    for (let i = 0; i < 10; i++) await turn();
    equal(b.received, received, "bytes received");
    b.onData = undefined;
    transportB.resumeReading();
    await b.untilReceived(1_000_000);
    checkPattern(b, 1_000_000);
  }),

  "pauseWriting() runs inside the write() that goes over high, and resumeWriting() at low": withProbes(
    async ({ a, b, transportA, transportB }) => {
      equal(transportA.getWriteBufferLimits(), [16_384, 65_536], "getWriteBufferLimits()");
      transportB.pauseReading();
      transportA.write(new Uint8Array(MUCH));
      equal(callsOf(a, "pauseWriting"), ["pauseWriting"], "calls of pauseWriting()");
      ok(transportA.getWriteBufferSize() > 65_536, "the buffer is over the limit");
      a.resumeWriting = () => a.note(`resumeWriting at low: ${transportA.getWriteBufferSize() <= 16_384}`);
      transportB.resumeReading();
      await b.untilReceived(MUCH);
      await a.has("resumeWriting at low: true");
      equal(a.calls.filter((call) => /Writing/.test(call)).length, 2, "calls of both");
    },
  ),

  "setWriteBufferLimits({ high: 0 }) pauses for each write": withProbes(async ({ a, transportA }) => {
    transportA.setWriteBufferLimits({ high: 0 });
    for (let i = 1; i <= 3; i++) {
      transportA.write(toBytes("x"));
      await a.until(() => callsOf(a, "resumeWriting").length === i);
    }
    equal(callsOf(a, "pauseWriting").length, 3, "calls of pauseWriting()");
  }),

  "close() sends what is buffered, then connectionLost(null) is called once in a later turn": withProbes(
    async ({ a, b, transportA, transportB, turn }) => {
      transportB.pauseReading();
      transportA.write(pattern(MUCH));
      transportA.close();
      transportA.close();
      equal(transportA.isClosing(), true, "isClosing()");
      transportA.write(toBytes("dropped"));
      equal(callsOf(a, "connectionLost"), [], "calls of connectionLost() inside close()");
      transportB.resumeReading();
      await Promise.all([a.has("connectionLost"), b.has("connectionLost")]);
      await turn();
      equal([a.error, b.error], [null, null], "the errors");
      checkPattern(b, MUCH);
      equal([a.calls.at(-1), callsOf(b, "eofReceived", "connectionLost")], [
        "connectionLost",
        ["eofReceived", "connectionLost"],
      ], "the last callbacks");
    },
  ),

  "close() calls no data callback any more": withProbes(async ({ a, b, transportA, transportB }) => {
    transportA.close();
    transportB.write(toBytes("late"));
    await a.has("connectionLost");
    transportB.abort();
    await b.has("connectionLost");
    equal(a.calls, ["connectionMade", "connectionLost"], "the callbacks");
  }),

  "abort() drops what is buffered, and connectionLost(null) is called once in a later turn": withProbes(
    async ({ a, b, transportA, transportB, turn }) => {
      transportB.pauseReading();
      transportA.write(new Uint8Array(MUCH));
      transportA.abort();
      transportA.abort();
      equal([transportA.getWriteBufferSize(), callsOf(a, "connectionLost")], [0, []], "after abort()");
      await a.has("connectionLost");
      await turn();
      equal([a.error, a.calls], [null, ["connectionMade", "pauseWriting", "connectionLost"]], "the callbacks");
      transportB.resumeReading();
      await b.has("connectionLost");
      ok(b.received < MUCH, "bytes were dropped");
    },
  ),

  "eofReceived() that returns nothing closes the transport": withProbes(async ({ a, b, transportA }) => {
    transportA.close();
    await Promise.all([a.has("connectionLost"), b.has("connectionLost")]);
    equal(b.calls, ["connectionMade", "eofReceived", "connectionLost"], "the callbacks");
  }),

  "an exception in dataReceived() is reported, and ends the connection with it": withProbes(
    async ({ b, transportA, reported }) => {
      const error = new RangeError("bad bytes");
      b.onData = () => {
        throw error;
      };
      transportA.write(toBytes("x"));
      await b.has("connectionLost");
      ok(b.error === error, "connectionLost() gets the exception");
      equal(reported, ["Fatal error: protocol.dataReceived() call failed."], "the reports");
    },
  ),

  "an exception in another callback is reported, and the connection goes on": withProbes(
    async ({ b, transportA, transportB, reported }) => {
      b.pauseWriting = () => {
        throw new RangeError("oops");
      };
      transportB.setWriteBufferLimits({ high: 0 });
      transportB.write(toBytes("x"));
      transportA.write(toBytes("y"));
      await b.untilReceived(1);
      equal(reported, ["Exception in protocol.pauseWriting()"], "the reports");
    },
  ),

  "write() of something else than a Uint8Array is a TypeError, and sends nothing": withProbes(
    async ({ b, transportA }) => {
      for (const value of ["text", null, [1], new ArrayBuffer(1)]) {
        let error: unknown;
        try {
          transportA.write(value as unknown as Uint8Array);
        } catch (thrown) {
          error = thrown;
        }
        ok(error instanceof TypeError, `write(${String(value)}) throws a TypeError`);
      }
      transportA.write(toBytes("after"));
      await b.untilReceived(5);
      equal(b.text, "after", "the bytes");
    },
  ),

  "write() never throws for a connection that is lost": withProbes(async ({ a, b, transportA, transportB, turn }) => {
    transportB.abort();
    await b.has("connectionLost");
    while (!a.calls.includes("connectionLost")) {
      transportA.write(new Uint8Array(1000));
      await turn();
    }
    transportA.write(toBytes("dropped"));
    transportA.writelines([toBytes("dropped")]);
  }),
};

/** The tests for transports of which one direction can end alone. */
export const halfCloseTests: Record<string, Test> = {
  "writeEof() ends one direction after what is buffered, and the other one goes on": withProbes(
    async ({ a, b, transportA, transportB }) => {
      equal(transportA.canWriteEof(), true, "canWriteEof()");
      transportA.write(pattern(1_000_000));
      transportA.writeEof();
      transportA.writeEof();
      await b.has("eofReceived");
      checkPattern(b, 1_000_000);
      transportB.write(toBytes("answer"));
      await a.untilReceived(6);
      transportB.close();
      await Promise.all([a.has("connectionLost"), b.has("connectionLost")]);
      equal(callsOf(a, "eofReceived", "connectionLost"), ["eofReceived", "connectionLost"], "the last callbacks");
    },
    (_a, b) => b.keepsOpen = true,
  ),

  "write() after writeEof() throws": withProbes(async ({ b, transportA }) => {
    transportA.writeEof();
    let name = "nothing";
    try {
      transportA.write(toBytes("x"));
    } catch (error) {
      name = (error as Error).name;
    }
    equal(name, "InvalidStateError", "the exception");
    await b.has("eofReceived");
  }),
};
