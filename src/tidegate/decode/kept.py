"""The rows that are kept of one relation, in Python: as the net change per key, or as a log.

The rules are those of the engine's batcher, for tables that are in step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa

from tidegate.decode.fault import Contradiction, Fault
from tidegate.decode.gatherer import STAMPS, Limits, Log, LogOp, Mode, Moved, Net, Patch, Unchanged
from tidegate.decode.pgoutput import RowChange
from tidegate.model.change import UNCHANGED, Op, Row

Key: TypeAlias = tuple[str, ...]


@dataclass(slots=True)
class Kept:
    """One relation; `rows` None: its changes are passed over."""

    shape: tuple[tuple[str, ...], tuple[int, ...], Mode]
    rows: NetRows | LogRows | None
    described: bool = True
    changes: int = 0
    bytes: int = 0


class Gathered:
    """What is gathered of all relations, until it is taken."""

    def __init__(self) -> None:
        self.relations: dict[int, Kept] = {}
        self._held: list[int] = []
        self.changes = self.bytes = 0

    def shape(self, oid: int, names: Sequence[str], key: Sequence[int], mode: Mode) -> None:
        """Raises `ValueError` if rows of another shape are gathered."""
        shape = (tuple(names), tuple(key), mode)
        held = self.relations.get(oid)
        if held is not None and held.shape == shape:
            held.described = True
            return
        if held is not None and held.changes:
            raise ValueError(f"rows of relation {oid} are gathered in another shape")
        rows = None if mode is Mode.SKIP else NetRows(*shape[:2]) if mode is Mode.NET else LogRows(*shape[:2])
        self.relations[oid] = Kept(shape, rows)

    def count(self, oid: int, changes: int, size_bytes: int) -> None:
        """So many changes of a relation, and bytes of theirs, were added."""
        held = self.relations[oid]
        if not held.changes and changes:
            self._held.append(oid)
        held.changes += changes
        held.bytes += size_bytes
        self.changes += changes
        self.bytes += size_bytes

    def is_full(self, limits: Limits) -> bool:
        full = self.changes >= limits.changes_max or self.bytes >= limits.bytes_max
        return bool(self.changes and full)

    def held(self) -> list[int]:
        return list(self._held)

    def take(self, oid: int) -> Net | Log:
        held = self.relations[oid]
        if held.rows is None:
            raise KeyError(oid)
        self.changes -= held.changes
        self.bytes -= held.bytes
        held.changes = held.bytes = 0
        if oid in self._held:
            self._held.remove(oid)
        return held.rows.take()

    def clear(self) -> None:
        for oid in self.held():
            self.take(oid)


@dataclass(slots=True)
class Refusal:
    """Names the message in errors about a change."""

    message: bytes
    oid: int

    def __call__(self, fault: Fault, b: int = 0) -> Contradiction:
        return Contradiction(self.message, fault, self.oid, b)


@dataclass(slots=True)
class _Entry:
    """The latest image of a key: `row` None for deleted. Cells that are UNCHANGED stand in the row that had the key
    `base` before this batch; `fresh`: no row had this key then."""

    row: Row | None
    base: Key | None = None
    fresh: bool = False


class NetRows:
    """One entry for each key, values merged and never picked (I6)."""

    def __init__(self, names: Sequence[str], key: Sequence[int]) -> None:
        self._names, self._key = names, key
        self._entries: dict[Key, _Entry] = {}

    def add(self, change: RowChange, refusal: Refusal, stamp: tuple[int, int]) -> None:
        """Nothing is changed when it raises `Contradiction`."""
        if change.new is None:
            self._put(key_of(change.old or (), self._key, refusal), _Entry(None))
            return
        new_key = key_of(change.new, self._key, refusal)
        if change.op is Op.INSERT:
            if UNCHANGED in change.new:
                raise refusal(Fault.NEVER)
            self._put(new_key, _Entry(change.new, fresh=True))
            return
        old_key = key_of(change.old, self._key, refusal) if change.old is not None else new_key
        entry = self._merged(change.new, old_key, refusal)
        if old_key != new_key:
            self._put(old_key, _Entry(None))
            entry.fresh = True
        self._put(new_key, entry)

    def _put(self, key: Key, entry: _Entry) -> None:
        """Whether a key is fresh its first entry decides."""
        if (held := self._entries.get(key)) is not None:
            entry.fresh = held.fresh
        self._entries[key] = entry

    def _merged(self, row: Row, old_key: Key, refusal: Refusal) -> _Entry:
        if UNCHANGED not in row:
            return _Entry(row)
        before = self._entries.get(old_key)
        if before is None:
            return _Entry(row, old_key)
        if before.row is None:
            raise refusal(Fault.GONE)
        merged = tuple(b if n is UNCHANGED else n for n, b in zip(row, before.row, strict=True))
        return _Entry(merged, before.base if UNCHANGED in merged else None)

    def take(self) -> Net:
        deletes: list[Key] = []
        inserts: list[Row] = []
        puts: list[Row] = []
        patches: dict[tuple[int, ...], list[Row]] = {}
        moved: dict[tuple[int, ...], list[tuple[Row, Key]]] = {}
        for key, entry in self._entries.items():
            if entry.row is None:
                deletes.append(key)
            elif entry.base is None:
                (inserts if entry.fresh else puts).append(entry.row)
            else:
                columns = tuple(n for n, cell in enumerate(entry.row) if cell is not UNCHANGED)
                row = tuple(entry.row[n] for n in columns)
                if entry.base == key:
                    patches.setdefault(columns, []).append(row)
                else:
                    moved.setdefault(columns, []).append((row, entry.base))
        self._entries = {}
        return Net(
            self._batch(self._key, deletes) if deletes else None,
            self._batch(range(len(self._names)), inserts) if inserts else None,
            self._batch(range(len(self._names)), puts) if puts else None,
            [Patch(columns, self._batch(columns, rows)) for columns, rows in patches.items()],
            [
                Moved(columns, self._batch(columns, [r for r, _ in rows]), self._batch(self._key, [k for _, k in rows]))
                for columns, rows in moved.items()
            ],
        )

    def _batch(self, columns: Sequence[int], rows: Sequence[Row]) -> pa.RecordBatch:
        return text_batch([self._names[n] for n in columns], rows)


class LogRows:
    """A row for each change, but two for a changed key."""

    def __init__(self, names: Sequence[str], key: Sequence[int]) -> None:
        self._names, self._key = names, key
        self._rows: list[Row] = []
        self._stamps: list[tuple[int, int, int, int]] = []
        self._unchanged: dict[tuple[int, ...], list[int]] = {}

    def add(self, change: RowChange, refusal: Refusal, stamp: tuple[int, int]) -> None:
        """Nothing is changed when it raises `Contradiction`."""
        old, new = change.old, change.new
        if change.op is Op.INSERT and new is not None and UNCHANGED in new:
            raise refusal(Fault.NEVER)
        if change.op is Op.UPDATE and new is not None and not self._moves(old, new, refusal):
            self._push(LogOp.UPDATE, new, stamp, 0)
            return
        if old is not None:
            self._push(LogOp.DELETE, old, stamp, 0)
        if new is not None:
            self._push(LogOp.INSERT, new, stamp, 1)

    def _moves(self, old: Row | None, new: Row, refusal: Refusal) -> bool:
        """Whether the row that is now cannot be found by the key of the one that was. Without a key it never can."""
        if old is None:
            return False
        return not self._key or key_of(old, self._key, refusal) != key_of(new, self._key, refusal)

    def _push(self, op: LogOp, row: Row, stamp: tuple[int, int], nth: int) -> None:
        left_out = tuple(n for n, cell in enumerate(row) if cell is UNCHANGED)
        if left_out:
            self._unchanged.setdefault(left_out, []).append(len(self._rows))
            row = tuple(None if cell is UNCHANGED else cell for cell in row)
        self._rows.append(row)
        self._stamps.append((op, *stamp, nth))

    def take(self) -> Log:
        columns = list(zip(*self._stamps, strict=True)) or [()] * len(STAMPS)
        stamps = pa.RecordBatch.from_arrays(
            [pa.array(values, field.type) for values, field in zip(columns, STAMPS, strict=True)], schema=STAMPS
        )
        unchanged = [Unchanged(columns, pa.array(rows, pa.int64())) for columns, rows in self._unchanged.items()]
        log = Log(text_batch(self._names, self._rows), stamps, unchanged)
        self._rows, self._stamps, self._unchanged = [], [], {}
        return log


def key_of(row: Row, key: Sequence[int], refusal: Refusal) -> Key:
    """The key's values. Raises `Contradiction` if one is missing, which a key's never is."""
    cells = []
    for column in key:
        cell = row[column]
        if not isinstance(cell, str):
            raise refusal(Fault.KEYLESS)
        cells.append(cell)
    return tuple(cells)


def text_batch(names: Sequence[str], rows: Sequence[Row]) -> pa.RecordBatch:
    """Rows of texts as text columns; also of no rows, and of no columns."""
    if not names:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([])))
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], list(names))
