/** The memory of the epoll engine's connections, where a protocol breaks the rules of ownership. */
import { ScratchMemory, ScratchPool } from "../../engines/epoll/scratch_memory.ts";
import { assertEquals, assertNotStrictEquals, assertStrictEquals } from "../std.ts";

Deno.test("ScratchPool counts a window that a protocol has detached with the size that it had", () => {
  const pool = new ScratchPool();
  const [careful, careless] = [new ScratchMemory(pool), new ScratchMemory(pool)];
  const kept = careful.take(true);
  // More than all windows together, which are 64.
  for (let i = 0; i < 100; i++) {
    const window = careless.take(true);
    careless.giveAway();
    careless.takeBack(window);
    (window.buffer as ArrayBuffer).transfer();
    assertNotStrictEquals(careless.take(true), window);
  }
  assertStrictEquals(careful.take(true), kept);
  assertEquals(kept.length, 64 * 1024);
});

/** Reads a message, which its protocol returns at once. */
function lend(memory: ScratchMemory, count: number): Uint8Array {
  const window = memory.take(true);
  memory.fit(window.length, Math.min(count, window.length));
  memory.giveAway();
  memory.takeBack(window);
  return window;
}

Deno.test("ScratchMemory.take() returns the smallest window that suits the messages, and keeps it for messages in pieces", () => {
  const memory = new ScratchMemory(new ScratchPool());
  assertEquals(lend(memory, 100_000).length, 64 * 1024);
  const window = lend(memory, 100_000);
  assertEquals(window.length, 128 * 1024);
  // A message of 100 KB in six records, each of which arrives alone.
  for (let i = 0; i < 100; i++) assertStrictEquals(lend(memory, 16 * 1024), window);
  // Each would be copied out of a window of which it fills less than an eighth.
  for (let i = 0; i < 17; i++) lend(memory, 1000);
  assertEquals(lend(memory, 1000).length, 64 * 1024);
});

Deno.test("ScratchMemory.keep() copies a message only if it would keep more than 64 times its size alive", () => {
  const memory = new ScratchMemory(new ScratchPool());
  for (let i = 0; i < 2; i++) memory.fit(64 * 1024, 64 * 1024);
  const keep = (count: number): boolean => {
    const fresh = memory.take(false);
    assertEquals([fresh.length, fresh.buffer.byteLength], [128 * 1024, 2048 * 1024]);
    const kept = memory.keep(fresh, count);
    assertEquals(kept.length, count);
    return kept.buffer !== fresh.buffer;
  };
  assertEquals([32 * 1024 - 1, 32 * 1024, 100_000].map(keep), [true, false, false]);
});
