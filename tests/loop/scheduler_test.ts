import { assert, assertEquals, assertGreaterOrEqual, assertLess, assertStrictEquals, assertThrows } from "../std.ts";
import { EventLoop, getRunningLoop, type TimerHandle } from "../../mod.ts";
import { bytes, captureExceptions, connect, EventLog, loop, Recorder, turn } from "../kit.ts";

/** Waits for a time on the loop's clock. */
function after(delayMs: number): Promise<void> {
  return new Promise((resolve) => void loop.callLater(delayMs, resolve));
}

Deno.test("getRunningLoop() gives the same loop every time", () => {
  assertStrictEquals(getRunningLoop(), loop);
  assertStrictEquals(getRunningLoop(), getRunningLoop());
});

Deno.test("callSoon() runs callbacks in order, with their arguments, and never inside the call", async () => {
  const log = new EventLog();
  loop.callSoon((...args: unknown[]) => log.add(`first ${args.join()}`), 1, "two", null);
  loop.callSoon(() => log.add("second"));
  log.add("call returned");
  await Promise.resolve();
  log.add("microtask");
  await log.has("second");
  assertEquals(log.entries, ["call returned", "microtask", "first 1,two,", "second"]);
});

Deno.test("callSoon() inside a callback waits for the next turn, behind those already waiting", async () => {
  const log = new EventLog();
  loop.callSoon(() => {
    log.add("a");
    loop.callSoon(() => {
      log.add("a.a");
      loop.callSoon(() => log.add("a.a.a"));
    });
    loop.callSoon(() => log.add("a.b"));
  });
  loop.callSoon(() => {
    log.add("b");
    loop.callSoon(() => log.add("b.a"));
  });
  await log.has("a.a.a");
  assertEquals(log.entries, ["a", "b", "a.a", "a.b", "b.a", "a.a.a"]);
});

Deno.test("cancel() calls a callback off, also from one that runs before it in the same turn", async () => {
  const log = new EventLog();
  const first = loop.callSoon(() => log.add("first"));
  first.cancel();
  loop.callSoon(() => {
    log.add("second");
    third.cancel();
  });
  const third = loop.callSoon(() => log.add("third"));
  const fourth = loop.callSoon(() => log.add("fourth"));
  assertEquals([first, third, fourth].map((handle) => handle.cancelled()), [true, false, false]);
  await turn();
  assertEquals(log.entries, ["second", "fourth"]);
  assertEquals([first, third, fourth].map((handle) => handle.cancelled()), [true, true, false]);
  // Too late, and harmless.
  fourth.cancel();
  fourth.cancel();
  assertEquals(fourth.cancelled(), true);
});

Deno.test("callLater() and callAt() run callbacks in the order of their times, however close", async () => {
  const log = new EventLog();
  const base = loop.time() + 5;
  const offsets = [3, 0.2, 0.9, 2.5, 0.1, 0.15, 2.4999, 0];
  for (const offset of offsets) loop.callAt(base + offset, () => log.add(`${offset}`));
  await log.has("3");
  assertEquals(log.entries, ["0", "0.1", "0.15", "0.2", "0.9", "2.4999", "2.5", "3"]);
});

Deno.test("callAt() runs callbacks for the same time in the order of the calls", async () => {
  const log = new EventLog();
  const when = loop.time() + 2;
  for (let i = 0; i < 20; i++) loop.callAt(when, (number: number) => log.add(`${number}`), i);
  await log.has("19");
  assertEquals(log.entries, Array.from({ length: 20 }, (_, i) => `${i}`));
});

Deno.test("callAt() is never early, and tells its time", async () => {
  const early: number[] = [];
  const done = Promise.withResolvers<void>();
  let left = 300;
  const start = loop.time();
  for (let i = 0; i < 300; i++) {
    const timer = loop.callAt(start + 1 + (i * 7919 % 300) / 15, () => {
      const now = loop.time();
      if (now < timer.when()) early.push(timer.when() - now);
      if (--left === 0) done.resolve();
    });
    assertEquals(timer.when(), start + 1 + (i * 7919 % 300) / 15);
  }
  await done.promise;
  assertEquals(early, []);
});

Deno.test("callLater() counts from now", () => {
  const before = loop.time();
  const timer = loop.callLater(1000, () => {});
  const later = loop.time();
  timer.cancel();
  assertGreaterOrEqual(timer.when(), before + 1000);
  assert(timer.when() <= later + 1000);
});

