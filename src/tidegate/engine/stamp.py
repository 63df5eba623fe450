"""The texts of append's own columns (see `connect.target.Stamp`)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from tidegate.model.position import Position

TEXT = pa.string()
INDEX_DIGITS = 10
NTH_DIGITS = 6


def transaction_place(commit: Position) -> str:
    """What the places of a transaction's changes begin with. Sorts behind every row that the full copy read before
    it."""
    return f"{commit.sortable()}:1:"


def change_place(commit: Position, index: int, nth: int = 0) -> str:
    """Sorts by the order inside the transaction. A change that becomes several rows has them numbered behind the first:
    a key's delete sorts before the insert it belongs to."""
    return f"{transaction_place(commit)}{index:0{INDEX_DIGITS}d}" + (f":{nth:0{NTH_DIGITS}d}" if nth else "")


def instant(at_us: int) -> str:
    """A timestamptz's text."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).strftime("%Y-%m-%d %H:%M:%S.%f+00")
