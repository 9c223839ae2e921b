"""Datagram endpoints."""

import socket

from log import boom, pattern, show
from registry import Scenarios

scenarios = Scenarios()


def address(endpoint):
    return endpoint.transport.get_extra_info("sockname")


@scenarios("an echo between endpoints without a remote address")
async def _(t):
    def datagram_received(p, data, addr):
        p.log(f"from the client: {show(addr == address(client))}")
        p.transport.sendto(data + b"!", addr)

    server = t.datagrams("server", datagram_received=datagram_received)
    await t.endpoint(server)
    client = t.datagrams("client")
    await t.endpoint(client)
    client.transport.sendto(b"hello", address(server))
    await client.received(6)
    client.transport.close()
    server.transport.close()
    await client.until_lost()
    await server.until_lost()


@scenarios("a connected endpoint sends to its remote address, named or not")
async def _(t):
    server = t.datagrams("server")
    await t.endpoint(server)
    client = t.datagrams("client")
    await t.endpoint(client, remote=server)
    client.transport.sendto(b"unnamed")
    client.transport.sendto(b"null", None)
    client.transport.sendto(b"named", address(server))
    await server.received(16)


@scenarios("a connected endpoint refuses another address and lives on")
async def _(t):
    server = t.datagrams("server")
    await t.endpoint(server)
    other = t.datagrams("other")
    await t.endpoint(other)
    client = t.datagrams("client")
    await t.endpoint(client, remote=server)
    t.attempt("client", "sendto", client.transport.sendto, b"astray", address(other))
    client.transport.sendto(b"alive")
    await server.received(5)


@scenarios("a connected endpoint drops datagrams of other senders")
async def _(t):
    server = t.datagrams("server")
    await t.endpoint(server)
    client = t.datagrams("client")
    await t.endpoint(client, remote=server)
    stranger = t.datagrams("stranger")
    await t.endpoint(stranger)
    stranger.transport.sendto(b"psst", address(client))
    await t.settle()
    server.transport.sendto(b"hello", address(client))
    await client.received(5)


@scenarios("an endpoint without a remote address needs one to send to")
async def _(t):
    t.exceptions_to("client")
    client = t.datagrams("client")
    await t.endpoint(client)
    t.attempt("client", "sendto", client.transport.sendto, b"whereto?")
    await t.settle()
    t.attempt("client", "is_closing", client.transport.is_closing)


@scenarios("datagrams keep their bounds and their order")
async def _(t):
    server = t.datagrams("server")
    await t.endpoint(server)
    client = t.datagrams("client")
    await t.endpoint(client, remote=server)
    for i in range(10):
        client.transport.sendto(b"x" * (i + 1))
    await server.received(55)


@scenarios("what was sent is the caller's again")
async def _(t):
    server = t.datagrams("server")
    await t.endpoint(server)
    client = t.datagrams("client")
    await t.endpoint(client, remote=server)
    data = bytearray(b"first ")
    client.transport.sendto(data)
    data[:] = b"second"
    client.transport.sendto(data)
    data[:] = b"xxxxxx"
    await server.received(12)


@scenarios("the largest datagram arrives, a larger one is error_received, and the endpoint lives on")
async def _(t):
    server = t.datagrams("server")
    await t.endpoint(server)
    client = t.datagrams("client")
    await t.endpoint(client, remote=server)
    client.transport.sendto(pattern(65507))
    await server.received(65507)
    client.transport.sendto(pattern(65508))
    await client.until("error_received")
    client.transport.sendto(b"alive")
    await server.received(65512)


@scenarios("an empty datagram that is sent")
async def _(t):
    server = t.datagrams("server")
    await t.endpoint(server)
    client = t.datagrams("client")
    await t.endpoint(client, remote=server)
    client.transport.sendto(b"")
    client.transport.sendto(b"the next")
    await server.received(8)


@scenarios("an empty datagram that arrives")
async def _(t):
    server = t.datagrams("server")
    await t.endpoint(server)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"", address(server))
        await server.until("datagram_received")


@scenarios("what is no bytes is a TypeError, and the endpoint lives on")
async def _(t):
    server = t.datagrams("server")
    await t.endpoint(server)
    client = t.datagrams("client")
    await t.endpoint(client, remote=server)
    t.attempt("client", "sendto text", client.transport.sendto, "text")
    t.attempt("client", "sendto null", client.transport.sendto, None)
    client.transport.sendto(b"alive")
    await server.received(5)


