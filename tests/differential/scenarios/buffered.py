"""Protocols that own the memory they are read into."""

from log import pattern
from registry import Scenarios

scenarios = Scenarios()


@scenarios("an echo, then the end")
async def _(t):
    def buffer_updated(p, nbytes):
        p.transport.write(p.buffer[:nbytes])

    client = t.buffered("client", buffer_updated=buffer_updated)
    peer = await t.dial(client)
    await peer.send("hello")
    await peer.receive(5)
    peer.end()
    await client.until_lost()
    await peer.receive_all()


@scenarios("a megabyte through 64 KiB")
async def _(t):
    client = t.buffered("client")
    peer = await t.dial(client)
    await peer.send(pattern(1_000_000))
    peer.end()
    await client.until_lost()


@scenarios("a message larger than the buffer comes piece by piece")
async def _(t):
    client = t.buffered("client", get_buffer=lambda p, sizehint: bytearray(4))
    peer = await t.dial(client)
    await peer.send("0123456789")
    peer.end()
    await client.until_lost()


@scenarios("a buffer may be a window of a larger one")
async def _(t):
    memory = bytearray(b"..........")
    client = t.buffered("client", get_buffer=lambda p, sizehint: memoryview(memory)[3:6])
    peer = await t.dial(client)
    await peer.send("abc")
    await client.received(3)
    client.log(f"memory {memory.decode()}")
    client.transport.close()
    await client.until_lost()


@scenarios("two buffers in turn")
async def _(t):
    buffers = [bytearray(3), bytearray(3)]

    def get_buffer(p, sizehint):
        buffers.reverse()
        return buffers[0]

    client = t.buffered("client", get_buffer=get_buffer)
    peer = await t.dial(client)
    await peer.send("onetwothr")
    await client.received(9)
    peer.end()
    await client.until_lost()


@scenarios("get_buffer is asked for each read")
async def _(t):
    def get_buffer(p, sizehint):
        p.log(f"get_buffer {sizehint}")
        return p.buffer

    client = t.buffered("client", get_buffer=get_buffer)
    peer = await t.dial(client)
    await t.settle()
    client.log("the peer sends")
    await peer.send("one")
    await client.received(3)
    await t.settle()
    client.log("the peer ends")
    peer.end()
    await client.until_lost()


@scenarios("an empty buffer is fatal")
async def _(t):
    t.exceptions_to("client")
    client = t.buffered("client", get_buffer=lambda p, sizehint: bytearray(0))
    peer = await t.dial(client)
    await peer.send("hello")
    await client.until_lost()


@scenarios("a buffer that is none is fatal")
async def _(t):
    t.exceptions_to("client")
    client = t.buffered("client", get_buffer=lambda p, sizehint: None)
    peer = await t.dial(client)
    await peer.send("hello")
    await client.until_lost()


@scenarios("eof_received that returns true leaves the connection open for writing")
async def _(t):
    client = t.buffered("client", eof_received=lambda p: True)
    peer = await t.dial(client)
    await peer.send("hello")
    peer.end()
    await client.until("eof_received")
    client.transport.write(b"still here")
    client.transport.close()
    await peer.receive_all()
    await client.until_lost()


@scenarios("pause_reading() inside connection_made holds everything until resume_reading()")
async def _(t):
    client = t.buffered("client", connection_made=lambda p: p.transport.pause_reading())
    peer = await t.dial(client)
    await peer.send("hello")
    await t.settle()
    client.log("resuming")
    client.transport.resume_reading()
    await client.received(5)


@scenarios("pause_reading() inside buffer_updated holds what comes after")
async def _(t):
    client = t.buffered(
        "client",
        get_buffer=lambda p, sizehint: bytearray(3),
        buffer_updated=lambda p, nbytes: p.transport.pause_reading(),
    )
    peer = await t.dial(client)
    await peer.send("onetwo")
    peer.end()
    await client.received(3)
    await t.settle()
    client.log("resuming")
    client.transport.resume_reading()
    await client.received(6)
    await t.settle()
    client.log("resuming")
    client.transport.resume_reading()
    await client.until_lost()


@scenarios("close() inside buffer_updated ends the data callbacks")
async def _(t):
    client = t.buffered(
        "client",
        get_buffer=lambda p, sizehint: bytearray(3),
        buffer_updated=lambda p, nbytes: p.transport.close(),
    )
    peer = await t.dial(client)
    await peer.send("onetwo")
    await client.until_lost()
    await t.settle()


@scenarios("close() inside get_buffer")
async def _(t):
    def get_buffer(p, sizehint):
        p.transport.close()
        return p.buffer

    client = t.buffered("client", get_buffer=get_buffer)
    peer = await t.dial(client)
    await peer.send("hello")
    await client.until_lost()


@scenarios("a reset by the peer is connection_lost with the error")
async def _(t):
    client = t.buffered("client")
    reset = await t.dial_resettable(client)
    await reset()
    await client.until_lost()


@scenarios("set_protocol() inside data_received, to a buffered protocol with bytes on their way")
async def _(t):
    second = t.buffered("second")
    first = t.recorder("first", data_received=lambda p, data: p.hand_over(second))
    peer = await t.dial(first)
    await peer.send("one")
    await first.received(3)
    await peer.send("two")
    await second.received(3)
    peer.end()
    await second.until_lost()


@scenarios("set_protocol() inside buffer_updated, to a plain protocol with bytes on their way")
async def _(t):
    second = t.recorder("second")
    first = t.buffered(
        "first",
        get_buffer=lambda p, sizehint: bytearray(3),
        buffer_updated=lambda p, nbytes: p.hand_over(second),
    )
    peer = await t.dial(first)
    await peer.send("onetwo")
    peer.end()
    await second.until_lost()


@scenarios("set_protocol() from outside, from one buffered protocol to another and to a plain one")
async def _(t):
    first = t.buffered("first")
    second = t.buffered("second", get_buffer=lambda p, sizehint: bytearray(2))
    third = t.recorder("third")
    peer = await t.dial(first)
    await peer.send("one")
    await first.received(3)
    await t.settle()
    first.hand_over(second)
    await peer.send("two")
    await second.received(3)
    await t.settle()
    second.hand_over(third)
    await peer.send("three")
    await third.received(5)
    peer.end()
    await third.until_lost()
