"""Cases about values: each arrives as it was, or its row is refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tidegate.connect.target import (
    Append,
    Net,
    Progress,
    TargetTable,
)
from tidegate.errors import (
    TargetValueRefused,
)
from tidegate.model.schema import DataType, Kind
from tidegate.testing.target_contract.ground import ORDERS, Cells, Ground, batch, label, one_column
from tidegate.testing.values import VALUES, same_value


class Valued(Ground):
    @pytest.mark.parametrize(("type", "values"), VALUES, ids=label)
    def test_every_value_arrives_as_it_was_by_append(self, type: DataType, values: tuple[str, ...]) -> None:
        target = self.started()
        for table in (self.upsert(one_column(type)), self.append(one_column(type))):
            held = self.holdable(type, values)
            rows: list[Cells] = [(str(n), value) for n, value in enumerate(held)]
            self.filled(target, table, *rows, ("-1", None))
            self._assert_values(table, type, [*rows, ("-1", None)])

    @pytest.mark.parametrize(("type", "values"), VALUES, ids=label)
    def test_every_value_arrives_as_it_was_by_upsert(self, type: DataType, values: tuple[str, ...]) -> None:
        target, table = self.started(), self.upsert(one_column(type))
        rows: list[Cells] = [(str(n), value) for n, value in enumerate(self.holdable(type, values))]
        self.filled(target, table, *((key, None) for key, _ in rows))
        half = len(rows) // 2
        puts, patches = batch(("id", "value"), *rows[:half]), batch(("id", "value"), *rows[half:])
        target.write([Net(table, puts=puts, patches=[patches])], Progress("values"))
        self._assert_values(table, type, rows)

    @pytest.mark.parametrize(("type", "values"), VALUES, ids=label)
    def test_a_value_that_cannot_be_held_is_refused_with_its_column_and_without_itself(
        self, type: DataType, values: tuple[str, ...]
    ) -> None:
        target, table = self.started(), self.upsert(one_column(type))
        target.prepare(table, create=True, replace=False)
        for value in set(values) & self.unheld.get(type.native, set()):
            rows = batch(("id", "value"), ("1", value))
            for step in (Append(table, [rows]), Net(table, puts=rows)):
                with pytest.raises(TargetValueRefused, match=r"shop\.one\.value") as refusal:
                    target.write([step], Progress("refused"))
                assert value not in str(refusal.value)
        assert self.rows(table) == []

    def _assert_values(self, table: TargetTable, type: DataType, rows: Sequence[Cells]) -> None:
        found = {row["id"]: row["value"] for row in self.rows(table)}
        wrong = [(value, found.get(key)) for key, value in rows if key and not same_value(type, value, found.get(key))]
        assert wrong == []
        assert len(found) == len(rows)

    @pytest.mark.parametrize(
        ("type", "value"),
        [
            (DataType(Kind.INT16, "smallint"), "32768"),
            (DataType(Kind.INT64, "bigint"), "9223372036854775808"),
            (DataType(Kind.DECIMAL, "numeric(4,2)", 4, 2), "100.00"),
            (DataType(Kind.DATE, "date"), "2023-02-29"),
            (DataType(Kind.UUID, "uuid"), "a0eebc99-9c0b-4ef8-bb6d"),
            (DataType(Kind.JSON, "json"), '{"secret-cell": '),
            (DataType(Kind.BYTES, "bytea"), "\\x0g"),
        ],
        ids=label,
    )
    def test_a_value_outside_the_columns_type_is_refused_by_name(self, type: DataType, value: str) -> None:
        target, table = self.started(), self.upsert(one_column(type))
        self.filled(target, table, ("1", None))
        with pytest.raises(TargetValueRefused, match=r"shop\.one\.value") as refusal:
            target.write([Net(table, puts=batch(("id", "value"), ("1", value)))], Progress("refused"))
        assert value not in str(refusal.value)
        assert "secret-cell" not in str(refusal.value)
        assert self.held(table) == [("1", None)]
        target.write([Net(table, deletes=batch(("id",), ("1",)))], Progress("after"))

    def test_a_missing_required_value_is_refused_by_name(self) -> None:
        target, table = self.started(), self.upsert()
        target.prepare(table, create=True, replace=False)
        with pytest.raises(TargetValueRefused, match=r"shop\.orders\.id"):
            target.write([Append(table, [batch(ORDERS.names, (None, None, "x", None))])], Progress("refused"))
