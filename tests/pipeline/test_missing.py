"""What a task needs and is not there: named while it is missing, and nothing once it is back."""

from __future__ import annotations

import pytest

from pipeline.pairs import Pair
from pipeline.rig import Rig, spec
from tidegate.engine.preflight import Side, missing_objects
from tidegate.errors import TargetUnreachable
from tidegate.testing.servers import PostgresServer, newest


def ends(pair: Pair) -> tuple[Side, Side]:
    return ("postgres", pair.server.config(pair.source_name)), ("postgres", pair.server.config(pair.target_name))


def make(pair: Pair, *names: str) -> None:
    for name in names:
        pair.source.execute(f"create table public.{name} (id int primary key, n int)")


def rested(pair: Pair) -> Rig:
    make(pair, "a", "b")
    rig = pair.rig(["public.a", "public.b"]).start().opens().copied()
    rig.pause()
    return rig


def test_every_table_that_is_gone_is_named(pair: Pair) -> None:
    make(pair, "a")
    task = spec(["public.a", "public.b", "public.c"])
    listed = [f"table public.{name} does not exist at data source src" for name in "bc"]
    assert missing_objects(task, *ends(pair)) == listed
    assert missing_objects(task, *ends(pair), working=True) == listed
    make(pair, "b", "c")
    assert missing_objects(task, *ends(pair)) == []


def test_a_pattern_that_matches_nothing_any_more_is_named(pair: Pair) -> None:
    task = spec([r"public\.item_.*"])
    (found,) = missing_objects(task, *ends(pair))
    assert r"public\.item_.*" in found
    make(pair, "item_1")
    assert missing_objects(task, *ends(pair)) == []


def test_a_target_table_that_no_run_would_make_is_named(pair: Pair) -> None:
    make(pair, "a")
    task = spec(["public.a"], target={"create_tables": False})
    (found,) = missing_objects(task, *ends(pair))
    assert found.endswith("does not exist at the target")
    assert missing_objects(task, *ends(pair), working=True) == [], "a worker sees that itself"
    pair.target.execute("create table public.a (id int primary key, n int)")
    assert missing_objects(task, *ends(pair)) == []


def test_a_target_table_of_a_run_that_rests_is_named(pair: Pair) -> None:
    rig = rested(pair)
    assert missing_objects(rig.task, *ends(pair), run_key=rig.run) == []
    pair.target.execute("alter table public.b rename to elsewhere")
    (found,) = missing_objects(rig.task, *ends(pair), run_key=rig.run)
    assert found.endswith("b is gone")
    pair.target.execute("alter table public.elsewhere rename to b")
    assert missing_objects(rig.task, *ends(pair), run_key=rig.run) == []


def test_a_table_that_the_newest_version_leaves_out_is_not_missed(pair: Pair) -> None:
    rig = rested(pair)
    pair.source.execute("drop table b")
    assert missing_objects(rig.task, *ends(pair), run_key=rig.run) != []
    assert missing_objects(spec(["public.a"]), *ends(pair), run_key=rig.run) == []


def test_a_run_that_was_cut_off_before_it_began_misses_nothing(pair: Pair) -> None:
    make(pair, "a")
    assert missing_objects(spec(["public.a"]), *ends(pair), run_key="abcdef_t9r9") == []


def test_a_user_that_may_not_follow_any_more_is_named(pair: Pair) -> None:
    make(pair, "a")
    pair.server.create_user("reader", attributes="login replication")
    pair.source.execute(f"grant create on database {pair.source_name} to reader")
    source = ("postgres", pair.server.config(pair.source_name, user="reader"))
    task, target = spec(["public.a"]), ends(pair)[1]
    try:
        assert missing_objects(task, source, target) == []
        pair.source.execute("alter role reader noreplication")
        assert missing_objects(task, source, target) == ['privileges: missing: ALTER ROLE "reader" REPLICATION']
        pair.source.execute("alter role reader replication")
        assert missing_objects(task, source, target) == []
    finally:
        pair.source.execute("drop owned by reader; drop role reader")


def test_a_server_that_does_not_log_enough_any_more_is_named() -> None:
    with PostgresServer(newest(), settings={"max_replication_slots": 1}) as server:
        server.create_database("src")
        pair = Pair(server, "src", "postgres")
        make(pair, "a")
        pair.close()
        pair.target.close()
        task, (source, target) = spec(["public.a"]), ends(pair)
        server.execute("select pg_create_physical_replication_slot('somebody')")
        assert missing_objects(task, source, target) == [], "slots come and go"
        server.execute("select pg_drop_replication_slot('somebody')")
        server.restart(wal_level="replica")
        assert missing_objects(task, source, target) == ["log level: wal_level = replica"]
        server.restart(wal_level="logical")
        assert missing_objects(task, source, target) == []
        server.stop()
        with pytest.raises(TargetUnreachable):  # it may be back by itself
            missing_objects(task, source, target)
