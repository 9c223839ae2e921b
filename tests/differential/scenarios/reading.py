"""Data callbacks: pausing, resuming, changing the protocol."""

from log import pattern, show
from registry import Scenarios

scenarios = Scenarios()


@scenarios("a message arrives whole and in order, then the end")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    await peer.send(pattern(1_000_000))
    peer.end()
    await client.until_lost()


@scenarios("an echo of a megabyte")
async def _(t):
    client = t.recorder("client", data_received=lambda p, data: p.transport.write(data))
    peer = await t.dial(client)
    client.transport.set_write_buffer_limits(high=2_000_000)
    sending = t.loop.create_task(peer.send(pattern(1_000_000)))
    await peer.receive(1_000_000)
    await sending
    peer.end()
    await client.until_lost()


@scenarios("pause_reading() inside connection_made holds everything until resume_reading()")
async def _(t):
    client = t.recorder("client", connection_made=lambda p: p.transport.pause_reading())
    peer = await t.dial(client)
    t.attempt("client", "is_reading", client.transport.is_reading)
    await peer.send("hello")
    await t.settle()
    client.log("resuming")
    client.transport.resume_reading()
    t.attempt("client", "is_reading", client.transport.is_reading)
    client.log("resumed")
    await client.received(5)


@scenarios("pause_reading() inside data_received holds what comes after")
async def _(t):
    client = t.recorder("client", data_received=lambda p, data: p.transport.pause_reading())
    peer = await t.dial(client)
    await peer.send("one")
    await client.received(3)
    await peer.send("two")
    await t.settle()
    client.log("resuming")
    client.transport.resume_reading()
    await client.received(6)
    await peer.send("three")
    await t.settle()
    client.log("resuming")
    client.transport.resume_reading()
    await client.received(11)


@scenarios("pause_reading() and resume_reading() are idempotent")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    t.attempt("client", "is_reading", client.transport.is_reading)
    t.attempt("client", "resume_reading", client.transport.resume_reading)
    t.attempt("client", "pause_reading", client.transport.pause_reading)
    t.attempt("client", "pause_reading", client.transport.pause_reading)
    t.attempt("client", "is_reading", client.transport.is_reading)
    t.attempt("client", "resume_reading", client.transport.resume_reading)
    t.attempt("client", "resume_reading", client.transport.resume_reading)
    t.attempt("client", "is_reading", client.transport.is_reading)
    await peer.send("hello")
    await client.received(5)


@scenarios("pause_reading() right after resume_reading() lets nothing through")
async def _(t):
    client = t.recorder("client", connection_made=lambda p: p.transport.pause_reading())
    peer = await t.dial(client)
    await peer.send("hello")
    await t.settle()
    client.transport.resume_reading()
    client.transport.pause_reading()
    await t.settle()
    client.log("resuming")
    client.transport.resume_reading()
    await client.received(5)


@scenarios("pausing and resuming on a closed transport is nothing")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    client.transport.close()
    t.attempt("client", "is_reading", client.transport.is_reading)
    t.attempt("client", "pause_reading", client.transport.pause_reading)
    t.attempt("client", "resume_reading", client.transport.resume_reading)
    await client.until_lost()
    t.attempt("client", "pause_reading", client.transport.pause_reading)
    t.attempt("client", "resume_reading", client.transport.resume_reading)
    t.attempt("client", "is_reading", client.transport.is_reading)
    await peer.receive_all()


@scenarios("data and the end that arrive while paused are told in order after resume_reading()")
async def _(t):
    client = t.recorder("client", connection_made=lambda p: p.transport.pause_reading())
    peer = await t.dial(client)
    await peer.send("last words")
    peer.end()
    await t.settle()
    client.log("resuming")
    client.transport.resume_reading()
    await client.until_lost()


@scenarios("a reset that arrives while paused is told after resume_reading()")
async def _(t):
    client = t.recorder("client", connection_made=lambda p: p.transport.pause_reading())
    reset = await t.dial_resettable(client)
    await reset()
    await t.settle()
    client.log("resuming")
    client.transport.resume_reading()
    await client.until_lost()


@scenarios("close() while paused drops what is held")
async def _(t):
    client = t.recorder("client", connection_made=lambda p: p.transport.pause_reading())
    peer = await t.dial(client)
    await peer.send("hello")
    await t.settle()
    client.transport.close()
    await client.until_lost()
    await t.settle()


@scenarios("resuming after a true eof_received tells the end no second time")
async def _(t):
    client = t.recorder("client", eof_received=lambda p: True)
    peer = await t.dial(client)
    peer.end()
    await client.until("eof_received")
    client.transport.pause_reading()
    client.transport.resume_reading()
    await t.settle()
    client.transport.write(b"still here")
    await peer.receive(10)


@scenarios("set_protocol() inside data_received: the rest goes to the new protocol")
async def _(t):
    second = t.recorder("second")

    def data_received(p, data):
        p.hand_over(second)
        p.log(f"get_protocol is the second: {show(p.transport.get_protocol() is second)}")

    first = t.recorder("first", data_received=data_received)
    peer = await t.dial(first)
    await peer.send("one")
    await first.received(3)
    await peer.send("two")
    await second.received(3)
    peer.end()
    await second.until_lost()


@scenarios("set_protocol() inside connection_made: the second protocol sees no connection_made")
async def _(t):
    second = t.recorder("second")

    first = t.recorder("first", connection_made=lambda p: p.hand_over(second))
    peer = await t.dial(first)
    await peer.send("hello")
    await second.received(5)
    second.transport.close()
    await second.until_lost()


@scenarios("set_protocol() between close() and connection_lost: the new protocol is told")
async def _(t):
    second = t.recorder("second")
    first = t.recorder("first")
    await t.dial(first)
    first.transport.close()
    first.hand_over(second)
    await second.until_lost()
