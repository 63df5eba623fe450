"""The rows that are kept of one relation, in Python: as the net change per key, or as a log.

The rules are those of the engine's batcher, for tables that are in step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeAlias

import pyarrow as pa

from tidegate.decode.fault import Fault
from tidegate.decode.gatherer import BYTES_MAX, STAMPS, Limits, Log, LogOp, Mode, Moved, Net, Patch, Unchanged
from tidegate.model import change
from tidegate.model.change import UNCHANGED, Op

# Texts, or the UTF-8 they are in: for one relation always the same.
Cell: TypeAlias = "str | bytes | change.Unchanged | None"
Row: TypeAlias = "tuple[Cell, ...]"
Key: TypeAlias = "Cell | Row"
"""The value of the key's column, or a row of them."""


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

    def has_no_room(self, size_bytes: int, limits: Limits) -> bool:
        """For one more change, inside of a transaction."""
        most_bytes = min(limits.split_bytes_max, BYTES_MAX)
        return self.changes >= limits.split_changes_max or self.bytes + size_bytes > most_bytes

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


class Impossible(Exception):
    """The change cannot be: who knows its message says so."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


_Entry: TypeAlias = "tuple[Row | None, Key, bool]"
"""The latest image of a key: the row (None: deleted); the key by which a row had what is UNCHANGED in this one before
this batch (None: nothing is); and whether no row had this key then."""


class NetRows:
    """One entry for each key, values merged and never picked (I6)."""

    def __init__(self, names: Sequence[str], key: Sequence[int]) -> None:
        self._names, self._key = names, key
        self._key_of = key_reader(key)
        self._entries: dict[Key, _Entry] = {}

    def add(self, op: Op, old: Row | None, new: Row | None, transaction: int, index: int) -> None:
        """Nothing is changed when it raises `Impossible`."""
        if new is None:
            self._put(self._key_of(old or ()), None, None, fresh=False)
            return
        key = self._key_of(new)
        if op is Op.INSERT:
            if UNCHANGED in new:
                raise Impossible(Fault.NEVER)
            self._put(key, new, None, fresh=True)
            return
        old_key = key if old is None else self._key_of(old)
        base: Key = None
        if UNCHANGED in new:
            new, base = self._merged(new, old_key)
        moves = old_key != key
        if moves:
            self._put(old_key, None, None, fresh=False)
        self._put(key, new, base, fresh=moves)

    def _put(self, key: Key, row: Row | None, base: Key, *, fresh: bool) -> None:
        """Whether a key is fresh its first entry decides."""
        held = self._entries.get(key)
        self._entries[key] = (row, base, fresh if held is None else held[2])

    def _merged(self, row: Row, old_key: Key) -> tuple[Row, Key]:
        """The row with what is known of its values, and where the others stand."""
        before = self._entries.get(old_key)
        if before is None:
            return row, old_key
        row_before, base, _ = before
        if row_before is None:
            raise Impossible(Fault.GONE)
        merged = tuple(b if n is UNCHANGED else n for n, b in zip(row, row_before, strict=True))
        return merged, base if UNCHANGED in merged else None

    def take(self) -> Net:
        deletes: list[Row] = []
        inserts: list[Row] = []
        puts: list[Row] = []
        patches: dict[tuple[int, ...], list[Row]] = {}
        moved: dict[tuple[int, ...], list[tuple[Row, Row]]] = {}
        for key, (row, base, fresh) in self._entries.items():
            if row is None:
                deletes.append(self._row_of(key))
            elif base is None:
                (inserts if fresh else puts).append(row)
            else:
                columns = tuple(n for n, cell in enumerate(row) if cell is not UNCHANGED)
                known = tuple(row[n] for n in columns)
                if base == key:
                    patches.setdefault(columns, []).append(known)
                else:
                    moved.setdefault(columns, []).append((known, self._row_of(base)))
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

    def _row_of(self, key: Key) -> Row:
        return key if isinstance(key, tuple) else (key,)

    def _batch(self, columns: Sequence[int], rows: Sequence[Row]) -> pa.RecordBatch:
        return text_batch([self._names[n] for n in columns], rows)


class LogRows:
    """A row for each change, but two for a changed key."""

    def __init__(self, names: Sequence[str], key: Sequence[int]) -> None:
        self._names = names
        self._key_of = key_reader(key) if key else None
        self._rows: list[Row] = []
        self._stamps: list[tuple[int, int, int, int]] = []
        self._unchanged: dict[tuple[int, ...], list[int]] = {}

    def add(self, op: Op, old: Row | None, new: Row | None, transaction: int, index: int) -> None:
        """Nothing is changed when it raises `Impossible`."""
        if op is Op.INSERT and new is not None and UNCHANGED in new:
            raise Impossible(Fault.NEVER)
        if op is Op.UPDATE and new is not None and not self._moves(old, new):
            self._push(LogOp.UPDATE, new, transaction, index, 0)
            return
        if old is not None:
            self._push(LogOp.DELETE, old, transaction, index, 0)
        if new is not None:
            self._push(LogOp.INSERT, new, transaction, index, 1)

    def _moves(self, old: Row | None, new: Row) -> bool:
        """Whether the row that is now cannot be found by the key of the one that was. Without a key it never can."""
        if old is None:
            return False
        return self._key_of is None or self._key_of(old) != self._key_of(new)

    def _push(self, op: LogOp, row: Row, transaction: int, index: int, nth: int) -> None:
        if UNCHANGED in row:
            left_out = tuple(n for n, cell in enumerate(row) if cell is UNCHANGED)
            self._unchanged.setdefault(left_out, []).append(len(self._rows))
            row = tuple(None if cell is UNCHANGED else cell for cell in row)
        self._rows.append(row)
        self._stamps.append((op, transaction, index, nth))

    def take(self) -> Log:
        columns = list(zip(*self._stamps, strict=True)) or [()] * len(STAMPS)
        stamps = pa.RecordBatch.from_arrays(
            [pa.array(values, field.type) for values, field in zip(columns, STAMPS, strict=True)], schema=STAMPS
        )
        unchanged = [Unchanged(columns, pa.array(rows, pa.int64())) for columns, rows in self._unchanged.items()]
        log = Log(text_batch(self._names, self._rows), stamps, unchanged)
        self._rows, self._stamps, self._unchanged = [], [], {}
        return log


def key_reader(key: Sequence[int]) -> Callable[[Row], Key]:
    """Reads a row's key. What it returns raises `Impossible` if a value of it is missing, which a key's never is."""
    read: Callable[[Row], Any] = itemgetter(*key)

    def of_one(row: Row) -> Key:
        value: Key = read(row)
        if value is None or value is UNCHANGED:
            raise Impossible(Fault.KEYLESS)
        return value

    def of_many(row: Row) -> Key:
        values: Row = read(row)
        if None in values or UNCHANGED in values:
            raise Impossible(Fault.KEYLESS)
        return values

    return of_one if len(key) == 1 else of_many


def text_batch(names: Sequence[str], rows: Sequence[Row]) -> pa.RecordBatch:
    """Rows of texts as text columns; also of no rows, and of no columns."""
    if not names:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([])))
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], list(names))
