"""Full copy and log interleaved under random writers, with the run cut off at random moments: nothing lost, nothing
doubled, no older value over a newer one, no deleted row back."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from pipeline.load import KEYED, Load
from pipeline.pairs import Pair
from pipeline.rig import Rig
from tidegate.connect import pgedges
from tidegate.testing.servers import PostgresServer, newest

SEEDS = [11, 12, 13]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer(newest(), settings={"max_prepared_transactions": 20, "deadlock_timeout": "100ms"}) as server:
        yield server


@pytest.fixture
def pair(server: PostgresServer, database: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    # Many small chunks, so that most transactions meet one that is not started, being read, or just written.
    monkeypatch.setattr(pgedges, "CHUNK_BYTES", 1_500)
    monkeypatch.setattr(pgedges, "CHUNK_ROWS_MIN", 15)
    pair = Pair(server, database(server), database(server))
    yield pair
    pair.close()


def under_fire(rig: Rig, load: Load, seed: int, cuts: int) -> None:
    """Start the run and cut it off again and again while the load goes on."""
    r = random.Random(seed)
    load.start()
    try:
        for _ in range(cuts):
            rig.start()
            time.sleep(0.05 + r.random() * 0.5)
            rig.cut()
        rig.start().opens().copied()
        time.sleep(0.5)
    finally:
        load.stop()


def enough(rig: Rig, seed: int) -> None:
    """A run that met too little proves nothing."""
    counted = rig.totals + Counter({k: v for k, v in rig.counters().items() if not k.startswith("lag")})
    assert counted["transactions"] > 100, (counted, seed)
    assert counted["changes_contained"] > 20, (counted, seed)
    assert counted["chunks_done"] > 30, (counted, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_upsert_target_ends_equal_to_the_source(pair: Pair, seed: int) -> None:
    load = Load(pair.source_conninfo, seed)
    load.fill(250)
    rig = pair.rig([f"public.{table}" for table in KEYED])
    under_fire(rig, load, seed, 6)
    for table in KEYED:
        rig.reaches(lambda table=table: pair.equal(table), f"{table} equal (seed {seed})")
    assert load.committed > 150
    enough(rig, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_appended_changes_fold_to_the_source_and_none_is_there_twice(pair: Pair, seed: int) -> None:
    load = Load(pair.source_conninfo, seed, truncates=False)
    load.fill(250)
    tables = [*KEYED, "t_nokey"]
    rig = pair.rig([f"public.{table}" for table in tables], write="append")
    under_fire(rig, load, seed, 6)
    for table in KEYED:
        rig.reaches(lambda table=table: pair.folds(table), f"{table} folds (seed {seed})")
    rig.reaches(lambda: pair.multiset_folds("t_nokey"), f"t_nokey folds (seed {seed})")
    for table in tables:
        twice = pair.target.execute(
            f"select opid, count(*) from {table} where _tidegate_op <> 'delete' group by 1 having count(*) > 1"
        ).fetchall()
        assert not twice, (table, seed)
    enough(rig, seed)
