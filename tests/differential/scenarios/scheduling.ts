/** call_soon, call_later, call_at, signals: what runs when. */
import { loop } from "../../kit.ts";
import type { Scenarios } from "../stage.ts";

export const scenarios: Scenarios = {
  "call_soon runs in the order of calling, with its arguments": async (t) => {
    loop.callSoon(() => t.log("loop", "no arguments"));
    loop.callSoon((...args: unknown[]) => t.log("loop", `arguments ${args.join(" ")}`), 1, "two", 3);
    for (let i = 0; i < 5; i++) loop.callSoon(() => t.log("loop", `callback ${i}`));
    t.log("loop", "scheduled");
    await t.turns();
  },

  "what a callback schedules runs in the next turn": async (t) => {
    loop.callSoon(() => {
      t.log("loop", "first");
      loop.callSoon(() => t.log("loop", "inner first"));
    });
    loop.callSoon(() => {
      t.log("loop", "second");
      loop.callSoon(() => t.log("loop", "inner second"));
    });
    loop.callSoon(() => t.log("loop", "third"));
    await t.turns(3);
  },

  "a cancelled callback does not run": async (t) => {
    const handle = loop.callSoon(() => t.log("loop", "cancelled at once"));
    t.attempt("loop", "cancelled", () => handle.cancelled());
    t.attempt("loop", "cancel", () => handle.cancel());
    t.attempt("loop", "cancelled", () => handle.cancelled());
    t.attempt("loop", "cancel", () => handle.cancel());
    loop.callSoon(() => later.cancel());
    const later = loop.callSoon(() => t.log("loop", "cancelled by the one before"));
    const last = loop.callSoon(() => t.log("loop", "not cancelled"));
    await t.turns(2);
    t.attempt("loop", "later.cancelled", () => later.cancelled());
    t.attempt("loop", "last.cancelled", () => last.cancelled());
    last.cancel();
    t.attempt("loop", "last.cancelled", () => last.cancelled());
  },

  "call_later runs in the order of time": async (t) => {
    loop.callLater(30, () => t.log("loop", "30 ms"));
    loop.callLater(10, () => t.log("loop", "10 ms"));
    loop.callLater(20, () => t.log("loop", "20 ms"));
    loop.callSoon(() => t.log("loop", "soon"));
    await t.until("loop", "30 ms");
  },

  "call_at runs in the order of time": async (t) => {
    const now = loop.time();
    const late = loop.callAt(now + 6, () => t.log("loop", "late"));
    const early = loop.callAt(now + 3, () => t.log("loop", "early"));
    t.log("loop", `when is what was asked: ${late.when() === now + 6 && early.when() === now + 3}`);
    await t.until("loop", "late");
  },

  "timers of the same time": async (t) => {
    const when = loop.time() + 2;
    const order: number[] = [];
    for (let i = 0; i < 6; i++) loop.callAt(when, () => void order.push(i));
    loop.callAt(when + 1, () => t.log("loop", "the end"));
    await t.until("loop", "the end");
    t.log("loop", `order ${order.join(" ")}`);
  },

  "a hundred timers run in the order of time": async (t) => {
    const start = loop.time();
    const order: number[] = [];
    for (let i = 0; i < 100; i++) {
      const place = i * 37 % 100;
      loop.callAt(start + place * 0.05, () => void order.push(place));
    }
    loop.callAt(start + 10, () => t.log("loop", "the end"));
    await t.until("loop", "the end");
    t.log("loop", order.join(" "));
  },

  "a delay of zero or less runs after what is ready, the earliest first": async (t) => {
    loop.callLater(0, () => t.log("loop", "zero"));
    loop.callLater(-1000, () => t.log("loop", "negative"));
    loop.callAt(loop.time() - 2000, () => t.log("loop", "past"));
    loop.callSoon(() => t.log("loop", "soon"));
    await t.until("loop", "zero");
  },

  "what a timer schedules runs after the timers that are due with it": async (t) => {
    const when = loop.time() - 1000;
    loop.callAt(when, () => {
      t.log("loop", "first");
      loop.callSoon(() => t.log("loop", "inner"));
    });
    loop.callAt(when, () => t.log("loop", "second"));
    await t.until("loop", "inner");
  },

  "a cancelled timer does not run, and the others do": async (t) => {
    const timers = [1, 2, 3, 4, 5].map((i) => loop.callLater(i, () => t.log("loop", `timer ${i}`)));
    timers[0]!.cancel();
    timers[2]!.cancel();
    timers[2]!.cancel();
    t.attempt("loop", "cancelled", () => timers[2]!.cancelled());
    await t.until("loop", "timer 5");
    t.attempt("loop", "cancelled", () => timers[4]!.cancelled());
    timers[4]!.cancel();
  },

  "a timer is never early": async (t) => {
    const future = loop.createFuture<void>();
    const start = loop.time();
    loop.callLater(20, future.resolve);
    await future.promise;
    t.log("loop", `early: ${loop.time() - start < 20}`);
    t.log("loop", `time goes back: ${loop.time() < start}`);
  },

  "a future wakes its waiter": async (t) => {
    const wait = async () => t.log("loop", `waiter: ${await future.promise}`);
    const future = loop.createFuture<string>();
    const waiting = wait();
    await t.turns(2);
    loop.callSoon(() => t.log("loop", "scheduled before set_result()"));
    future.resolve("result");
    t.log("loop", "set_result() returned");
    await waiting;
    await t.turns();
  },

  "a signal runs its callback with its arguments, the last one that was added": async (t) => {
    const handler = (...args: unknown[]) => t.log("loop", `signal ${args.join(" ")}`);
    loop.addSignalHandler("SIGUSR2", handler, "first");
    loop.addSignalHandler("SIGUSR2", handler, "second", 2);
    Deno.kill(Deno.pid, "SIGUSR2");
    t.log("loop", "sent");
    await t.until("loop", "signal");
    t.attempt("loop", "remove_signal_handler", () => loop.removeSignalHandler("SIGUSR2"));
    t.attempt("loop", "remove_signal_handler", () => loop.removeSignalHandler("SIGUSR2"));
  },
};
