"""Runs that begin in the past of the source's log, and what is said before where they cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.mariadb_pair import MariadbPair, make
from pipeline.pairs import DuckPair
from pipeline.rig import spec
from tidegate.connect.config import revealed
from tidegate.engine.preflight import Side, check_task
from tidegate.errors import SourceSchemaChange, TaskInvalid
from tidegate.testing.mariadb import MariadbServer
from tidegate.testing.servers import PostgresServer


@pytest.fixture
def pair(
    mariadb: MariadbServer, mariadb_database: Callable[[], str], postgres: PostgresServer, database: Callable[..., str]
) -> Iterator[MariadbPair]:
    pair = MariadbPair(mariadb, mariadb_database(), postgres, database())
    yield pair
    pair.close()


def gtids(pair: MariadbPair) -> str:
    ((told,),) = pair.server.execute("select @@global.gtid_binlog_pos")
    return str(told)


def begins(**start: Any) -> dict[str, Any]:
    return {"read": "incremental", "start": start}


def test_a_run_has_every_change_behind_its_start_once_also_when_it_is_cut_off(pair: MariadbPair) -> None:
    make(pair)
    start = gtids(pair)
    pair.execute("update a set name = 'x' where id <= 3", "delete from a where id = 1")
    rig = pair.rig(["a"], write="append", source=begins(position=start)).start().opens()
    rig.reaches(lambda: len(pair.at_target("a")) == 4)
    rig.cut()
    pair.execute("update a set name = 'y' where id = 2")
    rig.start().opens().reaches(lambda: len(pair.at_target("a")) == 5)
    assert len(pair.at_target("a", "_tidegate_op = 'update'")) == 4


def test_a_table_that_was_altered_behind_the_start_ends_the_run_by_name(pair: MariadbPair) -> None:
    make(pair)
    start = gtids(pair)
    pair.execute("update a set name = 'x' where id = 1", "alter table a add extra int")
    error = pair.rig(["a"], source=begins(position=start)).start().fails()
    assert isinstance(error, SourceSchemaChange)
    assert "extra" in error.detail


@pytest.mark.parametrize(
    ("start", "code"),
    [
        ({"position": "log.000099:4"}, "source.start_unknown"),
        ({"position": "0/16B3748"}, "source.start_unknown"),
        ({"time": datetime.now(UTC) + timedelta(hours=2)}, "source.start_unknown"),
        ({"time": datetime(2020, 1, 1, tzinfo=UTC)}, "source.start_purged"),
    ],
)
def test_a_start_that_the_log_does_not_have_is_refused_at_submission(
    pair: MariadbPair, start: dict[str, Any], code: str
) -> None:
    make(pair)
    source: Side = ("mariadb", revealed(pair.source_config))
    target: Side = ("postgres", revealed(pair.target_config))
    task = pair.rig(["a"], source=begins(**start)).task
    (refused,) = check_task(task, source, target, "abcdef_t1")
    assert refused.code == code
    task = pair.rig(["a"], source=begins(position=gtids(pair))).task
    assert check_task(task, source, target, "abcdef_t1") == []


@pytest.mark.parametrize("start", [{"position": "0/16B3748"}, {"time": datetime(2020, 1, 1, tzinfo=UTC)}])
def test_postgresql_says_why_it_begins_nowhere_in_its_past(duck_pair: DuckPair, start: dict[str, Any]) -> None:
    duck_pair.source.execute("create table t (id int primary key)")
    source: Side = ("postgres", duck_pair.server.config(duck_pair.source_name))
    target: Side = ("duckdb", {"path": str(duck_pair.path)})
    (refused,) = check_task(spec(["public.t"], source=begins(**start)), source, target, "abcdef_t1")
    assert refused.code == "source.start_unsupported"
    assert "slot" in refused.detail


@pytest.mark.parametrize(
    "source",
    [
        {"read": "full+incremental", "start": {"position": "log.000001:4"}},
        {"read": "incremental", "start": {}},
        {"read": "incremental", "start": {"position": "log.000001:4", "time": "2026-11-01T00:00:00Z"}},
        {"read": "incremental", "start": {"time": "2026-11-01T00:00:00"}},
    ],
)
def test_a_start_that_means_nothing_is_refused_in_the_definition(source: dict[str, Any]) -> None:
    with pytest.raises(TaskInvalid, match=r"source\.start|source"):
        spec(["public.t"], source=source)
