"""DDL that gives rows that are there other values, of which the log says nothing, ends the run once, by name; what
leaves them as they are goes by."""

from __future__ import annotations

import pytest

from pipeline.pairs import Pair
from pipeline.rig import Rig
from tidegate.errors import SourceIdentityMissing, SourceSchemaChange, SourceTableRewritten

MADE = """
create type public.mood as enum ('sad', 'happy');
create type public.point3 as (x int, y int);
create domain public.feeling as mood;
create table public.a (id int primary key, n int, m int, price numeric(12, 4), mood mood, moods feeling[], at3 point3);
insert into a select i, i, -i, i / 8.0, 'sad', '{sad,happy}', row(i, i)::point3 from generate_series(1, 50) i;
"""

GIVES_OTHER_VALUES = {
    "converted to the same type": ("alter table a alter n type int using n * 10", "column n was given"),
    "converted to fit": ("alter table a alter price type numeric(12, 4) using round(price)", "column price was given"),
    "dropped and added again": ("alter table a drop n; alter table a add n int", "column n is another"),
    "names exchanged": (
        "alter table a rename n to x; alter table a rename m to n; alter table a rename x to m",
        "column m is another",
    ),
    "a label renamed": ("alter type mood rename value 'sad' to 'glum'", "type public.mood was given"),
    "an attribute added": ("alter type point3 add attribute z int", "type public.point3 was given"),
}
LEAVES_THEM = {
    "a default": "alter table a alter n set default 7",
    "not null": "alter table a alter n set not null",
    "a privilege on a column": "grant select (n) on a to public",
    "rewritten by vacuum": "vacuum full a",
    "clustered": "cluster a using a_pkey",
    "another label": "alter type mood add value 'so so'",
    "statistics": "alter table a alter n set statistics 500; analyze a",
    "an index": "create index on a (n)",
}


def run(pair: Pair, **more: object) -> Rig:
    pair.source.execute(MADE)
    return pair.rig(["public.a"], **more).start().opens().copied()


def stops(rig: Rig) -> SourceTableRewritten:
    if rig.error is None:
        rig.desk.ask_snapshot("look")
    error = rig.fails()
    assert isinstance(error, SourceTableRewritten), error
    return error


@pytest.mark.parametrize(("statements", "said"), GIVES_OTHER_VALUES.values(), ids=GIVES_OTHER_VALUES)
def test_rows_that_are_given_other_values_end_the_run_once(pair: Pair, statements: str, said: str) -> None:
    rig = run(pair)
    pair.source.execute(statements)
    assert said in stops(rig).detail
    rig.start().opens()
    pair.source.execute("insert into a (id) values (999)")
    rig.reaches(lambda: pair.arrived("select count(*) from a where id = 999") == [(1,)])
    rig.pause()


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_it_is_seen_with_the_first_change_behind_it_and_after_a_pause(pair: Pair, paused: bool) -> None:
    rig = run(pair)
    if paused:
        rig.pause()
    pair.source.execute("alter table a alter n type int using n * 10")
    if paused:
        rig.start()
    assert "column n" in stops(rig).detail


def test_an_append_target_is_told_too(pair: Pair) -> None:
    rig = run(pair, write="append")
    pair.source.execute("alter table a alter n type int using n * 10")
    stops(rig)


def test_a_change_of_shape_that_rewrites_rows_ends_the_run_once_and_not_twice(pair: Pair) -> None:
    rig = run(pair)
    pair.source.execute(
        "begin; alter table a alter n type bigint using n * 10; update a set m = 0 where id = 1; commit"
    )
    error = rig.fails()
    assert isinstance(error, SourceSchemaChange)
    assert "column n was changed from integer to bigint" in error.detail
    pair.target.execute("alter table a alter n type bigint using n * 10")
    rig.start().opens()
    rig.reaches(lambda: pair.equal("a"))
    rig.pause()


@pytest.mark.parametrize("statements", LEAVES_THEM.values(), ids=LEAVES_THEM)
def test_what_leaves_the_rows_as_they_are_goes_by(pair: Pair, statements: str) -> None:
    rig = run(pair)
    for statement in statements.split("; "):
        pair.source.execute(statement)
    rig.desk.ask_snapshot("look")
    pair.source.execute("update a set n = 0 where id = 1")
    rig.reaches(lambda: pair.equal("a"))
    rig.reaches(lambda: any(snapshot.request == "look" for snapshot in rig.snapshots))
    rig.pause()
    assert rig.error is None


# --- tables that are partitioned ---

PARTITIONED = """
create table public.p (id int primary key, n int not null) partition by range (id);
create table p_1 partition of p for values from (0) to (100);
create table p_2 partition of p for values from (100) to (200);
insert into p select i, i from generate_series(1, 150) i;
"""


def test_a_partitioned_table_is_looked_at_too(pair: Pair) -> None:
    pair.source.execute(PARTITIONED)
    rig = pair.rig(["public.p"]).start().opens().copied()
    pair.source.execute("alter table p alter n type int using n * 10")
    assert "column n was given" in stops(rig).detail


def test_a_partition_whose_log_names_its_rows_by_something_else_ends_the_run(pair: Pair) -> None:
    """An update of the key would leave the old row at the target."""
    pair.source.execute(PARTITIONED)
    rig = pair.rig(["public.p"]).start().opens().copied()
    pair.source.execute("create unique index other on p_1 (n); alter table p_1 replica identity using index other")
    for _ in range(2):  # for as long as it is so
        rig.desk.ask_snapshot("look")
        error = rig.fails()
        assert isinstance(error, SourceIdentityMissing)
        assert "its partition public.p_1 has n as its replica identity" in error.detail
        rig.start()
    rig.fails()
    pair.source.execute("alter table p_1 replica identity default")
    rig.start().opens()
    rig.pause()
