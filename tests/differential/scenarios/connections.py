"""How connections begin and end."""

import os
import random
import socket

from log import boom, pattern, show
from registry import Scenarios

scenarios = Scenarios()


@scenarios("close() is followed by connection_lost(null) in a later turn")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    t.attempt("client", "is_closing", client.transport.is_closing)
    t.attempt("client", "close", client.transport.close)
    t.attempt("client", "is_closing", client.transport.is_closing)
    t.loop.call_soon(client.log, "scheduled after close()")
    await client.until("scheduled")
    await peer.receive_all()


@scenarios("abort() is followed by connection_lost(null) in a later turn")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    t.attempt("client", "abort", client.transport.abort)
    t.attempt("client", "is_closing", client.transport.is_closing)
    t.loop.call_soon(client.log, "scheduled after abort()")
    await client.until("scheduled")
    await peer.receive_all()


@scenarios("close(), abort() and close() again make one connection_lost")
async def _(t):
    client = t.recorder("client")
    await t.dial(client)
    client.transport.close()
    client.transport.close()
    client.transport.abort()
    client.transport.abort()
    client.transport.close()
    await client.until_lost()
    client.transport.close()
    client.transport.abort()
    await t.settle()


@scenarios("close() inside connection_made")
async def _(t):
    client = t.recorder("client", connection_made=lambda p: p.transport.close())
    peer = await t.dial(client)
    await client.until_lost()
    t.attempt("client", "is_closing", client.transport.is_closing)
    await peer.receive_all()


@scenarios("write() and abort() inside connection_made")
async def _(t):
    def connection_made(p):
        p.transport.write(pattern(8_000_000))
        p.transport.abort()

    client = t.recorder("client", connection_made=connection_made)
    peer = await t.dial(client)
    await client.until_lost()
    t.attempt("client", "is_closing", client.transport.is_closing)
    t.log("peer", f"received all: {show(await peer.count_all() == 8_000_000)}")


@scenarios("close() inside data_received ends the data callbacks")
async def _(t):
    client = t.recorder("client", data_received=lambda p, data: p.transport.close())
    peer = await t.dial(client)
    await peer.send("one")
    await client.until("data_received")
    await peer.send("two")
    await client.until_lost()
    await t.settle()


@scenarios("abort() inside data_received ends the data callbacks")
async def _(t):
    client = t.recorder("client", data_received=lambda p, data: p.transport.abort())
    peer = await t.dial(client)
    await peer.send("one")
    await client.until("data_received")
    await peer.send("two")
    await client.until_lost()
    await t.settle()


@scenarios("eof_received that returns nothing closes")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    await peer.send("bye")
    peer.end()
    await client.until_lost()
    await peer.receive_all()


@scenarios("eof_received that returns false closes")
async def _(t):
    client = t.recorder("client", eof_received=lambda p: False)
    peer = await t.dial(client)
    peer.end()
    await client.until_lost()
    await peer.receive_all()


@scenarios("eof_received that returns true leaves the connection open for writing")
async def _(t):
    client = t.recorder("client", eof_received=lambda p: True)
    peer = await t.dial(client)
    peer.end()
    await client.until("eof_received")
    await t.settle()
    t.attempt("client", "is_closing", client.transport.is_closing)
    client.transport.write(b"still here")
    await peer.receive(10)
    client.transport.close()
    await client.until_lost()
    await peer.receive_all()


@scenarios("eof_received that writes and returns false still sends it")
async def _(t):
    def eof_received(p):
        p.transport.write(b"last words")
        return False

    client = t.recorder("client", eof_received=eof_received)
    peer = await t.dial(client)
    peer.end()
    await peer.receive_all()
    await client.until_lost()


@scenarios("eof_received that closes and returns true")
async def _(t):
    def eof_received(p):
        p.transport.close()
        return True

    client = t.recorder("client", eof_received=eof_received)
    peer = await t.dial(client)
    peer.end()
    await client.until_lost()
    await peer.receive_all()


@scenarios("half close keeps the other direction open")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    client.transport.write(b"question")
    client.transport.write_eof()
    await peer.receive_all()
    await peer.send("answer")
    await client.received(6)
    t.attempt("client", "is_closing", client.transport.is_closing)
    peer.end()
    await client.until_lost()


@scenarios("both sides have ended and eof_received returned true: closing is left to the protocol")
async def _(t):
    client = t.recorder("client", eof_received=lambda p: True)
    peer = await t.dial(client)
    client.transport.write_eof()
    await peer.receive_all()
    peer.end()
    await client.until("eof_received")
    await t.settle()
    t.attempt("client", "is_closing", client.transport.is_closing)
    client.transport.close()
    await client.until_lost()


