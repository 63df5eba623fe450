"""Rows go to a stage in about the order of their table's key."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from tidegate.model.schema import Column, DataType, Kind
from tidegate.targets.postgres.order import PIECE_BYTES, in_order


def column(name: str, kind: Kind) -> Column:
    return Column(name, DataType(kind, str(kind)))


def whole(batch: pa.RecordBatch, key: list[Column]) -> pa.Table:
    return pa.Table.from_batches(in_order(batch, key))


@pytest.mark.parametrize("kind", [Kind.INT16, Kind.INT32, Kind.INT64, Kind.DECIMAL])
def test_numbers_are_in_the_order_of_what_they_are(kind: Kind) -> None:
    numbers = [*range(0, 2_000, 7), 10**15, 10**15 + 1]
    shuffled = random.Random(7).sample(numbers, len(numbers))
    batch = pa.record_batch({"id": [str(n) for n in shuffled], "note": [f"of {n}" for n in shuffled]})
    ordered = whole(batch, [column("id", kind)])
    assert ordered.column("id").to_pylist() == [str(n) for n in numbers]
    assert ordered.column("note").to_pylist() == [f"of {n}" for n in numbers], "rows stay whole"


def test_keys_of_several_columns_go_by_the_first_of_them_first() -> None:
    rows = [("b", "9"), ("a", "10"), ("b", "10"), ("a", "9")]
    batch = pa.record_batch({"place": [p for p, _ in rows], "id": [n for _, n in rows]})
    ordered = whole(batch, [column("place", Kind.TEXT), column("id", Kind.INT32)])
    assert ordered.to_pylist() == [{"place": p, "id": n} for p, n in [("a", "9"), ("a", "10"), ("b", "9"), ("b", "10")]]


def test_no_row_is_lost_or_doubled_whatever_the_key_holds() -> None:
    texts = ["-5", "NaN", "Infinity", "", "é", "9" * 400, "-5", "0"]
    batch = pa.record_batch({"id": texts, "n": [str(i) for i in range(len(texts))]})
    ordered = whole(batch, [column("id", Kind.DECIMAL)])
    assert sorted(map(str, ordered.to_pylist())) == sorted(map(str, batch.to_pylist()))


def test_many_rows_come_in_pieces_of_which_each_goes_on_where_the_one_before_ended() -> None:
    numbers = random.Random(7).sample(range(100_000), 100_000)
    batch = pa.record_batch({"id": [str(n) for n in numbers], "note": ["x" * 50] * len(numbers)})
    pieces = list(in_order(batch, [column("id", Kind.INT32)]))
    assert len(pieces) > 4
    assert max(piece.nbytes for piece in pieces) < 1.2 * PIECE_BYTES
    assert [int(text) for piece in pieces for text in piece.column("id").to_pylist()] == list(range(100_000))
