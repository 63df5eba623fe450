"""The readable gatherer: what the compiled one does, in Python, one row at a time.

Most messages are changes that `rowscan` reads where they stand; the others, and those that make no sense, go through
`pgoutput.decode`. Values stay bytes until they are pyarrow's: as texts they would cost half as much again.
"""

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
from tidegate.decode.kept import Gathered, Impossible
from tidegate.decode.pgoutput import Begin, Commit, Relation, RowChange, Truncate
from tidegate.decode.rowscan import Scanned, bytes_row, scanned

_LENGTH = struct.Struct(">I")
# So much of a buffer is copied at once, as only of bytes slices are bytes.
_PIECE_BYTES = 1 << 18


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
        self._inside_changes = 0
        """How many changes of the open transaction were read."""
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
        halt: _Halt | None = None
        while halt is None:
            piece = bytes(view[at : at + max(_PIECE_BYTES, _first_bytes(view, at))])
            read, halt = self._piece(piece, limits, first=at == start)
            at += read
            if not read and halt is None:
                halt = _Halt(Stop.END)
        return Fed(at - start, self._events, halt.stop, halt.met, halt.oid)

    def _piece(self, data: bytes, limits: Limits, *, first: bool) -> tuple[int, _Halt | None]:
        """How much of it was read, and why no more: None if the rest of it is no whole frame. Raises `Malformed` for
        the `first` frame of all."""
        at = 0
        while len(data) - at >= _LENGTH.size:
            try:
                change = scanned(data, at)
                if change is not None:
                    behind, met = change[0], self._change(change, data, at, limits)
                else:
                    message = _message(data, at)
                    if message is None:
                        break
                    behind = at + _LENGTH.size + len(message)
                    met = self._event(message, data, at, limits)
            except Malformed:
                if first and not at:
                    raise
                met = _Halt(Stop.BROKEN, before=True)
            if met is not None:
                return at if met.before else behind, met
            at = behind
        return at, None

    @property
    def open(self) -> Event | None:
        return None if self._open is None else self._open._replace(changes=self._inside_changes)

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

    def _event(self, message: bytes, data: bytes, at: int, limits: Limits) -> _Halt | None:
        """One that stands in `data` at `at`. None: go on. Raises `Malformed`."""
        event = pgoutput.decode(message)
        match event:
            case RowChange():
                behind = at + _LENGTH.size + len(message)
                change = (behind, event.oid, event.op, bytes_row(event.old), bytes_row(event.new))
                return self._change(change, data, at, limits)
            case Begin():
                self._begin(event, message)
            case Commit():
                return self._commit(event, message, limits)
            case Relation():
                if (held := self._gathered.relations.get(event.oid)) is not None:
                    held.described = False
                return _Halt(Stop.RELATION, event)
            case Truncate():
                self._inside(message)
                self._inside_changes += len(event.oids)
                return _Halt(Stop.TRUNCATE, event)
        return None

    def _begin(self, begin: Begin, message: bytes) -> None:
        if self._open is not None:
            raise Contradiction(message, Fault.PLACE)
        at_us, number = begin.committed_at_us, self._transactions
        self._open = Event(EventKind.BEGIN, begin.xid, number, begin.commit_lsn, 0, at_us, 0)
        self._inside_changes = 0
        self._transactions += 1
        lsn, inside, changes = self._resumed
        self._skip = changes if begin.commit_lsn == inside else 0
        if begin.commit_lsn < lsn:
            self._skip = COUNT_MAX

    def _commit(self, commit: Commit, message: bytes, limits: Limits) -> _Halt | None:
        done, changes = self._inside(message), self._inside_changes
        if changes < self._skip < COUNT_MAX:
            raise Contradiction(message, Fault.FEWER)
        self._events.append(done._replace(kind=EventKind.COMMIT, end_lsn=commit.end_lsn, changes=changes))
        self._open, self._skip = None, 0
        return self._room(limits)

    def _change(self, change: Scanned, data: bytes, at: int, limits: Limits) -> _Halt | None:
        behind, oid, op, old, new = change
        transaction = self._open
        if transaction is None:
            raise Contradiction(data[at + _LENGTH.size : behind], Fault.PLACE)
        held = self._gathered.relations.get(oid)
        if held is None or not held.described:
            return _Halt(Stop.UNSHAPED, before=True, oid=oid)
        if held.rows is not None:
            for image in (old, new):
                if image is not None and len(image) != len(held.shape[0]):
                    raise Contradiction(data[at + _LENGTH.size : behind], Fault.COLUMNS, oid, len(image))
            if self._inside_changes >= self._skip:
                gathered, size = self._gathered, behind - at - _LENGTH.size
                if gathered.changes and gathered.has_no_room(size, limits):
                    return _Halt(Stop.FULL, before=True)
                try:
                    held.rows.add(op, old, new, transaction.transaction, self._inside_changes)
                except Impossible as found:
                    raise Contradiction(data[at + _LENGTH.size : behind], found.fault, oid) from None
                gathered.count(oid, 1, size)
        self._inside_changes += 1
        return None

    # --- the place among transactions ---

    def _inside(self, message: bytes) -> Event:
        if self._open is None:
            raise Contradiction(message, Fault.PLACE)
        return self._open

    def _room(self, limits: Limits) -> _Halt | None:
        return _Halt(Stop.FULL) if self._gathered.is_full(limits) else None


def _first_bytes(view: memoryview, at: int) -> int:
    """How long the frame there is, if it is one."""
    (length,) = _LENGTH.unpack_from(view, at) if len(view) - at >= _LENGTH.size else (0,)
    return _LENGTH.size + int(length)


def _message(data: bytes, at: int) -> bytes | None:
    """That of the frame there; None if it is not whole. Raises `Malformed`."""
    (length,) = _LENGTH.unpack_from(data, at)
    if length > BYTES_MAX:
        raise Malformed(b"", Fault.LONG, length=length)
    behind = at + _LENGTH.size + length
    return data[at + _LENGTH.size : behind] if behind <= len(data) else None
