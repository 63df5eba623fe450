"""Which rows differ, once it is known in which buckets: rows that only one side has, rows the target has too often, and
rows whose columns differ, by name. Pure. Holds digests of cells; of values only the keys, and those are shown only to
who asked for them (I8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa

from tidegate.verify.tally import bucket, keyed

KEY_TEXT_MAX = 200

Key = tuple[str | None, ...]
Cells = tuple[int, ...]


class Sort(StrEnum):
    """What is wrong with a row of the target."""

    MISSING = "missing"
    EXTRA = "extra"
    DOUBLED = "doubled"
    """There more often than at the source, which has it too."""
    DIFFERENT = "different"
    REPEATED = "repeated"
    """Append only: the same change was written twice."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """One row; `key` only where keys were asked for."""

    sort: Sort
    columns: tuple[str, ...] = ()
    key: Key | None = None


@dataclass(slots=True)
class Difference:
    """What was found. `whole` is False when there was more than could be looked at: the counts are then of a part."""

    counts: Counter[Sort] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)
    """How many rows differ in each column."""
    rows: list[Wrong] = field(default_factory=list)
    whole: bool = True
    left_out: int = 0
    """Rows that are equal but for values the target cannot tell: see `fold`."""

    def add(self, wrong: Wrong, limit: int) -> None:
        self.counts[wrong.sort] += 1
        self.columns.update(wrong.columns)
        if wrong.key is not None and len(self.rows) < limit:
            self.rows.append(wrong)

    @property
    def found(self) -> bool:
        return bool(self.counts) or not self.whole


class Kept:
    """The rows of one side that lie in the buckets asked for."""

    def __init__(self, buckets: set[int], key: Sequence[int]) -> None:
        self._buckets = buckets
        self._key = key
        self.rows: dict[Key, Counter[Cells]] = {}
        """By key; by all cells for a table without one."""

    def add(self, rows: pa.RecordBatch, sign: int = 1) -> None:
        _, keys = keyed(rows, self._key)
        places = [place for place, key in enumerate(keys) if bucket(key) in self._buckets]
        if not places:
            return
        few = rows.take(pa.array(places, pa.int64()))
        for cells in zip(*(column.to_pylist() for column in few.columns), strict=True):
            key = tuple(cells[place] for place in self._key) if self._key else cells
            held = self.rows.setdefault(key, Counter())
            held[tuple(map(hash, cells))] += sign

    def clear(self) -> None:
        self.rows.clear()


def compared(
    source: Kept, target: Kept, names: Sequence[str], unsure: Mapping[Key, frozenset[str]], *, keys: bool, limit: int
) -> Difference:
    """`unsure` are columns of rows whose value the target cannot tell. `limit` is how many rows are listed."""
    found = Difference()
    for key in {**source.rows, **target.rows}:
        here, there = source.rows.get(key, Counter[Cells]()), target.rows.get(key, Counter[Cells]())
        missing = sorted((here - there).elements())
        extra = sorted((there - here).elements())
        shown = tuple(_cut(text) for text in key) if keys else None
        for mine, theirs in zip(missing, extra, strict=False):
            columns = {name for name, a, b in zip(names, mine, theirs, strict=True) if a != b}
            if columns <= unsure.get(key, frozenset()):
                found.left_out += 1
            else:
                found.add(Wrong(Sort.DIFFERENT, tuple(n for n in names if n in columns), shown), limit)
        for _ in missing[len(extra) :]:
            found.add(Wrong(Sort.MISSING, (), shown), limit)
        for _ in extra[len(missing) :]:
            found.add(Wrong(Sort.DOUBLED if here else Sort.EXTRA, (), shown), limit)
    return found


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= KEY_TEXT_MAX else text[:KEY_TEXT_MAX] + "…"
