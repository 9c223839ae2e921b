import { assert, assertEquals } from "../std.ts";
import { bytes, Recorder, turn } from "../kit.ts";
import { FakeHandle, makeTransport, microtasks } from "./kit.ts";

Deno.test("close() flushes byte after byte where the system takes no more, then connectionLost(null)", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.write(bytes("abc"));
  transport.close();
  await microtasks();
  await handle.take(1);
  await turn();
  await handle.take(1);
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade"]);
  assertEquals(transport.getWriteBufferSize(), 1);
  await handle.take(1);
  assertEquals(recorder.log.entries, ["connectionMade"]);
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"]);
  assertEquals(handle.writes, [bytes("abc"), bytes("bc"), bytes("c")]);
});

Deno.test("close() ends once on a handle that completes one write later and the rest at once", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.write(bytes("abc"));
  await microtasks();
  transport.write(bytes("def"));
  transport.writeEof();
  transport.close();
  handle.takesAtOnce = 2;
  await handle.take(1);
  await turn();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"]);
  assertEquals(handle.writes.map((data) => data.length), [3, 2, 3, 1]);
});

Deno.test("close() stops reading at once, even with a read in flight", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  handle.deliver(bytes("before"));
  assert(handle.reading);
  transport.close();
  handle.deliver(bytes("after"));
  assertEquals(handle.reading, false);
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "dataReceived 6", "connectionLost null"]);
});

Deno.test("close() drops the end of the stream and the error of a read that was in flight", async () => {
  for (const how of ["end", "failRead"] as const) {
    const handle = new FakeHandle();
    const recorder = new Recorder();
    const transport = makeTransport(recorder, handle);
    transport.write(bytes("still to flush"));
    transport.close();
    handle[how](new Deno.errors.ConnectionReset("late"));
    await microtasks();
    await handle.take(14);
    await turn();
    assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"], how);
  }
});

Deno.test("close() while paused drops what was held", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.pauseReading();
  handle.deliver(bytes("held"));
  transport.close();
  transport.resumeReading();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"]);
});

Deno.test("close() and abort() are idempotent, in any order", async () => {
  for (const calls of ["cc", "aa", "ca", "ac", "cacaca"]) {
    const recorder = new Recorder();
    const transport = makeTransport(recorder, new FakeHandle());
    for (const call of calls) call === "c" ? transport.close() : transport.abort();
    await turn();
    transport.close();
    transport.abort();
    await turn();
    assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"], calls);
  }
});

Deno.test("abort() after close() ends a flush that is stuck", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.write(bytes("stuck"));
  transport.close();
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade"]);
  transport.abort();
  assertEquals(recorder.log.entries, ["connectionMade"]);
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost null"]);
  await turn();
  assertEquals([handle.writes.length, handle.writing], [1, false]);
  assertEquals(recorder.log.entries.length, 2);
});

Deno.test("a reset during the flush of close() is what connectionLost() is given", async () => {
  const handle = new FakeHandle();
  const recorder = new Recorder();
  const transport = makeTransport(recorder, handle);
  transport.write(bytes("stuck"));
  transport.close();
  await microtasks();
  await handle.failWrite(new Deno.errors.ConnectionReset("reset"));
  await turn();
  assertEquals(recorder.log.entries, ["connectionMade", "connectionLost ConnectionReset"]);
});

Deno.test("closeTimeout leaves no timer behind when the flush ends in time, fails, or is aborted", async () => {
  for (const ending of ["flushed", "failed", "aborted"] as const) {
    const handle = new FakeHandle();
    const recorder = new Recorder();
    // The sanitizer would find a timer of an hour.
    const transport = makeTransport(recorder, handle, { closeTimeout: 3_600_000 });
    transport.write(bytes("abc"));
    transport.close();
    await microtasks();
    if (ending === "flushed") await handle.take(3);
    else if (ending === "failed") await handle.failWrite(new Deno.errors.BrokenPipe("gone"));
    else transport.abort();
    await turn();
    assertEquals(recorder.log.entries, [
      "connectionMade",
      `connectionLost ${ending === "failed" ? "BrokenPipe" : "null"}`,
    ]);
  }
});

Deno.test("isClosing() tells from the first close(), abort(), EOF or failure on", async () => {
  const closing = new FakeHandle();
  for (const end of ["close", "abort"] as const) {
    const transport = makeTransport(new Recorder(), new FakeHandle());
    assertEquals(transport.isClosing(), false);
    transport[end]();
    assertEquals(transport.isClosing(), true);
    assertEquals(transport.isReading(), false);
    await turn();
    assertEquals(transport.isClosing(), true);
  }
  const ended = makeTransport(new Recorder(), closing);
  closing.end();
  assertEquals(ended.isClosing(), true);
  const failing = new FakeHandle();
  const failed = makeTransport(new Recorder(), failing);
  failing.failRead(new Deno.errors.ConnectionReset("gone"));
  assertEquals(failed.isClosing(), true);
  await turn();
});
