"""Kinds of tables and of keys: without a key, partitioned, inheriting, generated columns, and every type that can be a
key, copied in many chunks."""

from __future__ import annotations

import pytest

from pipeline.pairs import DuckPair, Pair
from pipeline.rig import Rig
from pipeline.steering import Steering, low
from tidegate.errors import SourceTableUnknown, SourceTableUnlogged

KEYS = {
    "int2": ("k int2", "(i - 50)::int2"),
    "int8": ("k int8", "i * 46116860184273879 - 2305843009213693952"),
    "oid": ("k oid", "(i::int8 * 38000000)::oid"),
    "numeric": (
        "k numeric",
        "case i when 1 then 'NaN' when 2 then 'Infinity' when 3 then '-Infinity' else i * 1.10 end",
    ),
    "numeric(10,2)": ("k numeric(10,2)", "(i - 50) / 3.0"),
    "text": ("k text", "chr(30 + i * 13) || case when i % 2 = 0 then '_' else 'É' end || i"),
    "varchar": ("k varchar(20)", "md5(i::text)::varchar(20)"),
    "uuid": ("k uuid", "md5(i::text)::uuid"),
    "date": (
        "k date",
        "case i when 1 then 'infinity' when 2 then '-infinity' else date '0001-01-10' + (i - 50) * 10 end",
    ),
    "timestamp": ("k timestamp", "timestamp '0001-02-01' + (i - 50) * interval '10 days 3.25 seconds'"),
    "timestamptz": (
        "k timestamptz",
        "case i when 1 then 'infinity' else timestamptz '9999-12-01' + i * interval '1 day 1 microsecond' end",
    ),
    "bytea": ("k bytea", "decode(substr(md5(i::text), 1, 2 * (i % 5)), 'hex') || int4send(i)"),
    "composite": ("k text, l int", "(i % 7)::text, i"),
    "composite of three": ("k uuid, l date, m numeric", "md5((i % 3)::text)::uuid, date '2024-01-01' + i % 5, i / 7.0"),
    # One chunk: their order is not the same everywhere, or not for Python.
    "char": ("k char(5)", "i::text"),
    "enum": ("k mood", "('m' || i)::mood"),
    "composite type": ("k point2", "row(i, i::text)::point2"),
    "domain": ("k positive", "i"),
    "time": ("k time", "time '00:00' + i * interval '1 minute'"),
    "interval": ("k interval", "i * interval '7 hours'"),
    "float8": ("k float8", "case i when 1 then 'NaN' when 2 then '-Infinity' else i / 3.0 end"),
    "bool and int": ("k bool, l int", "i % 2 = 0, i"),
    "jsonb": ("k jsonb", "to_jsonb(i)"),
    "inet": ("k inet", "inet '10.0.0.0' + i"),
    "int4[]": ("k int4[]", "array[i % 3, i]"),
    "int4range": ("k int4range", "int4range(i, i + 2)"),
    "bit(8)": ("k bit(8)", "i::bit(8)"),
}
DEFINITIONS = """
create type public.mood as enum ({moods});
create type public.point2 as (x int, y text);
create domain public.positive as int check (value > 0);
""".format(moods=", ".join(f"'m{i}'" for i in range(120)))


def keyed(pair: Pair | DuckPair, name: str, table: str = "public.a") -> tuple[str, str]:
    """A table of 100 rows with a key of the type; returns the key's columns and a value's expression of `i`."""
    columns, expression = KEYS[name]
    names = ", ".join(column.split()[0] for column in columns.split(", "))
    pair.source.execute("set search_path = public")
    pair.source.execute(DEFINITIONS)
    pair.source.execute(f"create table {table} ({columns}, n int, big text, primary key ({names}))")
    pair.source.execute(f"alter table {table} alter big set storage external")
    pair.source.execute(
        f"insert into {table} select {expression}, i, repeat(i::text, 1500) from generate_series(1, 100) i"
    )
    return names, expression


