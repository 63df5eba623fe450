"""What a changed table asks of its target, decided without either."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tidegate.connect.capability import WriteMode
from tidegate.connect.target import TargetTable
from tidegate.engine.evolve import added_columns
from tidegate.errors import SourceSchemaChange
from tidegate.model.schema import Column, DataType, Kind, TableName, TableSchema

INT = DataType(Kind.INT32, "integer")
BIG = DataType(Kind.INT64, "bigint")
TEXT = DataType(Kind.TEXT, "text")
SHORT = DataType(Kind.TEXT, "character varying(5)", length=5)
ID, NOTE = Column("id", INT, False), Column("note", TEXT)


def shape(*columns: Column, key: tuple[str, ...] = ("id",)) -> TableSchema:
    return TableSchema(TableName("shop", "orders"), columns, key, "postgres")


def decided(
    known: TableSchema,
    seen: TableSchema,
    *,
    at_target: dict[str, str] | None = None,
    misfits: dict[str, str] | None = None,
    write: WriteMode = WriteMode.UPSERT,
    in_step: bool = True,
) -> list[str]:
    """Names of the columns to add. By default the target has what `known` has, in the same types."""
    held = {column.name: column.type.native for column in known.columns} if at_target is None else at_target
    place = TargetTable("shop", "orders", seen, write)
    added = added_columns(known, place, lambda type: type.native, held, lambda: misfits or {}, in_step=in_step)
    return [column.name for column in added]


def refused(known: TableSchema, seen: TableSchema, **more: object) -> str:
    with pytest.raises(SourceSchemaChange) as error:
        decided(known, seen, **more)  # type: ignore[arg-type]
    assert error.value.detail.startswith("shop.orders: ")
    return error.value.detail.removeprefix("shop.orders: ")


def test_new_columns_are_added_where_they_are_missing() -> None:
    seen = shape(ID, NOTE, Column("a", INT), Column("b", TEXT))
    assert decided(shape(ID, NOTE), seen) == ["a", "b"]
    assert decided(shape(ID, NOTE), seen, at_target={"id": "integer", "note": "text", "a": "integer"}) == ["b"]


def test_nothing_is_asked_for_an_unchanged_table() -> None:
    assert decided(shape(ID, NOTE), shape(ID, NOTE)) == []


def test_a_dropped_column_is_named_until_the_target_has_lost_it_too() -> None:
    assert refused(shape(ID, NOTE), shape(ID)) == "column note was dropped"
    assert decided(shape(ID, NOTE), shape(ID), at_target={"id": "integer"}) == []


def test_a_renamed_column_looks_dropped_and_added_and_says_so() -> None:
    seen = shape(ID, Column("text", TEXT))
    assert refused(shape(ID, NOTE), seen) == "column note was dropped (or renamed to text)"
    assert decided(shape(ID, NOTE), seen, at_target={"id": "integer", "text": "text"}) == []


def test_a_wider_type_needs_a_target_that_holds_it() -> None:
    known, seen = shape(ID, Column("n", INT)), shape(ID, Column("n", BIG))
    assert refused(known, seen, misfits={"n": "is integer"}) == "column n was changed from integer to bigint"
    assert decided(known, seen, at_target={"id": "integer", "n": "bigint"}) == []
    assert decided(known, seen, at_target={"id": "integer", "n": "numeric"}) == []


def test_another_kind_of_value_needs_a_target_that_was_changed_alike() -> None:
    known, seen = shape(ID, NOTE), shape(ID, Column("note", INT))
    assert refused(known, seen) == "column note was changed from text to integer"
    assert decided(known, seen, at_target={"id": "integer", "note": "integer"}) == []


def test_a_type_the_target_spells_the_same_is_no_change() -> None:
    place = TargetTable("", "orders", shape(ID, Column("note", SHORT)), WriteMode.UPSERT)
    assert added_columns(shape(ID, NOTE), place, lambda _: "VARCHAR", {}, dict, in_step=True) == []


def test_an_added_column_the_target_has_otherwise_is_refused() -> None:
    seen = shape(ID, NOTE, Column("a", TEXT))
    held = {"id": "integer", "note": "text", "a": "integer"}
    detail = refused(shape(ID, NOTE), seen, at_target=held, misfits={"a": "is integer"})
    assert detail == "column a was added; the one at the target is integer"
    assert decided(shape(ID, NOTE), seen, at_target=held | {"a": "text"}) == []


def test_a_column_whose_older_values_nobody_knows_is_refused_unless_the_target_has_it() -> None:
    seen = shape(ID, NOTE, Column("a", INT, varies=True))
    assert refused(shape(ID, NOTE), seen).startswith("column a was added with a default that gave each row")
    assert decided(shape(ID, NOTE), seen, at_target={"id": "integer", "note": "text", "a": "integer"}) == []


@pytest.mark.parametrize(
    ("seen_key", "write", "misfits", "in_step", "goes_on"),
    [
        (("id", "note"), WriteMode.UPSERT, {}, True, True),
        (("id", "note"), WriteMode.UPSERT, {"id, note": "has no unique key"}, True, False),
        (("id", "note"), WriteMode.UPSERT, {}, False, False),
        (("id", "note"), WriteMode.APPEND, {}, True, True),
        (("id", "note"), WriteMode.APPEND, {}, False, False),
        ((), WriteMode.UPSERT, {}, True, False),
        ((), WriteMode.APPEND, {}, True, True),
    ],
)
def test_another_key_needs_a_table_that_is_copied_and_a_target_that_finds_rows_by_it(
    seen_key: tuple[str, ...], write: WriteMode, misfits: dict[str, str], in_step: bool, goes_on: bool
) -> None:
    seen = shape(ID, NOTE, key=seen_key)
    if goes_on:
        assert decided(shape(ID, NOTE), seen, write=write, misfits=misfits, in_step=in_step) == []
    else:
        detail = refused(shape(ID, NOTE), seen, write=write, misfits=misfits, in_step=in_step)
        assert detail == f"the key was changed from (id) to ({', '.join(seen_key)})"


def test_a_key_where_there_was_none_is_no_change_to_stop_for() -> None:
    assert decided(shape(ID, NOTE, key=()), shape(ID, NOTE), write=WriteMode.APPEND) == []


@pytest.mark.parametrize(
    ("was", "now", "rounds"),
    [
        (DataType(Kind.DECIMAL, "decimal(9,2)", 9, 2), DataType(Kind.DECIMAL, "decimal(9,1)", 9, 1), True),
        (DataType(Kind.DECIMAL, "decimal(9,2)", 9, 2), DataType(Kind.DECIMAL, "decimal(12,4)", 12, 4), False),
        (DataType(Kind.DECIMAL, "numeric"), DataType(Kind.DECIMAL, "numeric(9,2)", 9, 2), True),
        (DataType(Kind.TIMESTAMP, "datetime(6)", scale=6), DataType(Kind.TIMESTAMP, "datetime", scale=0), True),
        (DataType(Kind.TIMESTAMP, "datetime", scale=0), DataType(Kind.TIMESTAMP, "datetime(3)", scale=3), False),
        (DataType(Kind.TIMESTAMP, "timestamp"), DataType(Kind.TIMESTAMP, "timestamp(3)", scale=3), True),
    ],
)
@pytest.mark.parametrize("spelled", [lambda type: type.native, lambda _: "the same"])
def test_rows_that_were_rounded_at_the_source_are_refused_until_the_target_was_changed_too(
    was: DataType, now: DataType, rounds: bool, spelled: Callable[[DataType], str]
) -> None:
    """The log does not say that, and a wider column at the target holds the new values as well as the old ones."""
    known, seen = shape(ID, Column("a", was)), shape(ID, Column("a", now))
    place = TargetTable("shop", "orders", seen, WriteMode.UPSERT)

    def follow(at_target: str) -> None:
        added_columns(known, place, spelled, {"id": "integer", "a": at_target}, dict, in_step=True)

    if rounds:
        with pytest.raises(SourceSchemaChange, match="column a was changed"):
            follow(spelled(was))
    else:
        follow(spelled(was))
    follow("changed by hand")
