"""What the scenarios stand on, asyncio's side: a log of what each actor saw, recording protocols, bare peers.

stage.ts is the same for Tandem: same names, in camelCase.
"""

import asyncio
import contextlib
import errno
import json
import re
import shutil
import socket
import struct
import tempfile
import zlib

# Python's errors by the names that Tandem and Deno give to them; the one place where the two meet.
ERRORS = {
    BrokenPipeError: "BrokenPipe",
    ConnectionRefusedError: "ConnectionRefused",
    ConnectionResetError: "ConnectionReset",
    FileNotFoundError: "NotFound",
    PermissionError: "PermissionDenied",
    ProcessLookupError: "ProcessLookupError",
    RuntimeError: "InvalidStateError",
    TypeError: "TypeError",
    ValueError: "RangeError",
}
ERROR_NUMBERS = {errno.EADDRINUSE: "AddrInUse"}


class Boom(Exception):
    """What the scenarios throw."""


def boom(*_args):
    raise Boom("boom")


def error_name(error):
    if error is None:
        return "null"
    if type(error) in ERRORS:
        return ERRORS[type(error)]
    if isinstance(error, OSError) and error.errno in errno.errorcode:
        return ERROR_NUMBERS.get(error.errno, errno.errorcode[error.errno])
    return type(error).__name__


def show(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def show_data(data):
    """Bytes as text where they are short and plain, otherwise by their number and a checksum."""
    if len(data) <= 60 and all(32 <= byte < 127 for byte in data):
        return json.dumps(bytes(data).decode())
    return f"{len(data)} bytes, crc32 {zlib.crc32(data):08x}"


def pattern(length):
    """Bytes whose values tell their place: byte i is i * 7 % 251."""
    return (bytes(i * 7 % 251 for i in range(251)) * (length // 251 + 1))[:length]


def to_bytes(data):
    return data.encode() if isinstance(data, str) else data


class Log:
    """Lines in the order of each actor; between actors there is none, for the kernel's is not ours to know.

    Bytes in a row are one line, however the kernel cuts them.
    """

    def __init__(self):
        self._entries = {}
        self._waiters = []

    def line(self, actor, text):
        self._entries.setdefault(actor, []).append(text)
        self.changed()

    def data(self, actor, label, data):
        entries = self._entries.setdefault(actor, [])
        if entries and isinstance(entries[-1], tuple) and entries[-1][0] == label:
            entries[-1][1].extend(data)
        else:
            entries.append((label, bytearray(data)))
        self.changed()

    def count(self, actor, prefix):
        entries = self._entries.get(actor, [])
        return sum((entry if isinstance(entry, str) else entry[0]).startswith(prefix) for entry in entries)

    def lines(self):
        return [
            f"{actor}: {entry if isinstance(entry, str) else f'{entry[0]} {show_data(entry[1])}'}"
            for actor in sorted(self._entries)
            for entry in self._entries[actor]
        ]

    def changed(self):
        for waiter in self._waiters[:]:
            done, future = waiter
            if done():
                self._waiters.remove(waiter)
                future.set_result(None)

    async def until(self, done):
        if not done():
            future = asyncio.get_running_loop().create_future()
            self._waiters.append((done, future))
            await future


class BaseRecorder:
    """Logs each callback, then runs the scenario's hook for it: `hook(protocol, *args)`."""

    def __init__(self, log, actor, hooks):
        unknown = [name for name in hooks if not hasattr(self, name)]
        assert not unknown, unknown
        self._log = log
        self.actor = actor
        self._hooks = hooks
        self.transport = None
        self.lost = False
        self.paused = False
        self.data = bytearray()

    def log(self, text):
        self._log.line(self.actor, text)

    def hook(self, name, *args):
        return self._hooks[name](self, *args) if name in self._hooks else None

    async def received(self, count):
        """Waits until so many bytes have come in all."""
        await self._log.until(lambda: len(self.data) >= count)

    async def until(self, prefix, count=1):
        """Waits for so many lines of this actor that start so."""
        await self._log.until(lambda: self._log.count(self.actor, prefix) >= count)

    async def until_lost(self):
        await self._log.until(lambda: self.lost)

    def hand_over(self, other):
        """Sets another recorder as the transport's protocol."""
        other.transport = self.transport
        self.transport.set_protocol(other)
        # The rest is the other's, cleaning up too.
        self.lost = True

    def connection_made(self, transport):
        self.transport = transport
        self.log("connection_made")
        self.hook("connection_made")

    def connection_lost(self, exc):
        self.log(f"connection_lost {error_name(exc)}")
        self.lost = True
        self._log.changed()
        self.hook("connection_lost", exc)

    def pause_writing(self):
        self.log("pause_writing")
        self.paused = True
        self.hook("pause_writing")

    def resume_writing(self):
        self.log("resume_writing")
        self.paused = False
        self.hook("resume_writing")


class Recorder(BaseRecorder, asyncio.Protocol):
    def data_received(self, data):
        self.data.extend(data)
        self._log.data(self.actor, "data_received", data)
        self.hook("data_received", data)

    def eof_received(self):
        self.log("eof_received")
        return self.hook("eof_received")


class BufferedRecorder(BaseRecorder, asyncio.BufferedProtocol):
    """Its get_buffer logs only where a hook does, for when and how often it is asked is the kernel's affair."""

    def __init__(self, log, actor, hooks):
        super().__init__(log, actor, hooks)
        self.buffer = bytearray(65536)

    def get_buffer(self, sizehint):
        if "get_buffer" in self._hooks:
            self.buffer = self.hook("get_buffer", sizehint)
        return self.buffer

    def buffer_updated(self, nbytes):
        data = bytes(self.buffer[:nbytes])
        self.data.extend(data)
        self._log.data(self.actor, "buffer_updated", data)
        self.hook("buffer_updated", nbytes)

    def eof_received(self):
        self.log("eof_received")
        return self.hook("eof_received")


class DatagramRecorder(BaseRecorder, asyncio.DatagramProtocol):
    def datagram_received(self, data, addr):
        self.log(f"datagram_received {show_data(data)}")
        self.data.extend(data)
        self._log.changed()
        self.hook("datagram_received", data, addr)

    def error_received(self, exc):
        self.log(f"error_received {error_name(exc)}")
        self.hook("error_received", exc)


class ProcessRecorder(BaseRecorder, asyncio.SubprocessProtocol):
    """Logs each pipe as an actor of its own: the order between pipes is the kernel's."""

    def pipe_data_received(self, fd, data):
        self.data.extend(data)
        self._log.data(f"pipe {fd}", f"pipe_data_received {fd}", data)
        self.hook("pipe_data_received", fd, data)

    def pipe_connection_lost(self, fd, exc):
        self._log.line(f"pipe {fd}", f"pipe_connection_lost {fd} {error_name(exc)}")
        self.hook("pipe_connection_lost", fd, exc)

    def process_exited(self):
        self.log(f"process_exited {self.transport.get_returncode()}")
        self.hook("process_exited")


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
    keys = sorted("error" if key == "exception" else key for key in context if key not in ("message", "source_traceback"))
    return f"exception handler: {what}, {error_name(context.get('exception'))} [{' '.join(keys)}]"
