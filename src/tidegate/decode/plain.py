"""The readable gatherer: what the compiled one does, in Python, one row at a time."""

from __future__ import annotations

import struct
from collections.abc import Sequence
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
from tidegate.decode.kept import Gathered, Refusal
from tidegate.decode.pgoutput import Begin, Commit, Relation, RowChange, Truncate

_LENGTH = struct.Struct(">I")


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
        self._gathered = Gathered()
        self._open: Event | None = None
        self._skip = 0
        self._transactions = 0
        self._events: list[Event] = []

    def resume(self, lsn: int, inside: int = 0, changes: int = 0) -> None:
        self._resumed = (lsn, inside, changes)

    def shape(self, oid: int, names: Sequence[str], key: Sequence[int], mode: Mode) -> None:
        check_shape(oid, names, key, mode)
        self._gathered.shape(oid, names, key, mode)

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
        return self._gathered.held()

    def take(self, oid: int) -> Net | Log:
        return self._gathered.take(oid)

    def clear(self) -> None:
        self._gathered.clear()

    @property
    def changes(self) -> int:
        return self._gathered.changes

    @property
    def size_bytes(self) -> int:
        return self._gathered.bytes

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
                if (held := self._gathered.relations.get(event.oid)) is not None:
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
        held = self._gathered.relations.get(change.oid)
        if held is None or not held.described:
            return _Halt(Stop.UNSHAPED, before=True, oid=change.oid)
        if held.rows is not None:
            refusal = Refusal(message, change.oid)
            for image in (change.old, change.new):
                if image is not None and len(image) != len(held.shape[0]):
                    raise refusal(Fault.COLUMNS, len(image))
            if transaction.changes >= self._skip:
                gathered = self._gathered
                size = gathered.bytes + len(message)
                full = gathered.changes >= limits.split_changes_max or size > min(limits.split_bytes_max, BYTES_MAX)
                if gathered.changes and full:
                    return _Halt(Stop.FULL, before=True)
                held.rows.add(change, refusal, (transaction.transaction, transaction.changes))
                gathered.count(change.oid, 1, len(message))
        self._count(transaction, 1)
        return None

    # --- the place among transactions ---

    def _inside(self, message: bytes) -> Event:
        if self._open is None:
            raise Contradiction(message, Fault.PLACE)
        return self._open

    def _count(self, transaction: Event, changes: int) -> None:
        self._open = transaction._replace(changes=transaction.changes + changes)

    def _room(self, limits: Limits) -> _Halt | None:
        return _Halt(Stop.FULL) if self._gathered.is_full(limits) else None
