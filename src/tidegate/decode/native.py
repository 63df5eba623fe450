"""The compiled gatherer (`rust/`) behind the interface both have.

Everything about bytes is over there; here are the C structs, the errors' classes and the hand-over of columns. Calls
let other threads run.
"""

from __future__ import annotations

import ctypes
import struct
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pyarrow as pa

from tidegate.decode import pgoutput
from tidegate.decode.fault import Contradiction, Fault, Malformed
from tidegate.decode.gatherer import (
    STAMPS,
    Buffer,
    Event,
    EventKind,
    Fed,
    Gatherer,
    Limits,
    Log,
    Mode,
    Moved,
    Net,
    Patch,
    Stop,
    Unchanged,
    check_shape,
    check_start,
)
from tidegate.decode.pgoutput import EPOCH_US, Relation, Truncate
from tidegate.errors import TidegateError

LIBRARY = Path(__file__).with_name("_native.so")
INTERFACE = 7
"""Which interface of the library this module speaks."""

_NOT_HAD = ctypes.c_size_t(-1).value
_NO_KIND = 256

_EVENT = struct.Struct("=IIQQQqQ")
_DELETES, _PUTS, _PATCH, _MOVED, _INSERTS = 1, 2, 3, 4, 9
_ROW_NUMBERS = pa.schema([("row", pa.int64())])


class CLimits(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("changes", "bytes", "split_changes", "split_bytes")]


class _Fed(ctypes.Structure):
    _fields_ = [
        ("consumed", ctypes.c_uint64),
        *((name, ctypes.c_uint32) for name in ("stop", "oid", "kind", "fault")),
        *((name, ctypes.c_uint64) for name in ("length", "a", "b", "message_at", "message_length")),
    ]


class _Totals(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("changes", "bytes", "skip")),
        ("inside", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
        ("open", ctypes.c_ubyte * _EVENT.size),
    ]


class ArrowArray(ctypes.Structure):
    """Ten words, known to pyarrow."""

    _fields_ = [("words", ctypes.c_void_p * 10)]


class Taken(ctypes.Structure):
    _fields_ = [
        ("holds", ctypes.c_uint32),
        ("columns_length", ctypes.c_uint32),
        ("columns", ctypes.POINTER(ctypes.c_uint32)),
        ("batch", ArrowArray),
        ("unused", ctypes.c_void_p * 2),
    ]


class Unusable(Exception):
    """The library is there and cannot be used. Says why."""


@cache
def binding() -> ctypes.CDLL:
    """The library, loaded once. Raises `FileNotFoundError`, or `Unusable`."""
    if not LIBRARY.exists():
        raise FileNotFoundError(LIBRARY)
    try:
        found = ctypes.CDLL(str(LIBRARY))
        spoken = found.tg_interface()
    except (OSError, AttributeError) as error:
        raise Unusable(f"{LIBRARY.name} cannot be loaded") from error
    if spoken != INTERFACE:
        raise Unusable(f"{LIBRARY.name} was built from another version; build it again")
    number, long, size, pointer = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p
    for name, answer, arguments in (
        ("tg_open", pointer, []),
        ("tg_close", None, [pointer]),
        ("tg_resume", number, [pointer, long, long, long]),
        ("tg_shape", number, [pointer, number, number, pointer, size, number]),
        ("tg_feed", number, [pointer, pointer, size, pointer, pointer, pointer]),
        ("tg_events", size, [pointer, pointer]),
        ("tg_held", size, [pointer, pointer]),
        ("tg_take", size, [pointer, number, pointer, pointer]),
        ("tg_clear", number, [pointer, pointer]),
        ("tg_drain_open", pointer, [pointer, number]),
        ("tg_drain_close", None, [pointer]),
        ("tg_drain", number, [pointer, pointer, size, pointer]),
        ("tg_walk", number, [pointer, size, number, pointer]),
        ("tg_strip", number, [pointer, size, pointer, size, pointer]),
        ("tg_copy_open", pointer, []),
        ("tg_copy_close", None, [pointer]),
        ("tg_binlog_open", pointer, []),
        ("tg_binlog_close", None, [pointer]),
        ("tg_binlog_begin", number, [pointer, long, number, pointer]),
        ("tg_binlog_table", number, [pointer, number, pointer, size, pointer, size, pointer, size, number]),
        ("tg_binlog_feed", number, [pointer, pointer, size, pointer, pointer, pointer]),
        ("tg_binlog_push", number, [pointer, number, pointer, size, pointer, pointer]),
        ("tg_binlog_passed", number, [pointer, number, number, pointer]),
        ("tg_binlog_leave", number, [pointer, pointer]),
        ("tg_binlog_events", size, [pointer, pointer]),
        ("tg_binlog_active", size, [pointer, pointer]),
        ("tg_binlog_held", size, [pointer, pointer]),
        ("tg_binlog_take", size, [pointer, number, pointer, pointer]),
        ("tg_binlog_clear", number, [pointer, pointer]),
        ("tg_copy", number, [pointer, pointer, size, long, long, pointer]),
        ("tg_rows_open", pointer, [pointer, size]),
        ("tg_rows_close", None, [pointer]),
        ("tg_rows_feed", number, [pointer, pointer, size, pointer]),
        ("tg_rows_take", number, [pointer, pointer]),
    ):
        function = getattr(found, name)
        function.restype, function.argtypes = answer, arguments
    return found


