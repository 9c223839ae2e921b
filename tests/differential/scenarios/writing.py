"""Writes: their order, their errors, what becomes of them at the end."""

from log import pattern
from registry import Scenarios

scenarios = Scenarios()


@scenarios("writes arrive in order, those inside connection_made first")
async def _(t):
    client = t.recorder("client", connection_made=lambda p: p.transport.write(b"zero "))
    peer = await t.dial(client)
    client.transport.write(b"one ")
    client.transport.writelines([b"two ", b"", b"three "])
    await t.turns()
    client.transport.write(b"four ")
    client.transport.writelines(piece for piece in [b"five ", b"six"])
    client.transport.close()
    await peer.receive_all()
    await client.until_lost()


@scenarios("ten thousand small writes in one turn")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    data = pattern(30_000)
    for i in range(10_000):
        client.transport.write(data[3 * i : 3 * i + 3])
    client.transport.close()
    await peer.receive_all()
    await client.until_lost()


@scenarios("what was written is the caller's again")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    data = bytearray(b"first ")
    client.transport.write(data)
    data[:] = b"second"
    client.transport.write(data)
    data[:] = b"xxxxxx"
    client.transport.close()
    await peer.receive_all()


@scenarios("a view writes its window only")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    client.transport.write(memoryview(b"0123456789")[2:5])
    client.transport.close()
    await peer.receive_all()


@scenarios("what is no bytes is a TypeError, and the connection lives on")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    write = client.transport.write
    t.attempt("client", "write text", write, "text")
    t.attempt("client", "write null", write, None)
    t.attempt("client", "write number", write, 7)
    t.attempt("client", "write array of bytes", write, [b"x"])
    t.attempt("client", "writelines with text", client.transport.writelines, [b"x", "text"])
    client.transport.write(b"alive")
    client.transport.close()
    await peer.receive_all()


@scenarios("an empty write is nothing")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    t.attempt("client", "write", client.transport.write, b"")
    t.attempt("client", "writelines", client.transport.writelines, [])
    t.attempt("client", "get_write_buffer_size", client.transport.get_write_buffer_size)
    client.transport.close()
    t.attempt("client", "write", client.transport.write, b"")
    await peer.receive_all()


@scenarios("a write after close() or abort() is dropped without a word")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    client.transport.write(b"before")
    await peer.receive(6)
    client.transport.close()
    t.attempt("client", "write", client.transport.write, b"after")
    await client.until_lost()
    t.attempt("client", "write", client.transport.write, b"after")
    await peer.receive_all()


@scenarios("a write of what is no bytes is a TypeError after close() too")
async def _(t):
    client = t.recorder("client")
    await t.dial(client)
    client.transport.close()
    t.attempt("client", "write", client.transport.write, "text")
    await client.until_lost()
    t.attempt("client", "write", client.transport.write, "text")


@scenarios("a write after write_eof() is an error, and what was written before arrives")
async def _(t):
    client = t.recorder("client", eof_received=lambda p: True)
    peer = await t.dial(client)
    t.attempt("client", "can_write_eof", client.transport.can_write_eof)
    client.transport.write(b"before")
    t.attempt("client", "write_eof", client.transport.write_eof)
    t.attempt("client", "write", client.transport.write, b"after")
    t.attempt("client", "write nothing", client.transport.write, b"")
    t.attempt("client", "write text", client.transport.write, "text")
    t.attempt("client", "writelines", client.transport.writelines, [b"after"])
    t.attempt("client", "writelines of nothing", client.transport.writelines, [])
    t.attempt("client", "write_eof again", client.transport.write_eof)
    t.attempt("client", "can_write_eof", client.transport.can_write_eof)
    await peer.receive_all()
    client.transport.close()
    t.attempt("client", "write after close()", client.transport.write, b"after")
    await client.until_lost()
    t.attempt("client", "write after connection_lost", client.transport.write, b"after")


@scenarios("write_eof() after close() is nothing")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    client.transport.close()
    t.attempt("client", "write_eof", client.transport.write_eof)
    t.attempt("client", "write", client.transport.write, b"after")
    await client.until_lost()
    t.attempt("client", "write_eof", client.transport.write_eof)
    await peer.receive_all()


@scenarios("write_eof() flushes what is buffered, and reading goes on")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    client.transport.write(pattern(8_000_000))
    client.transport.write_eof()
    await peer.send("meanwhile")
    await client.received(9)
    await peer.receive_all()
    await peer.send(", and after")
    await client.received(20)
    peer.end()
    await client.until_lost()


@scenarios("write_eof() and close() in one turn")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    client.transport.write(pattern(8_000_000))
    client.transport.write_eof()
    client.transport.close()
    await peer.receive_all()
    await client.until_lost()


@scenarios("a second write to a peer that has closed is a broken pipe")
async def _(t):
    client = t.recorder("client", eof_received=lambda p: True)
    peer = await t.dial(client)
    peer.close()
    await client.until("eof_received")
    t.attempt("client", "write", client.transport.write, b"answered by a reset")
    await t.settle()
    t.attempt("client", "write", client.transport.write, b"refused")
    await client.until_lost()
    t.attempt("client", "write", client.transport.write, b"dropped")


@scenarios("sendfile sends the part asked for and tells how much it was")
async def _(t):
    path = t.temp_path("file")
    with open(path, "wb") as file:
        file.write(pattern(100_000))
    client = t.recorder("client")
    peer = await t.dial(client)
    with open(path, "rb") as file:
        client.log(f"whole: {await t.loop.sendfile(client.transport, file)}")
        client.log(f"position: {file.tell()}")
        client.log(f"part: {await t.loop.sendfile(client.transport, file, offset=10, count=20)}")
        client.log(f"position: {file.tell()}")
        client.log(f"the end of it: {await t.loop.sendfile(client.transport, file, offset=99_990, count=50)}")
        client.log(f"beyond it: {await t.loop.sendfile(client.transport, file, offset=200_000)}")
        client.transport.write(b"and more")
        client.transport.close()
        await t.attempt_async("client", "sendfile after close()", t.loop.sendfile(client.transport, file))
    await peer.receive_all()
    await client.until_lost()
