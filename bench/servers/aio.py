"""asyncio and uvloop: aio.py asyncio|uvloop MODE protocol|buffered ..."""

import asyncio
import logging
import socket
import sys
import time

ANSWER = bytes(64)
ANSWERS = 16
BLOCK = bytes(64 * 1024)
# What a source writes at once: as much as the C server.
PIECE = bytes(256 * 1024)

loop_kind, mode, kind, *rest = sys.argv[1:]

# An idle connection costs what the server makes it cost, not what this program reads into.
BUFFER_SIZE = 4 * 1024 if mode == "idle" else 256 * 1024

# The load hangs up when its time is over, which asyncio tells of at length.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)


class Base(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class BufferedBase(asyncio.BufferedProtocol):
    def connection_made(self, transport):
        self.transport = transport
        self.buffer = memoryview(bytearray(BUFFER_SIZE))
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        pass


class Echo(Base):
    def data_received(self, data):
        self.transport.write(data)


class BufferedEcho(BufferedBase):
    def buffer_updated(self, nbytes):
        data = self.buffer[:nbytes]
        # uvloop sends from this very memory, which the next read overwrites; asyncio copies what it cannot send.
        self.transport.write(bytes(data) if loop_kind == "uvloop" else data)


class Pipelined(Base):
    def data_received(self, data):
        for _ in range(ANSWERS):
            self.transport.write(ANSWER)


class BufferedPipelined(BufferedBase):
    def buffer_updated(self, nbytes):
        for _ in range(ANSWERS):
            self.transport.write(ANSWER)


class Source(Base):
    def connection_made(self, transport):
        super().connection_made(transport)
        self.resume_writing()

    def pause_writing(self):
        self.paused = True

    def resume_writing(self):
        self.paused = False
        while not self.paused and not self.transport.is_closing():
            self.transport.write(PIECE)


PROTOCOLS = {
    "echo protocol": Echo,
    "echo buffered": BufferedEcho,
    "idle protocol": Echo,
    "idle buffered": BufferedEcho,
    "pipelined protocol": Pipelined,
    "pipelined buffered": BufferedPipelined,
    "source protocol": Source,
    "sink protocol": Base,
    "sink buffered": BufferedBase,
}


class DatagramEcho(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


class Pipe(asyncio.SubprocessProtocol):
    """Sends blocks through a child until the time is up, and counts what comes back."""

    def __init__(self, end_at, lost):
        self.received = 0
        self.end_at = end_at
        self.lost = lost

    def connection_made(self, transport):
        self.stdin = transport.get_pipe_transport(0)
        self.resume_writing()

    def pause_writing(self):
        self.paused = True

    def resume_writing(self):
        self.paused = False
        while not self.paused and not self.stdin.is_closing():
            if time.monotonic() < self.end_at:
                self.stdin.write(BLOCK)
            else:
                self.stdin.close()

    def pipe_data_received(self, fd, data):
        self.received += len(data)

    def connection_lost(self, exc):
        self.lost.set_result(None)


async def main():
    loop = asyncio.get_running_loop()
    if mode == "pipe":
        started_at, seconds = time.monotonic(), float(rest[0])
        lost = loop.create_future()
        end_at = started_at + seconds
        _, protocol = await loop.subprocess_exec(lambda: Pipe(end_at, lost), *rest[1:], stderr=None)
        # The first fifth is warm-up.
        await asyncio.sleep(seconds * 0.2)
        started_at, protocol.received = time.monotonic(), 0
        await lost
        print("result", protocol.received / (time.monotonic() - started_at), flush=True)
        return
    if mode == "udp":
        transport, _ = await loop.create_datagram_endpoint(DatagramEcho, local_addr=("127.0.0.1", 0))
        port = transport.get_extra_info("sockname")[1]
    else:
        server = await loop.create_server(PROTOCOLS[f"{mode} {kind}"], "127.0.0.1", 0, backlog=1024)
        port = server.sockets[0].getsockname()[1]
    print("listening", port, flush=True)
    await loop.create_future()


if loop_kind == "uvloop":
    import uvloop

    uvloop.install()
asyncio.run(main())
