/** The memory that TLS reads ciphertext into. */
import { assertEquals, assertStrictEquals } from "../std.ts";
import type { TlsEngine } from "../../transports/tls_provider.ts";
import { TlsHandle } from "../../tls/tls_handle.ts";
import { context, FakeHandle } from "../streams/kit.ts";

/** A handle whose engine knows no TLS: what is read is nothing to it. */
function makeHandle(lower: FakeHandle): TlsHandle {
  const engine = { start: () => {}, decrypt: () => null, destroy: () => {} };
  return new TlsHandle(context, lower, () => engine as unknown as TlsEngine, 0);
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