@scenarios("close() flushes, then connection_lost(null) in a later turn")
async def _(t):
    server = t.datagrams("server")
    await t.endpoint(server)
    client = t.datagrams("client")
    await t.endpoint(client, remote=server)
    client.transport.sendto(b"last ")
    client.transport.sendto(b"words")
    t.attempt("client", "close", client.transport.close)
    t.attempt("client", "is_closing", client.transport.is_closing)
    t.attempt("client", "sendto after close()", client.transport.sendto, b"too late")
    await client.until_lost()
    await server.received(10)
    t.attempt("client", "sendto after connection_lost", client.transport.sendto, b"too late")
    await t.settle()


@scenarios("sendto() after close() of an endpoint without a remote address")
async def _(t):
    server = t.datagrams("server")
    await t.endpoint(server)
    client = t.datagrams("client")
    await t.endpoint(client)
    client.transport.close()
    client.transport.sendto(b"too late", address(server))
    await client.until_lost()
    last = t.datagrams("last")
    await t.endpoint(last)
    last.transport.sendto(b"the end", address(server))
    await server.until('datagram_received "the end"')


@scenarios("abort(), close() and abort() again make one connection_lost")
async def _(t):
    client = t.datagrams("client")
    await t.endpoint(client)
    t.attempt("client", "abort", client.transport.abort)
    t.attempt("client", "is_closing", client.transport.is_closing)
    client.transport.close()
    client.transport.abort()
    await client.until_lost()
    client.transport.close()
    client.transport.abort()
    await t.settle()


@scenarios("close() inside datagram_received ends the data callbacks")
async def _(t):
    server = t.datagrams("server", datagram_received=lambda p, data, addr: p.transport.close())
    await t.endpoint(server)
    client = t.datagrams("client")
    await t.endpoint(client, remote=server)
    client.transport.sendto(b"one")
    client.transport.sendto(b"two")
    await server.until_lost()
    await t.settle()


@scenarios("no socket at the remote address")
async def _(t):
    gone = t.datagrams("gone")
    await t.endpoint(gone)
    client = t.datagrams("client")
    await t.endpoint(client, remote=gone)
    gone.transport.close()
    await gone.until_lost()
    client.transport.sendto(b"anybody there?")
    await t.settle()
    t.attempt("client", "is_closing", client.transport.is_closing)


@scenarios("extra info outlives the endpoint")
async def _(t):
    server = t.datagrams("server")
    await t.endpoint(server)
    client = t.datagrams("client")
    await t.endpoint(client, remote=server)
    for endpoint in [server, client]:
        endpoint.transport.close()
        await endpoint.until_lost()
        info = endpoint.transport.get_extra_info
        endpoint.log(f"sockname has a port: {show(info('sockname')[1] > 0)}")
        endpoint.log(f"peername is the server: {show(info('peername') == address(server))}")
        endpoint.log(f"socket is there: {show(info('socket') is not None)}")


@scenarios("the limits of the write buffer")
async def _(t):
    client = t.datagrams("client")
    await t.endpoint(client)
    t.attempt("client", "get_write_buffer_size", client.transport.get_write_buffer_size)
    client.transport.set_write_buffer_limits(high=1000)
    t.attempt("client", "low over high", lambda: client.transport.set_write_buffer_limits(high=10, low=11))
    t.attempt("client", "negative", lambda: client.transport.set_write_buffer_limits(high=-1))


@scenarios("set_protocol() gives the rest to the new protocol")
async def _(t):
    second = t.datagrams("second")
    first = t.datagrams("first", datagram_received=lambda p, data, addr: p.hand_over(second))
    await t.endpoint(first)
    client = t.datagrams("client")
    await t.endpoint(client, remote=first)
    client.transport.sendto(b"one")
    client.transport.sendto(b"two")
    await second.received(3)
    second.transport.close()
    await second.until_lost()


@scenarios("a local address that is taken, and a factory that throws")
async def _(t):
    server = t.datagrams("server")
    await t.endpoint(server)
    create = t.loop.create_datagram_endpoint
    taken = create(lambda: t.datagrams("second"), local_addr=address(server))
    await t.attempt_async("second", "create_datagram_endpoint", taken)
    thrown = create(boom, local_addr=("127.0.0.1", 0))
    await t.attempt_async("third", "create_datagram_endpoint", thrown)


@scenarios("an echo over Unix sockets")
async def _(t):
    def datagram_received(p, data, addr):
        p.transport.sendto(data + b"!", addr)

    paths = [t.temp_path("server"), t.temp_path("client")]
    recorders = [t.datagrams("server", datagram_received=datagram_received), t.datagrams("client")]
    for path, recorder in zip(paths, recorders):
        await t.loop.create_datagram_endpoint(lambda: recorder, local_addr=path, family=socket.AF_UNIX)
    client = recorders[1]
    client.transport.sendto(b"hello", paths[0])
    await client.received(6)
