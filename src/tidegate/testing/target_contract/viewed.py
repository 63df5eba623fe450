"""Cases about a target's view: what it gives back is what was written, as of one instant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pytest

from tidegate.connect.target import Append, Clear, Net, Progress, Target, TargetTable, TargetView
from tidegate.errors import TargetMisfit, TargetTableMissing
from tidegate.model.schema import Column, DataType, TableName, TableSchema
from tidegate.testing.target_contract.ground import INT, ORDERS, RUN, TEXT, Cells, Ground, batch, label, one_column
from tidegate.testing.values import VALUES, same_value

OPEN_DEADLINE_S = 60.0


@contextmanager
def viewed(target: Target) -> Iterator[TargetView]:
    """A view as of now."""
    view = target.view()
    view.open(OPEN_DEADLINE_S)
    try:
        view.hold(RUN)
        yield view
    finally:
        view.close()


def shown(
    view: TargetView, table: TargetTable, names: Sequence[str] = (), order: Sequence[str] = ()
) -> list[tuple[str | None, ...]]:
    names = names or table.source.names
    whole = pa.Table.from_batches(view.rows(table, names, order), pa.schema([(name, pa.string()) for name in names]))
    return list(zip(*(whole.column(name).to_pylist() for name in names), strict=True))


class Viewed(Ground):
    @pytest.mark.parametrize(("type", "values"), VALUES, ids=label)
    def test_a_view_gives_every_value_as_it_was_written(self, type: DataType, values: tuple[str, ...]) -> None:
        target, table = self.started(), self.upsert(one_column(type))
        rows: list[Cells] = [(str(n), value) for n, value in enumerate(self.holdable(type, values))]
        self.filled(target, table, *rows, ("-1", None))
        with viewed(target) as view:
            found = {str(key): value for key, value in shown(view, table)}
        assert [(n, v) for n, v in rows if not same_value(type, v, found[str(n)])] == []
        assert (found["-1"], len(found)) == (None, len(rows) + 1)

    def test_a_view_stays_at_its_instant_while_writing_goes_on(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, ("1", "1.00", "a", None), ("2", "2.00", "b", ""))
        with viewed(target) as view:
            keys = batch(("id",), ("1",))
            puts = batch(ORDERS.names, ("2", "9.00", "changed", None), ("3", "3.00", "new", None))
            target.write([Net(table, deletes=keys, puts=puts)], Progress("later"))
            assert sorted(shown(view, table)) == [("1", "1.00", "a", None), ("2", "2.00", "b", "")]
            assert sorted(shown(view, table)) == [("1", "1.00", "a", None), ("2", "2.00", "b", "")]
        assert self.held(table, "id", "note") == [("2", "changed"), ("3", "new")]

    def test_holding_again_takes_a_later_instant(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, ("1", None, None, None))
        with viewed(target) as view:
            target.write([Append(table, [batch(("id",), ("2",))])], Progress("second"))
            assert view.hold(RUN) == "second"
            assert sorted(shown(view, table, ["id"])) == [("1",), ("2",)]

    def test_a_view_knows_the_position_of_its_instant(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table)
        view = target.view()
        view.open(OPEN_DEADLINE_S)
        try:
            assert view.hold(RUN) == "filled"
        finally:
            view.close()

    def test_what_a_view_reads_can_be_left_halfway(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, *((str(n), None, "x" * 100, None) for n in range(30_000)))
        with viewed(target) as view:
            rows = view.rows(table, table.source.names)
            assert next(iter(rows)).num_rows > 0
            rows.close()
            target.write([Clear(table)], Progress("cleared"))
        assert self.rows(table) == []

    def test_rows_are_sorted_by_the_bytes_of_their_texts(self) -> None:
        source = TableSchema(TableName("public", "t"), (Column("k", TEXT), Column("n", INT)), (), "postgres")
        target, table = self.started(), self.append(source)
        target.prepare(table, create=True, replace=False)
        rows: list[Cells] = [("b", "10"), ("a", "9"), (None, "1"), ("B", "2"), ("é", "3"), ("a", "10"), ("", "4")]
        target.write([Append(table, [batch(("k", "n"), *rows)])], Progress("filled"))
        with viewed(target) as view:
            found = shown(view, table, ("k", "n"), ("k", "n"))
        wanted = [(None, "1"), ("", "4"), ("B", "2"), ("a", "10"), ("a", "9"), ("b", "10"), ("é", "3")]
        assert found == wanted

    def test_a_table_or_column_that_is_not_there_is_named(self) -> None:
        target, table = self.started(), self.upsert()
        with viewed(target) as view, pytest.raises(TargetTableMissing, match=r"shop\.orders"):
            list(view.rows(table, ["id"]))
        self.filled(target, table)
        with viewed(target) as view, pytest.raises(TargetMisfit, match=r"shop\.orders\.extra"):
            list(view.rows(table, ["id", "extra"]))

    def test_texts_of_the_created_types_are_held_as_they_are(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table)
        rows = batch(ORDERS.names, ("1", "1.50", "a", None))
        with viewed(target) as view:
            assert view.as_held(table, rows).to_pylist() == rows.to_pylist()