Deno.test("callLater() runs thousands of timers in order, and cancel() takes any of them away", async () => {
  const count = 5000;
  const base = loop.time() + 5;
  const ran: number[] = [];
  const timers: TimerHandle[] = [];
  // 7919 is a prime, so that every place comes once and in no order.
  for (let i = 0; i < count; i++) {
    const place = i * 7919 % count;
    timers[place] = loop.callAt(base + place / 500, () => ran.push(place));
  }
  for (let place = 0; place < count; place += 3) timers[place]!.cancel();
  await new Promise<void>((resolve) => void loop.callAt(base + count / 500, resolve));
  assertEquals(ran, Array.from({ length: count }, (_, place) => place).filter((place) => place % 3 !== 0));
  // A timer that has run can be cancelled without harm to those that have not.
  const last = loop.callLater(1, () => ran.push(-1));
  for (const timer of timers) timer.cancel();
  await after(2);
  assertEquals([ran.at(-1), last.cancelled()], [-1, false]);
});

Deno.test("cancel() leaves no timer behind", () => {
  const timers = [1e6, 1e9, 2 ** 40, 5].map((delay) => loop.callLater(delay, () => {}));
  for (const timer of timers) timer.cancel();
  // The test runner fails a test that leaves a timer.
});

Deno.test("callLater() takes a delay longer than the system's timers do", async () => {
  let ran = false;
  const timers = [2 ** 31, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER].map((delay) =>
    loop.callLater(delay, () => ran = true)
  );
  await after(5);
  for (const timer of timers) timer.cancel();
  assertEquals(ran, false);
});

Deno.test("callLater() with no delay or less, and callAt() in the past, run soon but never inside the call", async () => {
  const log = new EventLog();
  loop.callLater(0, () => log.add("0"));
  loop.callLater(-5, () => log.add("-5"));
  loop.callAt(0, () => log.add("long ago"));
  log.add("call returned");
  await log.until(() => log.entries.length === 4);
  assertEquals(log.entries, ["call returned", "long ago", "-5", "0"]);
});

Deno.test("timers that are due together run before what they schedule with callSoon()", async () => {
  const log = new EventLog();
  const when = loop.time() + 2;
  loop.callAt(when, () => {
    log.add("a");
    loop.callSoon(() => log.add("soon"));
    loop.callAt(when, () => log.add("again"));
    cancelled.cancel();
  });
  loop.callAt(when, () => log.add("b"));
  const cancelled = loop.callAt(when, () => log.add("cancelled"));
  await log.has("again");
  assertEquals(log.entries, ["a", "b", "soon", "again"]);
});

Deno.test("callSoon() that schedules itself for ever starves neither input and output nor timers", async () => {
  let turns = 0;
  let running = true;
  const spin = () => {
    turns++;
    if (running) loop.callSoon(spin);
  };
  loop.callSoon(spin);
  class Echo extends Recorder {
    override dataReceived(data: Uint8Array): void {
      this.transport.write(data);
    }
  }
  await using pair = await connect(() => new Echo(), () => new Recorder());
  pair.clientTransport.write(bytes("hello"));
  await pair.clientSide.untilReceived(5);
  const before = turns;
  await after(2);
  await new Promise((resolve) => setTimeout(resolve, 2));
  assertLess(before, turns);
  running = false;
  await turn();
});

Deno.test("a callback that throws or rejects is told to the exception handler, and the others still run", async () => {
  using exceptions = captureExceptions();
  const [thrown, rejected] = [new EvalError("thrown"), new EvalError("rejected")];
  const first = loop.callSoon(function thrower() {
    throw thrown;
  });
  const second = loop.callSoon(async function rejecter() {
    await Promise.resolve();
    throw rejected;
  });
  const third = loop.callLater(50, function late() {
    throw thrown;
  });
  let ran = false;
  loop.callSoon(() => ran = true);
  await exceptions.log.until(() => exceptions.contexts.length === 3);
  assert(ran);
  assertEquals(exceptions.contexts, [
    { message: "Exception in callback thrower", error: thrown, handle: first },
    { message: "Exception in callback rejecter", error: rejected, handle: second },
    { message: "Exception in callback late", error: thrown, handle: third },
  ]);
});

Deno.test("a callback that throws something else than an error is told as one, whatever it is", async () => {
  using exceptions = captureExceptions();
  const values = [undefined, null, "text", 5, Symbol("symbol"), Object.create(null), { toString: null }];
  for (const value of values) {
    loop.callSoon(() => {
      throw value;
    });
    loop.callSoon(() => Promise.reject(value));
  }
  await exceptions.log.until(() => exceptions.contexts.length === 2 * values.length);
  assert(exceptions.contexts.every(({ error }) => error instanceof Error));
  assertEquals(new Set(exceptions.contexts.map(({ error }) => error!.cause)), new Set(values));
});

