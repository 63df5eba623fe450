"""A run that goes on: after a pause nothing is read again, the source is told no more than a stored snapshot names, and
whoever comes with an older epoch changes nothing."""

from __future__ import annotations

import pytest

from pipeline.pairs import Pair
from pipeline.rig import Rig
from pipeline.steering import Steering, low
from tidegate.connect import pgassembly
from tidegate.connect.pgposition import PgPosition, parse_lsn
from tidegate.connect.target import BatchShape
from tidegate.errors import Fenced, SourceIdentityChanged, SourceUnreachable, TargetPositionMismatch
from tidegate.targets.postgres import PostgresTarget
from tidegate.testing.servers import PostgresServer, newest


def make(pair: Pair, rows: int = 50) -> None:
    pair.source.execute("create table public.a (id int primary key, n int)")
    pair.source.execute(f"insert into a select i, i from generate_series(1, {rows}) i")


def appended(pair: Pair, rig: Rig, rows: int) -> None:
    rig.reaches(lambda: pair.arrived("select count(*) from a") == [(rows,)], f"{rows} appended rows")


def each_change_once(pair: Pair, changes: int) -> None:
    found = pair.arrived(
        "select count(*), count(distinct id) from a where _tidegate_op = 'insert' and id between 1001 and 9999"
    )
    assert found == [(changes, changes)]


def test_after_a_pause_nothing_is_read_again(pair: Pair) -> None:
    make(pair)
    rig = pair.rig(["public.a"], write="append").start().opens().copied()
    for turn in range(3):
        pair.source.execute(f"insert into a select i, 0 from generate_series({1001 + 10 * turn}, {1010 + 10 * turn}) i")
        appended(pair, rig, 50 + 10 * (turn + 1))
        rig.pause()
        rig.start().opens()
    pair.source.execute("insert into a values (2000, 0)")
    appended(pair, rig, 81)
    rig.pause()
    assert rig.totals["changes_read"] == 31
    assert rig.totals["changes_contained"] == 0
    each_change_once(pair, 31)


def test_a_pause_leaves_the_source_nothing_to_keep_but_what_comes_after(each_pair: Pair) -> None:
    pair = each_pair
    make(pair)
    rig = pair.rig(["public.a"]).start().opens().copied()
    pair.source.execute("update a set n = 0")
    rig.reaches(lambda: pair.equal("a"))
    rig.pause()
    position = str(rig.snapshots[-1].position)
    rig.reaches(lambda: pair.confirmed(rig) == position, "the slot stands at the pause's snapshot")


