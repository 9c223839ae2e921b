/** What pauseWriting(), resumeWriting() and the limits promise: rule 11. */
import type { Transport, WriteBufferLimits } from "../../../mod.ts";
import { assert, assertEquals, assertGreater, assertLess, assertLessOrEqual, assertThrows } from "../../std.ts";
import { assertBytes, bytes, pattern, Recorder } from "../../kit.ts";
import { type Medium, Scenarios } from "../scenario.ts";

/** Notes how much was buffered when it was told to resume. */
class Sized extends Recorder {
  sizes: number[] = [];
  override resumeWriting(): void {
    this.sizes.push(this.transport.getWriteBufferSize());
    super.resumeWriting();
  }
}

/**
 * Writes to a peer that does not read until nothing more leaves.
 *
 * @returns How many bytes are stuck.
 */
async function fill(medium: Medium, transport: Transport): Promise<number> {
  transport.write(pattern(medium.much));
  for (let before = -1; before !== transport.getWriteBufferSize();) {
    before = transport.getWriteBufferSize();
    await medium.roundTrip();
  }
  return transport.getWriteBufferSize();
}

function paired(entries: string[]): string[] {
  const calls = entries.filter((entry) => entry.endsWith("Writing"));
  assertEquals(calls, calls.map((_, i) => i % 2 === 0 ? "pauseWriting" : "resumeWriting"));
  return calls;
}

export const flowControl = new Scenarios();

flowControl.add("getWriteBufferLimits() is [16384, 65536] by default", async (medium) => {
  await using pair = await medium.recorders();
  for (const transport of [pair.clientTransport, pair.serverSide.transport]) {
    assertEquals(transport.getWriteBufferLimits(), [16 * 1024, 64 * 1024]);
    assertEquals(transport.getWriteBufferSize(), 0);
  }
});

flowControl.add("pauseWriting() runs synchronously inside the write() that goes strictly over high", async (medium) => {
  await using pair = await medium.recorders();
  const { transport, log } = pair.serverSide;
  pair.clientTransport.pauseReading();
  // Nothing is over such limits.
  transport.setWriteBufferLimits({ high: 2 * medium.much, low: 0 });
  const stuck = await fill(medium, transport);
  assertGreater(stuck, 0);
  transport.setWriteBufferLimits({ high: stuck + 10, low: 0 });
  transport.write(pattern(10));
  log.add("exactly high");
  transport.write(bytes("x"));
  log.add("returned");
  assertEquals(log.entries, ["connectionMade", "exactly high", "pauseWriting", "returned"]);
  assertEquals(transport.getWriteBufferSize(), stuck + 11);
});

flowControl.add("pauseWriting() runs inside writeOwned() and writelines() alike", async (medium) => {
  for (const method of ["writeOwned", "writelines"] as const) {
    await using pair = await medium.recorders();
    const { transport, log } = pair.serverSide;
    pair.clientTransport.pauseReading();
    transport.setWriteBufferLimits({ high: 10 });
    const data = pattern(11);
    if (method === "writelines") transport.writelines([data.subarray(0, 5), data.subarray(5)]);
    else transport[method](data);
    log.add("returned");
    assertEquals(log.entries, ["connectionMade", "pauseWriting", "returned"], method);
  }
});

flowControl.add("resumeWriting() runs when the buffer is at or below low, not before", async (medium) => {
  await using pair = await medium.connect(() => new Sized(), () => new Recorder());
  const { serverSide, clientSide } = pair;
  clientSide.transport.pauseReading();
  serverSide.transport.setWriteBufferLimits({ high: 5000, low: 1000 });
  await fill(medium, serverSide.transport);
  assertEquals(serverSide.log.entries, ["connectionMade", "pauseWriting"]);
  clientSide.transport.resumeReading();
  await clientSide.untilReceived(medium.much);
  await serverSide.log.has("resumeWriting");
  assertEquals(serverSide.sizes.length, 1);
  assertLessOrEqual(serverSide.sizes[0]!, 1000);
  assertEquals(serverSide.log.entries, ["connectionMade", "pauseWriting", "resumeWriting"]);
});

