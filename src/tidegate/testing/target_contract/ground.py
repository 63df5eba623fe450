"""What the cases of the target contract are written with: tables, batches, and targets that are closed at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from tidegate.connect.capability import WriteMode
from tidegate.connect.target import (
    Append,
    Progress,
    Stamp,
    Target,
    TargetTable,
)
from tidegate.model.schema import Column, DataType, Kind, TableName, TableSchema

INT = DataType(Kind.INT64, "bigint")
TEXT = DataType(Kind.TEXT, "text")
MONEY = DataType(Kind.DECIMAL, "numeric(10,2)", 10, 2)

ORDERS = TableSchema(
    TableName("public", "orders"),
    (Column("id", INT, False), Column("amount", MONEY), Column("note", TEXT), Column("doc", TEXT)),
    ("id",),
    "postgres",
)
LINES = TableSchema(
    TableName("public", "lines"),
    (Column("region", TEXT, False), Column("no", INT, False), Column("note", TEXT)),
    ("region", "no"),
    "postgres",
)

RUN = "c0ffee_t1r1"
NEXT_RUN = "c0ffee_t1r2"
OTHER_RUN = "c0ffee_t2r1"

Cells = Sequence[str | None]


def batch(names: Sequence[str], *rows: Cells) -> pa.RecordBatch:
    """Rows of texts as the engine hands them over."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], list(names))


def one_column(type: DataType, *, nullable: bool = True) -> TableSchema:
    """A table of a key and one column of the type."""
    columns = (Column("id", INT, False), Column("value", type, nullable))
    return TableSchema(TableName("public", "one"), columns, ("id",), "postgres")


def label(value: Any) -> str:
    return f"{value.kind}-{value.native}" if isinstance(value, DataType) else ""


class Ground:
    unheld: ClassVar[dict[str, set[str]]] = {}
    """Native type → values a column made for it cannot hold. They must be refused, never bent."""

    _opened: list[Target]

    def target(self) -> Target:
        """A new instance, always of the same place, which is empty at the start of each test."""
        raise NotImplementedError

    def rows(self, table: TargetTable) -> list[dict[str, str | None]]:
        """The table's rows as texts in the grammar of `Kind`, in any order; every column, also those of a stamp."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _closing(self) -> Iterator[None]:
        self._opened = []
        yield
        for target in self._opened:
            target.close()

    def started(self, run: str = RUN, epoch: int = 1) -> Target:
        target = self.fresh()
        target.open(run, epoch)
        return target

    def fresh(self) -> Target:
        target = self.target()
        self._opened.append(target)
        return target

    def upsert(self, source: TableSchema = ORDERS, name: str = "") -> TargetTable:
        return TargetTable("shop", name or source.name.name, source, WriteMode.UPSERT)

    def append(self, source: TableSchema = ORDERS, name: str = "", stamp: Stamp | None = None) -> TargetTable:
        return TargetTable("shop", name or f"{source.name.name}_log", source, WriteMode.APPEND, stamp or Stamp())

    def filled(self, target: Target, table: TargetTable, *rows: Cells) -> None:
        target.prepare(table, create=True, replace=False)
        target.write([Append(table, [batch(table.source.names, *rows)])], Progress("filled"))

    def held(self, table: TargetTable, *names: str) -> list[tuple[str | None, ...]]:
        """The rows' cells of the columns (all of the source's), sorted."""
        wanted = names or table.source.names
        return sorted((tuple(row[n] for n in wanted) for row in self.rows(table)), key=repr)

    def holdable(self, type: DataType, values: Sequence[str]) -> list[str]:
        """The values a column made for the type can hold."""
        unheld = self.unheld.get(type.native, set())
        return [value for value in values if value not in unheld]
