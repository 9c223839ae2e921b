/** The memory that TLS reads ciphertext into. */
import { assert, assertEquals, assertStrictEquals } from "../std.ts";
import { giveBuffer, takeBuffer } from "../../memory/buffer_pool.ts";
import type { TlsEngine } from "../../tls/tls_engine.ts";
import { TlsHandle } from "../../tls/tls_handle.ts";
import { FakeHandle } from "../streams/kit.ts";

/** A handle whose engine knows no TLS: what is read is nothing to it. */
function makeHandle(): TlsHandle {
  const engine = { start: () => {}, decrypt: () => null, destroy: () => {} };
  return new TlsHandle(new FakeHandle(), () => engine as unknown as TlsEngine, 0);
}

Deno.test("TlsHandle reads into the same memory while its size suits, and gives it back when it grows or shrinks", () => {
  const { lowerSink } = makeHandle();
  const small = lowerSink.allocate(0)!;
  assertStrictEquals(lowerSink.allocate(0), small);
  lowerSink.filled(small.length);
  const large = lowerSink.allocate(0)!;
  assertEquals(large.length, 2 * small.length);
  assertStrictEquals(takeBuffer(small.length), small);
  giveBuffer(small);
  for (let i = 0; i < 16; i++) {
    assertStrictEquals(lowerSink.allocate(0), large);
    lowerSink.filled(1);
  }
  assertStrictEquals(lowerSink.allocate(0), small);
  assertStrictEquals(takeBuffer(large.length), large);
});

Deno.test("TlsHandle does not give back at close() what a read may still be written to", () => {
  const handle = makeHandle();
  const memory = handle.lowerSink.allocate(0)!;
  handle.close(true);
  for (let i = 0; i < 10; i++) assert(takeBuffer(memory.length) !== memory);
});
