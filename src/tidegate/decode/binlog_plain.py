"""The readable gatherer of MariaDB's and MySQL's log: what the compiled one does, in Python, one row at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from tidegate.decode import binlog_event, pgoutput
from tidegate.decode.binlog import PASSED_OVER, ROWS, BinlogDecoder, verify
from tidegate.decode.binlog_cursor import Cursor, Malformed, Refused
from tidegate.decode.binlog_event import Commit, FormatDescription, Query
from tidegate.decode.binlog_gatherer import (
    CHECKSUM_BYTES,
    HEADER_BYTES,
    ID_BYTES,
    PACKET_BYTES_MAX,
    PACKET_HEADER_BYTES,
    BinlogGatherer,
    Fed,
    Stop,
    Table,
    Transaction,
    change_of,
    check_table,
    moves,
    raw_map,
)
from tidegate.decode.binlog_gtid import MariadbBegin, MysqlBegin
from tidegate.decode.binlog_reading import Way
from tidegate.decode.binlog_rows import Rows
from tidegate.decode.binlog_table import TableMap
from tidegate.decode.fault import Contradiction, Fault
from tidegate.decode.gatherer import BYTES_MAX, Buffer, Limits, Log, Mode, Net, check_start
from tidegate.decode.gtid import MariadbGtid, MysqlGtid
from tidegate.decode.kept import Gathered, Impossible
from tidegate.model.change import Op, Row

_QUERY, _XID, _TABLE_MAP, _GTID = 2, 16, 19, 162
_GTIDS = frozenset({_GTID, 33, 34, 42})
_TAG_MAX = 32
_COMPRESSED = 166


class _Halt(NamedTuple):
    """Feeding ends, behind the packet or (`before`) in front of it."""

    stop: Stop
    before: bool = True


class _Scan(Enum):
    ORDINARY, WAIT, ODD = range(3)


_OTHER = _Halt(Stop.OTHER)


class PlainBinlogGatherer(BinlogGatherer):
    """The readable one."""

    def __init__(self) -> None:
        self._gathered = Gathered()
        self._checksums = False
        self._offset = 0
        self._said: dict[int, Table] = {}
        self._known: dict[bytes, int] = {}
        self._active: dict[int, int] = {}
        self._open: Transaction | None = None
        self._transactions = 0
        self._ended: list[Transaction] = []

    def begin(self, offset: int, *, checksums: bool) -> None:
        self._offset, self._checksums = offset, checksums
        self._known, self._active = {}, {}

    def table(self, number: int, table: Table) -> None:
        check_table(number, table)
        self._gathered.shape(number, table.names, table.key, Mode.SKIP if table.mode is None else table.mode)
        before = self._said.get(number)
        if before is not None:
            self._known.pop(before.raw, None)
        self._said[number] = table
        self._known[table.raw] = number

    def feed(self, buffer: Buffer, start: int, limits: Limits) -> Fed:
        view = memoryview(buffer)
        check_start(start, len(view))
        self._ended, at = [], start
        while (found := _packet(view, at)) is not None:
            behind, event = found
            halt: _Halt | None = _OTHER
            if event is not None:
                if self._open is None and event[4:5] and event[4] in _GTIDS:
                    scanned = self._scan(view, at, limits)
                    if scanned is _Scan.WAIT:
                        break
                    halt = _OTHER if scanned is _Scan.ODD else self._event(event, limits)
                else:
                    halt = self._event(event, limits)
            if halt is None or not halt.before:
                at = behind
            if halt is not None:
                return Fed(at - start, self._ended, halt.stop)
        return Fed(at - start, self._ended, Stop.END)

    @property
    def _tables(self) -> Mapping[int, Table]:
        return self._said

    def _push(self, number: int, messages: Sequence[bytes]) -> None:
        held = self._gathered.relations[number]
        for message in messages:
            change = pgoutput.decode(message)
            if not isinstance(change, pgoutput.RowChange) or self._open is None:
                continue
            if held.rows is not None:
                if self._gathered.bytes + len(message) > BYTES_MAX:
                    raise Contradiction(message, Fault.LONG, length=len(message))
                try:
                    held.rows.add(change.op, change.old, change.new, self._open.number, self._open.changes)
                except Impossible as found:
                    raise Contradiction(message, found.fault, number) from None
                self._gathered.count(number, 1, len(message))
            self._count(1)

    def passed(self, end: int, *, ends_statement: bool) -> None:
        self._move(end)
        if ends_statement:
            self._active = {}

    def leave(self) -> None:
        self._open = None

    @property
    def offset(self) -> int:
        return self._offset

    @property
    def open(self) -> Transaction | None:
        return self._open

    def active(self) -> dict[int, TableMap]:
        return {id: self._said[number].map._replace(table_id=id) for id, number in self._active.items()}

    def held(self) -> list[int]:
        return self._gathered.held()

    def take(self, number: int) -> Net | Log:
        return self._gathered.take(number)

    def clear(self) -> None:
        self._gathered.clear()

    @property
    def changes(self) -> int:
        return self._gathered.changes

    @property
    def size_bytes(self) -> int:
        return self._gathered.bytes

    # --- one event ---

    def _scan(self, view: memoryview, at: int, limits: Limits) -> _Scan:
        """Whether the transaction that begins here has nothing but rows; not before it is whole, or too large to wait
        for."""
        first, mysql = at, False
        while (found := _packet(view, at)) is not None:
            behind, event = found
            if event is None or not _sound(event):
                return _Scan.ORDINARY  # as far as here; then it is another's
            kind = event[4]
            if kind == _XID or (kind == _QUERY and self._says(event, "COMMIT")):
                return _Scan.ORDINARY
            if kind in _GTIDS and at == first:
                mysql = kind != _GTID
            elif not (
                kind == _TABLE_MAP
                or kind in PASSED_OVER
                or _is_rows(kind)
                or (mysql and kind == _QUERY and self._says(event, "BEGIN"))
            ):
                return _Scan.ODD
            at = behind
        return _Scan.ORDINARY if len(view) - first >= limits.bytes_max else _Scan.WAIT

    def _says(self, event: bytes, statement: str) -> bool:
        end = len(event) - CHECKSUM_BYTES * self._checksums
        try:
            return binlog_event.query(Cursor(event, "", HEADER_BYTES, end)).statement == statement
        except Malformed:
            return False

    def _event(self, event: bytes, limits: Limits) -> _Halt | None:
        """None: go on."""
        if not _sound(event):
            return _OTHER
        if event[4] == _TABLE_MAP:
            return self._activate(event)
        format = FormatDescription("", True, self._checksums, b"")
        try:
            header, body = BinlogDecoder.amid(format, self.active()).decode(event)
        except (Malformed, Refused):
            return _OTHER
        halt: _Halt | None = None
        if header.kind in PASSED_OVER:
            pass
        elif isinstance(body, MariadbBegin):
            if self._open is not None or body.standalone or body.ddl or body.prepares or body.completes:
                return _OTHER
            self._enter(body.gtid, header.at_s)
        elif isinstance(body, MysqlBegin):
            if self._open is not None or (body.gtid is not None and len(body.gtid.source[1].encode()) > _TAG_MAX):
                return _OTHER
            self._enter(body.gtid, header.at_s)
        elif self._open is None:
            return _OTHER
        elif isinstance(body, Rows) and _is_rows(header.kind):
            halt = self._rows(body, header.kind, len(event), limits)
            if halt is not None:
                return halt
            if body.ends_statement:
                self._active = {}
        elif isinstance(body, Query) and body.statement == "BEGIN" and not isinstance(self._open.gtid, MariadbGtid):
            pass
        elif isinstance(body, Commit) or (isinstance(body, Query) and header.kind == _QUERY):
            if isinstance(body, Query) and body.statement != "COMMIT":
                return _OTHER
            self._move(header.end)
            self._ended.append(self._open._replace(end=self._offset))
            self._open = None
            return _Halt(Stop.FULL, before=False) if self._gathered.is_full(limits) else None
        else:
            return _OTHER
        self._move(header.end)
        return None

    def _enter(self, gtid: MariadbGtid | MysqlGtid | None, at_s: int) -> None:
        self._open = Transaction(self._transactions, self._offset, 0, gtid, at_s, 0)
        self._transactions += 1

    def _activate(self, event: bytes) -> _Halt | None:
        """A table's map is compared and not read: it means what was said of it."""
        number = self._known.get(raw_map(event, checksums=self._checksums))
        try:
            if self._checksums:
                verify(event, "table map")
        except Malformed:
            return _OTHER
        if self._open is None or number is None:
            return _OTHER
        self._active[int.from_bytes(event[HEADER_BYTES : HEADER_BYTES + ID_BYTES], "little")] = number
        self._move(int.from_bytes(event[13:17], "little"))
        return None

    def _rows(self, rows: Rows, kind: int, size_bytes: int, limits: Limits) -> _Halt | None:
        if rows.table is None:
            return _OTHER if kind >= _COMPRESSED else None
        number = self._active[rows.table_id]
        table, held, gathered = self._said[number], self._gathered.relations[number], self._gathered
        if table.mode is None:
            return None
        if not _whole(rows, len(table.columns)) or any(one.way is Way.NONE for one in table.readings):
            return _OTHER
        full = gathered.changes >= limits.split_changes_max
        full = full or gathered.bytes + size_bytes > min(limits.split_bytes_max, BYTES_MAX)
        if held.rows is not None and gathered.changes and full:
            return _Halt(Stop.FULL)
        try:
            changes = [_kept(table, *change_of(table, rows.op, change)) for change in rows.changes(table.columns)]
        except (Malformed, Refused):
            return _OTHER
        if any(
            image is not None and image[at] is None for _, *images in changes for image in images for at in table.key
        ):
            return _OTHER
        texts = [cell for _, *images in changes for image in images for cell in image or () if isinstance(cell, str)]
        size = sum(len(text.encode()) for text in texts)
        if held.rows is not None and gathered.bytes + size > BYTES_MAX:
            return _Halt(Stop.FULL) if gathered.changes else _OTHER
        for op, old, new in changes:
            self._add(number, op, old, new)
        if held.rows is not None:
            gathered.count(number, len(changes), size)
        return None

    def _add(self, number: int, op: Op, old: Row | None, new: Row | None) -> None:
        held = self._gathered.relations[number]
        if held.rows is not None and self._open is not None:
            try:
                held.rows.add(op, old, new, self._open.number, self._open.changes)
            except Impossible as found:
                raise Contradiction(b"", found.fault, number) from None
        self._count(1)

    def _count(self, changes: int) -> None:
        if self._open is not None:
            self._open = self._open._replace(changes=self._open.changes + changes)

    def _move(self, end: int) -> None:
        """Ends are told modulo 2**32; 0: of nothing in the file."""
        if end:
            self._offset += (end - self._offset) % (1 << 32)


