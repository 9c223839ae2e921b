/**
 * Every rule of "Behaviour" in the design that is a stream's holds over TLS on a pair of sockets, and over Deno's own TLS;
 * tls_scenarios_test.ts goes further on the others. That small writes leave as one is shown on every kind of socket.
 */
import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "../std.ts";
import { BufferedRecorder, bytes, captureExceptions, concat, loop, pattern, Recorder, turn } from "../kit.ts";
import { countWrites, microtasks } from "../streams/kit.ts";
import { connectTls, type TlsPair, type Way, WAYS } from "./kit.ts";

/** Notes every call, and does what the test says in it. */
class Acting extends Recorder {
  act: (callback: string) => void = () => {};
  override dataReceived(data: Uint8Array): void {
    super.dataReceived(data);
    this.act("dataReceived");
  }
  override eofReceived(): boolean {
    super.eofReceived();
    this.act("eofReceived");
    return this.keepOpen;
  }
  override pauseWriting(): void {
    super.pauseWriting();
    this.act("pauseWriting");
  }
  override resumeWriting(): void {
    super.resumeWriting();
    this.act("resumeWriting");
  }
}

function actors(way: Way, options: { keepOpen?: boolean } = {}): Promise<TlsPair<Acting, Acting>> {
  return connectTls(() => new Acting(options), () => new Acting(options), way);
}

