"""Connections cut at any place, on both sides, while copying and while following: nothing is lost, nothing doubled."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from faults import keeping
from faults.keeping import Kept, kept
from faults.wired import TABLES, Wired, Workload, becomes_exact, exact, newest
from tidegate.engine.running import Phase
from tidegate.errors import TargetUnreachable
from tidegate.testing.proxy import COMMIT, Proxy, Then, Watch, behind_bytes
from tidegate.testing.servers import PostgresServer

SEED = 4_211
CUTS = 55
CUTS_PER_PHASE = 15
COMMITS = 20
# Of one side: more than an opening and the first write take.
PIECES = 45


@pytest.fixture
def wired(postgres: PostgresServer, database: Callable[..., str]) -> Iterator[Wired]:
    pair = Wired(postgres, database(), database(), seed=SEED)
    yield pair
    pair.close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker waits longer before it tries again; here that would only take time."""
    monkeypatch.setattr(keeping, "PAUSE_S", 0.02)
    monkeypatch.setattr("tidegate.engine.full.CHUNK_PAUSE_S", 0.05)


class Cutter:
    """Cuts one connection after another, each at a random number of bytes from when it was decided; most after the run
    got on since the last one, some while it still recovers."""

    def __init__(self, pair: Wired, keeper: Kept, seed: int) -> None:
        print("seed", seed)
        self.pair, self.keeper = pair, keeper
        self.phases: Counter[str] = Counter()
        self.places: Counter[str] = Counter()
        self._random = random.Random(seed)

    def phase(self) -> str:
        pipeline = getattr(self.keeper.rig, "pipeline", None)
        return str(pipeline.phase if pipeline else Phase.PREPARING)

    def arrived(self) -> int:
        rows = self.pair.arrived("select count(*) from ledger")
        return int(rows[0][0]) if rows else 0

    def cut(self) -> None:
        r = self._random
        if r.random() < 0.8:
            before = self.arrived()
            self.keeper.reaches(lambda: self.arrived() > before, "it gets on")
        proxy: Proxy = r.choice(self.pair.proxies)
        way = r.choice([proxy.up, proxy.down])
        then = r.choice([Then.RESET] * 4 + [Then.RESET_UNANSWERED] * 2 + [Then.HALF_CLOSE])
        count = int(10 ** r.uniform(0, 4.3))
        cuts = proxy.counts.cuts
        rule = proxy.when(way, behind_bytes(count), then)
        until = time.monotonic() + 2
        while proxy.counts.cuts == cuts and time.monotonic() < until:
            time.sleep(0.005)
        rule.times = 0
        while proxy.counts.cuts == cuts:  # so little passes there
            proxy.reset()
            time.sleep(0.02)
        self.phases[self.phase()] += 1
        side, direction = "source" if proxy is self.pair.to_source else "target", "up" if way is proxy.up else "down"
        self.places[f"{side} {direction}"] += 1


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("write", ["append", "upsert"])
def test_nothing_is_lost_or_doubled_through_cuts_at_random_places(wired: Wired, write: str) -> None:
    work = Workload(wired, SEED, ledger_rows=1_500, pause_s=0.01)
    rig = wired.rig(TABLES, write=write)
    with kept(rig) as keeper:
        cutter = Cutter(wired, keeper, SEED)
        work.start()
        while sum(cutter.phases.values()) < CUTS or cutter.phases["incremental"] < CUTS_PER_PHASE:
            cutter.cut()
        work.end()
        wired.heal()
        becomes_exact(wired, write, keeper.reaches, deadline_s=30)
        # It must have been a run worth the name.
        copying = sum(cutter.phases.values()) - cutter.phases["incremental"]
        assert copying >= CUTS_PER_PHASE, cutter.phases
        assert len(cutter.places) == 4, cutter.places
        assert min(cutter.places.values()) >= 3, cutter.places
        assert wired.cuts >= CUTS
        assert keeper.attempts > 10
        assert work.written - work.copied_rows > 200
        print(f"{wired.cuts} cuts, {keeper.attempts} attempts, {work.written} numbers, {cutter.phases} {cutter.places}")