class NativeGatherer(Gatherer):
    """Raises `FileNotFoundError`, `Unusable` as `binding`."""

    def __init__(self) -> None:
        self._library = binding()
        self._handle = self._library.tg_open()
        if not self._handle:
            raise failed()
        weakref.finalize(self, self._library.tg_close, self._handle)
        self._shapes: dict[int, Shape] = {}
        self._totals = _Totals()

    def resume(self, lsn: int, inside: int = 0, changes: int = 0) -> None:
        done(self._library.tg_resume(self._handle, lsn, inside, changes))

    def shape(self, oid: int, names: Sequence[str], key: Sequence[int], mode: Mode) -> None:
        check_shape(oid, names, key, mode)
        shape = Shape(tuple(names), tuple(key), mode)
        if self._shapes.get(oid, shape) != shape and oid in self.held():
            raise ValueError(f"rows of relation {oid} are gathered in another shape")
        numbers = (ctypes.c_uint32 * len(key))(*key)
        done(self._library.tg_shape(self._handle, oid, len(names), numbers, len(key), mode))
        self._shapes[oid] = shape

    def feed(self, buffer: Buffer, start: int, limits: Limits) -> Fed:
        held = pa.py_buffer(buffer)
        check_start(start, held.size)
        asked = c_limits(limits)
        fed = _Fed()
        done(
            self._library.tg_feed(
                self._handle,
                held.address + start,
                held.size - start,
                ctypes.byref(asked),
                ctypes.byref(fed),
                ctypes.byref(self._totals),
            )
        )
        stop = Stop(fed.stop)
        if stop is Stop.BROKEN and not fed.consumed:
            raise _malformed(fed)
        met: Relation | Truncate | None = None
        if stop in (Stop.RELATION, Stop.TRUNCATE):
            found = pgoutput.decode(held.slice(start + fed.message_at, fed.message_length).to_pybytes())
            met = found if isinstance(found, Relation | Truncate) else None
        return Fed(fed.consumed, self._events(), stop, met, fed.oid if stop is Stop.UNSHAPED else 0)

    def _events(self) -> list[Event]:
        first = ctypes.c_void_p()
        count = counted(self._library.tg_events(self._handle, ctypes.byref(first)))
        if not count:
            return []
        return [_event(*row) for row in _EVENT.iter_unpack(ctypes.string_at(first.value or 0, count * _EVENT.size))]

    @property
    def open(self) -> Event | None:
        return _event(*_EVENT.unpack(bytes(self._totals.open))) if self._totals.inside else None

    @property
    def passed_over(self) -> int:
        return int(self._totals.skip)

    def held(self) -> list[int]:
        first = ctypes.POINTER(ctypes.c_uint32)()
        return first[: counted(self._library.tg_held(self._handle, ctypes.byref(first)))]

    def take(self, oid: int) -> Net | Log:
        shape = self._shapes[oid]
        if shape.mode is Mode.SKIP:
            raise KeyError(oid)
        first = ctypes.POINTER(Taken)()
        count = self._library.tg_take(self._handle, oid, ctypes.byref(first), ctypes.byref(self._totals))
        groups = first[: counted(count)]
        return shape.net(groups) if shape.mode is Mode.NET else shape.log(groups)

    def clear(self) -> None:
        done(self._library.tg_clear(self._handle, ctypes.byref(self._totals)))

    @property
    def changes(self) -> int:
        return int(self._totals.changes)

    @property
    def size_bytes(self) -> int:
        return int(self._totals.bytes)


