"""Somebody edits the target under a run: it is noticed and the run stops; nothing is made again in silence."""

from __future__ import annotations

import duckdb
import pytest

from faults.keeping import kept
from pipeline.pairs import DuckPair, Pair
from pipeline.rig import Rig
from tidegate.errors import Fenced, TargetMisfit, TargetPositionMismatch, TargetTableGone, TidegateError

AGAIN = "create table {0}again (like {0}a including all); drop table {0}a; alter table {0}again rename to a"


def make(pair: Pair | DuckPair) -> None:
    pair.source.execute("create table public.a (id int primary key, n int)")
    pair.source.execute("insert into a select i, i from generate_series(1, 50) i")


def following(pair: Pair) -> Rig:
    make(pair)
    rig = pair.rig(["public.a"], snapshots={"every": "1s"}).start().opens().copied()
    rig.reaches(lambda: pair.equal("a"))
    return rig


def stays_down(rig: Rig, *errors: type[TidegateError]) -> TidegateError:
    """The run ended by name, and does so again: no table and no state was made anew."""
    first = rig.fails()
    assert isinstance(first, errors), first
    rig.start()
    again = rig.fails()
    assert isinstance(again, errors), again
    return again


@pytest.mark.parametrize("busy", [True, False], ids=["with changes", "idle"])
@pytest.mark.parametrize("harm", ["drop table a", AGAIN.format("")], ids=["dropped", "made again"])
def test_a_table_that_is_gone_or_another_one(pair: Pair, harm: str, busy: bool) -> None:
    rig = following(pair)
    pair.target.execute(harm)
    if busy:
        pair.source.execute("update a set n = -1 where id = 1")
    stays_down(rig, TargetTableGone)
    assert pair.arrived("select count(*) from a where n <> -1") in ([], [(0,)])


def test_a_table_emptied_and_made_again_by_hand_is_not_taken_for_the_old_one(pair: Pair) -> None:
    rig = following(pair)
    pair.target.execute("drop table a")
    pair.source.execute("update a set n = -1 where id = 1")
    stays_down(rig, TargetTableGone)
    pair.target.execute("create table a (id int primary key, n int)")
    rig.start()
    assert isinstance(rig.fails(), TargetTableGone)
    assert pair.arrived("select count(*) from a") == [(0,)]


def test_a_column_that_is_gone(pair: Pair) -> None:
    rig = following(pair)
    pair.target.execute("alter table a drop column n")
    pair.source.execute("update a set n = -1 where id = 1")
    error = rig.fails()
    assert isinstance(error, TargetMisfit), error
    assert "n" in error.detail
    assert pair.arrived("select count(*) from pg_attribute where attrelid = 'a'::regclass and attname = 'n'") == [(0,)]


@pytest.mark.parametrize("harm", ["delete from tidegate.position", "drop schema tidegate cascade"])
def test_a_state_that_is_gone(pair: Pair, harm: str) -> None:
    rig = following(pair)
    pair.target.execute(harm)
    pair.source.execute("update a set n = -1 where id = 1")
    stays_down(rig, TargetPositionMismatch)
    assert pair.arrived("select count(*) from a where n = -1") == [(0,)]


def test_an_epoch_set_back_shuts_the_worker_out_and_the_next_one_goes_on(pair: Pair) -> None:
    rig = following(pair)
    pair.target.execute("update tidegate.position set epoch = 0")
    pair.source.execute("update a set n = -1 where id = 1")
    assert isinstance(rig.fails(), Fenced)
    assert pair.arrived("select count(*) from a where n = -1") == [(0,)]
    rig.start().opens()
    rig.reaches(lambda: pair.equal("a"))


def test_an_unlogged_table_is_refused(pair: Pair) -> None:
    """A crash of the server would empty it, and the position would say that its rows are there."""
    make(pair)
    pair.target.execute("create unlogged table a (id int primary key, n int)")
    error = pair.rig(["public.a"]).start().fails()
    assert isinstance(error, TargetMisfit), error
    assert "unlogged" in error.detail


@pytest.mark.parametrize(
    ("harm", "errors"),
    [
        ("drop table a", (TargetTableGone,)),
        ("create table b as from a; drop table a; alter table b rename to a", (TargetTableGone,)),
        ("alter table a drop column n", (TargetMisfit,)),
        ("delete from tidegate.position", (TargetPositionMismatch,)),
        ("drop schema tidegate cascade", (TargetPositionMismatch,)),
    ],
    ids=["table gone", "table made again", "column gone", "row of state gone", "state gone"],
)
def test_duckdb_is_as_strict(duck_pair: DuckPair, harm: str, errors: tuple[type[TidegateError], ...]) -> None:
    """People may open the file while no rows come."""
    pair = duck_pair
    make(pair)
    rig = pair.rig(["public.a"], target={"schema": "main"}, snapshots={"every": "1s"}).start().opens().copied()
    rig.pause()
    with kept(rig) as keeper:
        keeper.copied()
        for _ in range(200):
            try:
                with duckdb.connect(pair.path) as connection:
                    for statement in harm.split(";"):
                        connection.execute(statement)
                break
            except duckdb.IOException:
                continue
        pair.source.execute("update a set n = -1 where id = 1")
        error = keeper.fails()
    assert isinstance(error, errors), error
    rig.start()
    assert isinstance(rig.fails(), errors)