/** The rules of "Behaviour" in the design that are a stream's, by number. */
const RULES: [rule: string, holds: (way: Way) => Promise<void>][] = [
  ["1: connectionMade and connectionLost run once, around all others", async (way) => {
    await using pair = await actors(way);
    assertEquals([pair.clientSide.log.entries, pair.serverSide.log.entries], [["connectionMade"], ["connectionMade"]]);
    pair.clientSide.transport.write(bytes("hello"));
    await pair.serverSide.untilReceived(5);
    pair.clientSide.transport.close();
    await Promise.all([pair.clientSide.untilLost(), pair.serverSide.untilLost()]);
    for (const { transport } of [pair.clientSide, pair.serverSide]) {
      transport.abort();
      transport.close();
    }
    await turn();
    assertEquals(pair.clientSide.log.entries, ["connectionMade", "connectionLost null"]);
    const entries = ["connectionMade", "dataReceived 5", "eofReceived", "connectionLost null"];
    assertEquals(pair.serverSide.log.entries, entries);
  }],
  ["2: connectionLost runs in a later turn than close(), abort() and write()", async (way) => {
    for (const method of ["close", "abort"] as const) {
      await using pair = await actors(way);
      pair.clientSide.transport[method]();
      pair.clientSide.transport.write(bytes("dropped"));
      assertEquals(pair.clientSide.log.entries, ["connectionMade"]);
      await microtasks();
      assertEquals(pair.clientSide.log.entries, ["connectionMade"]);
      await pair.clientSide.untilLost();
      assertEquals(pair.clientSide.error, null);
    }
  }],
  ["3: close() stops reading, flushes everything, and is idempotent", async (way) => {
    await using pair = await actors(way);
    const data = pattern(4_000_000);
    pair.serverSide.transport.write(bytes("too late"));
    pair.clientSide.transport.write(data);
    pair.clientSide.transport.close();
    pair.clientSide.transport.close();
    assertEquals([pair.clientSide.transport.isClosing(), pair.clientSide.transport.isReading()], [true, false]);
    await Promise.all([pair.clientSide.untilLost(), pair.serverSide.untilLost()]);
    assertEquals(pair.serverSide.data, data);
    const entries = ["connectionMade", "pauseWriting", "resumeWriting", "connectionLost null"];
    assertEquals(pair.clientSide.log.entries, entries);
    assertEquals(pair.serverSide.error, null);
  }],
  ["3: abort() drops what is buffered", async (way) => {
    await using pair = await actors(way);
    pair.serverSide.transport.pauseReading();
    pair.clientSide.transport.write(new Uint8Array(50_000_000));
    pair.clientSide.transport.abort();
    await pair.clientSide.untilLost();
    pair.serverSide.transport.resumeReading();
    await pair.serverSide.untilLost();
    assert(pair.serverSide.received < 50_000_000, `${pair.serverSide.received}`);
    // Nobody took leave: it is a truncated stream, or a reset one. Deno takes leave whatever it drops.
    if (!way.native) assertInstanceOf(pair.serverSide.error, Error);
    assertEquals(pair.clientSide.log.entries, ["connectionMade", "pauseWriting", "connectionLost null"]);
  }],
  ["4: eofReceived runs once and closes, whatever it returns", async (way) => {
    for (const keepOpen of [false, true]) {
      await using pair = await actors(way, { keepOpen });
      pair.clientSide.transport.write(bytes("last"));
      pair.clientSide.transport.close();
      await Promise.all([pair.clientSide.untilLost(), pair.serverSide.untilLost()]);
      const entries = ["connectionMade", "dataReceived 4", "eofReceived", "connectionLost null"];
      assertEquals(pair.serverSide.log.entries, entries);
    }
  }],
  ["5: bytes that dataReceived was given are never overwritten", async (way) => {
    await using pair = await actors(way);
    const sent: Uint8Array[] = [];
    let total = 0;
    for (const [i, size] of [100, 20_000, 5, 300_000, 1, 64 * 1024, 700].entries()) {
      sent.push(pattern(size, i));
      total += size;
      pair.clientSide.transport.write(sent.at(-1)!);
      await pair.serverSide.untilReceived(total);
    }
    assertEquals(pair.serverSide.data, concat(sent));
  }],
  ["7: pauseReading() holds what arrives, resumeReading() gives it, in order", async (way) => {
    await using pair = await actors(way);
    const { serverSide, clientSide } = pair;
    const data = pattern(1_500_000);
    let paused = 0;
    serverSide.act = (callback) => {
      if (callback !== "dataReceived" || ++paused % 3 !== 0) return;
      serverSide.transport.pauseReading();
      serverSide.transport.pauseReading();
      const { length } = serverSide.pieces;
      // Some turns later, with bytes on their way all the time.
      const resume = (turns: number): void => {
        assertEquals(serverSide.pieces.length, length);
        if (turns > 0) return void loop.callSoon(resume, turns - 1);
        serverSide.transport.resumeReading();
        serverSide.transport.resumeReading();
      };
      resume(5);
    };
    clientSide.transport.write(data);
    await serverSide.untilReceived(data.length);
    assertEquals(serverSide.data, data);
    assert(paused >= 3, `${paused}`);
  }],
  ["7: close_notify that arrives while reading is paused waits for resumeReading()", async (way) => {
    await using pair = await actors(way);
    pair.serverSide.transport.pauseReading();
    pair.clientSide.transport.write(bytes("held"));
    pair.clientSide.transport.close();
    for (let i = 0; i < 20; i++) await turn();
    assertEquals(pair.serverSide.log.entries, ["connectionMade"]);
    pair.serverSide.transport.resumeReading();
    await Promise.all([pair.clientSide.untilLost(), pair.serverSide.untilLost()]);
    const entries = ["connectionMade", "dataReceived 4", "eofReceived", "connectionLost null"];
    assertEquals(pair.serverSide.log.entries, entries);
  }],
  ["8: setProtocol() takes effect at the next callback, between both kinds, with nothing lost", async (way) => {
    await using pair = await actors(way);
    const { serverSide: first, clientSide } = pair;
    const { transport } = first;
    const buffered = new BufferedRecorder(1000);
    const last = new Recorder();
    const data = pattern(200_000);
    first.act = () => transport.setProtocol(buffered);
    const bufferUpdated = buffered.bufferUpdated.bind(buffered);
    buffered.bufferUpdated = (count) => {
      bufferUpdated(count);
      if (buffered.received >= 50_000) transport.setProtocol(last);
    };
    clientSide.transport.write(data.subarray(0, 10));
    await first.untilReceived(10);
    clientSide.transport.write(data.subarray(10));
    await last.log.until(() => first.received + buffered.received + last.received === data.length);
    // Who waits for the pair's end waits for the first one's.
    transport.setProtocol(first);
    assertEquals(concat([first.data, buffered.data, last.data]), data);
    assertEquals(first.received, 10);
    assert(buffered.received >= 50_000 && buffered.received < 51_000, `${buffered.received}`);
  }],
  [
    "9: write() takes a copy at once, writeOwned() carries the same, and neither throws for a lost connection",
    async (way) => {
      await using pair = await actors(way);
      const { transport } = pair.clientSide;
      const mine = pattern(300_000);
      transport.write(mine);
      mine.fill(0);
      transport.writeOwned(pattern(300_000));
      await pair.serverSide.untilReceived(600_000);
      assertEquals(pair.serverSide.data, concat([pattern(300_000), pattern(300_000)]));
      pair.serverSide.transport.abort();
      while (pair.clientSide.error === undefined) {
        transport.write(bytes("anybody?"));
        transport.writeOwned(bytes("anybody?"));
        await turn();
      }
      transport.write(bytes("anybody?"));
    },
  ],
  ["10: many small writes of a callback leave as one system write", async (way) => {
    await using pair = await actors(way);
    const { serverSide, clientSide } = pair;
    const writes = countWrites(serverSide.transport.getExtraInfo("socket"));
    serverSide.act = () => {
      for (let i = 0; i < 20; i++) serverSide.transport.write(bytes(`line ${i}\n`));
    };
    clientSide.transport.write(bytes("go"));
    await clientSide.untilReceived(150);
    assertEquals(writes.length, 1);
    assertEquals(clientSide.text.split("\n").length, 21);
  }],
  ["11: pauseWriting() and resumeWriting() are paired, at the limits", async (way) => {
    await using pair = await actors(way);
    const { serverSide, clientSide } = pair;
    const { transport, log } = clientSide;
    assertEquals(transport.getWriteBufferLimits(), [16 * 1024, 64 * 1024]);
    transport.setWriteBufferLimits({ low: 1000, high: 5000 });
    transport.write(pattern(5000));
    assertEquals([transport.getWriteBufferSize(), log.entries], [5000, ["connectionMade"]]);
    transport.write(bytes("!"));
    assertEquals(log.entries, ["connectionMade", "pauseWriting"]);
    let size = -1;
    clientSide.act = (callback) => void (callback === "resumeWriting" && (size = transport.getWriteBufferSize()));
    await log.has("resumeWriting");
    assert(size <= 1000, `${size}`);
    serverSide.transport.pauseReading();
    transport.write(pattern(20_000_000));
    for (let i = 0; i < 20; i++) await turn();
    const halfway = ["connectionMade", "pauseWriting", "resumeWriting", "pauseWriting"];
    assertEquals(log.entries, halfway);
    serverSide.transport.resumeReading();
    await serverSide.untilReceived(20_005_001);
    await log.until(() => log.entries.length === 5);
    assertEquals(log.entries, [...halfway, "resumeWriting"]);
    assertEquals(transport.getWriteBufferSize(), 0);
  }],
  ["12: what is no Uint8Array is a TypeError, nothing is nothing, and closing drops", async (way) => {
    await using pair = await actors(way);
    const { transport } = pair.clientSide;
    const writes = countWrites(transport.getExtraInfo("socket"));
    for (const data of ["text", null, new ArrayBuffer(1), [1]]) {
      assertThrows(
        () => transport.write(data as unknown as Uint8Array),
        TypeError,
        "write(): data must be a Uint8Array",
      );
    }
    transport.write(new Uint8Array(0));
    transport.writelines([]);
    await microtasks();
    assertEquals(writes, []);
    transport.writelines([bytes("a"), bytes(""), bytes("b")]);
    transport.close();
    transport.write(bytes("c"));
    await pair.serverSide.untilLost();
    assertEquals(pair.serverSide.text, "ab");
  }],
  ...(["dataReceived", "eofReceived", "pauseWriting"] as const).map(
    (thrower): typeof RULES[number] => [`13: an exception in ${thrower} goes where it should`, async (way) => {
      using captured = captureExceptions();
      await using pair = await actors(way);
      const { serverSide, clientSide } = pair;
      const thrown = new Error("in a callback");
      serverSide.act = (callback) => {
        if (callback === thrower) throw thrown;
      };
      if (thrower === "pauseWriting") serverSide.transport.write(pattern(100_000));
      clientSide.transport.write(bytes("x"));
      await serverSide.untilReceived(1);
      if (thrower === "pauseWriting") await clientSide.untilReceived(100_000);
      clientSide.transport.close();
      await serverSide.untilLost();
      const contexts = captured.contexts.map(({ error, transport, protocol }) => ({ error, transport, protocol }));
      assertEquals(contexts.length, 1);
      assertStrictEquals(contexts[0]!.error, thrown);
      assertStrictEquals<unknown>(contexts[0]!.transport, serverSide.transport);
      assertStrictEquals<unknown>(contexts[0]!.protocol, serverSide);
      assertStrictEquals(serverSide.error, thrower === "pauseWriting" ? null : thrown);
    }],
  ),
  ["6 and 13: a BufferedProtocol gets its bytes in its own memory, and fails by an empty buffer", async (way) => {
    using captured = captureExceptions();
    await using pair = await connectTls(() => new BufferedRecorder(7), () => new Recorder(), way);
    const { serverSide, clientSide } = pair;
    const data = pattern(100_000);
    clientSide.transport.write(data);
    await serverSide.untilReceived(data.length);
    assertEquals(serverSide.data, data);
    assert(serverSide.pieces.every(({ length }) => length <= 7));
    serverSide.getBuffer = () => new Uint8Array(0);
    // The memory that it gave before may hold one more piece.
    clientSide.transport.write(data);
    await serverSide.untilLost();
    assertInstanceOf(serverSide.error, Error);
    assertEquals(captured.contexts.map(({ error }) => error), [serverSide.error]);
  }],
];

for (const way of WAYS) {
  for (const [rule, holds] of RULES) {
    if (way.medium !== "socketPair" && !way.native && !rule.startsWith("10")) continue;
    Deno.test(`over TLS on ${way.name}, rule ${rule}`, () => holds(way));
  }
}