@dataclass(frozen=True)
class Shape:
    """Of a relation; makes batches of what is taken of it."""

    names: tuple[str, ...]
    key: tuple[int, ...]
    mode: Mode

    @cached_property
    def whole(self) -> pa.Schema:
        return self.of(range(len(self.names)))

    @cached_property
    def keys(self) -> pa.Schema:
        return self.of(self.key)

    def of(self, columns: Sequence[int]) -> pa.Schema:
        return pa.schema([(self.names[column], pa.string()) for column in columns])

    def net(self, groups: Sequence[Taken]) -> Net:
        deletes = inserts = puts = None
        patches: list[Patch] = []
        moved: list[Moved] = []
        for group in groups:
            columns = tuple(group.columns[: group.columns_length])
            if group.holds == _DELETES:
                deletes = _imported(group, self.keys)
            elif group.holds == _INSERTS:
                inserts = _imported(group, self.whole)
            elif group.holds == _PUTS:
                puts = _imported(group, self.whole)
            elif group.holds == _PATCH:
                patches.append(Patch(columns, _imported(group, self.of(columns))))
            elif group.holds == _MOVED:
                # The keys the rows had come behind them.
                known = columns, _imported(group, self.of(columns))
            else:
                moved.append(Moved(*known, _imported(group, self.keys)))
        return Net(deletes, inserts, puts, patches, moved)

    def log(self, groups: Sequence[Taken]) -> Log:
        rows, stamps, *others = groups
        unchanged = [
            Unchanged(tuple(group.columns[: group.columns_length]), _imported(group, _ROW_NUMBERS).column(0))
            for group in others
        ]
        return Log(_imported(rows, self.whole), _imported(stamps, STAMPS), unchanged)


def _imported(group: Taken, schema: pa.Schema) -> pa.RecordBatch:
    """The batch, which owns its memory from here on."""
    return pa.RecordBatch._import_from_c(ctypes.addressof(group.batch), schema)


def c_limits(limits: Limits) -> CLimits:
    return CLimits(limits.changes_max, limits.bytes_max, limits.split_changes_max, limits.split_bytes_max)


def _event(kind: int, *values: int) -> Event:
    xid, transaction, commit_lsn, end_lsn, at_us, changes = values
    return Event(EventKind(kind), xid, transaction, commit_lsn, end_lsn, at_us + EPOCH_US, changes)


def _malformed(fed: _Fed) -> Malformed:
    fault = Fault.of(fed.fault)
    kind = b"" if fed.kind == _NO_KIND else bytes([fed.kind])
    error = Malformed if fault.alone else Contradiction
    return error(kind, fault, fed.a, fed.b, length=fed.length)


def done(answer: int) -> None:
    if answer:
        raise failed()


def counted(answer: int) -> int:
    if answer == _NOT_HAD:
        raise failed()
    return answer


def failed() -> TidegateError:
    return TidegateError("the compiled decoder failed inside; TIDEGATE_DECODE=python does without it")