def _packet(view: memoryview, at: int) -> tuple[int, bytes | None] | None:
    """Where the next packet ends, if it is whole, and its event if it is nothing but one."""
    if len(view) - at < PACKET_HEADER_BYTES:
        return None
    size = int.from_bytes(view[at : at + 3], "little")
    behind = at + PACKET_HEADER_BYTES + size
    if behind > len(view):
        return None
    payload = bytes(view[at + PACKET_HEADER_BYTES : behind])
    return behind, payload[1:] if payload[:1] == b"\0" and size < PACKET_BYTES_MAX else None


def _sound(event: bytes) -> bool:
    return len(event) >= HEADER_BYTES and int.from_bytes(event[9:13], "little") == len(event)


def _is_rows(kind: int) -> bool:
    """Whether they are rows as they are; partial updates are not."""
    return kind in ROWS and ROWS[kind][1] < 3


def _whole(rows: Rows, columns: int) -> bool:
    every = (1 << columns) - 1
    return (rows.op is Op.INSERT or rows.old_present == every) and (rows.op is Op.DELETE or rows.new_present == every)


def _kept(table: Table, op: Op, old: Row | None, new: Row | None) -> tuple[Op, Row | None, Row | None]:
    """Without the row that was, where the row that is now is found by its key."""
    if old is not None and new is not None and not moves(table.key, old, new):
        old = None
    return op, old, new
