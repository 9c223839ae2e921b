"""The other side of tests/tls/tls_python_test.ts: asyncio's TLS, or a blocking socket of the ssl module.

Its arguments are the folder of the certificates, a mode ("serve-async", "connect-cut" and the like), how many bytes to
send, the port to connect to, and options. It ends with its standard input.
"""
import os, socket, ssl, sys, threading

certs, mode, size, port, *options = sys.argv[1:]
server = mode.startswith("serve")
# As pattern() of kit.ts.
big = bytes((i * 7) % 251 for i in range(251)) * (int(size) // 251 + 1)
big = big[:int(size)]
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(9)), daemon=True).start()


def say(*words):
    print(*words, flush=True)

def context():
    purpose = ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH
    made = ssl.create_default_context(purpose, cafile=certs + "ca.pem")
    if server:
        made.load_cert_chain(certs + "server.pem", certs + "server.key")
        made.verify_mode = ssl.CERT_REQUIRED if "mutual" in options else ssl.CERT_NONE
    elif "mutual" in options:
        made.load_cert_chain(certs + "client.pem", certs + "client.key")
    if "TLSv1.2" in options:
        made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["other", "echo"])
    return made

def tell(tls):
    names = dict(pair for names in (tls.getpeercert() or {}).get("subject", ()) for pair in names)
    say("tls", tls.version(), tls.cipher()[0], tls.selected_alpn_protocol(), names.get("commonName"))

async def upgrade(reader, writer):
    loop = asyncio.get_running_loop()
    if server:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go ahead\n")
        await writer.drain()
    else:
        await reader.readuntil(b"ready\r\n")
        writer.write(b"STARTTLS\n")
        await reader.readuntil(b"go ahead\r\n")
    plain = writer.transport
    side = {"server_side": True} if server else {"server_hostname": "localhost"}
    secure = await loop.start_tls(plain, plain.get_protocol(), context(), **side)
    writer._transport = reader._transport = secure

async def echo(reader, writer):
    if "starttls" in options:
        await upgrade(reader, writer)
    tell(writer.get_extra_info("ssl_object"))
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    say("eof")
    writer.close()
    await writer.wait_closed()
    say("closed")

async def send(reader, writer):
    if "starttls" in options:
        await upgrade(reader, writer)
    tell(writer.get_extra_info("ssl_object"))
    writer.write(big)
    say("same" if await reader.readexactly(len(big)) == big else "different")
    writer.close()
    await writer.wait_closed()
    say("closed")

async def run():
    tls = None if "starttls" in options else context()
    if server:
        listener = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=tls)
        say("port", listener.sockets[0].getsockname()[1])
        await listener.serve_forever()
    name = {"server_hostname": "localhost"} if tls else {}
    await send(*await asyncio.open_connection("127.0.0.1", int(port), ssl=tls, **name))

def plain_socket():
    if not server:
        return socket.create_connection(("127.0.0.1", int(port)))
    listener = socket.create_server(("127.0.0.1", 0))
    say("port", listener.getsockname()[1])
    return listener.accept()[0]

# A socket of the ssl module takes part in no goodbye but the one that it is told to.
def blocking(ending):
    name = {"server_side": True} if server else {"server_hostname": "localhost"}
    tls = context().wrap_socket(plain_socket(), suppress_ragged_eofs=False, **name)
    assert tls.recv(5) == b"ready"
    tls.sendall(b"hello")
    if ending == "unwrap":
        assert tls.unwrap().recv(1) == b""
    elif ending == "wait":
        assert tls.recv(1) == b""
        tls.unwrap()
    tls.close()
    say("done")

if mode.endswith("async"):
    import asyncio  # Half of the time that it takes to start, and the others need none.
    asyncio.run(run())
else:
    blocking(mode.split("-")[1])
