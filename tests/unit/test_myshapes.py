"""Which value older rows have in a column that was added, in the grammar of values."""

from __future__ import annotations

import pytest

from tidegate.connect.myshapes import new_column
from tidegate.connect.mystatements import Added
from tidegate.connect.mytypes import catalogued
from tidegate.model.schema import Column


@pytest.mark.parametrize(
    ("type", "added", "wanted"),
    [
        ("int(11)", Added("a", "7"), "7"),
        ("int(11)", Added("a", "-007"), "-7"),
        ("bigint(20) unsigned", Added("a", "18446744073709551615"), "18446744073709551615"),
        ("decimal(9,3)", Added("a", "-1.5"), "-1.500"),
        ("decimal(9,3)", Added("a", "-0"), "0.000"),
        ("decimal(9,3)", Added("a", "1.23456"), None),
        ("int(11)", Added("a", "1.5"), None),
        ("varchar(9)", Added("a", "x "), "x "),
        ("char(9)", Added("a", "x "), "x"),
        ("enum('a','b')", Added("a", "a"), None),
        ("datetime", Added("a", "2024-01-01"), None),
        ("year(4)", Added("a", "70"), None),
        ("varchar(9)", Added("a", nullable=False), ""),
        ("int(11)", Added("a", nullable=False), "0"),
        ("decimal(9,3)", Added("a", nullable=False), "0.000"),
        ("blob", Added("a", nullable=False), "\\x"),
        ("binary(4)", Added("a", nullable=False), None),
        ("date", Added("a", nullable=False), None),
        ("int(11)", Added("a", "7", certain=False), None),
        ("int(11)", None, None),
    ],
)
def test_a_default_is_known_for_sure_or_said_to_vary(type: str, added: Added | None, wanted: str | None) -> None:
    nullable = added is None or added.nullable
    column = new_column(Column("a", catalogued(type), nullable), added)
    assert (column.default, column.varies) == (wanted, wanted is None)


def test_a_column_without_a_default_is_null_in_older_rows() -> None:
    column = new_column(Column("a", catalogued("date")), Added("a"))
    assert (column.default, column.varies) == (None, False)