@pytest.mark.usefixtures("small_chunks")
def test_a_pause_in_the_middle_of_the_copy_goes_on_at_the_chunk(pair: Pair) -> None:
    steering = Steering()
    pair.source_class = steering.source_class()
    make(pair)
    steering.holds = low
    rig = pair.rig(["public.a"], write="append").start().opens()
    rig.reaches(lambda: rig.counters()["chunks_done"] == rig.counters()["chunks_total"] - 1, "all chunks but the first")
    done = rig.counters()["rows_full"]
    pair.source.execute("insert into a select i, 0 from generate_series(1001, 1010) i")
    appended(pair, rig, done + 10)
    rig.pause()
    assert rig.snapshots[-1].state["tables"]["public.a"]["chunks_done"] == rig.counters()["chunks_done"]
    steering.holds, steering.marked = lambda keys: False, []
    pair.source.execute("insert into a select i, 0 from generate_series(1011, 1020) i")
    rig.start().opens().copied()
    appended(pair, rig, 70)
    assert [low(keys) for keys in steering.marked] == [True]  # only the one that was missing
    rig.pause()
    assert rig.totals["changes_read"] == 20
    each_change_once(pair, 20)


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction of some hundred changes is a giant one."""
    monkeypatch.setattr(pgassembly, "PART_CHANGES_MAX", 10)
    monkeypatch.setattr(PostgresTarget, "batch", BatchShape(rows=50, interval_s=0.05))


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize("end", ["pause", "cut"])
def test_a_run_goes_on_in_the_middle_of_a_giant_transaction(each_pair: Pair, end: str) -> None:
    pair = each_pair
    steering = Steering()
    pair.source_class = steering.source_class()
    make(pair)
    rig = pair.rig(["public.a"], write="append").start().opens().copied()
    steering.parts_allowed = 0
    pair.source.execute("insert into a select i, 0 from generate_series(1001, 1995) i")
    stops = 0
    for _ in range(3):
        steering.allow(28)
        before = rig.pipeline.position
        rig.reaches(
            lambda before=before: rig.pipeline.position != before and not steering.parts_allowed, "it is written"
        )
        if end == "pause":
            steering.allow(7)  # a pause ends where a batch does
            rig.pause()
        else:
            rig.cut()
        steering.parts_allowed = 0
        position = PgPosition.of(rig.pipeline.position)
        stops += bool(position.inside)
        rig.start().opens()
    assert stops == 3
    steering.parts_allowed = None
    appended(pair, rig, 50 + 995)
    rig.pause()
    each_change_once(pair, 995)
    if end == "pause":
        assert rig.totals["changes_read"] == 995


def test_the_source_is_told_only_what_a_stored_snapshot_names(each_pair: Pair) -> None:
    """I1: the target's position moves on; the source's does not before the snapshot is stored."""
    pair = each_pair
    make(pair)
    rig = pair.rig(["public.a"], snapshots={"every": "1s"})
    rig.keeps_snapshots = False
    rig.start().opens().copied()
    slot = pair.confirmed(rig)
    for n in range(5):
        pair.source.execute(f"update a set n = {n}")
        rig.reaches(lambda: pair.equal("a"))
        rig.desk.ask_snapshot(f"request {n}")
    pair.source.execute("select pg_switch_wal()")
    rig.reaches(lambda: parse_lsn(pair.position(rig)) > parse_lsn(slot))
    assert pair.confirmed(rig) == slot
    rig.cut()
    assert pair.confirmed(rig) == slot
    rig.keeps_snapshots = True
    rig.start().opens()
    rig.desk.ask_snapshot("now")
    rig.reaches(lambda: bool(rig.snapshots) and pair.confirmed(rig) == str(rig.snapshots[-1].position))
    assert parse_lsn(pair.confirmed(rig)) > parse_lsn(slot)
    pair.source.execute("update a set n = 77")
    rig.reaches(lambda: pair.equal("a"))
    assert parse_lsn(pair.confirmed(rig)) <= parse_lsn(str(rig.snapshots[-1].position))


def test_a_pause_whose_snapshot_is_not_stored_goes_on_running(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.engine.pipeline.SNAPSHOT_DEADLINE_S", 0.2)
    make(pair)
    rig = pair.rig(["public.a"])
    rig.keeps_snapshots = False
    rig.start().opens().copied()
    rig.desk.pause()
    rig.reaches(lambda: any(name == "pause_failed" for name, _ in rig.events))
    pair.source.execute("update a set n = 0")
    rig.reaches(lambda: pair.equal("a"))
    rig.keeps_snapshots = True
    rig.pause()


def test_an_older_epoch_is_fenced_out(each_pair: Pair) -> None:
    """I5: two workers of one run at once; the older one ends and has written nothing since."""
    pair = each_pair
    make(pair)
    older = pair.rig(["public.a"], write="append").start().opens().copied()
    newer = pair.rig(["public.a"], write="append", run=older.run)
    newer.epoch = older.epoch
    newer.start().opens()
    pair.source.execute("insert into a select i, 0 from generate_series(1001, 1010) i")
    appended(pair, newer, 60)
    error = older.fails()
    assert isinstance(error, (Fenced, SourceUnreachable))
    each_change_once(pair, 10)
    older.epoch = 0
    older.start()
    assert isinstance(older.fails(), Fenced)
    pair.source.execute("insert into a values (1011, 0)")
    appended(pair, newer, 61)


def test_a_target_that_stands_behind_its_snapshot_is_refused(pair: Pair) -> None:
    make(pair)
    rig = pair.rig(["public.a"]).start().opens().copied()
    behind = pair.position(rig)
    pair.source.execute("update a set n = 0")
    rig.reaches(lambda: pair.equal("a"))
    rig.pause()
    pair.target.execute("update tidegate.position set position = %s", (behind,))
    rig.start()
    error = rig.fails()
    assert isinstance(error, TargetPositionMismatch)
    assert behind in error.detail


@pytest.mark.parametrize(
    "harm",
    [
        "delete from tidegate.position",
        "delete from tidegate.progress",
        "update tidegate.position set position = 'garbage'",
        "update tidegate.progress set value = '{' where key like 'table:%'",
        "drop schema tidegate cascade",
    ],
)
def test_a_target_whose_state_was_harmed_is_refused(pair: Pair, harm: str) -> None:
    make(pair)
    rig = pair.rig(["public.a"]).start().opens().copied()
    rig.pause()
    pair.target.execute(harm)
    rig.start()
    assert isinstance(rig.fails(), TargetPositionMismatch)
    assert pair.equal("a")


def test_a_target_whose_state_is_harmed_while_it_runs_ends_the_run(pair: Pair) -> None:
    make(pair)
    rig = pair.rig(["public.a"]).start().opens().copied()
    pair.target.execute("delete from tidegate.position")
    pair.source.execute("update a set n = 0")
    assert isinstance(rig.fails(), TargetPositionMismatch)
    assert pair.arrived("select count(*) from a where n = 0") == [(0,)]


def test_another_server_in_the_same_place_is_refused(pair: Pair) -> None:
    make(pair)
    rig = pair.rig(["public.a"]).start().opens().copied()
    rig.pause()
    with PostgresServer(newest()) as other:
        other.execute(f'create database "{pair.source_name}"')
        theirs = Pair(other, pair.source_name, "postgres")
        make(theirs)
        pair.source_config, ours = theirs.source_config, pair.source_config
        rig.start()
        assert isinstance(rig.fails(), SourceIdentityChanged)
        pair.source_config = ours
        theirs.close()
    rig.start().opens()


def test_a_server_that_crashes_and_recovers_loses_and_doubles_nothing(pair: Pair) -> None:
    with PostgresServer(newest()) as server:
        server.create_database("src")
        crashing = Pair(server, "src", "postgres")
        crashing.target.close()
        crashing.target, crashing.target_config = pair.target, pair.target_config
        make(crashing)
        rig = crashing.rig(["public.a"], write="append").start().opens().copied()
        for turn in range(3):
            crashing.source.execute(
                f"insert into a select i, 0 from generate_series({1001 + 100 * turn}, {1100 + 100 * turn}) i"
            )
            if turn % 2:
                appended(crashing, rig, 50 + 100 * (turn + 1))
            crashing.source.close()
            server.restart("immediate")
            crashing.source = server.connect("src")
            error = rig.fails()
            assert isinstance(error, SourceUnreachable), error
            rig.start().opens()
            appended(crashing, rig, 50 + 100 * (turn + 1))
        each_change_once(crashing, 300)
        crashing.target = server.connect("postgres")
        crashing.close()
