"""add_reader, add_writer and their removers."""

import socket

from log import boom, show_data
from registry import Scenarios

scenarios = Scenarios()


def pair(t):
    near, far = socket.socketpair()
    for end in near, far:
        end.setblocking(False)
        t.defer(end.close)
    return near, far


@scenarios("a reader is called with its arguments, until it is removed")
async def _(t):
    near, far = pair(t)

    def read(*args):
        t.log("reader", f"{' '.join(map(str, args))}: {show_data(near.recv(100))}")

    t.loop.add_reader(near, read, 1, "two")
    far.send(b"first")
    await t.until("reader", "1 two")
    far.send(b"second")
    await t.until("reader", "1 two", 2)
    t.attempt("loop", "remove_reader", t.loop.remove_reader, near)
    t.attempt("loop", "remove_reader", t.loop.remove_reader, near)
    t.attempt("loop", "remove_writer", t.loop.remove_writer, near)
    far.send(b"third")
    await t.settle()


@scenarios("a second reader replaces the first")
async def _(t):
    near, far = pair(t)
    t.loop.add_reader(near, t.log, "reader", "first")

    def second():
        t.log("reader", "second")
        t.loop.remove_reader(near.fileno())

    t.loop.add_reader(near.fileno(), second)
    far.send(b"x")
    await t.until("reader", "second")
    await t.settle()


@scenarios("a reader that does not read is called again in each turn")
async def _(t):
    near, far = pair(t)
    calls = 0

    def read():
        nonlocal calls
        calls += 1
        t.log("loop", f"read {calls}")
        t.loop.call_soon(t.log, "loop", "turn")
        if calls == 3:
            t.loop.remove_reader(near)

    far.send(b"x")
    t.loop.add_reader(near, read)
    await t.until("loop", "turn", 3)


@scenarios("a reader and a writer of one descriptor, in order")
async def _(t):
    near, far = pair(t)

    def read():
        t.log("loop", "read")
        t.attempt("loop", "remove_reader", t.loop.remove_reader, near)

    def write():
        t.log("loop", "write")
        t.attempt("loop", "remove_writer", t.loop.remove_writer, near)

    far.send(b"x")
    t.loop.add_writer(near, write)
    t.loop.add_reader(near, read)
    await t.until("loop", "write")
    await t.settle()


@scenarios("a reader that removes the writer")
async def _(t):
    near, far = pair(t)

    def read():
        t.log("loop", "read")
        t.attempt("loop", "remove_writer", t.loop.remove_writer, near)
        t.attempt("loop", "remove_reader", t.loop.remove_reader, near)

    far.send(b"x")
    t.loop.add_writer(near, t.log, "loop", "write")
    t.loop.add_reader(near, read)
    await t.until("loop", "remove_reader")
    await t.settle()


@scenarios("the end of the peer is for the reader and the writer")
async def _(t):
    near, far = pair(t)

    def read():
        t.log("loop", f"read {show_data(near.recv(100))}")
        t.loop.remove_reader(near)

    def write():
        t.log("loop", "write")
        t.loop.remove_writer(near)

    far.close()
    t.loop.add_reader(near, read)
    t.loop.add_writer(near, write)
    await t.until("loop", "write")


@scenarios("a reader that raises goes on")
async def _(t):
    near, far = pair(t)
    t.loop.add_reader(near, boom)
    far.send(b"x")
    await t.until("exception handler", "", 2)
    t.attempt("loop", "remove_reader", t.loop.remove_reader, near)
    near.recv(100)


@scenarios("what cannot be watched")
async def _(t):
    near, _far = pair(t)
    path = t.temp_path("file")
    with open(path, "w+") as file:
        t.attempt("loop", "a regular file", t.loop.add_reader, file.fileno(), boom)
        t.attempt("loop", "remove_reader", t.loop.remove_reader, file.fileno())
    number = near.fileno()
    near.close()
    t.attempt("loop", "a closed number", t.loop.add_reader, number, boom)
    t.attempt("loop", "remove_reader", t.loop.remove_reader, number)


@scenarios("the descriptor of a transport")
async def _(t):
    near, _far = pair(t)
    client = t.recorder("client")
    transport, _ = await t.loop.create_connection(lambda: client, sock=near)
    number = transport.get_extra_info("socket").fileno()
    for name in "add_reader", "add_writer":
        t.attempt("loop", name, getattr(t.loop, name), number, boom)
    for name in "remove_reader", "remove_writer":
        t.attempt("loop", name, getattr(t.loop, name), number)


@scenarios("remove_reader of a descriptor that is closed")
async def _(t):
    near, far = pair(t)
    number = near.fileno()
    t.loop.add_reader(near, boom)
    near.close()
    far.close()
    await t.settle()
    t.attempt("loop", "remove_reader", t.loop.remove_reader, number)
    t.attempt("loop", "remove_reader", t.loop.remove_reader, number)
