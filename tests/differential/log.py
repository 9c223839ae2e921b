"""What each actor of a scenario saw, as lines."""

import asyncio
import errno
import json
import ssl
import zlib

# Python's errors by the names that Tandem and Deno give to them; the one place where the two meet.
ERRORS = {
    BrokenPipeError: "BrokenPipe",
    ConnectionAbortedError: "ConnectionAborted",
    ConnectionRefusedError: "ConnectionRefused",
    ConnectionResetError: "ConnectionReset",
    FileNotFoundError: "NotFound",
    NotImplementedError: "NotSupported",
    PermissionError: "PermissionDenied",
    ProcessLookupError: "ProcessLookupError",
    RuntimeError: "InvalidStateError",
    TypeError: "TypeError",
    ValueError: "RangeError",
}
ERROR_NUMBERS = {errno.EADDRINUSE: "AddrInUse", errno.EBADF: "BadResource"}


class Boom(Exception):
    """What the scenarios throw."""


def boom(*_args):
    raise Boom("boom")


def error_name(error):
    if error is None:
        return "null"
    if type(error) in ERRORS:
        return ERRORS[type(error)]
    if isinstance(error, ssl.SSLError):
        return "TlsError"
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
