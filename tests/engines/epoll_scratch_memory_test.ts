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
