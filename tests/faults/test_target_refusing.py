"""The target refuses a write: what passes by itself is tried again as a whole, what does not ends the run and goes on
once the cause is mended. Nothing is lost or there twice either way."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest

from faults.keeping import Kept, kept
from pipeline.pairs import Pair
from pipeline.rig import Rig, eventually
from tidegate.errors import TargetConflict, TargetUnreachable, TargetValueRefused, TidegateError

ROWS = 50


def make(pair: Pair) -> None:
    pair.source.execute("create table public.a (id int primary key, n int, t text)")
    pair.source.execute(f"insert into a select i, i, 'row' from generate_series(1, {ROWS}) i")


def appended(pair: Pair, keeper: Kept, rows: int) -> None:
    keeper.reaches(
        lambda: pair.arrived("select count(*), count(distinct id) from a") == [(rows, rows)], f"{rows} rows, each once"
    )


class Holder:
    """Another session at the target, on its own connection."""

    def __init__(self, pair: Pair) -> None:
        self.connection = pair.server.connect(pair.target_name)

    def __enter__(self) -> psycopg.Connection:
        return self.connection

    def __exit__(self, *_: object) -> None:
        self.connection.close()


def waits_for(pair: Pair) -> bool:
    """Whether the run's write waits for a lock."""
    query = (
        "select count(*) from pg_stat_activity where application_name like 'tidegate %' and wait_event_type = 'Lock'"
    )
    return pair.target.execute(query + " and datname = current_database()").fetchone() == (1,)


def test_a_deadlock_with_another_session_is_survived(pair: Pair) -> None:
    make(pair)
    pair.source.execute("create table public.b (id int primary key)")
    rig = pair.rig(["public.a", "public.b"], write="append")
    pair.target.execute(f"alter database {pair.target_name} set deadlock_timeout = '50ms'")
    with kept(rig) as keeper, Holder(pair) as other:
        keeper.copied()
        other.execute("set deadlock_timeout = '1h'")  # the run is the one to be chosen
        for turn in range(3):
            first = 1001 + 100 * turn
            other.execute("begin; lock table b in access exclusive mode")
            pair.source.execute(
                f"begin; insert into a select i, 0, '' from generate_series({first}, {first + 99}) i;"
                f" insert into b select i from generate_series({first}, {first + 99}) i; commit"
            )
            eventually(lambda: waits_for(pair), "the run waits")
            closing = threading.Thread(target=lambda: other.execute("lock table a in access exclusive mode; rollback"))
            closing.start()
            closing.join(30)
            appended(pair, keeper, ROWS + 100 * (turn + 1))
        assert [type(error) for error in keeper.passing] == [TargetConflict] * len(keeper.passing)
        assert keeper.passing, "no deadlock happened"
        assert pair.arrived("select count(*), count(distinct id) from b") == [(300, 300)]


def test_a_lock_that_is_held_too_long_is_waited_for_again_and_again(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        __import__("tidegate.targets.postgres", fromlist=["_SESSION"])._SESSION, "lock_timeout", "200ms"
    )
    make(pair)
    rig = pair.rig(["public.a"], write="append")
    with kept(rig) as keeper, Holder(pair) as other:
        keeper.copied()
        other.execute("begin; lock table a in access exclusive mode")
        pair.source.execute("insert into a select i, 0, '' from generate_series(1001, 1100) i")
        eventually(lambda: len(keeper.passing) >= 3, "it gave up and came again")
        other.execute("rollback")
        appended(pair, keeper, ROWS + 100)
        assert {type(error) for error in keeper.passing} == {TargetConflict}


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_write_that_is_cancelled_or_cut_off_is_made_again(pair: Pair, how: str) -> None:
    make(pair)
    rig = pair.rig(["public.a"], write="append")
    with kept(rig) as keeper, Holder(pair) as other:
        keeper.copied()
        for turn in range(3):
            other.execute("begin; lock table a in access exclusive mode")
            first = 1001 + 100 * turn
            pair.source.execute(f"insert into a select i, 0, '' from generate_series({first}, {first + 99}) i")
            eventually(lambda: waits_for(pair), "the run waits")
            pair.target.execute(
                f"select {how}(pid) from pg_stat_activity where application_name like 'tidegate %'"
                " and wait_event_type = 'Lock' and datname = current_database()"
            )
            eventually(lambda turn=turn: len(keeper.passing) > turn, "it is told")
            other.execute("rollback")
            appended(pair, keeper, ROWS + 100 * (turn + 1))
        wanted = TargetConflict if how == "pg_cancel_backend" else TargetUnreachable
        assert {type(error) for error in keeper.passing} == {wanted}


def test_serialization_failures_are_tried_again(pair: Pair) -> None:
    """A trigger of the target's owner raises one now and then, as a stricter isolation would."""
    make(pair)
    pair.target.execute("create sequence tries")
    rig = pair.rig(["public.a"], write="append")
    with kept(rig) as keeper:
        keeper.copied()
        pair.target.execute(
            "create function refuse() returns trigger language plpgsql as $$ begin"
            " if nextval('public.tries') <= 3 then"
            " raise exception 'not now' using errcode = 'serialization_failure'; end if;"
            " return null; end $$;"
            " create trigger refuse after insert on a for each statement execute function refuse()"
        )
        pair.source.execute("insert into a select i, 0, '' from generate_series(1001, 1100) i")
        appended(pair, keeper, ROWS + 100)
        assert [type(error) for error in keeper.passing] == [TargetConflict] * 3


