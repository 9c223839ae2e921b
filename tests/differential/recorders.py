"""Protocols that log each callback and then run the scenario's hook for it."""

import asyncio

from log import error_name, show_data


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
