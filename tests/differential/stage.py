"""What one scenario works with, asyncio's side; stage.ts is the same for Tandem, with the same names in camelCase."""

import asyncio
import contextlib
import json
import re
import shutil
import socket
import struct
import tempfile

from log import Log, error_name, show, show_data, to_bytes
from recorders import BufferedRecorder, DatagramRecorder, ProcessRecorder, Recorder


class Peer:
    """The other end of a connection as a bare socket; logs what it reads as the actor `peer`."""

    def __init__(self, log, sock):
        self._log = log
        self.sock = sock

    async def send(self, data):
        await asyncio.get_running_loop().sock_sendall(self.sock, to_bytes(data))

    async def receive(self, count):
        data = b""
        while len(data) < count:
            piece = await asyncio.get_running_loop().sock_recv(self.sock, count - len(data))
            assert piece, f"the end after {data!r}"
            data += piece
        self._log.line("peer", f"received {show_data(data)}")

    async def receive_all(self):
        data, end = await self._read_all()
        self._log.line("peer", f"received {show_data(data)}, then {end}")

    async def count_all(self):
        """Reads to the end, and logs nothing, for how much it is is not known."""
        data, _ = await self._read_all()
        return len(data)

    async def _read_all(self):
        data = bytearray()
        end = "end"
        try:
            while True:
                piece = await asyncio.get_running_loop().sock_recv(self.sock, 65536)
                if not piece:
                    break
                data += piece
        except ConnectionError as error:
            end = error_name(error)
        return data, end

    def end(self):
        """Sends nothing more."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()


class Stage:
    """What one scenario works with. Whatever it opens is closed after it."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self._log = Log()
        self._deferred = []
        self.exceptions_to("exception handler")

    def log(self, actor, text):
        self._log.line(actor, text)

    def lines(self):
        return self._log.lines()

    async def until(self, actor, prefix, count=1):
        """Waits for so many lines of an actor that start so."""
        await self._log.until(lambda: self._log.count(actor, prefix) >= count)

    def defer(self, cleanup):
        self._deferred.append(cleanup)

    async def clean_up(self):
        for cleanup in reversed(self._deferred):
            result = cleanup()
            if result is not None:
                await result

    def exceptions_to(self, actor):
        """Logs what the loop's exception handler is told as lines of this actor."""
        self.loop.set_exception_handler(lambda _loop, context: self.log(actor, describe_context(context)))

    def attempt(self, actor, label, function, *args):
        try:
            result = function(*args)
        except Exception as error:
            result = error_name(error)
        else:
            result = show(result)
        self.log(actor, f"{label}: {result}")

    async def attempt_async(self, actor, label, awaitable):
        """The same for what is awaited; only whether it fails is logged."""
        try:
            await awaitable
        except (Exception, asyncio.CancelledError) as error:
            self.log(actor, f"{label}: {error_name(error)}")
        else:
            self.log(actor, f"{label}: null")

    async def turns(self, count=1):
        """Lets so many turns of the loop go by."""
        for _ in range(count):
            future = self.loop.create_future()
            self.loop.call_soon(future.set_result, None)
            await future

    async def settle(self):
        """Time enough for what must not happen to happen."""
        await self.turns(20)

    def temp_path(self, name):
        directory = tempfile.mkdtemp(prefix="tandem-differential-")
        self.defer(lambda: shutil.rmtree(directory))
        return f"{directory}/{name}"

    def _adopt(self, protocol):
        async def end():
            if protocol.transport is None or protocol.lost:
                return
            getattr(protocol.transport, "abort", protocol.transport.close)()
            await protocol.until_lost()

        self.defer(end)
        return protocol

    def recorder(self, actor, **hooks):
        return self._adopt(Recorder(self._log, actor, hooks))

    def buffered(self, actor, **hooks):
        return self._adopt(BufferedRecorder(self._log, actor, hooks))

    def datagrams(self, actor, **hooks):
        return self._adopt(DatagramRecorder(self._log, actor, hooks))

    def child(self, **hooks):
        return self._adopt(ProcessRecorder(self._log, "process", hooks))

    def peer(self, sock):
        peer = Peer(self._log, sock)
        self.defer(peer.close)
        return peer

    def listen(self):
        """A bare listening socket."""
        listener = socket.socket()
        self.defer(listener.close)
        listener.setblocking(False)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        return listener

    async def dial(self, protocol):
        """Connects a protocol to a bare socket."""
        with contextlib.closing(socket.socket()) as listener:
            listener.setblocking(False)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            await self.loop.create_connection(lambda: protocol, *listener.getsockname())
            sock, _ = await self.loop.sock_accept(listener)
            sock.setblocking(False)
            return self.peer(sock)

    async def dial_resettable(self, protocol):
        """The same, but gives only a function that resets the connection."""
        peer = await self.dial(protocol)

        async def reset():
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()

        return reset

    async def serve(self, factory, **options):
        server = await self.loop.create_server(factory, "127.0.0.1", 0, **options)
        self.defer(server.close)
        return server

    async def connect(self, server, protocol):
        await self.loop.create_connection(lambda: protocol, *server.sockets[0].getsockname())

    async def knock(self, server):
        """Connects a bare socket to a server."""
        sock = socket.socket()
        sock.setblocking(False)
        peer = self.peer(sock)
        await self.loop.sock_connect(sock, server.sockets[0].getsockname())
        return peer

    async def endpoint(self, protocol, remote=None):
        """Opens a datagram endpoint, for one remote endpoint or for all."""
        remote_addr = remote.transport.get_extra_info("sockname") if remote else None
        await self.loop.create_datagram_endpoint(
            lambda: protocol, local_addr=("127.0.0.1", 0), remote_addr=remote_addr
        )


def describe_context(context):
    """An exception handler's context as a line: what failed, with what error, and which keys there are."""
    message = context["message"]
    fatal = re.match(r"^Fatal error: protocol\.(\w+)\(\) call failed\.$", message)
    contained = re.match(r"^protocol\.(\w+)\(\) failed$", message)
    callback = re.match(r"^Exception in callback .*?(\w+)\(", message)
    if fatal:
        what = f"fatal in {fatal[1]}"
    elif contained:
        what = f"failed {contained[1]}"
    elif callback:
        what = f"failed {callback[1]}"
    else:
        what = json.dumps(message)
    left_out = ["message", "source_traceback"]
    keys = sorted("error" if key == "exception" else key for key in context if key not in left_out)
    return f"exception handler: {what}, {error_name(context.get('exception'))} [{' '.join(keys)}]"
