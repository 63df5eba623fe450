"""What ALTER TABLE does to columns and to the values in them, as people write it."""

from __future__ import annotations

import pytest

from tidegate.connect.myalter import EVERY, Altered
from tidegate.connect.mynarrowing import keeps
from tidegate.connect.mystatements import read
from tidegate.connect.mytypes import catalogued
from tidegate.model.schema import Column


def altered(clauses: str) -> list[Altered]:
    return list(read(f"alter table t {clauses}", "s").altered)


@pytest.mark.parametrize(
    ("clause", "wanted"),
    [
        ("add a int", Altered("", "a", "int")),
        ("add column if not exists `a b` varchar(40) not null", Altered("", "a b", "varchar(40)", "", False, True)),
        ("drop a", Altered("a", "")),
        ("drop column if exists a restrict", Altered("a", "", maybe=True)),
        ("rename column a to b", Altered("a", "b")),
        ("change a b integer(9) unsigned comment 'x,y'", Altered("a", "b", "int unsigned")),
        ("modify column a dec(9) first", Altered("a", "a", "decimal(9,0)", behind="")),
        ("modify a numeric after b", Altered("a", "a", "decimal(10,0)", behind="b")),
        ("modify a varchar(9) character set latin1", Altered("a", "a", "varchar(9)", "latin1")),
        ("modify a text charset = utf8mb4 null", Altered("a", "a", "text", "utf8mb4")),
        ("modify a tinytext collate gbk_bin", Altered("a", "a", "tinytext", "gbk")),
        ("modify a enum('x', 'it''s')", Altered("a", "a", "enum('x','it''s')")),
        ("modify a datetime(3) default now(3)", Altered("a", "a", "datetime(3)")),
        ("modify a boolean", Altered("a", "a", "tinyint")),
        ("modify a character varying(9)", Altered("a", "a", "?")),
        ("modify a int primary key", Altered("a", "a", "int", nullable=False)),
        ("convert to character set latin1", Altered(EVERY, EVERY, charset="latin1")),
        ("convert to charset utf8mb4 collate utf8mb4_bin", Altered(EVERY, EVERY, charset="utf8mb4")),
    ],
)
def test_a_clause_says_what_becomes_of_a_column(clause: str, wanted: Altered) -> None:
    assert altered(clause) == [wanted]


@pytest.mark.parametrize(
    "clause",
    [
        "add index (a)", "add primary key (a)", "add constraint c check (a > 0)", "add unique u (a)",
        "drop primary key", "drop index i", "drop foreign key f", "rename index a to b", "rename to u",
        "alter a set default 5", "engine = innodb", "auto_increment = 7",
        "drop partition p", "convert partition p to table u",
    ],
)  # fmt: skip
def test_other_clauses_name_no_column(clause: str) -> None:
    assert altered(clause) == []


def test_columns_that_are_added_in_brackets_are_all_named() -> None:
    assert [one.after for one in altered("add (a int, index (a), b varchar(9)), drop c")] == ["a", "b", ""]


def kept(before: str, clause: str, *, charset_before: str = "", charset_now: str = "utf8mb4") -> bool:
    (column,) = altered(f"modify a {clause}")
    nullable = not before.endswith(" not null")
    type = catalogued(before.removesuffix(" not null"))
    return keeps(Column("a", type, nullable), column, charset_before, charset_now)


@pytest.mark.parametrize(
    ("before", "clause"),
    [
        ("int", "int"), ("int", "bigint"), ("int unsigned", "bigint"), ("tinyint", "int"), ("int not null", "int"),
        ("varchar(40)", "varchar(80)"), ("char(9)", "varchar(9)"), ("varchar(40)", "text"), ("text", "longtext"),
        ("decimal(9,2)", "decimal(12,2)"), ("decimal(9,2)", "decimal(12,1)"), ("varbinary(9)", "varbinary(10)"),
        ("blob", "mediumblob"), ("enum('a','b')", "enum('a','b','c')"), ("set('a')", "set('a','b')"),
        ("float", "double"), ("datetime(6)", "datetime"), ("datetime", "date"), ("varchar(40)", "int"),
        ("varchar(9)", "varchar(9) character set utf8mb4"), ("json", "json"),
    ],
)  # fmt: skip
def test_values_stay_what_they_were_where_there_is_as_much_room_or_it_shows_in_the_next_row(
    before: str, clause: str
) -> None:
    assert kept(before, clause)


@pytest.mark.parametrize(
    ("before", "clause"),
    [
        ("int", "smallint"), ("int", "int unsigned"), ("bigint unsigned", "bigint"), ("int", "int not null"),
        ("varchar(40)", "varchar(3)"), ("varchar(40)", "char(40)"), ("varchar(64)", "tinytext"), ("text", "tinytext"),
        ("text", "varchar(40)"), ("decimal(9,2)", "decimal(8,2)"), ("decimal(9,2)", "decimal(12,2) unsigned"),
        ("varbinary(9)", "varbinary(8)"), ("binary(4)", "binary(8)"), ("blob", "tinyblob"),
        ("enum('a','b')", "enum('a')"), ("set('a','b')", "set('b','a')"), ("varchar(9)", "enum('a')"),
        ("enum('a','b')", "enum('a','bc')"), ("varchar(9)", "varchar(9) character set latin1"), ("int", "national"),
    ],
)  # fmt: skip
def test_values_may_change_where_there_is_less_room_and_nobody_refuses_them(before: str, clause: str) -> None:
    assert not kept(before, clause)


def test_a_text_stays_in_a_narrow_character_set_if_it_was_in_it() -> None:
    """Without a name the table's own counts, which the catalogue tells."""
    assert not kept("varchar(9)", "varchar(10)", charset_now="latin1")
    assert kept("varchar(9)", "varchar(10)", charset_before="latin1", charset_now="latin1")
    assert not kept("varchar(9)", "varchar(10)", charset_before="gbk", charset_now="latin1")
