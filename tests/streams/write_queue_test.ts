import { giveBuffer, takeBuffer } from "../../memory/buffer_pool.ts";
import { endWindowLoan, lendWindow } from "../../memory/loan.ts";
import { WriteQueue } from "../../transports/write_queue.ts";
import { assert, assertEquals, assertNotStrictEquals, assertStrictEquals, assertThrows } from "../std.ts";
import { bytes, concat, makeRandom, pattern, text } from "../kit.ts";

/** Takes everything off a queue, a chunk at a time. */
function drain(queue: WriteQueue): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  while (queue.size > 0) {
    const chunk = queue.next();
    chunks.push(new Uint8Array(chunk));
    queue.advance(chunk.length);
  }
  return chunks;
}

Deno.test("WriteQueue joins small copies into one chunk", () => {
  const queue = new WriteQueue();
  for (const word of ["many", " ", "small", " ", "words"]) queue.pushCopy(bytes(word));
  assertEquals(queue.size, 16);
  assertEquals(drain(queue).map(text), ["many small words"]);
  assertEquals(queue.size, 0);
});

Deno.test("WriteQueue.pushCopy() copies, whatever the size", () => {
  for (const size of [1, 4096, 4097, 262_144, 262_145, 1_000_000]) {
    const queue = new WriteQueue();
    const data = pattern(size);
    queue.pushCopy(data);
    data.fill(255);
    assertEquals(concat(drain(queue)), pattern(size));
  }
});

Deno.test("WriteQueue does not fill up a small owned array that is detached or resized before it is joined", () => {
  for (const harm of ["detach", "shrink", "grow"]) {
    giveBuffer(takeBuffer(2048).fill(83));
    const queue = new WriteQueue();
    const memory = new ArrayBuffer(100, { maxByteLength: 10_000 });
    queue.pushOwned(new Uint8Array(memory).fill(1));
    if (harm === "detach") memory.transfer();
    else memory.resize(harm === "shrink" ? 10 : 10_000);
    queue.pushCopy(bytes("x"));
    assertEquals(queue.size, 101);
    if (harm === "detach") assertThrows(() => queue.next(), TypeError);
    else assertEquals(new Uint8Array(queue.next()), new Uint8Array(harm === "shrink" ? 10 : 100).fill(1));
  }
});

Deno.test("WriteQueue.pushOwned() alone is passed on as it is", () => {
  for (const size of [1, 5000, 300_000]) {
    const queue = new WriteQueue();
    const data = pattern(size);
    queue.pushOwned(data);
    assertStrictEquals(queue.next(), data);
  }
});

Deno.test("WriteQueue.pushOwned() of large arrays keeps them in their place, uncopied, between copies", () => {
  const queue = new WriteQueue();
  const large = pattern(10_000);
  queue.pushCopy(bytes("before"));
  queue.pushOwned(large);
  queue.pushCopy(bytes("after"));
  assertEquals(text(queue.next()), "before");
  queue.advance(6);
  assertStrictEquals(queue.next(), large);
  queue.advance(10_000);
  assertEquals(text(queue.next()), "after");
});

Deno.test("WriteQueue joins small owned arrays with each other and with copies", () => {
  const queue = new WriteQueue();
  queue.pushOwned(bytes("a"));
  queue.pushOwned(bytes("b"));
  queue.pushCopy(bytes("c"));
  queue.pushOwned(bytes("d"));
  assertEquals(drain(queue).map(text), ["abcd"]);
});

Deno.test("WriteQueue.next() is left alone by what is pushed before advance()", () => {
  for (const push of ["pushCopy", "pushOwned"] as const) {
    const queue = new WriteQueue();
    queue[push](bytes("in flight"));
    const chunk = queue.next();
    for (let i = 0; i < 1000; i++) queue[push](bytes("more"));
    assertEquals(text(chunk), "in flight");
    assertEquals(text(queue.next()), "in flight");
    queue.advance(3);
    assertEquals(text(queue.next()), "flight");
    queue.pushCopy(bytes("!"));
    queue.advance(6);
    assertEquals(text(concat(drain(queue))), "more".repeat(1000) + "!");
  }
});

Deno.test("WriteQueue.clear() empties it, and it can be used again", () => {
  const queue = new WriteQueue();
  queue.pushCopy(bytes("one"));
  queue.next();
  queue.pushOwned(pattern(10_000));
  queue.clear(true);
  assertEquals(queue.size, 0);
  queue.pushCopy(bytes("two"));
  assertEquals(drain(queue).map(text), ["two"]);
});

Deno.test("WriteQueue keeps every byte in order through any mixture of pushes and partial writes", () => {
  const random = makeRandom(1);
  for (let round = 0; round < 20; round++) {
    const queue = new WriteQueue();
    const [pushed, taken]: [Uint8Array[], Uint8Array[]] = [[], []];
    let size = 0;
    let flying: { chunk: Uint8Array; copy: Uint8Array } | null = null;
    for (let step = 0; step < 400 || queue.size > 0; step++) {
      if (step < 400 && random(3) > 0) {
        const data = pattern(1 + random(2 ** random(16)), step);
        pushed.push(new Uint8Array(data));
        size += data.length;
        if (random(2) === 0) queue.pushCopy(data);
        else queue.pushOwned(data);
      } else if (flying === null && queue.size > 0) {
        const chunk = queue.next();
        flying = { chunk, copy: new Uint8Array(chunk) };
      } else if (flying !== null) {
        assertEquals(flying.chunk, flying.copy);
        const count = random(4) === 0 ? 1 + random(flying.chunk.length) : flying.chunk.length;
        taken.push(flying.copy.subarray(0, count));
        size -= count;
        queue.advance(count);
        flying = null;
      }
      assertEquals(queue.size, size);
    }
    assertEquals(concat(taken), concat(pushed));
  }
});

Deno.test("WriteQueue gives a loan's window back to the pool once it is sent, not before", () => {
  const window = takeBuffer(65_536);
  const data = window.subarray(0, 50_000);
  const queue = new WriteQueue();
  lendWindow(data, window, null);
  queue.pushOwned(data);
  assertEquals(endWindowLoan(), true);
  queue.next();
  queue.advance(49_999);
  const other = takeBuffer(65_536);
  assertNotStrictEquals(other, window);
  queue.next();
  queue.advance(1);
  assertStrictEquals(takeBuffer(65_536), window);
});

Deno.test("WriteQueue does not return a window that was not lent, was kept, or was given away twice", () => {
  for (const how of ["kept", "other", "part", "twice"] as const) {
    const window = takeBuffer(65_536);
    const data = window.subarray(0, 50_000);
    const [queue, second] = [new WriteQueue(), new WriteQueue()];
    lendWindow(data, window, null);
    if (how === "other") queue.pushOwned(pattern(50_000));
    if (how === "part") queue.pushOwned(data.subarray(1));
    if (how === "twice") {
      queue.pushOwned(data);
      second.pushOwned(data);
    }
    assertEquals(endWindowLoan(), false, how);
    drain(queue);
    drain(second);
    assertNotStrictEquals(takeBuffer(65_536), window, how);
  }
});

Deno.test("WriteQueue does not return a lent window that is in flight when the queue is cleared", () => {
  const window = takeBuffer(65_536);
  const data = window.subarray(0, 50_000);
  const queue = new WriteQueue();
  lendWindow(data, window, null);
  queue.pushOwned(data);
  endWindowLoan();
  queue.next();
  queue.clear(true);
  const taken = Array.from({ length: 100 }, () => takeBuffer(65_536));
  assert(!taken.includes(window));
});
