"""asyncio and uvloop over TLS.

tls_aio.py asyncio|uvloop tls-http | tls-echo
tls_aio.py asyncio|uvloop tls-unix PATH
tls_aio.py asyncio|uvloop tls-client PORT CONNECTIONS SIZE SECONDS
"""

import asyncio
import logging
import os
import ssl
import sys
import time

loop_kind, mode, *rest = sys.argv[1:]

CERTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "certs")
HTTP_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024

# The load hangs up when its time is over, which asyncio tells of at length.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)


def cert(name):
    return os.path.join(CERTS, name)


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Http(Echo):
    def data_received(self, data):
        self.transport.write(HTTP_ANSWER)


class Caller(asyncio.Protocol):
    """Sends a request, waits until as much has come back, and again."""

    count = 0

    def __init__(self, request):
        self.request = request

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        self.awaited = len(self.request)
        self.transport.write(self.request)

    def data_received(self, data):
        self.awaited -= len(data)
        assert self.awaited >= 0, "more came back than was sent"
        if self.awaited == 0:
            Caller.count += 1
            self.send()


async def be_client(port, connections, size, seconds):
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context(cafile=cert("ca.pem"))
    request = bytes(i % 251 for i in range(int(size)))

    def call():
        return loop.create_connection(
            lambda: Caller(request), "127.0.0.1", int(port), ssl=context, server_hostname="localhost"
        )

    calls = [loop.create_task(call()) for _ in range(int(connections))]
    # The first fifth is warm-up.
    await asyncio.sleep(float(seconds) * 0.2)
    Caller.count = 0
    started_at = time.monotonic()
    await asyncio.sleep(float(seconds) * 0.8)
    result = Caller.count / (time.monotonic() - started_at)
    await asyncio.gather(*calls)
    print("result", result, flush=True)
    os._exit(0)


async def main():
    if mode == "tls-client":
        await be_client(*rest)
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert("server.pem"), cert("server.key"))
    factory = Http if mode == "tls-http" else Echo
    if mode == "tls-unix":
        await loop.create_unix_server(factory, rest[0], ssl=context)
        print("listening", rest[0], flush=True)
    else:
        server = await loop.create_server(factory, "127.0.0.1", 0, backlog=1024, ssl=context)
        print("listening", server.sockets[0].getsockname()[1], flush=True)
    await loop.create_future()


if loop_kind == "uvloop":
    import uvloop

    uvloop.install()
asyncio.run(main())
