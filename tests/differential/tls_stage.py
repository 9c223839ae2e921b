"""TLS for the scenarios: contexts, and pairs of recorders; tls_stage.ts is the same for Tandem."""

import asyncio
import os
import ssl

CERTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/certs")


def server_context(alpn=()):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{CERTS}/server.pem", f"{CERTS}/server.key")
    context.set_alpn_protocols(alpn)
    return context


def client_context(ca="ca", alpn=()):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(f"{CERTS}/{ca}.pem")
    context.set_alpn_protocols(alpn)
    return context


async def connect_tls(t, client, server, **options):
    """Connects two recorders from the first byte on."""
    listening = await t.serve(lambda: server, ssl=server_context(options.pop("server_alpn", ())))
    context = client_context(options.pop("ca", "ca"), options.pop("client_alpn", ()))
    options = {"server_hostname": "localhost", **options}
    address = listening.sockets[0].getsockname()
    await t.loop.create_connection(lambda: client, *address, ssl=context, **options)
    await server.until("connection_made")


async def accept(t, listener):
    """Accepts a connection as a bare peer."""
    sock, _ = await t.loop.sock_accept(listener)
    sock.setblocking(False)
    return t.peer(sock)


async def connect_plain(t, client, server):
    """Connects two recorders in the clear."""
    listening = await t.serve(lambda: server)
    await t.connect(listening, client)
    await server.until("connection_made")


async def ask(t, client, transport=None, **options):
    """Upgrades a client."""
    context = client_context(options.pop("ca", "ca"))
    options = {"server_hostname": "localhost", **options}
    client.transport = await t.loop.start_tls(transport or client.transport, client, context, **options)


async def answer(t, server, **options):
    """Upgrades a server."""
    server.transport = await t.loop.start_tls(
        server.transport, server, server_context(), server_side=True, **options
    )


async def upgrade(t, client, server):
    """Upgrades both."""
    await asyncio.gather(ask(t, client), answer(t, server))
