import { type Timed, TimerHeap } from "../../loop/timer_heap.ts";
import { assertEquals, assertStrictEquals } from "../std.ts";
import { makeRandom } from "../kit.ts";

class Timer implements Timed {
  readonly due: number;
  readonly serial: number;
  index = -1;

  constructor(due: number, serial: number) {
    this.due = due;
    this.serial = serial;
  }
}

/** Takes all timers off a heap, first one first. */
function drain(heap: TimerHeap<Timer>): Timer[] {
  const timers: Timer[] = [];
  for (let timer = heap.first; timer !== undefined; timer = heap.first) {
    heap.remove(timer);
    timers.push(timer);
  }
  return timers;
}

function inOrder(timers: Timer[]): Timer[] {
  return timers.toSorted((a, b) => a.due - b.due || a.serial - b.serial);
}

Deno.test("TimerHeap.first is undefined when it is empty", () => {
  const heap = new TimerHeap<Timer>();
  assertEquals(heap.first, undefined);
  const timer = new Timer(1, 0);
  heap.push(timer);
  heap.remove(timer);
  assertEquals(heap.first, undefined);
});

Deno.test("TimerHeap gives timers up in order of their time", () => {
  const heap = new TimerHeap<Timer>();
  const timers = [5, 3, 9, 1, 7, 2, 8].map((due, serial) => new Timer(due, serial));
  for (const timer of timers) heap.push(timer);
  assertEquals(drain(heap).map(({ due }) => due), [1, 2, 3, 5, 7, 8, 9]);
});

Deno.test("TimerHeap gives timers of the same time up in order of their making", () => {
  const heap = new TimerHeap<Timer>();
  for (let serial = 0; serial < 20; serial++) heap.push(new Timer(serial % 2, serial));
  const serials = drain(heap).map(({ serial }) => serial);
  assertEquals(serials, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
});

Deno.test("TimerHeap.remove() takes one out of the middle and leaves the others in order", () => {
  const random = makeRandom(1);
  for (let victim = 0; victim < 50; victim++) {
    const heap = new TimerHeap<Timer>();
    const timers = Array.from({ length: 50 }, (_, serial) => new Timer(random(30), serial));
    for (const timer of timers) heap.push(timer);
    heap.remove(timers[victim]!);
    timers.splice(victim, 1);
    assertEquals(drain(heap), inOrder(timers));
  }
});

Deno.test("TimerHeap.remove() of one that is not there does nothing", () => {
  const heap = new TimerHeap<Timer>();
  const [here, gone, never] = [new Timer(1, 0), new Timer(2, 1), new Timer(0, 2)];
  heap.push(here);
  heap.push(gone);
  heap.remove(gone);
  heap.remove(gone);
  heap.remove(never);
  assertStrictEquals(heap.first, here);
  assertEquals(drain(heap), [here]);
});

Deno.test("TimerHeap keeps order through any mixture of push() and remove()", () => {
  const random = makeRandom(1);
  const heap = new TimerHeap<Timer>();
  let model: Timer[] = [];
  for (let serial = 0; serial < 5000; serial++) {
    if (random(3) > 0 || model.length === 0) {
      const timer = new Timer(random(1000), serial);
      heap.push(timer);
      model.push(timer);
    } else {
      // Now the first one, as if it were due, now any one, as if it were cancelled.
      const timer = random(2) === 0 ? heap.first! : model[random(model.length)]!;
      heap.remove(timer);
      model = model.filter((other) => other !== timer);
    }
    if (serial % 100 === 0) assertStrictEquals(heap.first, inOrder(model)[0]);
  }
  assertEquals(drain(heap), inOrder(model));
});
