"""FIFOs, each with a transport at one end and a bare file at the other."""

import os

from log import boom, pattern, show
from registry import Scenarios

scenarios = Scenarios()


async def read_pipe(t, protocol):
    """Connects a protocol that reads; gives the file descriptor to write to."""
    path = t.temp_path("fifo")
    os.mkfifo(path)
    reading = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", 0)
    writing = os.open(path, os.O_WRONLY)
    await t.loop.connect_read_pipe(lambda: protocol, reading)
    return writing


async def write_pipe(t, protocol):
    """Connects a protocol that writes; gives the bare file to read from."""
    path = t.temp_path("fifo")
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writing = os.fdopen(os.open(path, os.O_WRONLY), "wb", 0)
    os.set_blocking(reading, True)
    await t.loop.connect_write_pipe(lambda: protocol, writing)
    return reading


def read_all(reading):
    with os.fdopen(reading, "rb", 0) as file:
        return file.readall()


@scenarios("data, then the end")
async def _(t):
    reader = t.recorder("reader")
    writing = await read_pipe(t, reader)
    os.write(writing, b"hello")
    await reader.received(5)
    os.write(writing, b" and goodbye")
    os.close(writing)
    await reader.until_lost()
    t.attempt("reader", "is_closing", reader.transport.is_closing)


@scenarios("eof_received that returns true cannot keep a pipe open")
async def _(t):
    reader = t.recorder("reader", eof_received=lambda p: True)
    writing = await read_pipe(t, reader)
    os.close(writing)
    await reader.until_lost()


@scenarios("pausing and resuming")
async def _(t):
    reader = t.recorder("reader", connection_made=lambda p: p.transport.pause_reading())
    writing = await read_pipe(t, reader)
    t.attempt("reader", "is_reading", reader.transport.is_reading)
    os.write(writing, b"hello")
    os.close(writing)
    await t.settle()
    reader.log("resuming")
    reader.transport.resume_reading()
    await reader.until_lost()


@scenarios("close() inside data_received")
async def _(t):
    reader = t.recorder("reader", data_received=lambda p, data: p.transport.close())
    writing = await read_pipe(t, reader)
    os.write(writing, b"hello")
    await reader.until_lost()
    os.close(writing)


@scenarios("an exception in data_received of a pipe")
async def _(t):
    t.exceptions_to("reader")
    reader = t.recorder("reader", data_received=boom)
    writing = await read_pipe(t, reader)
    os.write(writing, b"hello")
    await reader.until("exception handler")
    await t.settle()
    os.close(writing)
    await reader.until_lost()


@scenarios("extra info of a pipe outlives the transport")
async def _(t):
    reader = t.recorder("reader")
    writing = await read_pipe(t, reader)
    os.close(writing)
    await reader.until_lost()
    reader.log(f"pipe is there: {show(reader.transport.get_extra_info('pipe') is not None)}")
    reader.log(f"peername: {show(reader.transport.get_extra_info('peername'))}")


@scenarios("writes, then close()")
async def _(t):
    writer = t.recorder("writer")
    reading = await write_pipe(t, writer)
    t.attempt("writer", "can_write_eof", writer.transport.can_write_eof)
    writer.transport.write(b"one ")
    writer.transport.writelines([b"two ", b"three"])
    writer.transport.close()
    t.attempt("writer", "is_closing", writer.transport.is_closing)
    t.attempt("writer", "write after close()", writer.transport.write, b"too late")
    await writer.until_lost()
    t.log("peer", read_all(reading).decode())


@scenarios("write_eof() closes a pipe")
async def _(t):
    writer = t.recorder("writer")
    reading = await write_pipe(t, writer)
    writer.transport.write(b"last words")
    t.attempt("writer", "write_eof", writer.transport.write_eof)
    t.attempt("writer", "is_closing", writer.transport.is_closing)
    t.attempt("writer", "write_eof again", writer.transport.write_eof)
    await writer.until_lost()
    t.log("peer", read_all(reading).decode())


@scenarios("a write after write_eof() of a pipe")
async def _(t):
    writer = t.recorder("writer")
    reading = await write_pipe(t, writer)
    writer.transport.write_eof()
    t.attempt("writer", "write", writer.transport.write, b"too late")
    await writer.until_lost()
    os.close(reading)


@scenarios("flow control of a pipe")
async def _(t):
    writer = t.recorder("writer")
    reading = await write_pipe(t, writer)
    writer.log("writing")
    writer.transport.write(pattern(1_000_000))
    writer.log("written")
    writer.transport.close()
    whole = await t.loop.run_in_executor(None, read_all, reading)
    t.log("peer", f"received all: {show(whole == pattern(1_000_000))}")
    await writer.until_lost()


@scenarios("abort() drops what is buffered")
async def _(t):
    writer = t.recorder("writer")
    reading = await write_pipe(t, writer)
    writer.transport.write(pattern(1_000_000))
    writer.transport.abort()
    t.attempt("writer", "get_write_buffer_size", writer.transport.get_write_buffer_size)
    await writer.until_lost()
    t.log("peer", f"received all: {show(len(read_all(reading)) == 1_000_000)}")


@scenarios("a reader that goes while bytes wait is a broken pipe")
async def _(t):
    writer = t.recorder("writer")
    reading = await write_pipe(t, writer)
    writer.transport.write(pattern(1_000_000))
    await t.settle()
    os.close(reading)
    await writer.until_lost()
    t.attempt("writer", "write", writer.transport.write, b"dropped")


@scenarios("a reader that goes while nothing waits")
async def _(t):
    writer = t.recorder("writer")
    reading = await write_pipe(t, writer)
    os.close(reading)
    await t.settle()
    writer.transport.write(b"anybody there?")
    await writer.until_lost()