def changes(names: str, expression: str) -> list[str]:
    """Updates, deletes, and keys that move from one end of the order to the other."""
    return [
        "update a set n = -n where n % 3 = 0",
        "delete from a where n % 5 = 0",
        f"update a set ({names}) = (select {expression} from (select 101 i) x) where n = 7",
        f"insert into a select {expression}, 1000 + i, null from generate_series(102, 110) i",
        "update a set n = n + 1 where n between 1000 and 1200",
        f"delete from a where ({names}) in (select {names} from a where n in (1, 2))",
    ]


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("name", KEYS)
def test_a_table_with_this_key_is_copied_and_followed(pair: Pair, name: str) -> None:
    steering = Steering()
    pair.source_class = steering.source_class()
    names, expression = keyed(pair, name)
    steering.holds = low
    rig = pair.rig(["public.a"]).start().opens()
    chunks = rig.counters()["chunks_total"]
    one = list(KEYS).index(name) >= list(KEYS).index("char")
    assert (chunks == 1) == one
    rig.reaches(lambda: rig.counters()["chunks_done"] == chunks - 1, "all chunks but the first")
    for statement in changes(names, expression):
        pair.source.execute(statement)
    rig.reaches(lambda: steering.parts_given >= len(changes(names, expression)), "the log was read meanwhile")
    steering.holds = lambda keys: False
    rig.copied().reaches(lambda: pair.equal("a"))
    for statement in changes(names, expression)[:2]:
        pair.source.execute(statement.replace("n % 3", "n % 7"))
    rig.reaches(lambda: pair.equal("a"))
    # A truncate during a copy clears ranges of keys at the target: they must be the same keys there.
    if not one:
        clears_ranges(pair, steering, chunks)


def clears_ranges(pair: Pair, steering: Steering, chunks: int) -> None:
    steering.holds = low
    rig = pair.rig(["public.a"], target={"schema": "again"}).start().opens()
    total = rig.counters()["chunks_total"]
    rig.reaches(lambda: rig.counters()["chunks_done"] == total - 1, "all chunks but the first")
    pair.source.execute(
        "begin; create temp table kept on commit drop as select * from a; truncate a;"
        " insert into a select * from kept where n % 2 = 0; commit"
    )
    steering.holds = lambda keys: False
    rig.copied().reaches(lambda: pair.equal("a", "again.a"))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("name", ["int8", "numeric(10,2)", "text", "uuid", "date", "bytea", "composite", "timestamptz"])
def test_duckdb_takes_tables_with_this_key(duck_pair: DuckPair, name: str) -> None:
    pair = duck_pair
    steering = Steering()
    pair.source_class = steering.source_class()
    names, expression = keyed(pair, name)
    steering.holds = low
    rig = pair.rig(["public.a"]).start().opens()
    total = rig.counters()["chunks_total"]
    assert total > 3
    rig.reaches(lambda: rig.counters()["chunks_done"] == total - 1, "all chunks but the first")
    for statement in changes(names, expression):
        pair.source.execute(statement)
    pair.source.execute(
        "begin; create temp table kept on commit drop as select * from a; truncate a;"
        " insert into a select * from kept where n % 2 = 0; commit"
    )
    rig.reaches(lambda: steering.parts_given >= 7, "the log was read meanwhile")
    steering.holds = lambda keys: False
    rig.copied()
    rig.pause()
    ours = sorted((row["n"], row["big"]) for row in pair.texts("public.a"))
    assert ours == sorted(pair.rows("select n::text, big from a"))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("collation", ["nondeterministic", "und-x-icu"])