def test_a_target_that_becomes_read_only_is_waited_for(pair: Pair) -> None:
    make(pair)
    rig = pair.rig(["public.a"], write="append")
    with kept(rig) as keeper:
        keeper.copied()
        pair.target.execute(f"alter database {pair.target_name} set default_transaction_read_only = on")
        pair.target.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'tidegate %'"
            " and datname = current_database()"
        )
        pair.source.execute("insert into a select i, 0, '' from generate_series(1001, 1100) i")
        eventually(lambda: any(isinstance(e, TargetConflict) for e in keeper.passing), "it meets the refusal")
        assert pair.arrived("select count(*) from a") == [(ROWS,)]
        with Holder(pair) as other:
            other.execute("set default_transaction_read_only = off")
            other.execute(f"alter database {pair.target_name} set default_transaction_read_only = off")
        appended(pair, keeper, ROWS + 100)


SECRET = "s3cret-value"

# What the target was given beside, a change that it refuses, what is named, and how it is mended.
REFUSALS: dict[str, tuple[str, str, str, str]] = {
    "check": (
        "alter table a add constraint low check (n < 1000)",
        "update a set n = 5000, t = '{}' where id = 7",
        "constraint low",
        "alter table a drop constraint low",
    ),
    "length": (
        "alter table a alter t type varchar(5)",
        "update a set t = '{}' where id = 7",
        ".t: a text is longer",
        "alter table a alter t type text",
    ),
    "range": (
        "alter table a alter n type smallint",
        "update a set n = 100000, t = '{}' where id = 7",
        ".n: a number is outside",
        "alter table a alter n type int",
    ),
    "unique": (
        "create unique index only_one on a (n)",
        "update a set n = 8, t = '{}' where id = 7",
        "constraint only_one",
        "drop index only_one",
    ),
    "null": (
        "alter table a alter n set not null",
        "update a set n = null, t = '{}' where id = 7",
        ".n: NULL is not allowed",
        "alter table a alter n drop not null",
    ),
}


@pytest.mark.parametrize("sort", REFUSALS)
def test_a_row_the_target_refuses_ends_the_run_by_name_and_goes_on_once_mended(
    pair: Pair, sort: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its neighbours in the batch wait with it: nothing after it was written."""
    constrain, change, named, mend = REFUSALS[sort]
    make(pair)
    rig = pair.rig(["public.a"]).start().opens().copied()
    rig.reaches(lambda: pair.equal("a"))
    pair.target.execute(constrain)
    pair.source.execute("insert into a values (1001, 901, 'x')")
    rig.reaches(lambda: pair.equal("a"))
    pair.source.execute(
        f"begin; insert into a values (1002, 902, 'x'); {change.format(SECRET)}; insert into a values (1003, 903, 'x');"
        " commit; delete from a where id = 1"
    )
    error = rig.fails()
    assert isinstance(error, TargetValueRefused), error
    assert named in error.detail
    assert "a" in error.detail
    shown = error.detail + str(error.facts) + "".join(capfd.readouterr())
    assert SECRET not in shown
    assert "100000" not in shown
    assert pair.arrived("select count(*) from a where id in (1002, 1003)") == [(0,)]
    rig.start()
    assert isinstance(rig.fails(), TidegateError)
    pair.target.execute(mend)
    rig.start().opens()
    rig.reaches(lambda: pair.equal("a"))


def test_a_character_the_targets_encoding_lacks_ends_the_run_by_name(pair: Pair, database: Callable[..., str]) -> None:
    pair.target.close()
    name = f"{pair.target_name}_latin"
    pair.server.execute(f"create database {name} encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0")
    latin = Pair(pair.server, pair.source_name, name)
    try:
        make(latin)
        rig: Rig = latin.rig(["public.a"]).start().opens().copied()
        latin.source.execute("update a set t = '数' where id = 7")
        error = rig.fails()
        assert isinstance(error, TargetValueRefused), error
        assert "a.t" in error.detail or "public.a" in error.detail
        assert "数" not in error.detail
        rig.start()
        assert isinstance(rig.fails(), TargetValueRefused), "I3: the change is not passed over"
        assert latin.arrived("select count(*) from a where id = 7 and t = 'row'") == [(1,)]
    finally:
        latin.close()
        pair.server.drop_database(name)
        pair.target = pair.server.connect(pair.target_name)


def test_a_table_whose_writes_are_slow_costs_no_other_its_rows(pair: Pair) -> None:
    """One stream in the source's order: others wait with it and are exact, and the lag says so."""
    make(pair)
    pair.source.execute("create table public.slow (id int primary key)")
    rig = pair.rig(["public.a", "public.slow"], write="append")
    with kept(rig) as keeper:
        keeper.copied()
        pair.target.execute(
            "create function drag() returns trigger language plpgsql as $$ begin perform pg_sleep(0.01); return new;"
            " end $$; create trigger drag before insert on slow for each row execute function drag()"
        )
        pair.source.execute("insert into slow select generate_series(1, 200)")
        pair.source.execute("insert into a select i, 0, '' from generate_series(1001, 1100) i")
        eventually(lambda: rig.gauges.lag_s() > 0.5, "the lag is shown")
        appended(pair, keeper, ROWS + 100)
        assert pair.arrived("select count(*) from slow") == [(200,)]
        assert not keeper.passing
