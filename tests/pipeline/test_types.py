"""Every core type arrives as it is: the same row by copy and by log, equal to what the source's server says it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeGuard

import pytest

from pipeline.kinds import WORDS, Kinds
from pipeline.pairs import DuckPair, Pair
from tidegate.connect.postgres import SESSION
from tidegate.errors import TargetValueRefused
from tidegate.model.schema import Kind, TableSchema
from tidegate.sources.postgres import PostgresSource
from tidegate.testing.values import same_value

COPIED, LOGGED, UPDATED = 1, 1_001, 2_001


def speak_alike(*connections: object) -> None:
    """The texts of values depend on the session; regclass on its search path."""
    for connection in connections:
        for name, value in SESSION.items():
            connection.execute(f"set {name} = '{value}'")  # type: ignore[attr-defined]


def differences(
    kinds: Kinds, wanted: dict[int, dict[str, str | None]], found: dict[int, dict[str, str | None]]
) -> list:
    """(id, type, source's text, target's), cut short."""
    return [
        (id, kinds.type_of(name), str(text)[:60], str(found.get(id, {}).get(name, "(no row)"))[:60])
        for id, row in wanted.items()
        for name, text in row.items()
        if found.get(id, {}).get(name, "(no row)") != text
    ]


def at_target(pair: Pair, kinds: Kinds, table: str, order: str = "id") -> dict[int, dict[str, str | None]]:
    listed = ", ".join(f"case when {name} is distinct from null then format('%s', {name}) end" for name in kinds.names)
    return {
        row[0]: dict(zip(kinds.names, row[1:], strict=True))
        for row in pair.arrived(f"select id, {listed} from {table} order by {order}")
    }


def test_every_type_arrives_in_postgres_by_copy_by_log_and_by_update(each_pair: Pair) -> None:
    pair = each_pair
    kinds = Kinds(pair.source)
    kinds.insert(COPIED)
    upsert = pair.rig(["public.kinds"], target={"schema": "ups"}).start()
    append = pair.rig(["public.kinds"], target={"schema": "app"}, write="append").start()
    upsert.opens().copied()
    append.opens().copied()
    kinds.insert(LOGGED)
    kinds.insert(UPDATED)
    kinds.rotate(UPDATED)
    speak_alike(pair.source, pair.target)
    rows = 3 * kinds.count
    upsert.reaches(lambda: pair.arrived("select count(*) from ups.kinds") == [(rows,)])
    append.reaches(lambda: pair.arrived("select count(*) from app.kinds") == [(rows + kinds.count,)])
    last = kinds.texts()[UPDATED + kinds.count - 1]
    upsert.reaches(lambda: at_target(pair, kinds, "ups.kinds")[UPDATED + kinds.count - 1] == last)

    wanted = kinds.texts()
    assert differences(kinds, wanted, at_target(pair, kinds, "ups.kinds")) == []
    # The newest row of each key; a large value that an update left alone is not in it, so rows of other keys are asked.
    appended = at_target(pair, kinds, "app.kinds", "id, _tidegate_position")
    assert differences(kinds, wanted, appended) == []
    for number in range(kinds.count):
        assert wanted[COPIED + number] == wanted[LOGGED + number]


def test_every_type_arrives_in_duckdb_alike_by_copy_and_by_log(duck_pair: DuckPair) -> None:
    pair = duck_pair
    kinds = Kinds(pair.source)
    pair.source.execute("delete from kinds")
    kinds.insert(COPIED)
    clear_unheld(pair, kinds)
    rig = pair.rig(["public.kinds"]).start().opens().copied()
    pair.source.execute("create temp table again as select * from kinds")
    pair.source.execute(f"update again set id = id + {LOGGED - COPIED}")
    pair.source.execute("insert into kinds select * from again")
    rig.reaches(lambda: rig.counters()["changes_written"] == kinds.count)
    rig.pause()
    speak_alike(pair.source)
    source = PostgresSource(pair.source_config)
    schema = source.schema(source.tables()[0])
    source.close()
    wanted = kinds.texts()
    found = {int(row["id"] or 0): row for row in pair.texts("public.kinds")}
    for row in found.values():  # DuckDB writes a decimal fraction without its leading zero
        row |= {
            name: re.sub(r"^(-?)\.", r"\g<1>0.", text) for name, text in row.items() if is_fraction(schema, name, text)
        }
    assert set(found) == set(wanted)
    wrong = [
        (id, kinds.type_of(name), str(text)[:60], str(found[id][name])[:60])
        for id, row in wanted.items()
        for name, text in row.items()
        if not same_value(schema.column(name).type, text, found[id][name])
    ]
    assert wrong == [], "\n".join(map(str, wrong))


def is_fraction(schema: TableSchema, name: str, text: str | None) -> TypeGuard[str]:
    return text is not None and schema.column(name).type.kind is Kind.DECIMAL


def clear_unheld(pair: DuckPair, kinds: Kinds) -> None:
    """Values that DuckDB's type for the column has no place for; that they are refused is tested on its own."""
    for name, case in zip(kinds.names, kinds.cases, strict=True):
        if case.type == "numeric(10,2)":
            pair.source.execute(f"update kinds set {name} = null where {name} = 'NaN'")
        if case.type in ("timestamp", "timestamptz"):
            pair.source.execute(f"update kinds set {name} = null where {name} > '290000-01-01' and isfinite({name})")


