"""The source's server falls in the copy, at the hand-over and in the log; nothing is lost and nothing is doubled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from faults.apart import Apart, ApartDuck
from faults.crashes import survive
from faults.enduring import Enduring
from faults.keeping import kept
from faults.lanes import long
from pipeline.load import KEYED
from pipeline.rig import eventually
from tidegate.connect import pgedges
from tidegate.testing.downfall import Downfall
from tidegate.testing.servers import PostgresServer, newest

SETTINGS = {"max_prepared_transactions": 20, "deadlock_timeout": "100ms"}


@pytest.fixture
def falling(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    """A server that makes durable what it says is, and tables that are copied in many chunks."""
    monkeypatch.setattr(pgedges, "CHUNK_BYTES", 1_500)
    monkeypatch.setattr(pgedges, "CHUNK_ROWS_MIN", 15)
    with PostgresServer(newest(), settings=SETTINGS, fsync=True) as server:
        yield server


@pytest.fixture
def pair(falling: PostgresServer, postgres: PostgresServer, database: Callable[..., str]) -> Iterator[Apart]:
    pair = Apart(falling, postgres, database())
    yield pair
    pair.close()


@pytest.mark.parametrize(("write", "crashes", "seed"), [("upsert", 5, 21), ("append", 5, 22)])
def test_a_source_that_falls_again_and_again_is_followed_exactly(
    pair: Apart, write: str, crashes: int, seed: int
) -> None:
    survive(pair, pair.server, write=write, crashes=crashes, seed=seed)


@long
@pytest.mark.slow
@pytest.mark.parametrize("write", ["upsert", "append"])
def test_a_source_that_falls_twenty_times_is_followed_exactly(pair: Apart, write: str) -> None:
    survive(pair, pair.server, write=write, crashes=20, seed=23, rows=600)


def test_a_duckdb_file_is_exact_after_its_source_fell(falling: PostgresServer, tmp_path: Path) -> None:
    pair = ApartDuck(falling, tmp_path / "lake.duckdb")
    load = Enduring(pair.source_conninfo, 24)
    load.fill(150)
    rig = pair.rig([f"public.{table}" for table in KEYED], target={"schema": "main"})
    downfall = Downfall(falling, 24, away_s=(0.5, 1.0))
    load.start()
    try:
        with kept(rig) as keeper:
            for _ in range(3):
                keeper.copied()
                downfall.once()
            load.end()
            end = pair.rows("select pg_current_wal_insert_lsn()::text")[0][0]
            pair.source.execute("insert into t_int (k, opid) values (100000, 0)")
            position = rig.make_source().parse_position
            keeper.reaches(
                lambda: rig.pipeline.position is not None and not rig.pipeline.position < position(end), "the log's end"
            )
            keeper.reaches(lambda: rig.gauges.lag_s() == 0, "nothing waits")
    finally:
        load.end()
    rig.start().opens()
    rig.pause()
    for table in KEYED:
        there = pair.rows(f"select opid::text, amt::text, md5(big) from {table} order by 1, 2, 3")
        arrived = [(row["opid"], row["amt"], row["big"]) for row in pair.texts(f"main.{table}")]
        assert len(there) == len(arrived)
        assert sorted(r[0] for r in there) == sorted(str(r[0]) for r in arrived)
    pair.close()


def test_a_long_absence_is_told_and_waited_for(pair: Apart) -> None:
    pair.source.execute("create table public.a (id int primary key); insert into a select generate_series(1, 50)")
    rig = pair.rig(["public.a"], write="append")
    with kept(rig) as keeper:
        keeper.copied()
        pair.server.stop("fast")
        eventually(lambda: len(keeper.passing) >= 20, "it tries again and again")
        assert keeper.failure is None
        assert {error.code for error in keeper.passing} == {"source.unreachable"}
        pair.server.start()
        pair.source.execute("insert into a select generate_series(1001, 1100)")
        keeper.reaches(lambda: pair.arrived("select count(*), count(distinct id) from a") == [(150, 150)], "it goes on")


def test_a_fast_stop_lets_the_slot_go_and_loses_nothing(pair: Apart) -> None:
    """A server that shuts down in order waits until its followers have everything."""
    pair.source.execute("create table public.a (id int primary key); insert into a select generate_series(1, 50)")
    rig = pair.rig(["public.a"], write="append")
    with kept(rig) as keeper:
        keeper.copied()
        pair.source.execute("insert into a select generate_series(1001, 1100)")
        pair.server.stop("fast")
        with pytest.raises(psycopg.OperationalError):
            pair.server.connect()
        pair.server.start()
        keeper.reaches(lambda: pair.arrived("select count(*), count(distinct id) from a") == [(150, 150)], "all of it")
