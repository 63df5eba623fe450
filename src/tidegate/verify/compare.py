"""One table of a source and its target compared, each as of the same instant: first by tallies, then row by row where
these differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pyarrow as pa

from tidegate.connect.capability import WriteMode
from tidegate.connect.source import SourceView
from tidegate.connect.target import TargetTable, TargetView
from tidegate.errors import NotComparable, TidegateError
from tidegate.model.problem import problem
from tidegate.model.schema import DataType, TableName
from tidegate.verify.difference import Difference, Kept, Sort, Wrong, compared
from tidegate.verify.fold import Fold, Order
from tidegate.verify.tally import Tally, spelled_alike

# About how many rows of buckets that differ are looked at, of both sides together.
KEPT_ROWS_MAX = 40_000

Pace = Callable[[int], None]
"""Called with the number of rows just read; raises what ends the comparison."""


class Verdict(StrEnum):
    EQUAL = "equal"
    DIFFERENT = "different"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Subject:
    """A table of a run that is in step. `since` is the position from which on the run wrote it (append)."""

    place: TargetTable
    order: Order
    since: str = ""

    @property
    def name(self) -> TableName:
        return self.place.source.name


@dataclass(slots=True)
class Finding:
    """What was found about one table. `problem` says why an undecided one is."""

    table: str
    target: str
    verdict: Verdict = Verdict.UNDECIDED
    rows_source: int = 0
    rows_target: int = 0
    difference: Difference = field(default_factory=Difference)
    notes: list[str] = field(default_factory=list)
    problem: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        found = self.difference
        return {
            "table": self.table,
            "target": self.target,
            "verdict": str(self.verdict),
            "rows_source": self.rows_source,
            "rows_target": self.rows_target,
            "differences": {str(sort): found.counts[sort] for sort in Sort if found.counts[sort]},
            "columns": dict(found.columns),
            "whole": found.whole,
            "rows": [
                {"sort": str(row.sort), "columns": list(row.columns), "key": list(row.key or ())} for row in found.rows
            ],
            "notes": self.notes,
            "problem": self.problem,
        }


def refused(table: str, target: str, error: TidegateError) -> Finding:
    """A table that was not compared, and why."""
    return Finding(table, target, problem=problem(error))


def compare(
    source: SourceView, target: TargetView, subject: Subject, pace: Pace, *, keys: bool = False, limit: int = 0
) -> Finding:
    """Raises what keeps the table from being compared, and what `pace` raises. With `keys` up to `limit` rows are
    listed by their keys."""
    comparison = _Comparison(source, target, subject, pace)
    here, there = Tally(), Tally()
    for rows in comparison.source_rows():
        here.add(rows, comparison.key)
    for rows, sign in comparison.target_rows():
        if sign:
            there.add(rows, comparison.key, sign)
        else:
            there.clear()
    found = Finding(str(subject.name), str(subject.place), Verdict.EQUAL, here.rows, there.rows)
    buckets = here.differs_from(there)
    if buckets:
        found.difference = comparison.look(here, there, buckets, keys=keys, limit=limit)
    comparison.add_repeated(found.difference, keys=keys, limit=limit)
    found.notes = comparison.notes
    if found.difference.left_out:
        found.notes.append(
            f"{found.difference.left_out} rows have large values that moved with a row's key and were not compared"
        )
    if found.difference.found:
        found.verdict = Verdict.DIFFERENT
    return found


class _Comparison:
    def __init__(self, source: SourceView, target: TargetView, subject: Subject, pace: Pace) -> None:
        self._source, self._target, self._subject, self._pace = source, target, subject, pace
        self.notes: list[str] = []
        self.names: tuple[str, ...] = ()
        self.key: tuple[int, ...] = ()
        self._types: tuple[DataType, ...] = ()
        self._fold: Fold | None = None

    def source_rows(self) -> Iterator[pa.RecordBatch]:
        place = self._subject.place
        schema, batches = self._source.rows(self._subject.name)
        with closing(batches):
            if not self.names:
                self._agree(schema.names, {column.name: column.type for column in schema.columns})
            for batch in batches:
                self._pace(batch.num_rows)
                held = self._target.as_held(place, batch.select(list(self.names)))
                yield spelled_alike(held, self._types)

    def _agree(self, names: Sequence[str], types: dict[str, DataType]) -> None:
        """The columns to compare: those of the source then that the run had brought to the target by then."""
        place = self._subject.place
        shape = place.source
        self.names = tuple(name for name in names if name in shape.names)
        self.key = tuple(self.names.index(name) for name in shape.key if name in self.names)
        self._types = tuple(types[name] for name in self.names)
        changed = [name for name in self.names if shape.column(name).type != types[name]]
        if changed or len(self.key) != len(shape.key):
            listed = ", ".join(changed) or "of the key"
            raise NotComparable(f"{shape.name}: columns {listed} were changed at the source; the log tells it later")
        to_come = [name for name in names if name not in shape.names]
        gone = [name for name in shape.names if name not in names]
        if to_come:
            self.notes.append(f"not at the target before the table's next change: {', '.join(to_come)}")
        if gone:
            self.notes.append(f"no longer at the source: {', '.join(gone)}")
        if place.mode is WriteMode.APPEND:
            if not (place.stamp.op and place.stamp.position and place.stamp.detail):
                raise NotComparable(
                    f"{place} has no columns for operation, position and detail (target.stamp of the task): without "
                    "them nobody can tell which of a row's changes is the newest"
                )
            subject = self._subject
            self._fold = Fold(self.names, self.key, place.stamp, subject.order, subject.since)

    def target_rows(self) -> Iterator[tuple[pa.RecordBatch, int]]:
        fold = self._fold
        columns, order = (fold.columns, fold.sorting) if fold else (self.names, ())
        with closing(self._target.rows(self._subject.place, columns, order)) as batches:
            paced = self._paced(batches)
            for rows, sign in fold.rows(paced) if fold else ((batch, 1) for batch in paced):
                yield spelled_alike(rows, self._types), sign

    def _paced(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self._pace(batch.num_rows)
            yield batch

    def look(self, here: Tally, there: Tally, buckets: Sequence[int], *, keys: bool, limit: int) -> Difference:
        """The rows of the buckets once more, as many as fit."""
        chosen: set[int] = set()
        rows = 0
        for place in buckets:
            rows += abs(here.count(place)) + abs(there.count(place))
            if chosen and rows > KEPT_ROWS_MAX:
                break
            chosen.add(place)
        mine, theirs = Kept(chosen, self.key), Kept(chosen, self.key)
        for batch in self.source_rows():
            mine.add(batch)
        for batch, sign in self.target_rows():
            if sign:
                theirs.add(batch, sign)
            else:
                theirs.clear()
        unsure = self._fold.unsure if self._fold else {}
        # A table without a key has no keys to show: its rows would be shown whole.
        found = compared(mine, theirs, self.names, unsure, keys=keys and bool(self.key), limit=limit)
        found.whole = len(chosen) == len(buckets)
        return found

    def add_repeated(self, found: Difference, *, keys: bool, limit: int) -> None:
        """Changes that are there twice come to the same rows, and are told beside them."""
        if self._fold is None:
            return
        listed = self._fold.repeated_keys if keys and self.key else []
        for key in listed[: max(0, limit - len(found.rows))]:
            found.rows.append(Wrong(Sort.REPEATED, (), key))
        if self._fold.repeated:
            found.counts[Sort.REPEATED] = self._fold.repeated
