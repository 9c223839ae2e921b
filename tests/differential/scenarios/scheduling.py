"""call_soon, call_later, call_at, signals: what runs when."""

import asyncio
import os
import signal

from log import show
from registry import Scenarios

scenarios = Scenarios()


@scenarios("call_soon runs in the order of calling, with its arguments")
async def _(t):
    t.loop.call_soon(lambda: t.log("loop", "no arguments"))
    t.loop.call_soon(lambda *args: t.log("loop", f"arguments {' '.join(map(str, args))}"), 1, "two", 3)
    for i in range(5):
        t.loop.call_soon(t.log, "loop", f"callback {i}")
    t.log("loop", "scheduled")
    await t.turns()


@scenarios("what a callback schedules runs in the next turn")
async def _(t):
    def first():
        t.log("loop", "first")
        t.loop.call_soon(t.log, "loop", "inner first")

    def second():
        t.log("loop", "second")
        t.loop.call_soon(t.log, "loop", "inner second")

    t.loop.call_soon(first)
    t.loop.call_soon(second)
    t.loop.call_soon(t.log, "loop", "third")
    await t.turns(3)


@scenarios("a cancelled callback does not run")
async def _(t):
    handle = t.loop.call_soon(t.log, "loop", "cancelled at once")
    t.attempt("loop", "cancelled", handle.cancelled)
    t.attempt("loop", "cancel", handle.cancel)
    t.attempt("loop", "cancelled", handle.cancelled)
    t.attempt("loop", "cancel", handle.cancel)
    t.loop.call_soon(lambda: later.cancel())
    later = t.loop.call_soon(t.log, "loop", "cancelled by the one before")
    last = t.loop.call_soon(t.log, "loop", "not cancelled")
    await t.turns(2)
    t.attempt("loop", "later.cancelled", later.cancelled)
    t.attempt("loop", "last.cancelled", last.cancelled)
    last.cancel()
    t.attempt("loop", "last.cancelled", last.cancelled)


@scenarios("call_later runs in the order of time")
async def _(t):
    t.loop.call_later(0.03, t.log, "loop", "30 ms")
    t.loop.call_later(0.01, t.log, "loop", "10 ms")
    t.loop.call_later(0.02, t.log, "loop", "20 ms")
    t.loop.call_soon(t.log, "loop", "soon")
    await t.until("loop", "30 ms")


@scenarios("call_at runs in the order of time")
async def _(t):
    now = t.loop.time()
    late = t.loop.call_at(now + 0.006, t.log, "loop", "late")
    early = t.loop.call_at(now + 0.003, t.log, "loop", "early")
    t.log("loop", f"when is what was asked: {show(late.when() == now + 0.006 and early.when() == now + 0.003)}")
    await t.until("loop", "late")


@scenarios("timers of the same time")
async def _(t):
    when = t.loop.time() + 0.002
    order = []
    for i in range(6):
        t.loop.call_at(when, order.append, i)
    t.loop.call_at(when + 0.001, t.log, "loop", "the end")
    await t.until("loop", "the end")
    t.log("loop", f"order {' '.join(map(str, order))}")


@scenarios("a hundred timers run in the order of time")
async def _(t):
    start = t.loop.time()
    order = []
    for i in range(100):
        place = i * 37 % 100
        t.loop.call_at(start + place * 0.00005, order.append, place)
    t.loop.call_at(start + 0.01, t.log, "loop", "the end")
    await t.until("loop", "the end")
    t.log("loop", " ".join(map(str, order)))


@scenarios("a delay of zero or less runs after what is ready, the earliest first")
async def _(t):
    t.loop.call_later(0, t.log, "loop", "zero")
    t.loop.call_later(-1, t.log, "loop", "negative")
    t.loop.call_at(t.loop.time() - 2, t.log, "loop", "past")
    t.loop.call_soon(t.log, "loop", "soon")
    await t.until("loop", "zero")


@scenarios("what a timer schedules runs after the timers that are due with it")
async def _(t):
    def first():
        t.log("loop", "first")
        t.loop.call_soon(t.log, "loop", "inner")

    when = t.loop.time() - 1
    t.loop.call_at(when, first)
    t.loop.call_at(when, t.log, "loop", "second")
    await t.until("loop", "inner")


@scenarios("a cancelled timer does not run, and the others do")
async def _(t):
    timers = [t.loop.call_later(0.001 * i, t.log, "loop", f"timer {i}") for i in range(1, 6)]
    timers[0].cancel()
    timers[2].cancel()
    timers[2].cancel()
    t.attempt("loop", "cancelled", timers[2].cancelled)
    await t.until("loop", "timer 5")
    t.attempt("loop", "cancelled", timers[4].cancelled)
    timers[4].cancel()


@scenarios("a timer is never early")
async def _(t):
    future = t.loop.create_future()
    start = t.loop.time()
    t.loop.call_later(0.02, future.set_result, None)
    await future
    # A clock that ticks may tick within the delay.
    t.log("loop", f"early: {show(t.loop.time() - start < 0.02 - 1e-6)}")
    t.log("loop", f"time goes back: {show(t.loop.time() < start)}")


@scenarios("a future wakes its waiter")
async def _(t):
    async def wait():
        t.log("loop", f"waiter: {await future}")

    future = t.loop.create_future()
    waiting = asyncio.ensure_future(wait())
    await t.turns(2)
    t.loop.call_soon(t.log, "loop", "scheduled before set_result()")
    future.set_result("result")
    t.log("loop", "set_result() returned")
    await waiting
    await t.turns()


@scenarios("a signal runs its callback with its arguments, the last one that was added")
async def _(t):
    def handler(*args):
        t.log("loop", f"signal {' '.join(map(str, args))}")

    t.loop.add_signal_handler(signal.SIGUSR2, handler, "first")
    t.loop.add_signal_handler(signal.SIGUSR2, handler, "second", 2)
    os.kill(os.getpid(), signal.SIGUSR2)
    t.log("loop", "sent")
    await t.until("loop", "signal")
    t.attempt("loop", "remove_signal_handler", t.loop.remove_signal_handler, signal.SIGUSR2)
    t.attempt("loop", "remove_signal_handler", t.loop.remove_signal_handler, signal.SIGUSR2)
