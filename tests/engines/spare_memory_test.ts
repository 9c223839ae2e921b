/** When the epoll engine gives memory back. */
import type { Libc } from "../../engines/epoll/libc.ts";
import { SpareMemory } from "../../engines/epoll/spare_memory.ts";
import { assertEquals } from "../std.ts";

/** Memory of a process in which time passes on demand. */
function make() {
  let due: (() => void) | null = null;
  const trims: bigint[] = [];
  const table = { malloc_trim: (pad: bigint) => trims.push(pad) } as unknown as Libc;
  const spare = new SpareMemory(table, (callback) => {
    due = callback;
    return () => void (due = null);
  });
  /** The engine waits with so many descriptors, until nothing has happened for a second. Reports whether memory was given back. */
  const wait = (count: number) => {
    const before = trims.length;
    spare.parked(count);
    const callback = due as (() => void) | null;
    due = null;
    callback?.();
    spare.unparked();
    return trims.length > before;
  };
  return { spare, wait, trims, pending: () => due !== null };
}

Deno.test("SpareMemory gives memory back when descriptors have come or gone, a quarter of them and 1,024", () => {
  const { wait } = make();
  const counts = [0, 1023, 1024, 2047, 2048, 8000, 9999, 10_000, 7501, 7500, 3];
  const expected = [false, false, true, false, true, true, false, true, false, true, true];
  assertEquals(counts.map(wait), expected);
});

Deno.test("SpareMemory does nothing while something happens, and tries again the next time", () => {
  const { spare, wait, pending, trims } = make();
  spare.parked(5000);
  assertEquals(pending(), true);
  spare.unparked();
  assertEquals([pending(), trims.length], [false, 0]);
  assertEquals(wait(5000), true);
  assertEquals(trims, [0n]);
});
