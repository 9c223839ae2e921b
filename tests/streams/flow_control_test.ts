import type { Transport, WriteBufferLimits } from "../../mod.ts";
import { assertEquals, assertThrows } from "../std.ts";
import { bytes, pattern, Recorder, turn } from "../kit.ts";
import { FakeHandle, makeTransport, microtasks } from "./kit.ts";

/** A transport whose every system write is the test's to complete. */
function paused(limits?: WriteBufferLimits, recorder = new Recorder()) {
  const handle = new FakeHandle();
  const transport = makeTransport(recorder, handle);
  if (limits !== undefined) transport.setWriteBufferLimits(limits);
  return { handle, transport, log: recorder.log };
}

async function end(transport: Transport): Promise<void> {
  transport.abort();
  await turn();
}

Deno.test("getWriteBufferLimits() is [16384, 65536] by default", async () => {
  const { transport } = paused();
  assertEquals(transport.getWriteBufferLimits(), [16 * 1024, 64 * 1024]);
  await end(transport);
});

Deno.test("pauseWriting() runs synchronously inside the write() that goes strictly over high", async () => {
  const { transport, log } = paused();
  transport.write(pattern(65_536));
  log.add("exactly high");
  await turn();
  log.add("write");
  transport.write(bytes("x"));
  log.add("returned");
  assertEquals(log.entries, ["connectionMade", "exactly high", "write", "pauseWriting", "returned"]);
  await end(transport);
});

Deno.test("pauseWriting() runs inside writeOwned() and writelines() alike", async () => {
  for (const method of ["write", "writeOwned", "writelines"] as const) {
    const { transport, log } = paused({ high: 10 });
    const data = pattern(11);
    if (method === "writelines") transport.writelines([data.subarray(0, 5), data.subarray(5)]);
    else transport[method](data);
    log.add("returned");
    assertEquals(log.entries, ["connectionMade", "pauseWriting", "returned"], method);
    await end(transport);
  }
});

Deno.test("resumeWriting() runs when the buffer is at or below low, not before", async () => {
  const { handle, transport, log } = paused({ high: 100, low: 30 });
  transport.write(pattern(101));
  await microtasks();
  await handle.take(70);
  assertEquals(transport.getWriteBufferSize(), 31);
  assertEquals(log.entries, ["connectionMade", "pauseWriting"]);
  await handle.take(1);
  assertEquals(transport.getWriteBufferSize(), 30);
  assertEquals(log.entries, ["connectionMade", "pauseWriting", "resumeWriting"]);
  await handle.take(30);
  assertEquals(log.entries, ["connectionMade", "pauseWriting", "resumeWriting"]);
  await end(transport);
});

Deno.test("resumeWriting() runs below low when one system write takes the buffer past it", async () => {
  const { handle, transport, log } = paused({ high: 100, low: 30 });
  transport.write(pattern(200));
  await microtasks();
  await handle.take(200);
  assertEquals(log.entries, ["connectionMade", "pauseWriting", "resumeWriting"]);
  await end(transport);
});

Deno.test("pauseWriting() and resumeWriting() are strictly paired", async () => {
  const { handle, transport, log } = paused({ high: 100, low: 50 });
  for (let i = 0; i < 5; i++) transport.write(pattern(90));
  await microtasks();
  while (handle.writing) await handle.take(Math.min(40, handle.posted!.length));
  for (let i = 0; i < 3; i++) {
    transport.write(pattern(101));
    transport.write(pattern(101));
    await microtasks();
    while (handle.writing) await handle.take(handle.posted!.length);
  }
  const calls = log.entries.slice(1);
  assertEquals(calls, Array.from({ length: 8 }, (_, i) => i % 2 === 0 ? "pauseWriting" : "resumeWriting"));
  await end(transport);
});

Deno.test("resumeWriting() that fills the buffer again is followed by another pauseWriting()", async () => {
  let rounds = 3;
  class Refills extends Recorder {
    override resumeWriting(): void {
      super.resumeWriting();
      if (rounds-- > 0) this.transport.write(pattern(101));
      this.log.add("refilled");
    }
  }
  const { handle, transport, log } = paused({ high: 100 }, new Refills());
  transport.write(pattern(101));
  await microtasks();
  while (handle.writing) await handle.take(handle.posted!.length);
  assertEquals(log.entries, [
    "connectionMade",
    "pauseWriting",
    ...Array(3).fill(["resumeWriting", "pauseWriting", "refilled"]).flat(),
    "resumeWriting",
    "refilled",
  ]);
  await end(transport);
});

Deno.test("resumeWriting() that fills the buffer again works on a handle that takes all at once", async () => {
  let rounds = 3;
  class Refills extends Recorder {
    override resumeWriting(): void {
      super.resumeWriting();
      if (rounds-- > 0) this.transport.write(pattern(101));
    }
  }
  const { handle, transport, log } = paused({ high: 100 }, new Refills());
  handle.takesAtOnce = 60;
  transport.write(pattern(101));
  await microtasks();
  assertEquals(log.entries.slice(1), Array(4).fill(["pauseWriting", "resumeWriting"]).flat());
  assertEquals(transport.getWriteBufferSize(), 0);
  await end(transport);
});

Deno.test("write() inside pauseWriting() does not pause twice", async () => {
  class Insists extends Recorder {
    override pauseWriting(): void {
      super.pauseWriting();
      this.transport.write(pattern(1000));
    }
  }
  const { handle, transport, log } = paused({ high: 100 }, new Insists());
  transport.write(pattern(101));
  assertEquals(transport.getWriteBufferSize(), 1101);
  await microtasks();
  while (handle.writing) await handle.take(handle.posted!.length);
  assertEquals(log.entries, ["connectionMade", "pauseWriting", "resumeWriting"]);
  await end(transport);
});

