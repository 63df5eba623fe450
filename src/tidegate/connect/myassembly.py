"""What a binary log says, event by event, cut into parts: whole transactions, or pieces of a large one. Pure but for
what the catalogue is asked about a table's shape.

MariaDB says what a transaction is where it begins. MySQL names it there, and what it is the statement behind says:
`BEGIN`, `XA …`, or one that is a transaction by itself. An XA transaction has its rows where it was prepared, and
counts from where it is committed: its rows are held until then, and a position in between remembers where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tidegate.connect.myfollowed import Followed
from tidegate.connect.myposition import MyPosition, Place
from tidegate.connect.myshapes import Shapes
from tidegate.connect.mystatements import Effect, Statement, read
from tidegate.connect.myxa import Prepared, xid_of
from tidegate.decode.binlog import Body, Event, Header, Payload
from tidegate.decode.binlog_cursor import Malformed, Refused
from tidegate.decode.binlog_event import Commit, FormatDescription, Heartbeat, Incident, Query, Rotate, XaPrepare
from tidegate.decode.binlog_gtid import GtidList, MariadbBegin, MysqlBegin, PreviousGtids, Xid
from tidegate.decode.binlog_rows import Rows
from tidegate.decode.binlog_table import TableMap
from tidegate.decode.gtid import Gtid, MariadbPosition, MysqlGtid, NotAGtid, covers, passed
from tidegate.errors import PositionLost, SourceCascade, SourceLogBroken, SourceLogFormat, SourceTableRemade
from tidegate.model.change import UNCHANGED, Change, LogPart, Op, Row
from tidegate.model.schema import TableName, TableSchema

PART_CHANGES_MAX = 5_000
PART_BYTES_MAX = 4 << 20


@dataclass(slots=True)
class _Group:
    """What stands between one GTID and the next."""

    start: Place
    gtid: Gtid | None
    """None: it has no name."""
    at_s: int
    """When it was committed, or the statement began that is a transaction by itself."""
    wanted: bool
    """Whether its changes are; else it was done before."""
    standalone: bool | None = False
    """Whether it is one statement, without a commit at its end; None: not said yet."""
    completes: Xid | None = None
    """The XA transaction that it commits or rolls back."""
    packed: bool = False
    """Whether its events come as one, in which they have no places."""
    skip: int = 0
    """So many changes were taken before."""
    inside: int = 0
    """In the row events that end here or in front of it; 0: they are counted."""
    changes: list[Change] = field(default_factory=list)
    count: int = 0
    bytes: int = 0
    savepoints: dict[str, int] = field(default_factory=dict)
    passed_over: set[TableName] = field(default_factory=set)
    """Tables that it changed and nobody wanted."""
    prepared: Prepared | None = None


_SAVEPOINT = re.compile(
    r"\s*(?:SAVEPOINT|(?P<back>ROLLBACK(?:\s+WORK)?\s+TO(?:\s+SAVEPOINT)?))\s+(?P<name>\S.*?)\s*", re.I | re.DOTALL
)


class Assembler:
    """Events in, parts out."""

    def __init__(self, start: MyPosition, followed: Followed, shapes: Shapes) -> None:
        self._start = start
        self._followed = followed
        self._shapes = shapes
        self._at = start.read_from
        """Where the next event begins."""
        self._gtids = start.gtids
        self._told = start.place
        self._group: _Group | None = None
        self._prepared: dict[Xid, Prepared] = {}
        self._mariadb: bool | None = None
        """Whose log it is, once that says so."""
        shapes.foretold = start.named_until is not None

    @property
    def at(self) -> Place:
        return self._at

    @property
    def in_transaction(self) -> bool:
        return self._group is not None

    @property
    def settled(self) -> bool:
        """Whether this is between two transactions, and behind all that was read before."""
        again = self._at < self._start.place or (self._at == self._start.place and self._start.changes > 0)
        return self._group is None and not again

    def passed(self, offset: int, gtids: Iterable[Gtid | None]) -> None:
        """Somebody else has read up to here, and these transactions. Raises `SourceLogBroken`."""
        self._at = self._at._replace(offset=offset)
        self._shapes.foretold = self._named_until() is not None
        self._pass(gtids)

    def told(self) -> MyPosition:
        """Everything in front of here; it needs not be told again."""
        self._told = self._at
        return self._whole()

    def within(self, start: Place, changes: int) -> MyPosition:
        """Behind so many changes, of the row events up to here, of the transaction that begins there."""
        inside = self._at.offset if changes else 0
        return MyPosition(start, self._gtids, changes, inside, self._oldest(), self._named_until())

    def adopt(self, start: Place, gtid: Gtid | None, at_s: int, changes: int) -> None:
        """Read on in a transaction of which somebody else has told so many changes."""
        self._group = _Group(start, gtid, at_s, wanted=True, count=changes)

    def feed(self, event: Event) -> Iterator[LogPart]:
        """Raises `SourceLogBroken`, `SourceLogFormat`, `SourceTableRemade`, `PositionLost`."""
        body, before = event.body, self._at
        self._shapes.foretold = self._named_until() is not None
        self._move(event)
        yield from self._take(body, event.header, before)

    def _take(self, body: Body | None, header: Header, before: Place) -> Iterator[LogPart]:
        match body:
            case FormatDescription():
                self._mariadb = body.mariadb
            case MariadbBegin():
                self._open(_Group(before, body.gtid, header.at_s, before >= self._start.place, body.standalone))
                self._opened().completes = body.completes
                if body.prepares is not None:
                    self._opened().prepared = Prepared(before)
            case MysqlBegin():
                self._open(_Group(before, body.gtid, header.at_s, before >= self._start.place, None))
            case Rows():
                yield from self._rows(body, header.size)
            case Query():
                yield from self._query(body)
            case Commit():
                yield from self._close(self._opened())
            case XaPrepare():
                yield from self._prepare(body)
            case Payload():
                self._opened().packed = True
                for inner in body.events:
                    yield from self._take(inner.body, inner.header, before)
            case GtidList() if before >= self._start.place and self._start.gtids:
                self._gtids = MariadbPosition().after(*body.gtids)
            case PreviousGtids() if before >= self._start.place and self._start.gtids:
                if not covers(body.gtids, self._gtids):
                    raise PositionLost(
                        f"{self._at.file} is of another log: in front of it stands {body.gtids}, and the task has read"
                        f" up to {self._gtids}"
                    )
                self._gtids = body.gtids
            case Incident():
                raise PositionLost(f"at {self._at} the server's log says that it could not write what happened")

    def progress(self) -> LogPart | None:
        """How far the log was read, if further than was told."""
        if self._group is not None or self._at <= self._told or self._at < self._start.place:
            return None
        self._told = self._at
        position = self._whole()
        return LogPart(None, 0, [], 0, True, position, position)

    def close(self) -> None:
        begun = self._group.prepared if self._group is not None else None
        for held in (*self._prepared.values(), begun):
            if held is not None:
                held.close()

    # --- places ---

    def _move(self, event: Event) -> None:
        body, end = event.body, event.header.end
        if isinstance(body, Rotate):
            self._at = Place.of(body.file, body.position)
        elif end and not isinstance(body, FormatDescription):
            # Places are told modulo 2**32.
            self._at = self._at._replace(offset=self._at.offset + (end - self._at.offset) % (1 << 32))
        elif end and self._at.offset < end:
            self._at = self._at._replace(offset=end)
        if isinstance(body, Heartbeat) and body.file and body.file != self._at.file:
            raise SourceLogBroken(f"the server says it stands in {body.file}, and sent {self._at.file}")

    def _whole(self) -> MyPosition:
        return MyPosition(self._at, self._gtids, prepared=self._oldest(), named_until=self._named_until())

    def _named_until(self) -> Place | None:
        until = self._start.named_until
        return until if until is not None and self._at < until else None

    def _oldest(self) -> Place | None:
        return min((held.start for held in self._prepared.values()), default=None)

    # --- transactions ---

    def _open(self, group: _Group) -> None:
        if self._group is not None:
            raise SourceLogBroken(f"a transaction begins inside another at {group.start}")
        self._named(group.gtid)
        self._group = group
        if group.start == self._start.place:  # it was cut in two
            group.skip, group.inside = self._start.changes, self._start.inside
            group.count = group.skip if group.inside else 0

    def _pass(self, gtids: Iterable[Gtid | None]) -> None:
        """These transactions are read."""
        done = list(gtids)
        for gtid in done[-1:]:
            self._named(gtid)
        try:
            self._gtids = passed(self._gtids, done)
        except NotAGtid as error:
            raise SourceLogBroken(f"in front of {self._at}: {error}") from error

    def _named(self, gtid: Gtid | None) -> None:
        if self._mariadb and isinstance(gtid, MysqlGtid):
            raise SourceLogBroken("a transaction is named as MySQL names them, in MariaDB's log")

    def _opened(self) -> _Group:
        if self._group is None:
            raise SourceLogBroken(f"a change outside of a transaction in front of {self._at}")
        return self._group

    def _rows(self, rows: Rows, size: int) -> Iterator[LogPart]:
        group, table = self._opened(), rows.table
        if table is None or not (group.wanted or group.prepared) or self._at.offset <= group.inside:
            return
        name = TableName(table.schema, table.name)
        if name not in self._followed:
            group.passed_over.add(name)
            return
        group.bytes += size
        for change in self.changes(rows, table):
            self._add(group, change)
        if len(group.changes) >= PART_CHANGES_MAX or (group.bytes >= PART_BYTES_MAX and group.changes):
            yield self._piece(group, 0 if group.packed else self._at.offset)

    def changes(self, rows: Rows, table: TableMap) -> Iterator[Change]:
        """What an event says about a table that is followed. Raises `SourceLogFormat`, `SourceLogBroken`."""
        name, full = TableName(table.schema, table.name), (1 << len(table.columns)) - 1
        if (rows.op is not Op.INSERT and rows.old_present != full) or (
            rows.op is not Op.DELETE and rows.new_present != full
        ):
            raise SourceLogFormat(f"{name}: a row at {self._at} is not whole: binlog_row_image was not FULL")
        shape = self._shapes.shape(table)
        schema, keys = shape.schema, shape.schema.key_indexes
        try:
            for old, new in rows.changes(shape.columns):
                was, now = old and shape.row(old), new and shape.row(_patched(old, new))
                if was is not None and now is not None and keys and all(was[at] == now[at] for at in keys):
                    was = None
                yield Change(schema, rows.op, was, now)
        except (Malformed, Refused) as error:
            broken = SourceLogFormat if isinstance(error, Refused) else SourceLogBroken
            raise broken(f"{name} in front of {self._at}: {error}") from error

    def _add(self, group: _Group, change: Change) -> None:
        if group.prepared is not None:
            group.prepared.add(change)
            return
        group.count += 1
        if group.count > group.skip:
            group.changes.append(change)

    def _piece(self, group: _Group, inside: int) -> LogPart:
        position = MyPosition(group.start, self._gtids, group.count, inside, self._oldest(), self._named_until())
        return self._cut(group, position, ends=False)

    def _cut(self, group: _Group, position: MyPosition, *, ends: bool) -> LogPart:
        changes, size, group.changes, group.bytes = group.changes, group.bytes, [], 0
        first, commit = group.count - len(changes), MyPosition(group.start)
        return LogPart(group.start, group.at_s * 1_000_000, changes, first, ends, position, commit, size)

    def _close(self, group: _Group) -> Iterator[LogPart]:
        """The transaction is whole."""
        if group.count < group.skip:
            raise SourceLogBroken(f"the transaction at {group.start} has fewer changes than when it was read before")
        self._group = None
        if not group.wanted:
            return
        self._pass([group.gtid])
        if group.changes or group.count > group.skip:
            self._told = self._at
            yield self._cut(group, self._whole(), ends=True)

    def _prepare(self, body: XaPrepare) -> Iterator[LogPart]:
        group = self._opened()
        if group.prepared is None:
            raise SourceLogBroken(f"an XA transaction at {group.start} is prepared, and was not announced")
        group.prepared.passed_over = group.passed_over
        self._prepared[body.xid] = group.prepared
        group.prepared = None
        if body.one_phase:
            yield from self._decide(group, body.xid, commits=True)
            return
        self._group = None
        if group.wanted:
            self._pass([group.gtid])

    def _decide(self, group: _Group, xid: Xid, *, commits: bool) -> Iterator[LogPart]:
        """What was prepared becomes part of the source here, or never was."""
        held = self._prepared.pop(xid, None)
        if group.wanted and commits:
            if held is None:
                raise PositionLost(
                    f"at {group.start} an XA transaction is committed whose rows stand in the log in front of where"
                    " the task began to read it"
                )
            missed = sorted(name for name in held.passed_over if name in self._followed)
            if missed:
                raise SourceLogBroken(f"an XA transaction that was prepared before {missed[0]} joined is committed")
            for change, size in held.changes():
                self._add(group, change)
                group.bytes += size
                if len(group.changes) >= PART_CHANGES_MAX or (group.bytes >= PART_BYTES_MAX and group.changes):
                    # Read from before where it was prepared, should the run end here.
                    self._prepared[xid] = held
                    yield self._piece(group, 0)
                    del self._prepared[xid]
        if held is not None:
            held.close()
        yield from self._close(group)

    # --- statements ---

    def _query(self, body: Query) -> Iterator[LogPart]:
        group = self._opened()
        statement = read(body.statement, body.schema)
        first, second = (*statement.words, "", "")[:2]
        if group.standalone is None:
            self._is_said(group, statement, body.statement)
        if first == "XA":
            if group.completes is not None and second in ("COMMIT", "ROLLBACK"):
                yield from self._decide(group, group.completes, commits=second == "COMMIT")
            return
        if first == "BEGIN":
            return
        if first in ("SAVEPOINT", "ROLLBACK") and self._returned(group, statement, body.statement):
            return
        if first == "COMMIT" or (first == "ROLLBACK" and second != "TO"):
            yield from self._close(group)
            return
        met = self._apply(group, statement, strict=body.strict) if group.wanted else []
        if group.standalone:
            yield from self._close(group)
        if met:
            self._told = self._at
            yield LogPart(None, 0, [], 0, True, self._whole(), self._whole(), met=met)

    def _is_said(self, group: _Group, statement: Statement, text: str) -> None:
        """MySQL's first statement says what a transaction is."""
        first, second = (*statement.words, "", "")[:2]
        group.standalone = first not in ("BEGIN", "XA") and not statement.begins
        if first != "XA":
            return
        xid = xid_of(text)
        if xid is None:
            raise SourceLogBroken(f"at {group.start} an XA transaction has no name")
        if second == "START":
            group.prepared = Prepared(group.start)
        else:
            group.completes = xid

    def _returned(self, group: _Group, statement: Statement, text: str) -> bool:
        """Savepoints are in the log only where it has what was rolled back to one as well. Their names differ by more
        than upper and lower case."""
        if (named := _SAVEPOINT.fullmatch(text)) is not None:
            name = named["name"].casefold()
            if named["back"] is None:
                group.savepoints[name] = group.count
                return True
            if name not in group.savepoints:
                raise SourceLogBroken(f"{group.start}: a transaction went back to a savepoint that the log has not")
            kept = group.savepoints[name]
            gone = group.count - kept
            if gone > len(group.changes) or group.prepared is not None:
                raise SourceLogBroken(f"{group.start}: a transaction went back behind what was read of it already")
            del group.changes[len(group.changes) - gone :]
            group.count = kept
            return True
        if group.count > len(group.changes):
            raise SourceLogBroken(f"{group.start}: a transaction was rolled back after a part of it was read")
        group.changes, group.count = [], 0
        return False

    def _apply(self, group: _Group, statement: Statement, *, strict: bool) -> list[TableSchema]:
        """Shapes that nothing else in the log tells of."""
        met: list[TableSchema] = []
        if statement.changes_rows:
            raise SourceLogFormat(
                f"at {group.start} the log has {statement.words[0]} as a statement instead of rows: binlog_format was"
                " not ROW for the session that ran it"
            )
        for done in statement.done:
            name = done.table
            if done.effect is Effect.ALTERED:
                for altered in self._followed.meant(name) or [name]:
                    self._followed.altered(altered, statement.added)
                for followed in self._followed.meant(name):
                    if why := self._shapes.altered(followed, statement.altered, strict=strict):  # I6
                        raise SourceTableRemade(f"{followed}, at {group.start} of the source's log: {why}")
                    if (shape := self._shapes.led_on(followed, statement)) is not None:
                        met.append(shape)
                continue
            if done.effect is Effect.CASCADES:
                if self._followed.meant(name):
                    raise SourceCascade(f"{name} was {done.effect.value} at {group.start} of the source's log")
                continue
            for followed in self._followed.meant(name):
                shape = self._shapes.schema(followed)
                if done.effect is Effect.TRUNCATED and shape is not None:
                    self._add(group, Change(shape, Op.TRUNCATE, None, None))
                    group.bytes += 16
                elif done.effect is not Effect.GONE or self._shapes.there(followed):
                    # One that is gone for good has no more changes to miss: the engine says what becomes of it.
                    raise SourceTableRemade(f"{followed} was {done.effect.value} at {group.start} of the source's log")
        return met


def _patched(old: Row | None, new: Row) -> Row:
    """What a partial update leaves out is as it was."""
    if old is None or UNCHANGED not in new:
        return new
    return tuple(was if cell is UNCHANGED else cell for was, cell in zip(old, new, strict=True))
