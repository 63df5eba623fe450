"""Decided changes in, steps for the target out.

Upsert keeps the net change per key: one entry for each key, values merged and never picked, so a large value that a
later update left out stays (I6). Append keeps every change as a row. Order per key holds always (I4): where merging
would lose it (a TRUNCATE, a new shape of the table) a new group begins. Pure.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tidegate.connect.capability import WriteMode
from tidegate.connect.source import LogBatch
from tidegate.connect.target import Append, Clear, KeyRange, Moved, Net, Step, TargetTable
from tidegate.engine.gathered import step_of
from tidegate.engine.handoff import Chunk, Key, key_of
from tidegate.engine.stamp import TEXT, change_place, instant
from tidegate.errors import SourceLogBroken
from tidegate.model.change import UNCHANGED, Cell, Change, LogPart, Op, Row
from tidegate.model.schema import TableName, TableSchema


@dataclass(slots=True)
class _Entry:
    """The latest image of a key: `row` None for deleted. Cells that are UNCHANGED stand in the row that had the key
    `base` before this group; `fresh`: no row had this key then."""

    row: Row | None
    base: Key | None = None
    fresh: bool = False


@dataclass(slots=True)
class _NetGroup:
    table: TargetTable
    entries: dict[Key, _Entry] = field(default_factory=dict)

    def add(self, change: Change, old_side: bool, new_side: bool) -> None:
        schema = change.table
        if change.new is None:
            if old_side and change.old is not None:
                self._put(key_of(schema, change.old), _Entry(None))
            return
        new_key = key_of(schema, change.new)
        old_key = key_of(schema, change.old) if change.old is not None else new_key
        if change.op is Op.INSERT:
            self._put(new_key, _Entry(change.new, fresh=True))
            return
        if new_side:
            entry = self._merged(schema, change.new, old_key, old_side)
        if old_side and old_key != new_key:
            self._put(old_key, _Entry(None))
        if new_side:
            entry.fresh = old_key != new_key
            self._put(new_key, entry)

    def _put(self, key: Key, entry: _Entry) -> None:
        """Whether a key is fresh its first entry decides."""
        if (held := self.entries.get(key)) is not None:
            entry.fresh = held.fresh
        self.entries[key] = entry

    def _merged(self, schema: TableSchema, row: Row, old_key: Key, old_side: bool) -> _Entry:
        if UNCHANGED not in row:
            return _Entry(row)
        if not old_side:
            raise SourceLogBroken(f"{schema.name}: a large value was left out of a row the target never had")
        before = self.entries.get(old_key)
        if before is None:
            return _Entry(row, old_key)
        if before.row is None:
            raise SourceLogBroken(f"{schema.name}: an update of a row that was deleted before")
        merged = tuple(b if n is UNCHANGED else n for n, b in zip(row, before.row, strict=True))
        return _Entry(merged, before.base if UNCHANGED in merged else None)

    def step(self) -> Net:
        schema = self.table.source
        deletes: list[Key] = []
        inserts: list[Row] = []
        puts: list[Row] = []
        patches: dict[tuple[str, ...], list[Row]] = {}
        moved: list[Moved] = []
        for key, entry in self.entries.items():
            if entry.row is None:
                deletes.append(key)
            elif UNCHANGED not in entry.row:
                (inserts if entry.fresh else puts).append(entry.row)
            elif entry.base == key:
                known = tuple(n for n, cell in zip(schema.names, entry.row, strict=True) if cell is not UNCHANGED)
                patches.setdefault(known, []).append(tuple(cell for cell in entry.row if cell is not UNCHANGED))
            else:
                moved.append(_moved(schema, entry))
        return Net(
            self.table,
            record_batch(schema.key, deletes) if deletes else None,
            record_batch(schema.names, inserts) if inserts else None,
            record_batch(schema.names, puts) if puts else None,
            [record_batch(names, rows) for names, rows in patches.items()],
            moved,
        )


def _moved(schema: TableSchema, entry: _Entry) -> Moved:
    row = entry.row or ()
    known = [(name, cell) for name, cell in zip(schema.names, row, strict=True) if cell is not UNCHANGED]
    left_out = tuple(name for name, cell in zip(schema.names, row, strict=True) if cell is UNCHANGED)
    batch = record_batch([name for name, _ in known], [tuple(cell for _, cell in known)])
    return Moved(batch, entry.base or (), left_out)


@dataclass(slots=True)
class _AppendGroup:
    table: TargetTable
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def add(
        self, op: Op, row: Row | None, part: LogPart, index: int, detail: dict[str, Any] | None = None, *, nth: int = 0
    ) -> None:
        """`nth` counts the rows of one change from 0."""
        names = self.table.source.names
        cells: Sequence[Cell] = row if row is not None else (None,) * len(names)
        left_out = [name for name, cell in zip(names, cells, strict=True) if cell is UNCHANGED]
        if left_out:
            cells = [None if cell is UNCHANGED else cell for cell in cells]
            detail = {"unchanged": left_out}
        stamp = (
            str(op),
            instant(part.committed_at_us),
            change_place(part.commit, index, nth),
            json.dumps(detail, ensure_ascii=False) if detail else None,
        )
        self.rows.append((*cells, *stamp))

    def step(self) -> Append:
        stamp = self.table.stamp
        names = (*self.table.source.names, stamp.op, stamp.committed_at, stamp.position, stamp.detail)
        return Append(self.table, [record_batch(names, self.rows)] if self.rows else [])


def record_batch(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    """Rows of texts as text columns; a column without a name is left out."""
    columns = list(zip(*rows, strict=True))
    kept = [(name, column) for name, column in zip(names, columns, strict=True) if name]
    return pa.RecordBatch.from_arrays([pa.array(column, TEXT) for _, column in kept], [name for name, _ in kept])


class Batcher:
    """One batch. `place` says where a source table's rows go at the target."""

    def __init__(self, place: Callable[[TableSchema], TargetTable]) -> None:
        self._place = place
        self._open: dict[TableName, _NetGroup | _AppendGroup] = {}
        self._steps: list[_NetGroup | _AppendGroup | Step] = []
        self.changes = 0
        self.counts: Counter[TableName] = Counter()
        """How many of them each table had."""

    def __bool__(self) -> bool:
        return bool(self._steps)

    def add(self, change: Change, old_side: bool, new_side: bool, part: LogPart, index: int) -> None:
        """A change of which at least one side must reach the target; `index` is its place in the transaction."""
        group = self._group(change.table)
        self._count(change.table)
        if isinstance(group, _NetGroup):
            group.add(change, old_side, new_side)
        else:
            _append(group, change, old_side, new_side, part, index)

    def _count(self, table: TableSchema) -> None:
        self.changes += 1
        self.counts[table.name] += 1

    def gather(self, batch: LogBatch, counts: Mapping[TableName, int] | None = None) -> None:
        """Changes that were put together already, and how many each table had."""
        for table, rows in batch.tables:
            self._open.pop(table.name, None)
            self._steps.append(step_of(self._place(table), rows, batch.transactions))
        self.changes += batch.changes
        self.counts.update(counts or {})

    def put(self, table: TableSchema, key: Key, row: Row | None, part: LogPart, index: int) -> None:
        """The row (None: there is none) that was read by itself in place of a change; it has that change's place in the
        log's order, and those it also contains will not come."""
        group = self._group(table)
        self._count(table)
        if isinstance(group, _NetGroup):
            group.entries[key] = _Entry(row)
        elif row is not None:
            group.add(Op.READ, row, part, index)

    def truncate(
        self, table: TableSchema, chunks: Sequence[Chunk] | None, keep: Sequence[Key], part: LogPart, index: int
    ) -> None:
        """Empty the chunks' ranges (None: the whole table) but for the keys to keep."""
        if chunks is not None and not chunks:
            return
        self._count(table)
        group = self._group(table)
        ranges = None if chunks is None else [chunk.keys for chunk in chunks]
        if isinstance(group, _AppendGroup):
            for nth, keys in enumerate(ranges or [KeyRange(None, None)]):
                group.add(Op.TRUNCATE, None, part, index, _range_detail(keys, keep), nth=nth)
            return
        self._open.pop(table.name)
        kept = record_batch(table.key, keep) if keep else None
        self._steps.append(Clear(group.table, ranges, kept))

    def steps(self) -> list[Step]:
        return [step.step() if isinstance(step, (_NetGroup, _AppendGroup)) else step for step in self._steps]

    def _group(self, table: TableSchema) -> _NetGroup | _AppendGroup:
        group = self._open.get(table.name)
        if group is None or group.table.source is not table:
            place = self._place(table)
            group = _NetGroup(place) if place.mode is WriteMode.UPSERT else _AppendGroup(place)
            self._open[table.name] = group
            self._steps.append(group)
        return group


def _append(group: _AppendGroup, change: Change, old_side: bool, new_side: bool, part: LogPart, index: int) -> None:
    moved = change.op is Op.UPDATE and change.old is not None and _moves(change)
    if change.op is Op.UPDATE and not moved:
        if new_side:
            group.add(Op.UPDATE, change.new, part, index)
        return
    if old_side and change.old is not None:
        group.add(Op.DELETE, change.old, part, index)
    if new_side and change.new is not None:
        group.add(Op.INSERT, change.new, part, index, nth=int(old_side))


def _moves(change: Change) -> bool:
    """Whether the row that is now cannot be found by the key of the one that was. Without a key it never can."""
    if change.old is None or change.new is None:
        return False
    return not change.table.key or key_of(change.table, change.old) != key_of(change.table, change.new)


def _range_detail(keys: KeyRange, keep: Sequence[Key]) -> dict[str, Any] | None:
    """What of a table a truncate emptied; None: all of it."""
    if keys.after is None and keys.upto is None and not keep:
        return None
    return {"truncated": {"after": keys.after, "upto": keys.upto} | ({"kept": keep} if keep else {})}