Deno.test("setWriteBufferLimits() derives what is left out from what is given", async () => {
  const { transport } = paused();
  const expected: [WriteBufferLimits | undefined, [number, number]][] = [
    [{ high: 1000 }, [250, 1000]],
    [{ high: 5 }, [1, 5]],
    [{ low: 1000 }, [1000, 4000]],
    [{ low: 0 }, [0, 0]],
    [{ low: 10, high: 11 }, [10, 11]],
    [{ low: 10, high: 10 }, [10, 10]],
    [{ high: 0 }, [0, 0]],
    [{}, [16_384, 65_536]],
    [{ high: 1 }, [0, 1]],
    [undefined, [16_384, 65_536]],
  ];
  for (const [limits, marks] of expected) {
    transport.setWriteBufferLimits(limits);
    assertEquals(transport.getWriteBufferLimits(), marks, JSON.stringify(limits));
  }
  await end(transport);
});

Deno.test("setWriteBufferLimits() refuses low over high, negatives and NaN with a RangeError, and keeps the old ones", async () => {
  const { transport } = paused({ low: 1, high: 2 });
  for (const limits of [{ low: 11, high: 10 }, { low: -1 }, { high: -1 }, { low: -1, high: 10 }, { high: NaN }]) {
    assertThrows(() => transport.setWriteBufferLimits(limits), RangeError, "must be at least");
  }
  assertThrows(() => transport.setWriteBufferLimits({ low: 100_000, high: 65_536 }), RangeError, "100000");
  assertThrows(() => transport.setWriteBufferLimits({ high: "10" as unknown as number }), TypeError, 'string "10"');
  assertEquals(transport.getWriteBufferLimits(), [1, 2]);
  await end(transport);
});

Deno.test("setWriteBufferLimits() names what it does not know or cannot use, and keeps the old ones", async () => {
  const { transport } = paused({ low: 1, high: 2 });
  for (
    const [limits, message] of [
      [5, "limits must be a plain object, got number 5"],
      [null, "limits must be a plain object, got null"],
      [[5], "limits must be a plain object, got Array"],
      [{ hihg: 5 }, "hihg is not an option; did you mean high?"],
      [{ highWaterMark: 5 }, "highWaterMark is not an option; did you mean high?"],
      [{ limit: 5 }, "limit is not an option; the options are high, low"],
      [{ high: "10" }, 'high must be a number of bytes, got string "10"'],
      [{ low: "10" }, 'low must be a number of bytes, got string "10"'],
    ] as const
  ) {
    const error = assertThrows(() => transport.setWriteBufferLimits(limits as WriteBufferLimits), TypeError);
    assertEquals(error.message, `setWriteBufferLimits(): ${message}`);
  }
  assertEquals(transport.getWriteBufferLimits(), [1, 2]);
  transport.abort();
  await turn();
});

Deno.test("setWriteBufferLimits({ high: 0 }) pauses on every byte and resumes when all is taken", async () => {
  const { handle, transport, log } = paused({ high: 0 });
  transport.write(bytes("ab"));
  await microtasks();
  await handle.take(1);
  assertEquals(log.entries, ["connectionMade", "pauseWriting"]);
  await handle.take(1);
  assertEquals(log.entries, ["connectionMade", "pauseWriting", "resumeWriting"]);
  await end(transport);
});

Deno.test("setWriteBufferLimits() below what is buffered pauses at once", async () => {
  const { handle, transport, log } = paused();
  transport.write(pattern(1000));
  log.add("set");
  transport.setWriteBufferLimits({ high: 999, low: 0 });
  log.add("done");
  assertEquals(log.entries, ["connectionMade", "set", "pauseWriting", "done"]);
  await microtasks();
  await handle.take(1000);
  assertEquals(log.entries.at(-1), "resumeWriting");
  await end(transport);
});

Deno.test("getWriteBufferSize() counts what the kernel has not taken, also while it is in its hands", async () => {
  const { handle, transport } = paused();
  assertEquals(transport.getWriteBufferSize(), 0);
  transport.write(pattern(10));
  transport.writeOwned(pattern(5000));
  transport.writelines([pattern(1), pattern(2)]);
  assertEquals(transport.getWriteBufferSize(), 5013);
  await microtasks();
  assertEquals(transport.getWriteBufferSize(), 5013);
  await handle.take(4);
  assertEquals(transport.getWriteBufferSize(), 5009);
  transport.close();
  transport.write(pattern(100));
  assertEquals(transport.getWriteBufferSize(), 5009);
  while (handle.writing) await handle.take(handle.posted!.length);
  assertEquals(transport.getWriteBufferSize(), 0);
  await turn();
});

Deno.test("getWriteBufferSize() is 0 after abort(), and resumeWriting() does not run", async () => {
  const { transport, log } = paused({ high: 10 });
  transport.write(pattern(11));
  transport.abort();
  assertEquals(transport.getWriteBufferSize(), 0);
  await turn();
  assertEquals(log.entries, ["connectionMade", "pauseWriting", "connectionLost null"]);
});

Deno.test("keeping count costs O(1): a buffer of 300,000 pieces is filled, asked and drained in no time", async () => {
  const { handle, transport } = paused();
  const piece = pattern(4096);
  // Anything quadratic takes minutes.
  let sum = 0;
  for (let i = 0; i < 300_000; i++) {
    transport.writeOwned(piece);
    sum += transport.getWriteBufferSize();
  }
  assertEquals(sum, 4096 * 300_000 * 300_001 / 2);
  // Without the copies that FakeHandle keeps, which would be a gigabyte.
  handle.write = (data) => data.length;
  await microtasks();
  assertEquals(transport.getWriteBufferSize(), 0);
  await end(transport);
});
