"""Columns that the log does not name, led on from statement to statement."""

from __future__ import annotations

import pytest

from tidegate.connect.mycolumns import completed
from tidegate.connect.myshapes import Shapes
from tidegate.connect.mystatements import read
from tidegate.connect.mytypes import catalogued
from tidegate.decode.binlog_table import Column as LoggedColumn
from tidegate.decode.binlog_table import Type
from tidegate.errors import SourceLogFormat
from tidegate.model.schema import Column, TableName, TableSchema

T = TableName("s", "t")
SCHEMA = TableSchema(
    T, tuple(Column(name, catalogued(type)) for name, type in (("id", "int"), ("n", "int"))), ("id",), "mariadb"
)


def led_on(*clauses: str) -> TableSchema:
    shapes = Shapes({T: SCHEMA}, lambda name: [], lambda name: {})
    shapes.unnamed = True
    for clause in clauses:
        shapes.led_on(T, read(f"alter table t {clause}", "s"))
    found = shapes.schema(T)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("clauses", "wanted"),
    [
        (["add a int"], "id n a"),
        (["add a int first, add b int after A"], "a b id n"),
        (["add (a int, b int)", "drop n, drop column b"], "id a"),
        (["rename column n to m", "change m o bigint first"], "o id"),
        (["modify id int after n"], "n id"),
        (["add a int after m, change n m int, add b int after id"], "id b m a"),
        (["add a int, modify id int after a, add b int first, drop n"], "b a id"),
        (["add n int", "drop if exists unheard_of", "add index (n), engine = innodb"], "id n"),
    ],
)
def test_a_column_has_its_name_and_place_from_the_statement_on(clauses: list[str], wanted: str) -> None:
    assert " ".join(led_on(*clauses).names) == wanted


def test_the_key_goes_with_its_column() -> None:
    assert led_on("change id key_1 bigint").key == ("key_1",)
    for clause in ("drop primary key, add primary key (n)", "drop ID"):
        with pytest.raises(SourceLogFormat):
            led_on(clause)


def test_a_place_that_is_not_known_ends_the_run() -> None:
    with pytest.raises(SourceLogFormat):
        led_on("add a int after unheard_of")


def test_what_older_rows_have_in_a_new_column_is_known() -> None:
    assert led_on("add a int default 7").column("a").default == "7"
    assert led_on("add a char(36) default uuid()").column("a").varies


def told(*types: Type, unsigned: bool | None = False) -> tuple[LoggedColumn, ...]:
    return tuple(LoggedColumn(type, 0, 0, True, unsigned=unsigned) for type in types)


def test_columns_get_the_names_that_are_known_where_their_types_are_those() -> None:
    assert [one.name for one in completed(SCHEMA, told(Type.LONG, Type.LONG))] == ["id", "n"]


@pytest.mark.parametrize(
    "wrong", [told(Type.LONG), told(Type.LONG, Type.LONGLONG), told(Type.LONG, Type.LONG, unsigned=None)]
)
def test_columns_that_are_not_those_that_are_known_end_the_run(wrong: tuple[LoggedColumn, ...]) -> None:
    with pytest.raises(SourceLogFormat):
        completed(SCHEMA, wrong)
