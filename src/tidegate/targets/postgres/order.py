"""Rows in about the order of their table's key, so that neighbours in its index are found and changed one after
another. Only speed depends on it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tidegate.model.schema import Column, Kind

_NUMBERS = {Kind.INT16, Kind.INT32, Kind.INT64, Kind.DECIMAL}


PIECE_BYTES = 1 << 20


def in_order(batch: pa.RecordBatch, key: Sequence[Column]) -> Iterator[pa.RecordBatch]:
    """The rows by the texts of their key's columns; digits by how many there are first, so that 9 is before 10. In
    pieces, of which one is there at a time: sorted at once, all would take their room twice.

    Sorted here and not by the server: its UPDATE … FROM and DELETE … USING would then read a subquery, of which they
    carry every row along a second time, whole, to look at it again should somebody else have changed the row.
    """
    if batch.num_rows < 2:
        yield batch
        return
    by: list[pa.Array] = []
    for column in key:
        texts = batch.column(column.name)
        if column.type.kind in _NUMBERS:
            by.append(pc.binary_length(texts))
        by.append(texts)
    names = [str(index) for index in range(len(by))]
    order = pc.sort_indices(pa.record_batch(by, names), sort_keys=[(name, "ascending") for name in names])
    rows = max(1, batch.num_rows * PIECE_BYTES // max(1, batch.nbytes))
    for start in range(0, batch.num_rows, rows):
        yield batch.take(order.slice(start, rows))
