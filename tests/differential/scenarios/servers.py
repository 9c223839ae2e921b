"""Servers: serving, closing, and connections that misbehave."""

import asyncio
import os
import socket

from log import boom, error_name, show
from registry import Scenarios

scenarios = Scenarios()


def echoing(t, actor="server"):
    return t.recorder(actor, data_received=lambda p, data: p.transport.write(data))


@scenarios("each connection has a protocol of its own")
async def _(t):
    recorders = []

    def factory():
        recorders.append(echoing(t, f"server {len(recorders) + 1}"))
        return recorders[-1]

    server = await t.serve(factory)
    t.attempt("server", "is_serving", server.is_serving)
    for i in range(3):
        peer = await t.knock(server)
        await peer.send(f"client {i + 1}")
        await peer.receive(8)
        peer.end()
        await recorders[i].until_lost()


@scenarios("the server's end knows both addresses")
async def _(t):
    recorder = t.recorder("server")
    server = await t.serve(lambda: recorder)
    peer = await t.knock(server)
    await recorder.until("connection_made")
    info = recorder.transport.get_extra_info
    recorder.log(f"peername is the client: {show(info('peername') == peer.sock.getsockname())}")
    recorder.log(f"sockname is the server: {show(info('sockname') == server.sockets[0].getsockname())}")


@scenarios("several addresses, a port of the system's choice on each")
async def _(t):
    server = await t.loop.create_server(lambda: echoing(t), ["127.0.0.1", "127.0.0.2"], 0)
    t.defer(server.close)
    addresses = sorted(sock.getsockname() for sock in server.sockets)
    for host, port in addresses:
        t.log("server", f"{host}, a real port: {show(port > 0)}")
    for address in addresses:
        sock = socket.create_connection(address)
        sock.setblocking(False)
        peer = t.peer(sock)
        await peer.send("hello")
        await peer.receive(5)


@scenarios("an address that is named several times is bound once")
async def _(t):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for hosts in [["127.0.0.1", "127.0.0.1"], ["127.1", "127.0.0.2", "127.0.0.1", "127.0.0.2"]]:
        for wanted in [0, port]:
            server = await t.loop.create_server(lambda: echoing(t), hosts, wanted)
            names = sorted(sock.getsockname()[0] for sock in server.sockets)
            t.log("server", f"{' '.join(hosts)}, a given port: {show(wanted > 0)}, addresses: {' '.join(names)}")
            server.close()
            await server.wait_closed()
            await t.settle()


@scenarios("start_serving: false leaves it to start_serving(), which is idempotent")
async def _(t):
    recorder = echoing(t)
    server = await t.serve(lambda: recorder, start_serving=False)
    t.attempt("server", "is_serving", server.is_serving)
    await t.attempt_async("server", "start_serving", server.start_serving())
    t.attempt("server", "is_serving", server.is_serving)
    await t.attempt_async("server", "start_serving", server.start_serving())
    peer = await t.knock(server)
    await peer.send("hello")
    await peer.receive(5)


@scenarios("a client of a server that does not serve yet")
async def _(t):
    server = await t.serve(lambda: t.recorder("server"), start_serving=False)
    await t.attempt_async("client", "connect", t.knock(server))
    await t.settle()


@scenarios("close() stops accepting and leaves connections alone")
async def _(t):
    recorder = echoing(t)
    server = await t.serve(lambda: recorder)
    address = server.sockets[0].getsockname()
    peer = await t.knock(server)
    await recorder.until("connection_made")
    t.attempt("server", "close", server.close)
    t.attempt("server", "is_serving", server.is_serving)
    t.attempt("server", "close", server.close)
    await t.settle()
    connecting = t.loop.create_connection(lambda: t.recorder("client"), *address)
    await t.attempt_async("client", "create_connection", connecting)
    await peer.send("hello")
    await peer.receive(5)
    peer.end()
    await recorder.until_lost()


@scenarios("wait_closed() waits for the last connection")
async def _(t):
    async def wait():
        await server.wait_closed()
        recorder.log("wait_closed")

    recorder = t.recorder("server")
    server = await t.serve(lambda: recorder)
    peer = await t.knock(server)
    await recorder.until("connection_made")
    server.close()
    waiting = t.loop.create_task(wait())
    await t.settle()
    recorder.log("the client goes")
    peer.end()
    await recorder.until_lost()
    await waiting


@scenarios("wait_closed() with no connection, and again")
async def _(t):
    server = await t.serve(lambda: t.recorder("server"))
    server.close()
    await t.attempt_async("server", "wait_closed", server.wait_closed())
    await t.attempt_async("server", "wait_closed", server.wait_closed())


