"""A binary log file played into tables that are plain dictionaries: what the recorded rows are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tidegate.decode.binlog import BinlogDecoder, Body, Event, file_events
from tidegate.decode.binlog_event import Commit, Query, XaPrepare
from tidegate.decode.binlog_gtid import GtidList, MariadbBegin
from tidegate.decode.binlog_rows import RowChange, Rows
from tidegate.decode.binlog_table import Column
from tidegate.decode.gtid import MariadbPosition
from tidegate.model.change import UNCHANGED, Op, Row


def events_of(log: bytes) -> Iterator[Event]:
    decoder = BinlogDecoder()
    return map(decoder.decode, file_events(log))


@dataclass
class Replay:
    """The rows of each table as the log leaves them, in any order, and the position it reaches."""

    completed: dict[str, tuple[Column, ...]] = field(default_factory=dict)
    """Of tables whose maps lack something: their columns."""
    tables: dict[str, list[Row]] = field(default_factory=dict)
    position: MariadbPosition = field(default_factory=MariadbPosition)
    _begun: list[tuple[str, Op, RowChange]] = field(default_factory=list)
    _prepared: dict[object, list[tuple[str, Op, RowChange]]] = field(default_factory=dict)
    _begin: MariadbBegin | None = None

    def play(self, log: bytes) -> Replay:
        for event in events_of(log):
            self._take(event.body)
        assert not self._begun
        assert not self._prepared
        return self

    def _take(self, body: Body | None) -> None:
        if isinstance(body, GtidList):
            for gtid in body.gtids:
                self.position = self.position.after(gtid)
        elif isinstance(body, MariadbBegin):
            self._begin = body
            self.position = self.position.after(body.gtid)
        elif isinstance(body, Rows):
            assert body.table
            name = body.table.name
            changes = list(body.changes(self.completed.get(name)))
            self._begun += [(name, body.op, change) for change in changes]
        elif isinstance(body, Commit):
            self._apply(self._begun)
        elif isinstance(body, XaPrepare):
            if body.one_phase:
                self._apply(self._begun)
            else:
                self._prepared[body.xid] = self._begun
            self._begun = []
        elif isinstance(body, Query):
            self._statement(body.statement)

    def _statement(self, statement: str) -> None:
        if self._begin and self._begin.completes:
            changes = self._prepared.pop(self._begin.completes)
            if statement.startswith("XA COMMIT"):
                self._apply(changes)
        elif statement == "COMMIT":
            self._apply(self._begun)
        elif statement.startswith(("TRUNCATE", "truncate")):
            self.tables[statement.split()[-1].strip("`")] = []

    def _apply(self, changes: list[tuple[str, Op, RowChange]]) -> None:
        for name, op, change in changes:
            rows = self.tables.setdefault(name, [])
            if op is Op.INSERT:
                assert change.new is not None
                # What an insert leaves out has its default, which is NULL in the scenarios.
                rows.append(tuple(None if cell is UNCHANGED else cell for cell in change.new))
                continue
            assert change.old is not None
            at = next(at for at, held in enumerate(rows) if _fits(change.old, held))
            if change.new is None:
                del rows[at]
            else:
                held = rows[at]
                rows[at] = tuple(old if new is UNCHANGED else new for old, new in zip(held, change.new, strict=True))
        self._begun = []


def _fits(image: Row, held: Row) -> bool:
    return all(cell is UNCHANGED or cell == other for cell, other in zip(image, held, strict=True))
