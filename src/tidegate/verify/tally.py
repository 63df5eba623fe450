"""Rows as digests: equal rows have equal ones, whatever order they come in. Pure.

A tally sorts the rows of one side into buckets by key and keeps, per bucket, how many there are and the sum of their
128-bit digests: a few megabytes for a table of any size. Two tallies are equal exactly when the rows are, but for a
chance of about one in 2^128 per bucket; where they are not, only the rows of those buckets need to be looked at.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc

from tidegate.model.schema import DataType, Kind

BUCKETS = 1 << 16
_MASK = (1 << 128) - 1
# After so many rows other threads get their turn: the one that synchronizes shares the interpreter with this.
_STINT_ROWS = 1_000

# A new one in each process: rows cannot be made up so that their digests' sum is another's.
_SECRET = os.urandom(32)


def spelled_alike(rows: pa.RecordBatch, types: Sequence[DataType]) -> pa.RecordBatch:
    """The rows with binary fractions spelled in one way; everything else has one spelling already."""
    for place, type in enumerate(types):
        if type.kind in (Kind.FLOAT32, Kind.FLOAT64):
            width = pa.float32() if type.kind is Kind.FLOAT32 else pa.float64()
            number = pc.cast(rows.column(place), width)
            rows = rows.set_column(place, rows.schema.names[place], pc.cast(number, pa.string()))
    return rows


def joined(columns: Sequence[pa.Array], rows: int) -> list[bytes]:
    """Each row's cells as one text that no other row has: `length:text` each, `-:` for NULL."""
    if not columns:
        return [b""] * rows
    pieces: list[pa.Array] = []
    for column in columns:
        pieces.append(pc.fill_null(pc.cast(pc.binary_length(column), pa.string()), "-"))
        pieces.append(pc.fill_null(column, ""))
    whole = pc.binary_join_element_wise(*pieces, ":")
    texts: list[bytes] = pc.cast(whole, pa.binary()).to_pylist()
    return texts


def keyed(rows: pa.RecordBatch, key: Sequence[int]) -> tuple[list[bytes], list[bytes]]:
    """Each row's text and its key's; a row of a table without a key is its own."""
    texts = joined(rows.columns, rows.num_rows)
    return texts, joined([rows.column(place) for place in key], rows.num_rows) if key else texts


def bucket(key: bytes) -> int:
    """Which bucket a key's rows are in; the same within this process."""
    return hash(key) % BUCKETS


class Tally:
    """One side's rows of one table."""

    def __init__(self) -> None:
        self.rows = 0
        self._counts = [0] * BUCKETS
        self._sums = [0] * BUCKETS

    def add(self, rows: pa.RecordBatch, key: Sequence[int], sign: int = 1) -> None:
        """`sign` −1 takes rows away again, as the log of a table without a key does."""
        counts, sums = self._counts, self._sums
        texts, keys = keyed(rows, key)
        for start in range(0, len(texts), _STINT_ROWS):
            stop = start + _STINT_ROWS
            for text, name in zip(texts[start:stop], keys[start:stop], strict=True):
                place = hash(name) % BUCKETS
                counts[place] += sign
                sums[place] += sign * int.from_bytes(blake2b(text, digest_size=16, key=_SECRET).digest())
            time.sleep(0)
        self.rows += sign * len(texts)

    def clear(self) -> None:
        """As if nothing had been added."""
        self.__init__()  # type: ignore[misc]

    def count(self, place: int) -> int:
        """How many rows the bucket has."""
        return self._counts[place]

    def differs_from(self, other: Tally) -> list[int]:
        """The buckets in which the two do not have the same rows."""
        return [
            place
            for place in range(BUCKETS)
            if self._counts[place] != other._counts[place] or (self._sums[place] ^ other._sums[place]) & _MASK
        ]
