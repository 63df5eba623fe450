"""What PostgreSQL's log says, change by change, cut into parts: whole transactions, or pieces of a large one. Pure but
for one question about a table's shape, which the catalogue answers."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from tidegate.connect.pgposition import PgPosition, lsn_text
from tidegate.decode import pgoutput
from tidegate.decode.fault import Malformed
from tidegate.errors import SourceLogBroken, SourceUnreachable, TidegateError
from tidegate.model.change import Change, LogPart, Op
from tidegate.model.schema import TableSchema

PART_CHANGES_MAX = 5_000
PART_BYTES_MAX = 4 << 20

Describe = Callable[[pgoutput.Relation], TableSchema]


@dataclass(slots=True)
class Stand:
    """Where reading stands, and the shapes that were described so far."""

    start: PgPosition
    describe: Describe
    """Gives the shape a table has from a message on."""
    reached: int = 0
    tables: dict[int, TableSchema] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reached = self.start.lsn

    def whole(self) -> PgPosition:
        """Everything up to here; before the transaction that was cut in two, still with what is known of it."""
        start, lsn = self.start, self.reached
        return PgPosition(lsn, start.inside, start.changes) if lsn <= start.inside else PgPosition(lsn)

    def table(self, oid: int) -> TableSchema:
        """Raises `SourceLogBroken`."""
        try:
            return self.tables[oid]
        except KeyError:
            raise SourceLogBroken(f"a change of relation {oid}, which was never described") from None


class Assembler:
    """Messages in, parts out."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self._begin: pgoutput.Begin | None = None
        self._changes: list[Change] = []
        self._bytes = 0
        self._count = 0
        self._skip = 0

    @property
    def in_transaction(self) -> bool:
        return self._begin is not None

    def feed(self, message: bytes) -> LogPart | None:
        """Raises `SourceLogBroken`."""
        try:
            event = pgoutput.decode(message)
        except pgoutput.Malformed as error:
            raise SourceLogBroken(f"behind {lsn_text(self._stand.reached)}: {error}") from error
        match event:
            case None:
                return None
            case pgoutput.RowChange():
                return self._change(event, len(message))
            case pgoutput.Begin():
                self._open(event)
                return None
            case pgoutput.Commit():
                return self._close(event)
            case pgoutput.Relation():
                return self._shape(event)
            case pgoutput.Truncate():
                for oid in event.oids:
                    self._add(Change(self._stand.table(oid), Op.TRUNCATE, None, None), 16)
                return None

    def idle(self, lsn: int) -> LogPart | None:
        """The server has read its log up to here and there was nothing for us (I2: never backwards)."""
        if self.in_transaction or lsn <= self._stand.reached:
            return None
        self._stand.reached = lsn
        position = self._stand.whole()
        return LogPart(None, 0, [], 0, True, position, position)

    def _shape(self, relation: pgoutput.Relation) -> LogPart | None:
        """The shape the table has from here on; a part holds one of each table."""
        table = self._stand.describe(relation)
        if self._stand.tables.get(relation.oid) == table:
            return None
        self._stand.tables[relation.oid] = table
        return self._piece() if self._changes else None

    def _open(self, begin: pgoutput.Begin) -> None:
        if self._begin is not None:
            raise SourceLogBroken(f"a transaction begins inside another, behind {lsn_text(self._stand.reached)}")
        self._begin = begin
        self._changes, self._bytes, self._count = [], 0, 0
        # A transaction that was cut in two is sent again from its start; I2: one that is done does not come again.
        start = self._stand.start
        self._skip = start.changes if begin.commit_lsn == start.inside else 0
        if begin.commit_lsn < start.lsn:
            self._skip = sys.maxsize

    def _change(self, row: pgoutput.RowChange, size: int) -> LogPart | None:
        table = self._stand.table(row.oid)
        for image in (row.old, row.new):
            if image is not None and len(image) != len(table.columns):
                raise SourceLogBroken(f"{table.name}: a row of {len(image)} values for {len(table.columns)} columns")
        self._add(Change(table, row.op, row.old, row.new), size)
        if len(self._changes) < PART_CHANGES_MAX and self._bytes < PART_BYTES_MAX:
            return None
        return self._piece()

    def _piece(self) -> LogPart:
        begin = self._opened()
        return self._cut(begin, False, PgPosition(self._stand.reached, begin.commit_lsn, self._count))

    def _add(self, change: Change, size: int) -> None:
        self._opened()
        self._count += 1
        if self._count > self._skip:
            self._changes.append(change)
            self._bytes += size

    def _close(self, commit: pgoutput.Commit) -> LogPart | None:
        begin = self._opened()
        self._begin = None
        if commit.end_lsn <= self._stand.start.lsn:
            return None
        if self._count < self._skip:
            raise SourceLogBroken(f"the transaction at {lsn_text(begin.commit_lsn)} has fewer changes than before")
        self._stand.reached = commit.end_lsn
        return self._cut(begin, True, self._stand.whole())

    def _cut(self, begin: pgoutput.Begin, ends: bool, position: PgPosition) -> LogPart:
        changes, size, self._changes, self._bytes = self._changes, self._bytes, [], 0
        first = self._count - len(changes)
        commit = PgPosition(begin.commit_lsn)
        return LogPart(begin.xid, begin.committed_at_us, changes, first, ends, position, commit, size)

    def _opened(self) -> pgoutput.Begin:
        if self._begin is None:
            raise SourceLogBroken(f"a change outside of a transaction, behind {lsn_text(self._stand.reached)}")
        return self._begin


class Doubts:
    """Whether a message that makes no sense is what the server has, or was garbled on its way: what the server has
    comes again as it was when it is read again."""

    def __init__(self) -> None:
        self._last = b""

    def judged(self, error: Malformed | SourceLogBroken, message: bytes, reached: int) -> TidegateError:
        """What is wrong with the message, behind that place: `SourceLogBroken` for what the server has; for what may
        have been garbled `SourceUnreachable`."""
        broken = error
        if not isinstance(broken, SourceLogBroken):
            broken = SourceLogBroken(f"behind {lsn_text(reached)}: {error}")
        before, self._last = self._last, hashlib.blake2b(message).digest()
        if before == self._last:
            return broken
        return SourceUnreachable(f"the log arrived garbled and is read again: {broken.detail}")