@scenarios("leaving its scope closes a server")
async def _(t):
    async with await t.serve(lambda: t.recorder("server")) as server:
        t.attempt("server", "is_serving", server.is_serving)
    t.attempt("server", "is_serving", server.is_serving)


@scenarios("start_serving() on a closed server")
async def _(t):
    server = await t.serve(lambda: t.recorder("server"))
    server.close()
    await t.attempt_async("server", "start_serving", server.start_serving())


@scenarios("serve_forever() starts to serve, once at a time, until close()")
async def _(t):
    recorder = echoing(t)
    server = await t.serve(lambda: recorder, start_serving=False)
    serving = t.loop.create_task(t.attempt_async("server", "serve_forever", server.serve_forever()))
    await t.settle()
    t.attempt("server", "is_serving", server.is_serving)
    await t.attempt_async("server", "serve_forever again", server.serve_forever())
    peer = await t.knock(server)
    await peer.send("hello")
    await peer.receive(5)
    peer.end()
    await recorder.until_lost()
    recorder.log("closing")
    server.close()
    await serving
    t.attempt("server", "is_serving", server.is_serving)
    await t.attempt_async("server", "serve_forever when closed", server.serve_forever())


@scenarios("serve_forever() that is called off closes the server")
async def _(t):
    server = await t.serve(lambda: t.recorder("server"))
    serving = t.loop.create_task(server.serve_forever())
    await t.settle()
    t.attempt("server", "is_serving", server.is_serving)
    serving.cancel()
    await asyncio.wait([serving])
    t.attempt("server", "is_serving", server.is_serving)


@scenarios("a factory that throws costs its connection, and the next is served")
async def _(t):
    recorders = [echoing(t)]

    def factory():
        return recorders.pop() if ready else boom()

    ready = False
    server = await t.serve(factory)
    unlucky = await t.knock(server)
    await unlucky.count_all()
    ready = True
    peer = await t.knock(server)
    await peer.send("hello")
    await peer.receive(5)


@scenarios("close() inside connection_made of a server")
async def _(t):
    recorder = t.recorder("server", connection_made=lambda p: p.transport.close())
    server = await t.serve(lambda: recorder)
    peer = await t.knock(server)
    await peer.receive_all()
    await recorder.until_lost()


@scenarios("a client that vanishes and one whose callback throws do not stop the others")
async def _(t):
    recorders = [t.recorder("vanished"), t.recorder("thrown", data_received=boom), echoing(t)]
    waiting = recorders[:]
    server = await t.serve(lambda: waiting.pop(0))
    (await t.knock(server)).close()
    await recorders[0].until_lost()
    peer = await t.knock(server)
    await peer.send("boom")
    await recorders[1].until_lost()
    peer = await t.knock(server)
    await peer.send("hello")
    await peer.receive(5)


@scenarios("an address that is taken")
async def _(t):
    listener = t.listen()
    creating = t.loop.create_server(lambda: t.recorder("server"), *listener.getsockname())
    await t.attempt_async("server", "create_server", creating)


@scenarios("create_server takes a listening socket")
async def _(t):
    listener = t.listen()
    recorder = echoing(t)
    server = await t.loop.create_server(lambda: recorder, sock=listener)
    t.defer(server.close)
    peer = await t.knock(server)
    await peer.send("hello")
    await peer.receive(5)


@scenarios("a Unix server's socket file, when it closes")
async def _(t):
    path = t.temp_path("socket")
    server = await t.loop.create_unix_server(lambda: t.recorder("server"), path)
    t.log("server", f"there: {show(os.path.exists(path))}")
    server.close()
    await server.wait_closed()
    t.log("server", f"there: {show(os.path.exists(path))}")


@scenarios("a Unix server in place of a stale socket file, a live one and a regular file")
async def _(t):
    def create(path):
        return t.loop.create_unix_server(asyncio.Protocol, path)

    path = t.temp_path("socket")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
    live = await create(path)
    t.log("server", "stale: replaced")
    t.defer(live.close)
    try:
        t.defer((await create(path)).close)
        t.log("server", "live: replaced")
    except OSError as error:
        t.log("server", f"live: {error_name(error)}")
    file = t.temp_path("file")
    with open(file, "w", encoding="ascii") as stream:
        stream.write("text")
    await t.attempt_async("server", "a regular file", create(file))
    with open(file, encoding="ascii") as stream:
        t.log("server", f"it holds {stream.read()}")
