"""Upgrading a connection to TLS halfway."""

import asyncio

from log import pattern, show
from registry import Scenarios
from tls_stage import answer, ask, client_context, connect_plain, connect_tls, upgrade

scenarios = Scenarios()


def echoing(t):
    return t.recorder("server", data_received=lambda p, data: p.transport.write(data))


async def failed(t, recorder, upgrading):
    """Logs how an upgrade fails, and whether the protocol is told."""
    await t.attempt_async(recorder.actor, "start_tls", upgrading)
    await t.settle()
    # Nothing is left to clean up.
    recorder.lost = True


@scenarios("plain, then TLS on both sides, and close() by the client")
async def _(t):
    client, server = t.recorder("client"), echoing(t)
    await connect_plain(t, client, server)
    client.transport.write(b"plain")
    await client.received(5)
    await upgrade(t, client, server)
    client.log("upgraded")
    client.transport.write(b"secret")
    await client.received(11)
    client.transport.write(pattern(60_000))
    await client.received(60_011)
    client.transport.close()
    await client.until_lost()
    await server.until_lost()


@scenarios("close() by the server")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_plain(t, client, server)
    await upgrade(t, client, server)
    server.transport.write(b"last words")
    server.transport.close()
    await client.until_lost()
    await server.until_lost()


@scenarios("abort() by the client")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_plain(t, client, server)
    await upgrade(t, client, server)
    # With nothing unread, or the system would reset the connection.
    server.transport.write(b"hello")
    await client.received(5)
    client.transport.abort()
    await client.until_lost()
    await server.until_lost()


@scenarios("a command, its answer, and the handshake from inside data_received")
async def _(t):
    def command(p, data):
        if data == b"STARTTLS":
            p.transport.write(b"go ahead")
            tasks.append(t.loop.create_task(answer(t, p)))

    def reply(p, data):
        if data == b"go ahead":
            tasks.append(t.loop.create_task(ask(t, p)))

    tasks = []
    client, server = t.recorder("client", data_received=reply), t.recorder("server", data_received=command)
    await connect_plain(t, client, server)
    client.transport.write(b"STARTTLS")
    await client.received(8)
    await asyncio.gather(*tasks)
    client.transport.write(b"secret")
    server.transport.write(b"answer")
    await server.received(14)
    await client.received(14)


@scenarios("the dialler may be the server")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_plain(t, client, server)
    await asyncio.gather(ask(t, server), answer(t, client))
    client.transport.write(b"hello")
    await server.received(5)


@scenarios("what was written before leaves before, in the clear")
async def _(t):
    client = t.recorder("client")
    peer = await t.dial(client)
    client.transport.write(b"STARTTLS\r\n" * 3)
    task = t.loop.create_task(t.attempt_async("client", "start_tls", ask(t, client)))
    await peer.receive(30)
    client.transport.abort()
    await task
    client.lost = True


@scenarios("the old transport afterwards")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_plain(t, client, server)
    old = client.transport
    await upgrade(t, client, server)
    client.log(f"another transport: {show(old is not client.transport)}")
    t.attempt("client", "is_closing", client.transport.is_closing)
    t.attempt("client", "is_closing of the old one", old.is_closing)
    server.transport.write(b"hello")
    await client.received(5)
    old.abort()
    await client.until_lost()
    await server.until_lost()


@scenarios("another protocol takes over")
async def _(t):
    client, server, heir = t.recorder("client"), t.recorder("server"), t.recorder("heir")
    await connect_plain(t, client, server)
    heir.transport = client.transport
    await asyncio.gather(ask(t, heir), answer(t, server))
    # The rest is the heir's.
    client.lost = True
    server.transport.write(b"hello")
    await heir.received(5)
    server.transport.close()
    await heir.until_lost()
    await server.until_lost()


