"""The target's server falls, also at a commit; what is there afterwards is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from faults.apart import Apart
from faults.crashes import survive
from faults.keeping import kept
from faults.lanes import long
from pipeline.rig import eventually
from tidegate.connect import pgedges
from tidegate.errors import TargetConflict, TargetUnreachable
from tidegate.testing.servers import PostgresServer, newest


@pytest.fixture
def falling(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    monkeypatch.setattr(pgedges, "CHUNK_BYTES", 1_500)
    monkeypatch.setattr(pgedges, "CHUNK_ROWS_MIN", 15)
    with PostgresServer(newest(), fsync=True) as server:
        yield server


@pytest.fixture
def pair(falling: PostgresServer, postgres: PostgresServer, database: Callable[..., str]) -> Iterator[Apart]:
    pair = Apart(postgres, falling, "postgres", source=database())
    yield pair
    pair.close()


@pytest.mark.parametrize(("write", "crashes", "seed"), [("upsert", 5, 31), ("append", 5, 32)])
def test_a_target_that_falls_again_and_again_is_exact(pair: Apart, write: str, crashes: int, seed: int) -> None:
    keeper = survive(pair, pair.target_server, write=write, crashes=crashes, seed=seed)
    assert {type(error) for error in keeper.passing} <= {TargetUnreachable, TargetConflict}, keeper.reasons()


@long
@pytest.mark.slow
@pytest.mark.parametrize("write", ["upsert", "append"])
def test_a_target_that_falls_twenty_times_is_exact(pair: Apart, write: str) -> None:
    survive(pair, pair.target_server, write=write, crashes=20, seed=33, rows=600)


def test_a_target_that_dies_in_its_commit_has_the_batch_once(pair: Apart) -> None:
    """The commit waits for a standby that does not exist: it is in the log, and nobody was told."""
    pair.source.execute("create table public.a (id int primary key); insert into a select generate_series(1, 50)")
    rig = pair.rig(["public.a"], write="append")
    with kept(rig) as keeper:
        keeper.copied()
        for turn in range(3):
            pair.target.execute("alter system set synchronous_standby_names = 'nobody'")
            pair.target.execute("select pg_reload_conf()")
            first = 1001 + 100 * turn
            pair.source.execute(f"insert into a select generate_series({first}, {first + 99})")
            waits = (
                "select count(*) from pg_stat_activity where wait_event = 'SyncRep' and application_name like 'tide%'"
            )
            eventually(lambda waits=waits: pair.target.execute(waits).fetchone() == (1,), "the commit waits")
            (pair.target_server.directory / "data" / "postgresql.auto.conf").write_text("")
            pair.target_server.kill()
            pair.target_server.start()
            rows = 50 + 100 * (turn + 1)
            keeper.reaches(
                lambda rows=rows: pair.arrived("select count(*), count(distinct id) from a") == [(rows, rows)],
                f"{rows} rows, each once",
            )


def test_a_target_that_comes_back_read_only_is_waited_for(pair: Apart) -> None:
    pair.source.execute("create table public.a (id int primary key); insert into a select generate_series(1, 50)")
    rig = pair.rig(["public.a"], write="append")
    with kept(rig) as keeper:
        keeper.copied()
        pair.target_server.restart("immediate", default_transaction_read_only=True)
        pair.source.execute("insert into a select generate_series(1001, 1100)")
        eventually(lambda: any(isinstance(e, TargetConflict) for e in keeper.passing), "it meets the refusal")
        pair.target_server.restart("fast", default_transaction_read_only=False)
        keeper.reaches(lambda: pair.arrived("select count(*), count(distinct id) from a") == [(150, 150)], "it goes on")