@pytest.mark.parametrize(
    ("type", "held", "unheld"),
    [("numeric(10,2)", "1.10", "NaN"), ("timestamp", "2024-01-01", "294276-12-31 23:59:59")],
)
def test_a_value_the_target_cannot_hold_ends_the_run_by_name_and_is_not_shown(
    duck_pair: DuckPair, type: str, held: str, unheld: str
) -> None:
    pair = duck_pair
    pair.source.execute(f"create table public.narrow (id int primary key, amount {type})")
    pair.source.execute(f"insert into narrow values (1, '{held}')")
    rig = pair.rig(["public.narrow"]).start().opens().copied()
    pair.source.execute(f"insert into narrow values (2, '{unheld}')")
    error = rig.fails()
    assert isinstance(error, TargetValueRefused)
    assert "public.narrow.amount" in error.detail
    assert unheld not in error.detail
    assert len(pair.texts("public.narrow")) == 1


def test_awkward_texts_keep_every_character(pair: Pair) -> None:
    pair.source.execute("create table public.words (id int primary key, w text not null, n text)")
    for id, word in enumerate(WORDS):
        pair.source.execute("insert into words values (%s, %s, null)", (id, word))
    rig = pair.rig(["public.words"]).start().opens().copied()
    for id, word in enumerate(WORDS, 100):
        pair.source.execute("insert into words values (%s, %s, null)", (id, word))
    rig.reaches(lambda: pair.arrived("select count(*) from words") == [(2 * len(WORDS),)])
    found = dict(pair.arrived("select id, w from words"))
    for id, word in enumerate(WORDS):
        assert found[id] == word
        assert found[id + 100] == word
    assert pair.arrived("select count(*) from words where n is not null") == [(0,)]


def test_a_table_of_one_column_keeps_its_nulls(pair: Pair) -> None:
    pair.source.execute("create table public.lone (note text)")
    pair.source.execute("alter table lone replica identity full")
    pair.source.execute("insert into lone values (null), (''), ('x'), (null)")
    rig = pair.rig(["public.lone"], write="append").start().opens().copied()
    pair.source.execute("insert into lone values (null), (''), ('x'), (null)")
    rig.reaches(lambda: pair.arrived("select count(*) from lone") == [(8,)])
    counted = pair.arrived("select note, count(*) from lone group by 1 order by 1")
    assert counted == [("", 2), ("x", 2), (None, 4)]


def test_defaults_of_database_and_role_do_not_change_a_values_text(pair: Pair) -> None:
    odd = {
        "datestyle": "German, DMY",
        "intervalstyle": "sql_standard",
        "bytea_output": "escape",
        "extra_float_digits": "-5",
        "timezone": "Asia/Kathmandu",
        "quote_all_identifiers": "on",
        "row_security": "on",
        "default_transaction_isolation": "serializable",
        "search_path": "public",
        "standard_conforming_strings": "off",
        "statement_timeout": "1",
        "array_nulls": "off",
    }
    pair.source.execute(
        "create table public.odd (id int primary key, d date, i interval, b bytea, f float8, t timestamptz, w text)"
    )
    pair.source.execute("create table public.plain (id int primary key, n inet, a text[])")
    pair.source.execute("insert into plain values (1, null, array[null, 'null'])")
    values = (
        "'2024-02-29', '-1 year 2 mons 3 days', '\\x00ff5c', 0.1::float8 + 0.2, '2024-01-01 00:00:00+00', 'back\\slash'"
    )
    said = (
        "2024-02-29",
        "-10 mons +3 days",
        "\\x00ff5c",
        "0.30000000000000004",
        "2024-01-01 00:00:00+00",
        "back\\slash",
    )
    pair.source.execute(f"insert into odd values (1, {values})")
    pair.target.execute("create table public.odd (id int primary key, d text, i text, b text, f text, t text, w text)")
    for name in (pair.source_name, pair.target_name):
        for setting, value in odd.items():
            pair.source.execute(f"alter database \"{name}\" set {setting} = '{value}'")
    rig = pair.rig(["public.odd", "public.plain"]).start().opens().copied()
    pair.source.execute(f"insert into odd values (2, {values})")
    rig.reaches(lambda: pair.arrived("select * from odd order by id") == [(1, *said), (2, *said)])
    query = "select format_type(atttypid, -1) from pg_attribute where attrelid = 'plain'::regclass and attname = 'n'"
    assert pair.arrived(query) == [("inet",)]
    assert pair.arrived("select a from plain") == [([None, "null"],)]


def test_a_database_in_another_encoding_gives_its_characters(pair: Pair, database: Callable[..., str]) -> None:
    pair.source.execute("create database latin encoding 'LATIN1' template template0 locale 'C'")
    try:
        latin = Pair(pair.server, "latin", pair.target_name)
        latin.source.execute('create table public."größe" (id int primary key, "wörter" text)')
        latin.source.execute("insert into \"größe\" values (1, 'Ärger')")
        rig = latin.rig(["public.größe"]).start().opens().copied()
        latin.source.execute("insert into \"größe\" values (2, 'ÿ')")
        rig.reaches(lambda: latin.arrived('select "wörter" from "größe" order by id') == [("Ärger",), ("ÿ",)])
        latin.close()
    finally:
        pair.server.drop_database("latin")
