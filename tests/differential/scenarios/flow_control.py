"""pause_writing and resume_writing, and the limits that they go by."""

from log import pattern, show
from registry import Scenarios

scenarios = Scenarios()

# More than the kernel takes from one write, whatever it does to its buffers.
MUCH = 16_000_000


def limits(client):
    low, high = client.transport.get_write_buffer_limits()
    return f"low {low}, high {high}"


def fill(client):
    """Writes until the protocol is paused, however much the kernel takes."""
    while not client.paused:
        client.transport.write(pattern(1_000_000))


@scenarios("the limits, and how one follows from the other")
async def _(t):
    client = t.recorder("client")
    await t.dial(client)
    client.log(limits(client))
    client.transport.set_write_buffer_limits(high=1000)
    client.log(f"high=1000: {limits(client)}")
    client.transport.set_write_buffer_limits(low=1000)
    client.log(f"low=1000: {limits(client)}")
    client.transport.set_write_buffer_limits(high=1000, low=10)
    client.log(f"both: {limits(client)}")
    client.transport.set_write_buffer_limits(high=10, low=10)
    client.log(f"equal: {limits(client)}")
    client.transport.set_write_buffer_limits(high=0)
    client.log(f"high=0: {limits(client)}")
    client.transport.set_write_buffer_limits(low=0)
    client.log(f"low=0: {limits(client)}")
    client.transport.set_write_buffer_limits(high=7)
    client.log(f"high=7: {limits(client)}")
    client.transport.set_write_buffer_limits()
    client.log(f"neither: {limits(client)}")


@scenarios("limits that make no sense are a RangeError and change nothing")
async def _(t):
    client = t.recorder("client")
    await t.dial(client)
    client.transport.set_write_buffer_limits(high=1000, low=10)
    t.attempt("client", "low over high", lambda: client.transport.set_write_buffer_limits(high=10, low=11))
    t.attempt("client", "negative low", lambda: client.transport.set_write_buffer_limits(high=10, low=-1))
    t.attempt("client", "negative high", lambda: client.transport.set_write_buffer_limits(high=-1))
    t.attempt("client", "both negative", lambda: client.transport.set_write_buffer_limits(high=-1, low=-2))
    client.log(limits(client))


@scenarios("pause_writing runs once inside write(), resume_writing once when the peer has read")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    client.log("writing")
    client.transport.write(pattern(MUCH))
    client.log("written")
    client.transport.write(b"more")
    client.transport.writelines([b"and ", b"more"])
    client.log("more written")
    await t.settle()
    client.log("the peer reads")
    await peer.receive(MUCH + 12)
    await client.until("resume_writing")
    t.attempt("client", "get_write_buffer_size", client.transport.get_write_buffer_size)
    client.transport.close()
    await client.until_lost()


@scenarios("pause_writing runs when the buffer is strictly over high")
async def _(t):
    client = t.recorder("client")
    await t.dial(client)
    client.transport.set_write_buffer_limits(high=2 * MUCH)
    client.transport.write(pattern(MUCH))
    await t.settle()
    size = client.transport.get_write_buffer_size()
    client.transport.set_write_buffer_limits(high=size + 1)
    client.log("one byte below high")
    client.transport.write(b"1")
    client.log("at high")
    client.transport.write(b"2")
    client.log("over it")


@scenarios("resume_writing runs when the buffer is at or below low")
async def _(t):
    def resume_writing(p):
        p.log(f"at or below low: {show(p.transport.get_write_buffer_size() <= 100_000)}")

    client = t.recorder("client", resume_writing=resume_writing)
    peer = await t.dial(client)
    client.transport.set_write_buffer_limits(high=200_000, low=100_000)
    client.transport.write(pattern(MUCH))
    await peer.receive(MUCH)
    await client.until("at or below low")


@scenarios("a high of zero pauses for one byte, and resumes when nothing is left")
async def _(t):
    def resume_writing(p):
        t.attempt("client", "get_write_buffer_size", p.transport.get_write_buffer_size)

    client = t.recorder("client", resume_writing=resume_writing)
    peer = await t.dial(client)
    client.transport.set_write_buffer_limits(high=2 * MUCH)
    client.transport.write(pattern(MUCH))
    client.log("high=0")
    client.transport.set_write_buffer_limits(high=0)
    client.transport.write(b"!")
    await peer.receive(MUCH + 1)
    await client.until("get_write_buffer_size")


@scenarios("lower limits pause at once, higher ones do not resume")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    client.transport.set_write_buffer_limits(high=2 * MUCH)
    client.transport.write(pattern(MUCH))
    client.log("lower limits")
    client.transport.set_write_buffer_limits(high=1000)
    client.log("higher limits")
    client.transport.set_write_buffer_limits(high=2 * MUCH)
    client.log("the peer reads")
    await peer.receive(MUCH)
    await client.until("resume_writing")


@scenarios("writing inside resume_writing pauses again, in strict turns")
async def _(t):
    rounds = 0

    def resume_writing(p):
        nonlocal rounds
        if rounds < 2:
            rounds += 1
            fill(p)
            p.log("filled inside resume_writing")

    client = t.recorder("client", resume_writing=resume_writing)
    peer = await t.dial(client)
    fill(client)
    reading = t.loop.create_task(peer.count_all())
    await client.until("resume_writing", 3)
    client.transport.close()
    await client.until_lost()
    await reading


@scenarios("close() inside resume_writing")
async def _(t):
    client = t.recorder("client", resume_writing=lambda p: p.transport.close())
    peer = await t.dial(client)
    client.transport.set_write_buffer_limits(low=0, high=1000)
    client.transport.write(pattern(MUCH))
    await peer.receive_all()
    await client.until_lost()
    await t.settle()


@scenarios("writing inside pause_writing pauses no second time")
async def _(t):
    client = t.recorder("client", pause_writing=lambda p: p.transport.write(pattern(100_000)))
    peer = await t.dial(client)
    client.transport.write(pattern(MUCH))
    client.log("written")
    await peer.receive(MUCH + 100_000)
    await client.until("resume_writing")


@scenarios("write_eof() while paused: the flush resumes first")
async def _(t):
    client = t.recorder("client", eof_received=lambda p: True)
    peer = await t.dial(client)
    client.transport.write(pattern(MUCH))
    client.transport.write_eof()
    await peer.receive_all()
    await client.until("resume_writing")
    client.transport.close()
    await client.until_lost()


@scenarios("set_protocol() while paused: the new protocol is resumed")
async def _(t):
    second = t.recorder("second")
    first = t.recorder("first")
    peer = await t.dial(first)
    first.transport.write(pattern(MUCH))
    first.hand_over(second)
    await peer.receive(MUCH)
    await second.until("resume_writing")


@scenarios("abort() while paused: no resume_writing, and nothing is left")
async def _(t):
    client = t.recorder("client")
    await t.dial(client)
    client.transport.write(pattern(MUCH))
    client.transport.abort()
    t.attempt("client", "get_write_buffer_size", client.transport.get_write_buffer_size)
    await client.until_lost()
    await t.settle()


@scenarios("a write that the kernel takes whole")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    client.transport.set_write_buffer_limits(high=10)
    client.log("writing")
    client.transport.write(pattern(100))
    t.attempt("client", "get_write_buffer_size", client.transport.get_write_buffer_size)
    await peer.receive(100)
    await t.settle()
    t.attempt("client", "get_write_buffer_size", client.transport.get_write_buffer_size)