@pytest.mark.parametrize("then", [Then.RESET, Then.HALF_CLOSE])
def test_a_cut_in_the_middle_of_a_chunks_rows_is_recovered_from(wired: Wired, then: Then) -> None:
    """Both where rows pass through and where they are read as texts."""
    wired.source.execute("create table a (id int primary key, note text); create table b (id int primary key, n int[])")
    wired.source.execute("insert into a select i, repeat('x', 90) from generate_series(1, 30000) i")
    wired.source.execute("insert into b select i, array_fill(i, '{20}') from generate_series(1, 30000) i")
    for table in ("a", "b"):
        rule = wired.to_source.when(wired.to_source.down, behind_bytes(1_000_000), then)
        rig = wired.rig([f"public.{table}"])
        with kept(rig) as keeper:
            keeper.reaches(lambda table=table: wired.equal(table), f"{table} is equal")  # type: ignore[misc]
            assert rule.fired == 1


def test_a_commit_whose_answer_is_cut_off_counts_once(wired: Wired) -> None:
    """What the target holds says whether it was done."""
    work = Workload(wired, SEED, ledger_rows=20)
    rig = wired.rig(TABLES, write="append")
    done_unheard = 0
    with kept(rig) as keeper:
        keeper.copied()
        for _ in range(COMMITS):
            keeper.reaches(lambda: newest(wired) == work.written, "everything so far")
            rule = wired.to_target.when(wired.to_target.up, COMMIT, Then.RESET_UNANSWERED)
            failures = len(keeper.passing)
            work.write(3)
            keeper.reaches(lambda rule=rule: rule.fired == 1, "the commit is cut")  # type: ignore[misc]
            keeper.reaches(lambda: len(keeper.passing) > failures, "the run hears that its write failed")  # noqa: B023
            assert isinstance(keeper.passing[-1], TargetUnreachable)
            done_unheard += 1
            keeper.reaches(lambda: newest(wired) == work.written, "everything")
            assert exact(wired, "append") == []
    assert done_unheard == COMMITS == wired.cuts


@pytest.mark.parametrize("write", ["append", "upsert"])
def test_links_that_stop_one_by_one_and_come_back_in_another_order_leave_no_lag(
    wired: Wired, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.connect.pgwatch.SILENCE_S", 0.5)
    monkeypatch.setattr("tidegate.connect.pgreplication.SILENCE_MAX_S", 3.0)
    r = random.Random(SEED)
    print("seed", SEED)
    work = Workload(wired, SEED, ledger_rows=100)
    rig = wired.rig(TABLES, write=write)
    faults: list[Callable[[Proxy], None]] = [Proxy.black_hole, _stall, _refuse]
    with kept(rig) as keeper:
        keeper.copied()
        work.start()
        for _ in range(3):
            before = newest(wired)
            keeper.reaches(lambda before=before: newest(wired) > before + 20, "it gets on")  # type: ignore[misc]
            for proxy in r.sample(wired.proxies, 2):
                r.choice(faults)(proxy)
                written = work.written
                keeper.reaches(lambda w=written: work.written > w + 20, "the source goes on")  # type: ignore[misc]
            for proxy in r.sample(wired.proxies, 2):
                proxy.heal()
                proxy.reset()
        began = time.monotonic()
        written = work.written
        keeper.reaches(lambda: newest(wired) >= written, "no lag within 30 s", deadline_s=30)
        print(f"in step {time.monotonic() - began:.1f} s after the last fault")
        work.end()
        becomes_exact(wired, write, keeper.reaches)


def _stall(proxy: Proxy) -> None:
    proxy.up.stalls = proxy.down.stalls = True


def _refuse(proxy: Proxy) -> None:
    proxy.refuses = True
    proxy.reset()


def at_piece(nth: int) -> Callable[[], Watch]:
    """In front of the nth piece that is sent, over all connections there will be."""
    passed = count(1)
    return lambda: lambda data: 0 if next(passed) == nth else None


@pytest.mark.slow
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_cut_at_whatever_statement_of_an_opening_is_recovered_from(wired: Wired, side: str) -> None:
    """Attempt after attempt gets one piece of the conversation further."""
    work = Workload(wired, SEED, ledger_rows=20)
    wire = wired.to_source if side == "source" else wired.to_target
    with kept(wired.rig(TABLES)) as keeper:
        keeper.copied()
        for nth in range(1, PIECES + 1):
            wire.reset()
            rule = wire.when(wire.up, at_piece(nth), Then.RESET)
            # Once it is open, there must be something to send.
            keeper.reaches(lambda rule=rule: bool(rule.fired or work.write(1)), f"piece {nth} is cut")
        becomes_exact(wired, "upsert", keeper.reaches)
