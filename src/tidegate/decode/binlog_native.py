"""The compiled gatherer of MariaDB's log (`rust/src/binlog.rs`) behind the interface both have. Calls let other threads
run."""

from __future__ import annotations

import ctypes
import struct
import uuid
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tidegate.decode.binlog_gatherer import BinlogGatherer, Fed, Stop, Table, Transaction, check_table
from tidegate.decode.binlog_table import TableMap
from tidegate.decode.fault import Contradiction, Fault
from tidegate.decode.gatherer import Buffer, Limits, Log, Mode, Net, check_start
from tidegate.decode.gtid import Gtid, MariadbGtid, MysqlGtid
from tidegate.decode.native import Shape, Taken, binding, c_limits, counted, done, failed

_EVENT = struct.Struct("=4Q2IQ4I16s32s")
_ANONYMOUS, _TAGGED = 1, 2
_ACTIVE = struct.Struct("=QII")
_PASSED_OVER = 3


class _Fed(ctypes.Structure):
    """Of a push: `consumed` is the length of the message that cannot be, `stop` its kind."""

    _fields_ = [
        ("consumed", ctypes.c_uint64),
        ("stop", ctypes.c_uint32),
        ("fault", ctypes.c_uint32),
        ("a", ctypes.c_uint64),
    ]


class _Totals(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("changes", "bytes", "at")),
        ("inside", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
        ("open", ctypes.c_ubyte * _EVENT.size),
    ]


class NativeBinlogGatherer(BinlogGatherer):
    """Raises `FileNotFoundError`, `Unusable` as `binding`."""

    def __init__(self) -> None:
        self._library = binding()
        self._handle = self._library.tg_binlog_open()
        if not self._handle:
            raise failed()
        weakref.finalize(self, self._library.tg_binlog_close, self._handle)
        self._said: dict[int, Table] = {}
        self._shapes: dict[int, Shape] = {}
        self._totals = _Totals()
        self._told = ctypes.byref(self._totals)

    def begin(self, offset: int, *, checksums: bool) -> None:
        done(self._library.tg_binlog_begin(self._handle, offset, checksums, self._told))

    def table(self, number: int, table: Table) -> None:
        check_table(number, table)
        shape = Shape(table.names, table.key, Mode.SKIP if table.mode is None else table.mode)
        if self._shapes.get(number, shape) != shape and number in self.held():
            raise ValueError(f"rows of relation {number} are gathered in another shape")
        columns = b"".join(reading.packed() for reading in table.readings)
        key = (ctypes.c_uint32 * len(table.key))(*table.key)
        mode = _PASSED_OVER if table.mode is None else table.mode
        raw = table.raw
        done(
            self._library.tg_binlog_table(
                self._handle, number, raw, len(raw), columns, len(columns), key, len(table.key), mode
            )
        )
        self._said[number], self._shapes[number] = table, shape

    def feed(self, buffer: Buffer, start: int, limits: Limits) -> Fed:
        held = pa.py_buffer(buffer)
        check_start(start, held.size)
        asked, fed = c_limits(limits), _Fed()
        done(
            self._library.tg_binlog_feed(
                self._handle,
                held.address + start,
                held.size - start,
                ctypes.byref(asked),
                ctypes.byref(fed),
                self._told,
            )
        )
        return Fed(fed.consumed, self._ended(), Stop(fed.stop))

    def _ended(self) -> list[Transaction]:
        first = ctypes.c_void_p()
        count = counted(self._library.tg_binlog_events(self._handle, ctypes.byref(first)))
        if not count:
            return []
        told = ctypes.string_at(first.value or 0, count * _EVENT.size)
        return [_transaction(*row) for row in _EVENT.iter_unpack(told)]

    @property
    def _tables(self) -> Mapping[int, Table]:
        return self._said

    def _push(self, number: int, messages: Sequence[bytes]) -> None:
        frames = b"".join(struct.pack(">I", len(message)) + message for message in messages)
        fed = _Fed()
        done(self._library.tg_binlog_push(self._handle, number, frames, len(frames), ctypes.byref(fed), self._told))
        if fed.fault:
            raise Contradiction(bytes([fed.stop]), Fault.of(fed.fault), fed.a, length=fed.consumed)

    def passed(self, end: int, *, ends_statement: bool) -> None:
        done(self._library.tg_binlog_passed(self._handle, end, ends_statement, self._told))

    def leave(self) -> None:
        done(self._library.tg_binlog_leave(self._handle, self._told))

    @property
    def offset(self) -> int:
        return int(self._totals.at)

    @property
    def open(self) -> Transaction | None:
        return _transaction(*_EVENT.unpack(bytes(self._totals.open))) if self._totals.inside else None

    def active(self) -> dict[int, TableMap]:
        first = ctypes.c_void_p()
        count = counted(self._library.tg_binlog_active(self._handle, ctypes.byref(first)))
        told = ctypes.string_at(first.value or 0, count * _ACTIVE.size) if count else b""
        return {id: self._said[number].map._replace(table_id=id) for id, number, _ in _ACTIVE.iter_unpack(told)}

    def held(self) -> list[int]:
        first = ctypes.POINTER(ctypes.c_uint32)()
        return first[: counted(self._library.tg_binlog_held(self._handle, ctypes.byref(first)))]

    def take(self, number: int) -> Net | Log:
        shape = self._shapes[number]
        if shape.mode is Mode.SKIP:
            raise KeyError(number)
        first = ctypes.POINTER(Taken)()
        count = self._library.tg_binlog_take(self._handle, number, ctypes.byref(first), self._told)
        groups = first[: counted(count)]
        return shape.net(groups) if shape.mode is Mode.NET else shape.log(groups)

    def clear(self) -> None:
        done(self._library.tg_binlog_clear(self._handle, self._told))

    @property
    def changes(self) -> int:
        return int(self._totals.changes)

    @property
    def size_bytes(self) -> int:
        return int(self._totals.bytes)


def _transaction(number: int, start: int, end: int, changes: int, at_s: int, _: int, *gtid: Any) -> Transaction:
    return Transaction(number, start, end, _gtid(*gtid), at_s, changes)


def _gtid(sequence: int, domain: int, server: int, form: int, _: int, source: bytes, tag: bytes) -> Gtid | None:
    if form == _ANONYMOUS:
        return None
    if form < _ANONYMOUS:
        return MariadbGtid(domain, server, sequence)
    return MysqlGtid((str(uuid.UUID(bytes=source)), tag[: form - _TAGGED].decode()), sequence)