@scenarios("a buffered protocol takes over")
async def _(t):
    def get_buffer(_protocol, _sizehint):
        # A view, for asyncio puts bytes into copies of slices of a bytearray.
        return view

    view = memoryview(bytearray(65536))
    client, server, heir = t.recorder("client"), t.recorder("server"), t.buffered("heir", get_buffer=get_buffer)
    await connect_plain(t, client, server)
    heir.transport = client.transport
    await asyncio.gather(ask(t, heir), answer(t, server))
    client.lost = True
    server.transport.write(pattern(60_000))
    await heir.received(60_000)
    server.transport.close()
    await heir.until_lost()
    await server.until_lost()


@scenarios("set_protocol() and get_protocol() of the new transport")
async def _(t):
    client, server, heir = t.recorder("client"), t.recorder("server"), t.recorder("heir")
    await connect_plain(t, client, server)
    await upgrade(t, client, server)
    client.log(f"its own: {show(client.transport.get_protocol() is client)}")
    client.hand_over(heir)
    server.transport.write(b"hello")
    await heir.received(5)


@scenarios("reading that was paused before goes on after")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_plain(t, client, server)
    client.transport.pause_reading()
    await upgrade(t, client, server)
    t.attempt("client", "is_reading", client.transport.is_reading)
    server.transport.write(b"hello")
    await client.received(5)


@scenarios("what is known of the socket stays known")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_plain(t, client, server)
    known = [client.transport.get_extra_info(name) for name in ("peername", "sockname", "socket")]
    client.log(f"cipher before: {show(client.transport.get_extra_info('cipher') is not None)}")
    await upgrade(t, client, server)
    info = client.transport.get_extra_info
    client.log(f"the same: {show([info(name) for name in ('peername', 'sockname', 'socket')] == known)}")
    client.log(f"cipher: {show(info('cipher') is not None)}, peercert {show(bool(info('peercert')))}")
    client.log(f"server's peercert {show(bool(server.transport.get_extra_info('peercert')))}")


@scenarios("TLS in TLS, from the first byte and halfway")
async def _(t):
    client, server = t.recorder("client"), echoing(t)
    await connect_tls(t, client, server)
    client.transport.write(b"once")
    await client.received(4)
    await upgrade(t, client, server)
    client.transport.write(b"twice")
    await client.received(9)
    client.transport.write(pattern(60_000))
    await client.received(60_009)


@scenarios("a handshake that fails: an unknown issuer")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_plain(t, client, server)
    await asyncio.gather(
        failed(t, client, ask(t, client, ca="stranger")),
        failed(t, server, answer(t, server)),
    )


@scenarios("a handshake that fails: the other side speaks in the clear")
async def _(t):
    server = t.recorder("server")
    listening = await t.serve(lambda: server)
    peer = await t.knock(listening)
    await server.until("connection_made")
    await peer.send("GET / HTTP/1.0\r\n\r\n")
    await server.received(18)
    upgrading = t.loop.create_task(failed(t, server, answer(t, server)))
    await t.settle()
    await peer.send("GET / HTTP/1.0\r\n\r\n")
    await upgrading


@scenarios("a handshake that fails: the other side closes")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_plain(t, client, server)
    upgrading = t.loop.create_task(failed(t, server, answer(t, server)))
    await t.settle()
    client.transport.close()
    await upgrading


@scenarios("a handshake that fails: it takes too long")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_plain(t, client, server)
    await failed(t, server, answer(t, server, ssl_handshake_timeout=0.05))
    await client.until_lost()


@scenarios("abort() during the handshake")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_plain(t, client, server)
    upgrading = t.loop.create_task(failed(t, server, answer(t, server)))
    await t.settle()
    server.transport.abort()
    await upgrading
    await client.until_lost()


@scenarios("a transport that is closing")
async def _(t):
    client, server = t.recorder("client"), t.recorder("server")
    await connect_plain(t, client, server)
    server.transport.close()
    await failed(t, server, answer(t, server))
    await client.until_lost()


@scenarios("a transport that cannot be upgraded")
async def _(t):
    client = t.recorder("client")

    def start(transport):
        return t.loop.start_tls(transport, client, client_context(), server_hostname="localhost")

    await t.attempt_async("client", "nothing", start(None))
    endpoint = t.datagrams("endpoint")
    await t.endpoint(endpoint)
    await t.attempt_async("client", "datagrams", start(endpoint.transport))