flowControl.add(
  "pauseWriting() and resumeWriting() are strictly paired, however often the buffer fills",
  async (medium) => {
    await using pair = await medium.recorders();
    const { serverSide, clientSide } = pair;
    let total = 0;
    for (let round = 1; round <= 3; round++) {
      clientSide.transport.pauseReading();
      for (let i = 0; i < 4; i++) serverSide.transport.write(pattern(medium.much / 4));
      total += medium.much;
      await medium.turn();
      clientSide.transport.resumeReading();
      await clientSide.untilReceived(total);
      await serverSide.log.until(() => serverSide.log.entries.at(-1) === "resumeWriting");
      assertEquals(paired(serverSide.log.entries).length % 2, 0);
    }
  },
);

flowControl.add("resumeWriting() that fills the buffer again is followed by another pauseWriting()", async (medium) => {
  let rounds = 3;
  class Refills extends Recorder {
    override resumeWriting(): void {
      super.resumeWriting();
      if (rounds-- > 0) this.transport.write(pattern(101));
      this.log.add("refilled");
    }
  }
  await using pair = await medium.connect(() => new Refills(), () => new Recorder());
  const { transport, log } = pair.serverSide;
  transport.setWriteBufferLimits({ high: 100 });
  transport.write(pattern(101));
  await pair.clientSide.untilReceived(404);
  await log.until(() => log.entries.filter((entry) => entry === "refilled").length === 4);
  assertEquals(log.entries, [
    "connectionMade",
    "pauseWriting",
    ...Array(3).fill(["resumeWriting", "pauseWriting", "refilled"]).flat(),
    "resumeWriting",
    "refilled",
  ]);
});

flowControl.add("setWriteBufferLimits() derives what is left out from what is given", async (medium) => {
  await using pair = await medium.recorders();
  const transport = pair.clientTransport;
  const expected: [WriteBufferLimits | undefined, [number, number]][] = [
    [{ high: 1000 }, [250, 1000]],
    [{ low: 1000 }, [1000, 4000]],
    [{ low: 10, high: 11 }, [10, 11]],
    [{ high: 0 }, [0, 0]],
    [{}, [16_384, 65_536]],
    [undefined, [16_384, 65_536]],
  ];
  for (const [limits, marks] of expected) {
    transport.setWriteBufferLimits(limits);
    assertEquals(transport.getWriteBufferLimits(), marks, JSON.stringify(limits));
  }
});

flowControl.add(
  "setWriteBufferLimits() refuses low over high, negatives and NaN with a RangeError, and keeps the old ones",
  async (medium) => {
    await using pair = await medium.recorders();
    const transport = pair.clientTransport;
    transport.setWriteBufferLimits({ low: 1, high: 2 });
    for (const limits of [{ low: 11, high: 10 }, { low: -1 }, { high: -1 }, { low: -1, high: 10 }, { high: NaN }]) {
      assertThrows(() => transport.setWriteBufferLimits(limits), RangeError, "must be at least");
    }
    assertEquals(transport.getWriteBufferLimits(), [1, 2]);
  },
);

flowControl.add(
  "setWriteBufferLimits({ high: 0 }) pauses on every byte and resumes when all is taken",
  async (medium) => {
    await using pair = await medium.connect(() => new Sized(), () => new Recorder());
    const { transport, log, sizes } = pair.serverSide;
    transport.setWriteBufferLimits({ high: 0 });
    transport.write(bytes("ab"));
    assertEquals(log.entries, ["connectionMade", "pauseWriting"]);
    await log.has("resumeWriting");
    await pair.clientSide.untilReceived(2);
    assertEquals([log.entries, sizes], [["connectionMade", "pauseWriting", "resumeWriting"], [0]]);
  },
);

