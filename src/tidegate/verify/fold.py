"""The rows an append target's changes come to, and the changes that are there twice. Pure.

With a key: changes sorted by key and position; the newest of a key that is no delete is its row. Without one: every
change puts a row in or takes one out. A large value that an update left alone is the one the row had before. If the
row's key was changed at the same time that value stands under the old key, and is left out of the comparison.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tidegate.connect.target import Stamp
from tidegate.errors import NotComparable
from tidegate.model.change import Op
from tidegate.verify.difference import Key

ROWS_AT_ONCE = 5_000
TRUNCATES_MAX = 10_000
UNSURE_MAX = 50_000
REPEATED_LISTED_MAX = 1_000

Order = Callable[[Sequence[str]], Any]
"""Comparable values for a key, or for the first columns of one, in the source's order."""


@dataclass(slots=True)
class _Truncate:
    position: str
    after: tuple[str, ...] | None
    upto: tuple[str, ...] | None
    kept: frozenset[Key]

    def covers(self, key: Key, order: Order) -> bool:
        texts = [text or "" for text in key]
        if self.after is not None and not order(self.after) < order(texts[: len(self.after)]):
            return False
        if self.upto is not None and not order(texts[: len(self.upto)]) <= order(self.upto):
            return False
        return key not in self.kept


@dataclass(slots=True)
class Fold:
    """`since` is the position from which on changes are the run's own: what lies before it an earlier run wrote."""

    names: Sequence[str]
    key: Sequence[int]
    stamp: Stamp
    order: Order
    since: str = ""
    repeated: int = 0
    repeated_keys: list[Key] = field(default_factory=list)
    unsure: dict[Key, frozenset[str]] = field(default_factory=dict)
    _emptied_at: str = ""
    _truncates: list[_Truncate] = field(default_factory=list)

    @property
    def columns(self) -> tuple[str, ...]:
        """What must be read of the target."""
        return (*self.names, self.stamp.op, self.stamp.position, self.stamp.detail)

    @property
    def sorting(self) -> tuple[str, ...]:
        """What it must be sorted by."""
        return (*(self.names[place] for place in self.key), self.stamp.position)

    def rows(self, changes: Iterable[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, int]]:
        """The rows, each batch with 1 (there), −1 (one like it less), or 0: all rows before it are gone."""
        self.repeated, self.repeated_keys, self.unsure = 0, [], {}
        self._emptied_at, self._truncates = "", []
        return self._by_key(changes) if self.key else self._without_key(changes)

    def _events(self, changes: Iterable[pa.RecordBatch]) -> Iterator[tuple[tuple[Any, ...], str, str, str | None]]:
        width = len(self.names)
        for batch in changes:
            columns = [column.to_pylist() for column in batch.columns]
            for cells in zip(*columns, strict=True):
                op, position, detail = cells[width:]
                if position is None or op is None:
                    raise NotComparable("rows at the target have no position: somebody else wrote them")
                if position >= self.since:
                    yield cells[:width], op, position, detail

    # --- with a key ---

    def _by_key(self, changes: Iterable[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, int]]:
        held: list[tuple[Any, ...]] = []
        row: _Row | None = None
        for cells, op, position, detail in self._events(changes):
            if op == Op.TRUNCATE:  # first of all: its key is NULL
                self._emptied(position, detail)
                continue
            key = tuple(cells[place] for place in self.key)
            if row is None or row.key != key:
                self._end(row, held)
                row = _Row(key, self._emptied_for(key))
            if not row.take(cells, op, position, detail, self.names):
                self._twice(key)
            if len(held) >= ROWS_AT_ONCE:
                yield self._batch(held), 1
                held = []
        self._end(row, held)
        if held:
            yield self._batch(held), 1

    def _end(self, row: _Row | None, held: list[tuple[Any, ...]]) -> None:
        cells = row.end() if row is not None else None
        if row is None or cells is None:
            return
        held.append(cells)
        if row.unsure:
            if len(self.unsure) >= UNSURE_MAX:
                raise NotComparable("too many large values moved with their rows' keys to be left out one by one")
            self.unsure[row.key] = frozenset(row.unsure)

    def _emptied(self, position: str, detail: str | None) -> None:
        said = json.loads(detail).get("truncated", {}) if detail else {}
        after, upto = said.get("after"), said.get("upto")
        kept = frozenset(tuple(key) for key in said.get("kept", ()))
        if after is None and upto is None and not kept:
            self._emptied_at = max(self._emptied_at, position)
            return
        if len(self._truncates) >= TRUNCATES_MAX:
            raise NotComparable(f"the table was truncated more than {TRUNCATES_MAX} times while it was copied")
        self._truncates.append(_Truncate(position, _edge(after), _edge(upto), kept))

    def _emptied_for(self, key: Key) -> str:
        """The newest position at which the key's row went with a TRUNCATE."""
        covering = (one.position for one in self._truncates if one.covers(key, self.order))
        return max((self._emptied_at, *covering))

    # --- without one ---

    def _without_key(self, changes: Iterable[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, int]]:
        held: list[tuple[Any, ...]] = []
        sign, seen, seen_at = 1, set[tuple[str, str | None]](), ""
        for cells, op, position, detail in self._events(changes):
            if position != seen_at:
                seen, seen_at = set(), position
            if (op, detail) in seen:
                self._twice(())
                continue
            seen.add((op, detail))
            now = 0 if op == Op.TRUNCATE else -1 if op == Op.DELETE else 1
            if held and (now != sign or len(held) >= ROWS_AT_ONCE):
                yield self._batch(held), sign
                held = []
            sign = now
            if op == Op.TRUNCATE:
                yield self._batch([]), 0
            else:
                held.append(cells)
        if held:
            yield self._batch(held), sign

    def _twice(self, key: Key) -> None:
        self.repeated += 1
        if len(self.repeated_keys) < REPEATED_LISTED_MAX:
            self.repeated_keys.append(key)

    def _batch(self, rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(self.names)
        return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], list(self.names))


def _edge(texts: list[str] | None) -> tuple[str, ...] | None:
    return tuple(texts) if texts is not None else None


class _Row:
    """One key's changes, oldest first."""

    def __init__(self, key: Key, emptied_at: str) -> None:
        self.key = key
        self.unsure: set[str] = set()
        self._emptied_at = emptied_at
        self._cells: tuple[Any, ...] | None = None
        self._copied = False
        self._at = ""
        self._ops: set[str] = set()
        """Those at the newest position: a row that moves away and another that moves here are one change."""

    def take(self, cells: tuple[Any, ...], op: str, position: str, detail: str | None, names: Sequence[str]) -> bool:
        """Whether the change is a new one. Each is there once; the copy reads a row once in a run."""
        copied = op == Op.READ and position.rpartition(":")[0].endswith(":0")
        if (position == self._at and op in self._ops) or (copied and self._copied):
            return False
        if position != self._at:
            self._at, self._ops = position, set()
        self._ops.add(op)
        self._copied = self._copied or copied
        if op == Op.DELETE:
            self._cells = None
            return True
        left_out = json.loads(detail).get("unchanged", ()) if detail else ()
        before = self._cells if op == Op.UPDATE else None  # what an insert leaves out stands under the row's old key
        if left_out and before is not None:
            cells = tuple(b if n in left_out else c for n, b, c in zip(names, before, cells, strict=True))
        self.unsure = {name for name in left_out if before is None or name in self.unsure}
        self._cells = cells
        return True

    def end(self) -> tuple[Any, ...] | None:
        """The row that is left, if one is."""
        return None if self._at < self._emptied_at else self._cells
