"""The readable gatherer: what the compiled one does, in Python, one row at a time."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tidegate.decode import pgoutput
from tidegate.decode.fault import Contradiction, Fault, Malformed
from tidegate.decode.gatherer import (
    BYTES_MAX,
    COUNT_MAX,
    Buffer,
    Event,
    EventKind,
    Fed,
    Gatherer,
    Limits,
    Log,
    Mode,
    Net,
    Stop,
    check_shape,
    check_start,
)
from tidegate.decode.kept import LogRows, NetRows, Refusal
from tidegate.decode.pgoutput import Begin, Commit, Relation, RowChange, Truncate

_LENGTH = struct.Struct(">I")


@dataclass(slots=True)
class _Gathered:
    """One relation; `rows` None: its changes are passed over."""

    shape: tuple[tuple[str, ...], tuple[int, ...], Mode]
    rows: NetRows | LogRows | None
    described: bool = True
    changes: int = 0
    bytes: int = 0


class _Halt(NamedTuple):
    """Feeding ends, behind the message or (`before`) in front of it."""

    stop: Stop
    met: Relation | Truncate | None = None
    before: bool = False
    oid: int = 0


class PlainGatherer(Gatherer):
    """The readable one."""

    def __init__(self) -> None:
        self._resumed = (0, 0, 0)
        self._relations: dict[int, _Gathered] = {}
        self._held: list[int] = []
        self._open: Event | None = None
        self._skip = 0
        self._transactions = 0
        self._changes = self._bytes = 0
        self._events: list[Event] = []

    def resume(self, lsn: int, inside: int = 0, changes: int = 0) -> None:
        self._resumed = (lsn, inside, changes)

    def shape(self, oid: int, names: Sequence[str], key: Sequence[int], mode: Mode) -> None:
        check_shape(oid, names, key, mode)
        shape = (tuple(names), tuple(key), mode)
        held = self._relations.get(oid)
        if held is not None and held.shape == shape:
            held.described = True
            return
        if held is not None and held.changes:
            raise ValueError(f"rows of relation {oid} are gathered in another shape")
        rows = None if mode is Mode.SKIP else NetRows(*shape[:2]) if mode is Mode.NET else LogRows(*shape[:2])
        self._relations[oid] = _Gathered(shape, rows)

    def feed(self, buffer: Buffer, start: int, limits: Limits) -> Fed:
        view = memoryview(buffer)
        check_start(start, len(view))
        self._events, at = [], start
        halt = _Halt(Stop.END)
        while len(view) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(view, at)
            behind = at + _LENGTH.size + length
            if length <= BYTES_MAX and behind > len(view):
                break
            try:
                if length > BYTES_MAX:
                    raise Malformed(b"", Fault.LONG, length=length)
                met = self._message(bytes(view[at + _LENGTH.size : behind]), limits)
            except Malformed:
                if at == start:
                    raise
                met = _Halt(Stop.BROKEN, before=True)
            if met is None or not met.before:
                at = behind
            if met is not None:
                halt = met
                break
        return Fed(at - start, self._events, halt.stop, halt.met, halt.oid)

    @property
    def open(self) -> Event | None:
        return self._open

    @property
    def passed_over(self) -> int:
        return self._skip

    def held(self) -> list[int]:
        return list(self._held)

    def take(self, oid: int) -> Net | Log:
        held = self._relations[oid]
        if held.rows is None:
            raise KeyError(oid)
        self._changes -= held.changes
        self._bytes -= held.bytes
        held.changes = held.bytes = 0
        if oid in self._held:
            self._held.remove(oid)
        return held.rows.take()

    def clear(self) -> None:
        for oid in self.held():
            self.take(oid)

    @property
    def changes(self) -> int:
        return self._changes

    @property
    def size_bytes(self) -> int:
        return self._bytes

    # --- one message ---

    def _message(self, message: bytes, limits: Limits) -> _Halt | None:
        """None: go on. Raises `Malformed`."""
        event = pgoutput.decode(message)
        match event:
            case RowChange():
                return self._change(event, message, limits)
            case Begin():
                self._begin(event, message)
            case Commit():
                return self._commit(event, message, limits)
            case Relation():
                if (held := self._relations.get(event.oid)) is not None:
                    held.described = False
                return _Halt(Stop.RELATION, event)
            case Truncate():
                self._count(self._inside(message), len(event.oids))
                return _Halt(Stop.TRUNCATE, event)
        return None

    def _begin(self, begin: Begin, message: bytes) -> None:
        if self._open is not None:
            raise Contradiction(message, Fault.PLACE)
        at_us, number = begin.committed_at_us, self._transactions
        self._open = Event(EventKind.BEGIN, begin.xid, number, begin.commit_lsn, 0, at_us, 0)
        self._transactions += 1
        lsn, inside, changes = self._resumed
        self._skip = changes if begin.commit_lsn == inside else 0
        if begin.commit_lsn < lsn:
            self._skip = COUNT_MAX

    def _commit(self, commit: Commit, message: bytes, limits: Limits) -> _Halt | None:
        done = self._inside(message)
        if done.changes < self._skip < COUNT_MAX:
            raise Contradiction(message, Fault.FEWER)
        self._events.append(done._replace(kind=EventKind.COMMIT, end_lsn=commit.end_lsn))
        self._open, self._skip = None, 0
        return self._room(limits)

    def _change(self, change: RowChange, message: bytes, limits: Limits) -> _Halt | None:
        transaction = self._inside(message)
        held = self._relations.get(change.oid)
        if held is None or not held.described:
            return _Halt(Stop.UNSHAPED, before=True, oid=change.oid)
        if held.rows is not None:
            refusal = Refusal(message, change.oid)
            for image in (change.old, change.new):
                if image is not None and len(image) != len(held.shape[0]):
                    raise refusal(Fault.COLUMNS, len(image))
            if transaction.changes >= self._skip:
                size = self._bytes + len(message)
                full = self._changes >= limits.split_changes_max or size > min(limits.split_bytes_max, BYTES_MAX)
                if self._changes and full:
                    return _Halt(Stop.FULL, before=True)
                held.rows.add(change, refusal, (transaction.transaction, transaction.changes))
                self._keep(held, change.oid, len(message))
        self._count(transaction, 1)
        return None

    def _keep(self, held: _Gathered, oid: int, size_bytes: int) -> None:
        if not held.changes:
            self._held.append(oid)
        held.changes += 1
        held.bytes += size_bytes
        self._changes += 1
        self._bytes += size_bytes

    # --- the place among transactions ---

    def _inside(self, message: bytes) -> Event:
        if self._open is None:
            raise Contradiction(message, Fault.PLACE)
        return self._open

    def _count(self, transaction: Event, changes: int) -> None:
        self._open = transaction._replace(changes=transaction.changes + changes)

    def _room(self, limits: Limits) -> _Halt | None:
        full = self._changes >= limits.changes_max or self._bytes >= limits.bytes_max
        return _Halt(Stop.FULL) if self._changes and full else None