flowControl.add("setWriteBufferLimits() below what is buffered pauses at once", async (medium) => {
  await using pair = await medium.recorders();
  const { transport, log } = pair.serverSide;
  transport.write(pattern(1000));
  log.add("set");
  transport.setWriteBufferLimits({ high: 999, low: 0 });
  log.add("done");
  assertEquals(log.entries, ["connectionMade", "set", "pauseWriting", "done"]);
  await log.has("resumeWriting");
});

flowControl.add("getWriteBufferSize() counts what has not left, and close() keeps it", async (medium) => {
  await using pair = await medium.recorders();
  const { transport } = pair.serverSide;
  pair.clientTransport.pauseReading();
  transport.setWriteBufferLimits({ high: 2 * medium.much });
  const stuck = await fill(medium, transport);
  transport.write(pattern(10));
  transport.writeOwned(pattern(5000));
  transport.writelines([pattern(1), pattern(2)]);
  assertEquals(transport.getWriteBufferSize(), stuck + 5013);
  transport.close();
  transport.write(pattern(100));
  assertEquals(transport.getWriteBufferSize(), stuck + 5013);
  pair.clientTransport.resumeReading();
  await pair.serverSide.untilLost();
  await pair.clientSide.untilReceived(medium.much + 5013);
  assertEquals(transport.getWriteBufferSize(), 0);
});

flowControl.add("getWriteBufferSize() is 0 after abort(), and resumeWriting() does not run", async (medium) => {
  await using pair = await medium.recorders();
  const { transport, log } = pair.serverSide;
  pair.clientTransport.pauseReading();
  await fill(medium, transport);
  transport.abort();
  assertEquals(transport.getWriteBufferSize(), 0);
  await pair.serverSide.untilLost();
  assertEquals(log.entries, ["connectionMade", "pauseWriting", "connectionLost null"]);
});

flowControl.add(
  "a producer that obeys pauseWriting() keeps memory bounded against a slow reader, and loses nothing",
  async (medium) => {
    const total = medium.much;
    const piece = 10_000;
    class Producer extends Recorder {
      sent = 0;
      most = 0;
      #paused = false;
      produce(): void {
        while (!this.#paused && this.sent < total) {
          const count = Math.min(piece, total - this.sent);
          this.transport.write(pattern(count, this.sent * 7 % 251));
          this.sent += count;
          this.most = Math.max(this.most, this.transport.getWriteBufferSize());
        }
        if (this.sent === total) this.transport.close();
      }
      override pauseWriting(): void {
        super.pauseWriting();
        this.#paused = true;
      }
      override resumeWriting(): void {
        super.resumeWriting();
        this.#paused = false;
        this.produce();
      }
    }
    await using pair = await medium.connect(() => new Producer(), () => new Recorder());
    const { serverSide, clientSide } = pair;
    clientSide.transport.pauseReading();
    serverSide.produce();
    await medium.roundTrip();
    assertLess(serverSide.sent, total);
    clientSide.transport.resumeReading();
    await clientSide.untilLost();
    await serverSide.untilLost();
    assertBytes(clientSide.data, pattern(total));
    assertLessOrEqual(serverSide.most, 65_536 + piece);
    assert(paired(serverSide.log.entries).length >= 2);
  },
);

flowControl.add(
  "a reader that pauses stops a writer on the other side, and wakes it when it resumes",
  async (medium) => {
    await using pair = await medium.recorders();
    const { serverSide, clientSide } = pair;
    serverSide.transport.pauseReading();
    await fill(medium, clientSide.transport);
    assertEquals([serverSide.received, clientSide.log.entries.at(-1)], [0, "pauseWriting"]);
    serverSide.transport.resumeReading();
    await clientSide.log.has("resumeWriting");
    await serverSide.untilReceived(medium.much);
    assertBytes(serverSide.data, pattern(medium.much));
  },
);
