"""What becomes of exceptions: which end a transport, and what the exception handler is told."""

import sys
from subprocess import DEVNULL, PIPE

from log import boom, error_name, pattern
from registry import Scenarios

scenarios = Scenarios()


@scenarios("an exception in connection_made of a client leaves the connection alone")
async def _(t):
    t.exceptions_to("client")
    client = t.recorder("client", connection_made=boom)
    peer = await t.dial(client)
    await peer.send("hello")
    await client.received(5)
    peer.end()
    await client.until_lost()


@scenarios("an exception in connection_made of a server leaves the connection alone")
async def _(t):
    t.exceptions_to("server")
    recorder = t.recorder("server", connection_made=boom)
    server = await t.serve(lambda: recorder)
    peer = await t.knock(server)
    await peer.send("hello")
    await recorder.received(5)
    peer.end()
    await recorder.until_lost()


@scenarios("an exception in data_received is fatal")
async def _(t):
    t.exceptions_to("client")
    client = t.recorder("client", data_received=boom)
    peer = await t.dial(client)
    await peer.send("hello")
    await client.until_lost()
    await peer.receive_all()


@scenarios("an exception in data_received after close() is told, and is not connection_lost's")
async def _(t):
    def data_received(p, data):
        p.transport.close()
        boom()

    t.exceptions_to("client")
    client = t.recorder("client", data_received=data_received)
    peer = await t.dial(client)
    await peer.send("hello")
    await client.until_lost()


@scenarios("an exception in data_received after a write: what the kernel takes at once arrives")
async def _(t):
    def data_received(p, data):
        p.transport.write(b"partial answer")
        boom()

    t.exceptions_to("client")
    client = t.recorder("client", data_received=data_received)
    peer = await t.dial(client)
    await peer.send("hello")
    await client.until_lost()
    await peer.receive_all()


@scenarios("an exception in buffer_updated is fatal")
async def _(t):
    t.exceptions_to("client")
    client = t.buffered("client", buffer_updated=boom)
    peer = await t.dial(client)
    await peer.send("hello")
    await client.until_lost()


@scenarios("an exception in get_buffer is fatal")
async def _(t):
    t.exceptions_to("client")
    client = t.buffered("client", get_buffer=boom)
    peer = await t.dial(client)
    await peer.send("hello")
    await client.until_lost()


@scenarios("an exception in eof_received is fatal")
async def _(t):
    t.exceptions_to("client")
    client = t.recorder("client", eof_received=boom)
    peer = await t.dial(client)
    peer.end()
    await client.until_lost()


@scenarios("an exception in eof_received of a buffered protocol is fatal")
async def _(t):
    t.exceptions_to("client")
    client = t.buffered("client", eof_received=boom)
    peer = await t.dial(client)
    peer.end()
    await client.until_lost()


@scenarios("an exception in pause_writing and resume_writing leaves the connection alone")
async def _(t):
    t.exceptions_to("client")
    client = t.recorder("client", pause_writing=boom, resume_writing=boom)
    peer = await t.dial(client)
    client.log("writing")
    client.transport.write(pattern(16_000_000))
    client.log("written")
    await peer.receive(16_000_000)
    await client.until("exception handler", 2)
    client.transport.write(b"alive")
    await peer.receive(5)


@scenarios("an exception in connection_lost is told, and the socket is closed")
async def _(t):
    t.exceptions_to("client")
    client = t.recorder("client", connection_lost=boom)
    peer = await t.dial(client)
    client.transport.close()
    await peer.receive_all()
    await client.until("exception handler")


@scenarios("an exception in datagram_received leaves the endpoint alone")
async def _(t):
    t.exceptions_to("receiver")
    receiver = t.datagrams("receiver", datagram_received=boom)
    await t.endpoint(receiver)
    sender = t.datagrams("sender")
    await t.endpoint(sender, remote=receiver)
    sender.transport.sendto(b"one")
    await receiver.until("exception handler")
    sender.transport.sendto(b"two")
    await receiver.until("exception handler", 2)


def run_shell(t, child, stdout):
    arguments = ["/bin/sh", "-c", "echo hello"]
    return t.loop.subprocess_exec(lambda: child, *arguments, stdin=DEVNULL, stdout=stdout, stderr=DEVNULL)


@scenarios("an exception in connection_made, process_exited or connection_lost leaves the process alone")
async def _(t):
    t.exceptions_to("process")
    child = t.child(connection_made=boom, process_exited=boom, connection_lost=boom)
    await run_shell(t, child, DEVNULL)
    await child.until("exception handler", 3)


@scenarios("an exception in pipe_data_received or pipe_connection_lost leaves the process alone")
async def _(t):
    t.exceptions_to("pipe 1")
    child = t.child(pipe_data_received=boom, pipe_connection_lost=boom)
    await run_shell(t, child, PIPE)
    await child.until_lost()


@scenarios("an exception in a scheduled callback is told, and the next one runs")
async def _(t):
    t.loop.call_soon(boom)
    t.loop.call_soon(t.log, "exception handler", "next")
    await t.turns()
    t.loop.call_later(0.001, boom)
    t.loop.call_later(0.002, t.log, "exception handler", "last")
    await t.until("exception handler", "last")


@scenarios("an exception handler that throws stops nothing")
async def _(t):
    told = []
    t.loop.default_exception_handler = told.append

    def handler(_loop, _context):
        t.log("loop", "handler")
        boom()

    t.loop.set_exception_handler(handler)
    t.loop.call_soon(boom)
    t.loop.call_soon(t.log, "loop", "next")
    await t.turns(2)
    t.log("loop", f"told by default: {'true' if told else 'false'}")


@scenarios("call_exception_handler hands its context on")
async def _(t):
    def handler(_loop, context):
        keys = sorted("error" if key == "exception" else key for key in context)
        t.log("loop", f"{context['message']}: {error_name(context.get('exception'))} [{' '.join(keys)}]")

    t.loop.set_exception_handler(handler)
    t.loop.call_exception_handler({"message": "bare"})
    try:
        boom()
    except Exception:
        t.loop.call_exception_handler({"message": "with an error", "exception": sys.exc_info()[1]})


@scenarios("set_exception_handler takes a function or null")
async def _(t):
    def handler(_loop, _context):
        pass

    t.attempt("loop", "a number", lambda: t.loop.set_exception_handler(7))
    t.attempt("loop", "a function", lambda: t.loop.set_exception_handler(handler))
    t.attempt("loop", "it is kept", lambda: t.loop.get_exception_handler() is handler)
    t.attempt("loop", "null", lambda: t.loop.set_exception_handler(None))
    t.attempt("loop", "get_exception_handler", t.loop.get_exception_handler)
