"""What a server has sent so far in a COPY, in one gulp: of a walsender frames for a decoder and what its signs of life
say, of a table's rows all bytes as they are.

There are two, alike: one that asks libpq from the compiled library, without the interpreter, and its readable twin.
Format: PostgreSQL documentation, "Streaming Replication Protocol".
"""

from __future__ import annotations

import ctypes
import struct
import weakref
from abc import ABC, abstractmethod
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple

import psycopg
import pyarrow as pa
from psycopg import pq

from tidegate.decode.choice import which
from tidegate.decode.native import binding
from tidegate.errors import SourceUnreachable, TidegateError

_HEAD = struct.Struct(">xQQq")
_LIFE = struct.Struct(">xQqB")
_LENGTH = struct.Struct(">I")


class State(IntEnum):
    """Why draining stopped."""

    NOTHING_MORE = 0
    """Nothing that has arrived is left."""
    FULL = 1
    ENDED = 2
    """The server ended the COPY."""
    FAILED = 3
    """The connection is lost."""
    GARBLED = 4


class Gulp(NamedTuple):
    frames: memoryview
    """Each a length of four bytes and a message of the log, or (not `framed`) just bytes; valid until the next gulp."""
    received: int
    """The furthest place in the log that was named; 0: none was."""
    idle: int
    """Up to here, behind the last frame, there was nothing for us; 0: it was not said."""
    wanted: bool
    """The server wants an answer."""
    messages: int
    state: State


class Drain(ABC):
    """One connection in the middle of a COPY. Used by one thread; never waits."""

    @abstractmethod
    def take(self, limit_bytes: int) -> Gulp:
        """What libpq and the socket hold, up to about the limit. Raises `SourceUnreachable`."""


def open_drain(connection: pq.abc.PGconn, *, framed: bool = True) -> Drain:
    functions = _functions() if which().native else None
    return PlainDrain(connection, framed) if functions is None else _NativeDrain(connection, functions, framed)


class PlainDrain(Drain):
    def __init__(self, connection: pq.abc.PGconn, framed: bool) -> None:
        self._connection = connection
        self._framed = framed

    def take(self, limit_bytes: int) -> Gulp:
        frames = bytearray()
        received = idle = messages = 0
        wanted, fresh, state = False, False, State.FULL
        while len(frames) < limit_bytes:
            try:
                length, data = self._connection.get_copy_data(1)
                if length == 0 and not fresh:
                    fresh = True
                    self._connection.consume_input()
                    continue
            except psycopg.OperationalError:
                state = State.FAILED
                break
            if length <= 0:
                state = State.NOTHING_MORE if length == 0 else State.ENDED
                break
            fresh, messages = False, messages + 1
            if not self._framed:
                frames += data
            elif length >= _HEAD.size and data[0] == ord("w"):
                start, _, _ = _HEAD.unpack_from(data)
                received, idle = max(received, start), 0
                frames += _LENGTH.pack(length - _HEAD.size)
                frames += data[_HEAD.size :]
            elif length == _LIFE.size and data[0] == ord("k"):
                idle, _, wish = _LIFE.unpack(data)
                received, wanted = max(received, idle), wanted or bool(wish)
            else:
                state = State.GARBLED
                break
        return Gulp(memoryview(frames), received, idle, wanted, messages, state)


class _Gulp(ctypes.Structure):
    _fields_ = [
        ("frames", ctypes.c_void_p),
        *((name, ctypes.c_uint64) for name in ("length", "received", "idle")),
        *((name, ctypes.c_uint32) for name in ("state", "wanted")),
        ("messages", ctypes.c_uint64),
    ]


class _NativeDrain(Drain):
    def __init__(self, connection: pq.abc.PGconn, functions: ctypes.Array[ctypes.c_void_p], framed: bool) -> None:
        self._library = binding()
        self._handle = self._library.tg_drain_open(ctypes.byref(functions), framed)
        if not self._handle:
            raise SourceUnreachable("no memory to read the log into")
        weakref.finalize(self, self._library.tg_drain_close, self._handle)
        self._connection = connection
        self._gulp = _Gulp()

    def take(self, limit_bytes: int) -> Gulp:
        gulp, pointer = self._gulp, getattr(self._connection, "pgconn_ptr", None)
        if not pointer:
            raise SourceUnreachable("the connection was closed")
        if self._library.tg_drain(self._handle, pointer, limit_bytes, ctypes.byref(gulp)):
            raise TidegateError("the compiled reader failed inside; TIDEGATE_DECODE=python does without it")
        # Not a ctypes array: each length would be a type of its own, of which something is kept for ever.
        frames = memoryview(pa.foreign_buffer(gulp.frames, gulp.length) if gulp.length else b"").cast("B")
        return Gulp(frames, gulp.received, gulp.idle, bool(gulp.wanted), gulp.messages, State(gulp.state))


@cache
def _functions() -> ctypes.Array[ctypes.c_void_p] | None:
    """Those of the libpq that psycopg uses, where that is certain: a connection of another would be no connection."""
    try:
        mapped = Path("/proc/self/maps").read_text()
    except OSError:
        return None
    found = {line.split(maxsplit=5)[5] for line in mapped.splitlines() if "/libpq" in line}
    own = {path for path in found if "/psycopg_binary.libs/" in path} if pq.__impl__ == "binary" else found
    if len(own) != 1:
        return None
    libpq = ctypes.CDLL(own.pop())
    names = ("PQgetCopyData", "PQfreemem", "PQconsumeInput")
    try:
        addresses = [ctypes.cast(getattr(libpq, name), ctypes.c_void_p).value for name in names]
    except AttributeError:
        return None
    return (ctypes.c_void_p * len(names))(*addresses)
