/** A handle over a handle, with an engine that knows no TLS: memory for ciphertext, and when a write ends. */
import { MAX_BUFFER } from "../../memory/buffer_pool.ts";
import { TlsHandle } from "../../tls/tls_handle.ts";
import type { TlsEngine, TlsEngineSink, TlsSession } from "../../transports/tls_provider.ts";
import { bytes, pattern, text } from "../kit.ts";
import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "../std.ts";
import { context, FakeHandle, microtasks } from "../streams/kit.ts";

/** Encrypts by capital letters, at once or when the test says so. */
class FakeEngine implements TlsEngine {
  readonly sslObject = this;
  readonly sink: TlsEngineSink;
  /** What `encrypt` returns in place of ciphertext. */
  later: Promise<void> | undefined;

  constructor(sink: TlsEngineSink) {
    this.sink = sink;
  }

  start(): void {}
  decrypt(): null {
    return null;
  }
  encrypt(data: Uint8Array): Uint8Array | Promise<void> {
    return this.later ?? data.map((byte) => byte >= 97 && byte <= 122 ? byte - 32 : byte);
  }
  closeNotify(): void {}
  session(): TlsSession {
    return { cipher: null, peercert: null, alpnProtocol: null };
  }
  destroy(): void {}
}

function makeHandle(lower: FakeHandle): TlsHandle & { engine: FakeEngine } {
  let engine!: FakeEngine;
  const handle = new TlsHandle(context, lower, (sink) => engine = new FakeEngine(sink), 0);
  return Object.assign(handle, { engine });
}

Deno.test("TlsHandle reads into the memory of the handle below it, whose size follows the ciphertext", () => {
  const lower = new FakeHandle();
  const { lowerSink } = makeHandle(lower);
  const small = lowerSink.allocate(0)!;
  assertStrictEquals(lower.memory.take(), small);
  assertStrictEquals(lowerSink.allocate(0), small);
  lowerSink.filled(small.length);
  const large = lowerSink.allocate(0)!;
  assertEquals(large.length, 2 * small.length);
  for (let i = 0; i < 16; i++) {
    assertStrictEquals(lowerSink.allocate(0), large);
    lowerSink.filled(1);
  }
  assertEquals(lowerSink.allocate(0)!.length, small.length);
});

Deno.test("write() over a handle that writes at once returns a number, and makes no promise", () => {
  const lower = new FakeHandle();
  const handle = makeHandle(lower);
  for (const takesAtOnce of [Infinity, 2]) {
    lower.takesAtOnce = takesAtOnce;
    lower.writes.length = 0;
    assertEquals(handle.write(bytes("hello")), 5);
    assertEquals(lower.writes.map(text), takesAtOnce === 2 ? ["HELLO", "LLO", "O"] : ["HELLO"]);
  }
  lower.takesAtOnce = Infinity;
  handle.engine.sink.ciphertext(new Uint8Array()); // Which is nothing to write.
  assertEquals(handle.write(pattern(MAX_BUFFER + 1)), MAX_BUFFER);
});

Deno.test("write() over a handle that writes later ends when that has taken all ciphertext", async () => {
  const lower = new FakeHandle();
  const result = makeHandle(lower).write(bytes("hello"));
  assertEquals(typeof result, "object");
  await lower.take(2);
  assertEquals(lower.writes.map(text), ["HELLO", "LLO"]);
  lower.takesAtOnce = 1;
  await lower.take(1);
  assertEquals(lower.writes.map(text), ["HELLO", "LLO", "LO", "O"]);
  assertEquals(await result, 5);
});

Deno.test("write() waits for what the engine itself sends, and keeps the order", async () => {
  const lower = new FakeHandle();
  const handle = makeHandle(lower);
  handle.engine.sink.ciphertext(bytes("1st"));
  const result = handle.write(bytes("2nd"));
  handle.engine.sink.ciphertext(bytes("alert"));
  assertEquals(lower.writes.map(text), ["1st"]);
  await lower.take(3);
  assertEquals(lower.writes.map(text), ["1st", "alert"]);
  await lower.take(5);
  assertEquals(lower.writes.map(text), ["1st", "alert", "2ND"]);
  await lower.take(3);
  assertEquals(await result, 3);
});

Deno.test("write() with an engine that encrypts later sends what it has delivered once it is done", async () => {
  const lower = new FakeHandle();
  const handle = makeHandle(lower);
  const encrypted = Promise.withResolvers<void>();
  handle.engine.later = encrypted.promise;
  lower.takesAtOnce = Infinity;
  const result = handle.write(bytes("hello"));
  handle.engine.sink.ciphertext(bytes("HEL"));
  handle.engine.sink.ciphertext(bytes("LO"));
  assertEquals(lower.writes.map(text), []);
  encrypted.resolve();
  assertEquals(await result, 5);
  assertEquals(lower.writes.map(text), ["HEL", "LO"]);
});

Deno.test("write() throws what the handle below throws, and what a write of no bytes is", () => {
  const lower = new FakeHandle();
  const handle = makeHandle(lower);
  lower.takesAtOnce = 0;
  assertThrows(() => handle.write(bytes("hello")), Deno.errors.WriteZero);
  assertThrows(() => handle.write(bytes("hello")), Deno.errors.WriteZero);
  const other = makeHandle(lower);
  lower.write = () => {
    throw new Deno.errors.BrokenPipe("gone");
  };
  assertThrows(() => other.write(bytes("hello")), Deno.errors.BrokenPipe, "gone");
});

Deno.test("write() rejects with what the handle below rejects with, also one that waits", async () => {
  const lower = new FakeHandle();
  const handle = makeHandle(lower);
  handle.engine.sink.ciphertext(bytes("alert"));
  const result = handle.write(bytes("hello"));
  await lower.failWrite(new Deno.errors.BrokenPipe("gone"));
  await assertRejects(async () => await result, Deno.errors.BrokenPipe, "gone");
});

Deno.test("close() settles a write that waits for the handle below", async () => {
  const handle = makeHandle(new FakeHandle());
  const result = handle.write(bytes("hello"));
  handle.close(true);
  await assertRejects(async () => await result, Deno.errors.Interrupted);
  assertThrows(() => handle.write(bytes("more")), Deno.errors.ConnectionAborted);
});

Deno.test("close() settles a write that waits behind what the engine sends", async () => {
  const lower = new FakeHandle();
  const handle = makeHandle(lower);
  handle.engine.sink.ciphertext(bytes("alert"));
  const result = handle.write(bytes("hello"));
  handle.close(true);
  await assertRejects(async () => await result, Deno.errors.ConnectionAborted);
  assertEquals(lower.writes.map(text), ["alert"]);
});

Deno.test("close() settles a write that waits for the engine, and nothing is sent afterwards", async () => {
  const lower = new FakeHandle();
  const handle = makeHandle(lower);
  const encrypted = Promise.withResolvers<void>();
  handle.engine.later = encrypted.promise;
  const result = handle.write(bytes("hello"));
  handle.close(true);
  await assertRejects(async () => await result, Deno.errors.ConnectionAborted);
  handle.engine.sink.ciphertext(bytes("late"));
  encrypted.resolve();
  await microtasks();
  assertEquals(lower.writes, []);
});