@scenarios("close() flushes what is buffered first")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    client.transport.write(pattern(8_000_000))
    client.transport.close()
    await t.settle()
    client.log(f"buffer is empty: {show(client.transport.get_write_buffer_size() == 0)}")
    await peer.receive_all()
    await client.until_lost()


@scenarios("abort() right after a write: what the kernel takes at once arrives")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    client.transport.write(b"last words")
    client.transport.abort()
    await client.until_lost()
    await peer.receive_all()


@scenarios("abort() after close() drops what is not flushed")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    client.transport.write(pattern(8_000_000))
    client.transport.close()
    await t.settle()
    client.transport.abort()
    t.attempt("client", "get_write_buffer_size", client.transport.get_write_buffer_size)
    await client.until_lost()
    t.log("peer", f"received all: {show(await peer.count_all() == 8_000_000)}")


@scenarios("a reset by the peer is connection_lost with the error and nothing else")
async def _(t):
    client = t.recorder("client")
    reset = await t.dial_resettable(client)
    await reset()
    await client.until_lost()


@scenarios("a reset by the peer while close() flushes")
async def _(t):
    client = t.recorder("client")
    reset = await t.dial_resettable(client)
    client.transport.write(pattern(8_000_000))
    client.transport.close()
    await t.settle()
    await reset()
    await client.until_lost()


@scenarios("close() and write() inside connection_lost are nothing")
async def _(t):
    def connection_lost(p, error):
        t.attempt("client", "is_closing", p.transport.is_closing)
        t.attempt("client", "close", p.transport.close)
        t.attempt("client", "abort", p.transport.abort)
        t.attempt("client", "write", p.transport.write, b"too late")

    client = t.recorder("client", connection_lost=connection_lost)
    peer = await t.dial(client)
    client.transport.close()
    await peer.receive_all()
    await t.settle()


@scenarios("a refused connection rejects and calls no factory")
async def _(t):
    # The system does not choose a port below 32768 by itself, so no other test has it.
    address = ("127.0.0.1", random.randrange(10_000, 30_000))
    client = t.recorder("client")

    def factory():
        client.log("factory")
        return client

    await t.attempt_async("client", "create_connection", t.loop.create_connection(factory, *address))


@scenarios("a factory that throws rejects create_connection")
async def _(t):
    listener = t.listen()
    await t.attempt_async("client", "create_connection", t.loop.create_connection(boom, *listener.getsockname()))


@scenarios("create_connection takes a connected socket")
async def _(t):
    listener = t.listen()
    sock = socket.create_connection(listener.getsockname())
    sock.setblocking(False)
    accepted, _ = await t.loop.sock_accept(listener)
    peer = t.peer(accepted)
    client = t.recorder("client")
    transport, protocol = await t.loop.create_connection(lambda: client, sock=sock)
    client.log(f"the pair is ours: {show(transport is client.transport and protocol is client)}")
    transport.write(b"hello")
    await peer.receive(5)
    peer.end()
    await client.until_lost()


@scenarios("connect_accepted_socket takes an accepted socket")
async def _(t):
    listener = t.listen()
    sock = socket.create_connection(listener.getsockname())
    sock.setblocking(False)
    peer = t.peer(sock)
    accepted, _ = await t.loop.sock_accept(listener)
    server = t.recorder("server")
    transport, protocol = await t.loop.connect_accepted_socket(lambda: server, accepted)
    server.log(f"the pair is ours: {show(transport is server.transport and protocol is server)}")
    await peer.send("hello")
    await server.received(5)
    transport.close()
    await server.until_lost()
    await peer.receive_all()


@scenarios("extra info outlives the transport")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    info = client.transport.get_extra_info
    client.transport.close()
    await client.until_lost()
    client.log(f"peername is the peer: {show(info('peername') == peer.sock.getsockname())}")
    client.log(f"sockname is ours: {show(info('sockname') == peer.sock.getpeername())}")
    client.log(f"socket is there: {show(info('socket') is not None)}")
    client.log(f"unknown: {show(info('unknown'))}, with a default: {show(info('unknown', 7))}")


@scenarios("a connection over a Unix socket")
async def _(t):
    path = t.temp_path("socket")
    server = t.recorder("server", eof_received=lambda p: p.transport.write(b"answer"))
    listening = await t.loop.create_unix_server(lambda: server, path)
    client = t.recorder("client")
    await t.loop.create_unix_connection(lambda: client, path)
    client.transport.write(b"question")
    client.transport.write_eof()
    await client.until_lost()
    await server.until_lost()
    listening.close()
    if os.path.exists(path):
        os.unlink(path)
