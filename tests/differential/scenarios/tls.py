"""TLS from the first byte on."""

import asyncio
import socket

from log import boom, pattern, show
from registry import Scenarios
from tls_stage import accept, client_context, connect_tls, server_context

scenarios = Scenarios()


def echoing(t):
    return t.recorder("server", data_received=lambda p, data: p.transport.write(data))


@scenarios("an echo, and close() by the client")
async def _(t):
    client, server = t.recorder("client"), echoing(t)
    await connect_tls(t, client, server)
    client.transport.write(b"hello")
    await client.received(5)
    client.transport.write(pattern(60_000))
    await client.received(60_005)
    t.attempt("client", "close", client.transport.close)
    t.attempt("client", "is_closing", client.transport.is_closing)
    await client.until_lost()
    await server.until_lost()


@scenarios("data and close() by the server")
async def _(t):
    def connection_made(p):
        p.transport.write(pattern(60_000))
        p.transport.close()

    client, server = t.recorder("client"), t.recorder("server", connection_made=connection_made)
    await connect_tls(t, client, server)
    await client.until_lost()
    await server.until_lost()


@scenarios("close() on both sides at once")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_tls(t, client, server)
    client.transport.close()
    server.transport.close()
    await client.until_lost()
    await server.until_lost()


@scenarios("a true eof_received keeps nothing open")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server", eof_received=lambda p: True)
    await connect_tls(t, client, server)
    client.transport.close()
    await server.until_lost()
    await client.until_lost()


@scenarios("write() inside eof_received")
async def _(t):
    client = t.recorder("client")
    server = t.recorder("server", eof_received=lambda p: p.transport.write(b"too late for you"))
    await connect_tls(t, client, server)
    client.transport.close()
    await server.until_lost()
    await client.until_lost()


@scenarios("write_eof() is not supported, and changes nothing")
async def _(t):
    client, server = t.recorder("client"), echoing(t)
    await connect_tls(t, client, server)
    t.attempt("client", "can_write_eof", client.transport.can_write_eof)
    t.attempt("client", "write_eof", client.transport.write_eof)
    t.attempt("client", "is_closing", client.transport.is_closing)
    client.transport.write(b"hello")
    await client.received(5)


@scenarios("write() after close()")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_tls(t, client, server)
    client.transport.write(b"before")
    client.transport.close()
    t.attempt("client", "write", lambda: client.transport.write(b"after"))
    await client.until_lost()
    t.attempt("client", "write", lambda: client.transport.write(b"later"))
    await server.until_lost()


@scenarios("abort() tells its own protocol null")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_tls(t, client, server)
    # With nothing unread, or the system would reset the connection.
    server.transport.write(b"hello")
    await client.received(5)
    t.attempt("client", "abort", client.transport.abort)
    t.attempt("client", "is_closing", client.transport.is_closing)
    await client.until_lost()
    await server.until_lost()


@scenarios("pausing and resuming")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_tls(t, client, server)
    t.attempt("client", "is_reading", client.transport.is_reading)
    client.transport.pause_reading()
    client.transport.pause_reading()
    t.attempt("client", "is_reading", client.transport.is_reading)
    server.transport.write(pattern(60_000))
    await t.settle()
    client.log("resuming")
    client.transport.resume_reading()
    client.transport.resume_reading()
    await client.received(60_000)


@scenarios("the end that arrives while paused is told after resume_reading()")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_tls(t, client, server)
    client.transport.pause_reading()
    server.transport.write(b"last words")
    server.transport.close()
    await t.settle()
    client.log("resuming")
    client.transport.resume_reading()
    await client.until_lost()
    await server.until_lost()


@scenarios("pause_reading() inside data_received holds the rest")
async def _(t):
    def data_received(p, data):
        p.transport.pause_reading()
        p.log("paused")

    client, server = t.recorder("client", data_received=data_received), t.recorder("server")
    await connect_tls(t, client, server)
    server.transport.write(b"first")
    await client.received(5)
    server.transport.write(b"second")
    await t.settle()
    client.transport.resume_reading()
    await client.received(11)


@scenarios("flow control while the other side reads nothing")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_tls(t, client, server)
    server.transport.pause_reading()
    client.transport.write(pattern(16_000_000))
    await t.settle()
    client.transport.write(pattern(1_000_000))
    t.log("client", f"something waits: {show(client.transport.get_write_buffer_size() > 0)}")
    t.log("client", f"paused: {show(client.paused)}")
    server.transport.resume_reading()
    await server.received(17_000_000)
    await client.until("resume_writing")


@scenarios("write-buffer limits")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_tls(t, client, server)
    limits = client.transport.get_write_buffer_limits
    client.transport.set_write_buffer_limits(high=1000)
    t.log("client", f"limits {limits()[0]} {limits()[1]}")
    client.transport.set_write_buffer_limits(low=10)
    t.log("client", f"limits {limits()[0]} {limits()[1]}")
    t.attempt("client", "low > high", lambda: client.transport.set_write_buffer_limits(high=1, low=2))


@scenarios("a buffered protocol")
async def _(t):
    # A view, for asyncio puts bytes into copies of slices of a bytearray.
    view = memoryview(bytearray(65536))
    client, server = t.buffered("client", get_buffer=lambda p, sizehint: view), echoing(t)
    await connect_tls(t, client, server)
    client.transport.write(pattern(60_000))
    await client.received(60_000)
    server.transport.close()
    await client.until_lost()
    await server.until_lost()


