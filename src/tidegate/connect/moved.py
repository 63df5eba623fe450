"""Rows whose key changed while a large value stayed, put together so that a target can handle many in one statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice

import pyarrow as pa

from tidegate.connect.target import Moved


@dataclass(frozen=True, slots=True)
class MovedRows:
    """Moved rows of one shape. `rows` has the columns `given` and, named `origin`, the key each row had before; the
    values of `taken` are read from the rows that have those keys."""

    rows: pa.RecordBatch
    given: list[str]
    taken: list[str]
    origin: list[str]


def together(moved: Sequence[Moved]) -> Iterator[MovedRows]:
    """The moved rows, joined shape by shape."""
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Moved]] = {}
    for one in moved:
        groups.setdefault((tuple(one.row.schema.names), one.columns), []).append(one)
    for (given, taken), group in groups.items():
        origin = _unused(len(group[0].from_key), (*given, *taken))
        rows = pa.Table.from_batches([one.row for one in group])
        for place, name in enumerate(origin):
            rows = rows.append_column(name, pa.array([one.from_key[place] for one in group], pa.string()))
        yield MovedRows(rows.combine_chunks().to_batches()[0], list(given), list(taken), origin)


def _unused(wanted: int, names: Sequence[str]) -> list[str]:
    """Names that none of the columns has, not even to a target that takes upper and lower case for the same."""
    taken = {name.casefold() for name in names}
    return list(islice((name for number in count() if (name := f"from {number}") not in taken), wanted))