Deno.test("callbacks are called as plain functions, and their exception handler too", async () => {
  const seen: unknown[] = [];
  const before = loop.getExceptionHandler();
  function note(this: unknown): void {
    seen.push(this);
  }
  loop.setExceptionHandler(note);
  loop.callSoon(note);
  loop.callLater(0, note);
  loop.callExceptionHandler({ message: "test" });
  await after(1);
  loop.setExceptionHandler(before);
  assertEquals(seen, [undefined, undefined, undefined]);
});

Deno.test("callSoon(), callLater() and callAt() throw for arguments of the wrong kind", () => {
  const notFunction = "callback" as unknown as () => void;
  assertThrows(
    () => loop.callSoon(notFunction),
    TypeError,
    'callSoon(): callback must be a function, got string "callback"',
  );
  assertThrows(() => loop.callLater(1, notFunction), TypeError, "callLater(): callback");
  assertThrows(() => loop.callAt(1, notFunction), TypeError, "callAt(): callback");
  const notNumber = "1" as unknown as number;
  assertThrows(() => loop.callLater(notNumber, () => {}), TypeError, "callLater(): delayMs must be a finite number");
  assertThrows(() => loop.callAt(notNumber, () => {}), TypeError, "callAt(): whenMs");
  for (const bad of [NaN, Infinity, -Infinity]) {
    assertThrows(() => loop.callLater(bad, () => {}), RangeError, "delayMs must be a finite number");
    assertThrows(() => loop.callAt(bad, () => {}), RangeError, "whenMs");
  }
});

Deno.test("time() never goes back", () => {
  let before = loop.time();
  for (let i = 0; i < 1000; i++) {
    const now = loop.time();
    assertGreaterOrEqual(now, before);
    before = now;
  }
});

Deno.test("createFuture() makes a promise that others settle", async () => {
  const future = loop.createFuture<number>();
  loop.callSoon(future.resolve, 5);
  assertEquals(await future.promise, 5);
});

Deno.test("callLater() starts no timer of the system if an earlier one was cancelled, and ends it with the last", () => {
  const { setTimeout, clearTimeout } = globalThis;
  const calls: string[] = [];
  const watch = (name: string, real: (...args: never[]) => unknown) => (...args: unknown[]) => {
    calls.push(name);
    return real(...args as never[]);
  };
  Object.assign(globalThis, { setTimeout: watch("set", setTimeout), clearTimeout: watch("clear", clearTimeout) });
  try {
    const other = new EventLoop();
    const timers = [1000, 2000, 3000].map((ms) => other.callLater(ms, () => {}));
    assertEquals(calls, ["set"]);
    timers[0]!.cancel();
    timers[1]!.cancel();
    assertEquals(calls, ["set"]);
    const earlier = other.callLater(500, () => {});
    assertEquals(calls, ["set", "clear", "set"]);
    timers[2]!.cancel();
    earlier.cancel();
    assertEquals(calls, ["set", "clear", "set", "clear"]);
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout });
  }
});

Deno.test("a timer comes at its time if an earlier one was cancelled, for which the system's timer was started", async () => {
  const startedAt = loop.time();
  const earlier = loop.callLater(5, () => {});
  const due = after(20);
  earlier.cancel();
  await due;
  assertGreaterOrEqual(loop.time() - startedAt, 20);
});

Deno.test("callLater() sets the timer of a clock of the program for what is due first, held as long as a timer holds", () => {
  const log: string[] = [];
  let count = 0;
  const setTimer = (delayMs: number) => {
    const name = `timer ${++count}`;
    log.push(`${name} of ${delayMs}`);
    const add = (what: string) => () => void log.push(`${what} ${name}`);
    return { cancel: add("cancel"), ref: add("ref"), unref: add("unref") };
  };
  const other = new EventLoop({ clock: { now: () => 0, setTimer } });
  const [first, second] = [other.callLater(10, () => {}), other.callLater(20, () => {})];
  first.unref();
  second.unref();
  assertEquals(log.splice(0), ["timer 1 of 10", "unref timer 1"]);
  first.cancel();
  assertEquals(log.splice(0), ["cancel timer 1", "timer 2 of 20", "unref timer 2"]);
  second.ref();
  second.ref();
  second.cancel();
  assertEquals(log.splice(0), ["ref timer 2", "cancel timer 2"]);
});