@scenarios("what is known of a connection, inside connection_made and after the end")
async def _(t):
    def look(p):
        info = p.transport.get_extra_info
        p.log(f"cipher {show(info('cipher') is not None)}, version {info('cipher')[1]}, bits {info('cipher')[2]}")
        peercert = info("peercert")
        p.log(f"peercert {dict(pair[0] for pair in peercert['subject'])['commonName'] if peercert else 'null'}")
        p.log(f"compression {show(info('compression', 'none'))}")
        p.log(f"sslcontext {show(info('sslcontext') is not None)}, ssl_object {show(info('ssl_object') is not None)}")
        p.log(f"protocol {info('ssl_object').selected_alpn_protocol()}")
        p.log(f"peername {show(info('peername') is not None)}, socket {show(info('socket') is not None)}")
        p.log(f"unknown {show(info('unknown'))} {show(info('unknown', 'default'))}")

    client, server = t.recorder("client", connection_made=look), t.recorder("server", connection_made=look)
    await connect_tls(t, client, server, client_alpn=["imap", "smtp"], server_alpn=["smtp"])


@scenarios("over a Unix socket")
async def _(t):
    path = t.temp_path("socket")
    server = echoing(t)
    listening = await t.loop.create_unix_server(lambda: server, path, ssl=server_context())
    t.defer(listening.close)
    client = t.recorder("client")
    context = client_context()
    await t.loop.create_unix_connection(lambda: client, path, ssl=context, server_hostname="localhost")
    client.transport.write(b"hello")
    await client.received(5)
    client.transport.close()
    await client.until_lost()
    await server.until_lost()


@scenarios("an exception in data_received")
async def _(t):
    client, server = t.recorder("client", data_received=boom), t.recorder("server")
    await connect_tls(t, client, server)
    server.transport.write(b"hello")
    await client.until_lost()
    await server.until_lost()


@scenarios("a handshake that fails: an unknown issuer")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await t.attempt_async("client", "connect", connect_tls(t, client, server, ca="stranger"))
    await t.settle()


@scenarios("a handshake that fails: another name")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    connecting = connect_tls(t, client, server, server_hostname="other.test")
    await t.attempt_async("client", "connect", connecting)
    await t.settle()


@scenarios("a handshake that fails: the server says nothing")
async def _(t):
    listener = t.listen()
    connecting = t.loop.create_connection(
        lambda: t.recorder("client"),
        *listener.getsockname(),
        ssl=client_context(),
        server_hostname="localhost",
        ssl_handshake_timeout=0.05,
    )
    await t.attempt_async("client", "connect", connecting)


@scenarios("a handshake that fails: the server speaks in the clear")
async def _(t):
    listener = t.listen()
    connecting = t.loop.create_connection(
        lambda: t.recorder("client"), *listener.getsockname(), ssl=client_context(), server_hostname="localhost"
    )
    attempt = t.loop.create_task(t.attempt_async("client", "connect", connecting))
    peer = await accept(t, listener)
    await peer.send("220 hello, who is there?\r\n")
    await attempt


@scenarios("a handshake that fails: the server closes")
async def _(t):
    listener = t.listen()
    connecting = t.loop.create_connection(
        lambda: t.recorder("client"), *listener.getsockname(), ssl=client_context(), server_hostname="localhost"
    )
    attempt = t.loop.create_task(t.attempt_async("client", "connect", connecting))
    peer = await accept(t, listener)
    peer.end()
    await attempt


@scenarios("a client that speaks in the clear costs its connection, and the next is served")
async def _(t):
    server = echoing(t)
    listening = await t.serve(lambda: server, ssl=server_context())
    rude = await t.knock(listening)
    await rude.send("GET / HTTP/1.0\r\n\r\n")
    await rude.count_all()
    client = t.recorder("client")
    await t.loop.create_connection(
        lambda: client, *listening.sockets[0].getsockname(), ssl=client_context(), server_hostname="localhost"
    )
    client.transport.write(b"hello")
    await client.received(5)


@scenarios("close() of one whose other side never answers")
async def _(t):
    client = t.recorder("client")
    server = t.recorder("server", connection_made=lambda p: p.transport.pause_reading())
    await connect_tls(t, client, server, ssl_shutdown_timeout=0.05)
    client.transport.close()
    await client.until_lost()


@scenarios("a connection that is given, with no name to verify")
async def _(t):
    near, far = socket.socketpair()
    t.defer(near.close)
    t.defer(far.close)
    connecting = t.loop.create_connection(lambda: t.recorder("client"), sock=near, ssl=client_context())
    await t.attempt_async("client", "connect", connecting)


@scenarios("connect_accepted_socket() is the server's side")
async def _(t):
    near, far = socket.socketpair()
    client, server = t.recorder("client"), echoing(t)
    await asyncio.gather(
        t.loop.create_connection(lambda: client, sock=near, ssl=client_context(), server_hostname="localhost"),
        t.loop.connect_accepted_socket(lambda: server, far, ssl=server_context()),
    )
    client.transport.write(b"hello")
    await client.received(5)