def test_a_text_key_in_a_collation_of_its_own(old_pair: Pair, collation: str) -> None:
    pair = old_pair
    pair.source.execute(
        "create collation nondeterministic (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    )
    pair.source.execute(f'create table public.a (k text collate "{collation}" primary key, n int)')
    words = "case i % 4 when 0 then 'a' when 1 then 'B' when 2 then 'ä' else 'Z' end || i"
    pair.source.execute(f"insert into a select {words}, i from generate_series(1, 400) i")
    rig = pair.rig(["public.a"]).start().opens()
    assert (rig.counters()["chunks_total"] == 1) == (collation == "nondeterministic")
    pair.source.execute("update a set k = upper(k) where n % 3 = 0")
    pair.source.execute("update a set n = -n where n % 7 = 0")
    pair.source.execute("delete from a where k in ('a4', 'B5')")
    rig.copied()
    pair.source.execute("update a set k = lower(k)")
    rig.reaches(lambda: pair.equal("a"))


def test_equal_numbers_written_otherwise_are_one_key(pair: Pair) -> None:
    pair.source.execute("create table public.a (k numeric primary key, n int)")
    pair.source.execute("insert into a values (1.1, 1), (2, 2)")
    rig = pair.rig(["public.a"]).start().opens().copied()
    pair.source.execute("update a set k = 1.10 where k = 1.1")
    pair.source.execute("begin; delete from a where k = 2; insert into a values (2.000, 3); update a set n = 4; commit")
    rig.reaches(lambda: pair.equal("a"))
    assert pair.arrived("select k::text from a order by k") == [("1.10",), ("2.000",)]


# --- tables without a key ---


def test_a_table_without_a_key_is_appended(each_pair: Pair) -> None:
    pair = each_pair
    pair.source.execute("create table public.a (n int, t text)")
    pair.source.execute("alter table a replica identity full")
    pair.source.execute("insert into a select i % 5, null from generate_series(1, 50) i")
    rig = pair.rig(["public.a"], write="append").start().opens().copied()
    pair.source.execute("insert into a values (1, 'x'), (1, 'x')")
    pair.source.execute("update a set t = 'y' where n = 2")
    pair.source.execute("delete from a where ctid = (select ctid from a where t = 'x' limit 1)")

    def folds() -> bool:
        counted = "select n, t, sum(case when _tidegate_op = 'delete' then -1 else 1 end)::int8 s from a group by 1, 2"
        return pair.rows("select n, t, count(*) from a group by 1, 2 order by 1, 2") == pair.arrived(
            f"select * from ({counted}) x where s <> 0 order by 1, 2"
        )

    rig.reaches(folds)
    ops = pair.arrived("select _tidegate_op, count(*) from a group by 1 order by 1")
    assert ops == [("delete", 11), ("insert", 12), ("read", 50)]


def test_a_table_without_a_key_is_one_chunk_and_starts_over(pair: Pair, small_chunks: None) -> None:
    steering = Steering()
    pair.source_class = steering.source_class()
    pair.source.execute("create table public.a (n int)")
    pair.source.execute("alter table a replica identity full")
    pair.source.execute("insert into a select i from generate_series(1, 500) i")
    steering.holds_rows = low
    rig = pair.rig(["public.a"], write="append").start().opens()
    assert rig.counters()["chunks_total"] == 1
    rig.reaches(lambda: bool(steering.marked))
    pair.source.execute("insert into a values (1000)")
    rig.cut()
    steering.holds_rows = lambda keys: False
    rig.start().opens().copied()
    rig.reaches(lambda: pair.arrived("select count(*), count(distinct n) from a") == [(501, 501)])


# --- partitions, inheritance, generated columns ---


def partitioned(pair: Pair) -> Rig:
    pair.source.execute(
        "create table public.p (id int, region text, n int, big text, primary key (region, id))"
        " partition by list (region)"
    )
    pair.source.execute("create table public.p_eu partition of p for values in ('eu')")
    # Columns in another order, one dropped, and partitioned itself.
    pair.source.execute(
        "create table public.p_us (gone int, big text, n int, region text not null, id int not null)"
        " partition by range (id)"
    )
    pair.source.execute("alter table p_us drop column gone")
    pair.source.execute("create table p_us_1 partition of p_us for values from (0) to (50)")
    pair.source.execute("create table p_us_2 partition of p_us for values from (50) to (1000)")
    pair.source.execute("alter table p attach partition p_us for values in ('us')")
    pair.source.execute(
        "alter table p_eu alter big set storage external; alter table p_us_1 alter big set storage external"
    )
    pair.source.execute(
        "insert into p select i, case when i % 2 = 0 then 'eu' else 'us' end, i, repeat(i::text, 2000)"
        " from generate_series(1, 100) i"
    )
    return pair.rig(["public.p"])


@pytest.mark.usefixtures("small_chunks")
def test_a_partitioned_table_is_one_table(each_pair: Pair) -> None:
    pair = each_pair
    rig = partitioned(pair).start().opens()
    assert rig.counters()["tables_total"] == 1
    pair.source.execute("update p set n = -n where id % 3 = 0")
    rig.copied()
    pair.source.execute("update p set n = 0 where id % 5 = 0")
    pair.source.execute("update p set region = 'us' where id = 2")  # into another partition
    pair.source.execute("update p_us_2 set n = 12345 where id = 99")
    pair.source.execute("delete from p where id = 10")
    pair.source.execute("create table p_asia partition of p for values in ('asia')")
    pair.source.execute("insert into p values (1, 'asia', 1, null)")
    rig.reaches(lambda: pair.equal("p"))
    pair.source.execute("truncate p")
    pair.source.execute("insert into p values (1, 'eu', 1, 'x')")
    rig.reaches(lambda: pair.equal("p"))


def test_partitions_come_and_go_with_the_rows_that_are_logged(pair: Pair) -> None:
    """Attaching or detaching logs nothing: rows a partition brings are not copied, those it takes along stay."""
    rig = partitioned(pair).start().opens().copied()
    pair.source.execute(
        "create table p_asia (like p including all); insert into p_asia values (1, 'asia', 1, 'brought')"
    )
    pair.source.execute("alter table p attach partition p_asia for values in ('asia')")
    pair.source.execute("insert into p values (2, 'asia', 2, 'logged')")
    pair.source.execute("update p set n = 10, big = 'logged' where id = 1 and region = 'asia'")
    pair.source.execute("alter table p detach partition p_eu")
    pair.source.execute("update p_eu set n = 77 where id = 2")
    pair.source.execute("insert into p values (101, 'us', 1, 'last')")
    rig.reaches(lambda: pair.arrived("select count(*) from p where big = 'last'") == [(1,)])
    assert pair.arrived("select id, n, big from p where region = 'asia' order by id") == [
        (1, 10, "logged"),
        (2, 2, "logged"),
    ]
    assert pair.arrived("select count(*) from p where region = 'eu'") == [(50,)]
    assert pair.arrived("select n from p where region = 'eu' and id = 2") == [(2,)]


def test_a_partition_is_no_table_of_its_own(pair: Pair) -> None:
    partitioned(pair)
    rig = pair.rig(["public.p_eu"])
    rig.start()
    assert isinstance(rig.fails(), SourceTableUnknown)


def test_tables_that_inherit_are_tables_of_their_own(each_pair: Pair) -> None:
    pair = each_pair
    pair.source.execute("create table public.parent (id int primary key, n int)")
    pair.source.execute("create table public.child (extra text, primary key (id)) inherits (parent)")
    pair.source.execute("insert into parent values (1, 1); insert into child values (1, 2, 'x'), (2, 2, 'y')")
    rig = pair.rig([r"public\.(parent|child)"]).start().opens().copied()
    assert pair.arrived("select * from parent") == [(1, 1)]
    pair.source.execute("update parent set n = n + 10")
    rig.reaches(lambda: pair.arrived("select * from parent") == [(1, 11)])
    rig.reaches(lambda: pair.arrived("select * from child order by id") == [(1, 12, "x"), (2, 12, "y")])
    pair.source.execute("truncate only parent")
    rig.reaches(lambda: pair.arrived("select count(*) from parent") == [(0,)])
    alone = pair.rig(["public.parent"], target={"schema": "alone"}).start().opens().copied()
    published = f"select tablename from pg_publication_tables where pubname = 'tidegate_{alone.run}'"
    assert pair.rows(published) == [("parent",)]
    pair.source.execute("insert into parent values (5, 5)")
    pair.source.execute("update parent set n = 6")
    alone.reaches(lambda: pair.arrived("select * from alone.parent") == [(5, 6)])


def test_generated_columns_are_left_out(each_pair: Pair) -> None:
    pair = each_pair
    virtual = ", v int generated always as (n * 3) virtual" if pair.server.version[0] >= 18 else ""
    pair.source.execute(
        f"create table public.a (d int generated always as (n * 2) stored, id int primary key, n int{virtual}, t text)"
    )
    pair.source.execute("insert into a (id, n, t) values (1, 1, 'copied')")
    rig = pair.rig(["public.a"]).start().opens().copied()
    pair.source.execute("insert into a (id, n, t) values (2, 2, 'logged')")
    pair.source.execute("update a set n = 5 where id = 1")
    rig.reaches(lambda: pair.arrived("select id, n, t from a order by id") == [(1, 5, "copied"), (2, 2, "logged")])
    names = "select attname from pg_attribute where attrelid = 'a'::regclass and attnum > 0 order by attnum"
    assert [name for (name,) in pair.arrived(names)] == ["id", "n", "t"]
    left_out = ["public.a.d", "public.a.v"] if virtual else ["public.a.d"]
    ((_, facts),) = [event for event in rig.events if event[0] == "columns_left_out"]
    assert (facts["columns"], facts["count"]) == (left_out, len(left_out))
    assert "generated" in facts["reason"]
    rig.reaches(lambda: bool(rig.snapshots), "a snapshot")
    rig.pause()
    rig.start().opens()
    assert [name for name, _ in rig.events].count("columns_left_out") == 1


def test_generated_columns_of_a_table_that_joins_are_told_of(pair: Pair) -> None:
    pair.source.execute("create table public.a (id int primary key)")
    rig = pair.rig([r"public\..*"]).start().opens().copied()
    pair.source.execute("create table public.b (id int primary key, d int generated always as (id * 2) stored)")
    rig.reaches(lambda: ("table_joined", {"table": "public.b", "left_out": ["d"]}) in rig.events)


def test_an_unlogged_table_that_a_pattern_matches_is_told_of(pair: Pair) -> None:
    pair.source.execute(
        "create table public.a (id int primary key); create unlogged table public.u (id int primary key)"
    )
    rig = pair.rig([r"public\..*"]).start().opens().copied()
    ((_, facts),) = [event for event in rig.events if event[0] == "tables_left_out"]
    assert facts["tables"] == ["public.u"]
    assert "unlogged" in facts["reason"]


@pytest.mark.parametrize("entry", ["public.u", r"public\.u+"])
def test_an_unlogged_table_asked_for_is_refused_with_the_reason(pair: Pair, entry: str) -> None:
    pair.source.execute(
        "create table public.a (id int primary key); create unlogged table public.u (id int primary key)"
    )
    error = pair.rig(["public.a", entry]).start().fails()
    assert isinstance(error, SourceTableUnlogged), error
    assert "public.u" in error.detail


def test_only_permanent_tables_are_there_to_be_read(pair: Pair) -> None:
    pair.source.execute("create table public.a (id int primary key); create unlogged table public.u (id int)")
    pair.source.execute("create view public.v as select 1 x; create materialized view public.m as select 1 x")
    pair.source.execute(
        "create temp table t (id int); create foreign data wrapper f; create server s foreign data wrapper f"
    )
    pair.source.execute("create foreign table public.ft (id int) server s")
    source = pair.rig(["public.a"]).make_source()
    assert [str(name) for name in source.tables()] == ["public.a"]
    source.close()


# --- transactions ---


def test_only_what_was_committed_arrives(each_pair: Pair) -> None:
    pair = each_pair
    pair.source.execute("create table public.a (id int primary key, n int)")
    rig = pair.rig(["public.a"]).start().opens().copied()
    pair.source.execute(
        "begin; insert into a values (1, 1); savepoint s; insert into a values (2, 2); savepoint t;"
        " update a set n = 3; rollback to t; insert into a values (3, 3); rollback to s; insert into a values (4, 4);"
        " release s; commit"
    )
    pair.source.execute("begin; insert into a values (5, 5); rollback")
    pair.source.execute("begin; insert into a values (6, 6); prepare transaction 'one'")
    pair.source.execute("begin; insert into a values (7, 7); prepare transaction 'two'")
    pair.source.execute("insert into a values (8, 8)")
    rig.reaches(lambda: pair.arrived("select id from a order by id") == [(1,), (4,), (8,)])
    pair.source.execute("rollback prepared 'one'")
    rig.pause()
    pair.source.execute("commit prepared 'two'")
    rig.start().opens().reaches(lambda: pair.equal("a"))
    assert pair.arrived("select id from a order by id") == [(1,), (4,), (7,), (8,)]
