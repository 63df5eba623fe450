"""MariaDB into PostgreSQL and PostgreSQL into MariaDB while workers die, are paused and come back from the dead, wires
are cut and both servers crash: nothing is lost and nothing is there twice."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from faults import keeping
from faults.crossed import Crossed, End, Writer
from faults.keeping import Kept, kept
from pipeline.rig import Rig, eventually
from tidegate import faultpoint
from tidegate.connect import myedges, pgedges
from tidegate.errors import EnvironmentLacking, Fenced, Retry, TidegateError
from tidegate.testing.mariadb import MariadbServer
from tidegate.testing.proxy import Then, behind_bytes
from tidegate.testing.servers import PostgresServer, newest

ROUNDS = ("cut source", "cut target") * 2 + ("kill", "pause", "crash source", "crash target")
_numbers = count(1)

both_ways = pytest.mark.parametrize("to_mariadb", [False, True], ids=["from-mariadb", "to-mariadb"])


@pytest.fixture(scope="module")
def mariadb_that_falls() -> Iterator[MariadbServer]:
    try:
        server = MariadbServer(fsync=True)
    except EnvironmentLacking as lacking:
        pytest.skip(lacking.detail)
    with server:
        yield server


@pytest.fixture(scope="module")
def postgres_that_falls() -> Iterator[PostgresServer]:
    with PostgresServer(newest(), fsync=True) as server:
        yield server


@pytest.fixture
def made(
    mariadb_that_falls: MariadbServer, postgres_that_falls: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[bool, int], Crossed]]:
    monkeypatch.setattr(keeping, "PAUSE_S", 0.05)
    for edges in (myedges, pgedges):
        monkeypatch.setattr(edges, "CHUNK_BYTES", 4_000)
        monkeypatch.setattr(edges, "CHUNK_ROWS_MIN", 50)
    pairs: list[Crossed] = []

    def make(to_mariadb: bool, seed: int) -> Crossed:
        print("seed", seed)
        name = f"crossed_{next(_numbers)}"
        mariadb_that_falls.start().create_database(name)
        postgres_that_falls.start().create_database(name)
        pairs.append(Crossed(mariadb_that_falls, name, postgres_that_falls, name, to_mariadb=to_mariadb, seed=seed))
        return pairs[-1]

    yield make
    faultpoint.arm(None)
    for pair in pairs:
        pair.close()


class Fire:
    """One fault after another, each once the run got on since the last; every round ends with the worker's death."""

    def __init__(self, pair: Crossed, rig: Rig, seed: int) -> None:
        self.pair, self.rig, self._random = pair, rig, random.Random(seed)

    def round(self, what: str) -> None:
        with kept(self.rig) as keeper:
            self._gets_on(keeper)
            fault, _, side = what.partition(" ")
            end = self.pair.source if side == "source" else self.pair.target
            match fault:
                case "cut":
                    self._cut(keeper, end)
                case "crash":
                    end.crash()
                    self._gets_on(keeper)
                case "pause":
                    self._pause(keeper)
                case _:
                    assert fault == "kill"

    def _gets_on(self, keeper: Kept) -> None:
        before = self.pair.newest()
        keeper.reaches(lambda: self.pair.newest() > before, "it gets on")

    def _cut(self, keeper: Kept, end: End) -> None:
        r, wire = self._random, end.wire
        way = r.choice([wire.up, wire.down])
        then = r.choice([Then.RESET, Then.RESET, Then.RESET_UNANSWERED, Then.HALF_CLOSE])
        cuts, until = wire.counts.cuts, time.monotonic() + 3
        rule = wire.when(way, behind_bytes(int(10 ** r.uniform(0, 3.5))), then)
        while wire.counts.cuts == cuts and time.monotonic() < until:
            time.sleep(0.01)
        rule.times = 0
        while wire.counts.cuts == cuts:  # so little passes there
            wire.reset()
            time.sleep(0.02)
        self._gets_on(keeper)

    def _pause(self, keeper: Kept) -> None:
        def paused() -> bool:
            self.rig.desk.pause()
            return not keeper._thread.is_alive()

        keeper.reaches(paused, "the pause")


@pytest.mark.slow
@both_ways
@pytest.mark.parametrize("write", ["upsert", "append"])
def test_whatever_fails_nothing_is_lost_or_doubled(
    made: Callable[[bool, int], Crossed], write: str, to_mariadb: bool
) -> None:
    seed = random.randrange(1 << 32)
    pair = made(to_mariadb, seed)
    writer = Writer(pair.source, seed).start()
    rig = pair.rig(write)
    fire = Fire(pair, rig, seed)
    try:
        for what in random.Random(seed).sample(ROUNDS, len(ROUNDS)):
            print(what)
            fire.round(what)
    finally:
        writer.end()
    with kept(rig) as keeper:
        keeper.reaches(lambda: pair.wrong(write) == [], f"target equals source ({pair.wrong(write)})")
    assert rig.epoch > len(ROUNDS)
    assert pair.source.wire.counts.cuts >= 2
    assert pair.target.wire.counts.cuts >= 2


@both_ways
@pytest.mark.parametrize("point", ["batch.writing", "batch.staged", "batch.positioned"])
def test_a_worker_that_comes_back_from_the_dead_changes_nothing(
    made: Callable[[bool, int], Crossed], to_mariadb: bool, point: str
) -> None:
    """It stands still in front of a batch, or in the middle of its transaction, until another has the run."""
    pair = made(to_mariadb, 5)
    writer = Writer(pair.source, 5)
    old = pair.rig("append").start().opens().copied()
    held, go_on = threading.Event(), threading.Event()

    def hold(crossed: str) -> None:
        if crossed == point and not held.is_set():
            held.set()
            assert go_on.wait(60)

    faultpoint.arm(hold)
    writer.start()
    try:
        assert held.wait(30)
        new = pair.rig("append")
        new.epoch, new.snapshots = old.epoch, old.snapshots
        with kept(new) as keeper:
            before = pair.newest()
            keeper.reaches(lambda: pair.newest() > before, "the new one gets on")
            go_on.set()
            eventually(lambda: old.error is not None, "the old one ends")
            error = old.error
            assert isinstance(error, TidegateError), error
            assert isinstance(error, Fenced) or error.retry is not Retry.NEVER, error
            old.close_ends()
            writer.end()
            keeper.reaches(lambda: pair.wrong("append") == [], f"target equals source ({pair.wrong('append')})")
    finally:
        go_on.set()
        faultpoint.arm(None)
        writer.end()
