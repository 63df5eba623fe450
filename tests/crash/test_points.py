"""A worker that dies at a named point, whichever, while writers go on: the next one ends exactly equal.

Here death is an error nobody expects, raised where the point is crossed; the campaign kills processes there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

from pipeline.load import KEYED, Load
from pipeline.pairs import Pair
from pipeline.rig import Rig, eventually
from tidegate import faultpoint
from tidegate.connect import pgedges
from tidegate.faultpoint import POINTS
from tidegate.testing.servers import PostgresServer, newest

PARTS = ("run", "chunk", "handoff", "batch", "snapshot", "source")
ELSEWHERE = {
    "run.registered": "the worker's agent",
    "handoff.gated": "needs a synchronous standby",
    "handoff.patched": "needs rows that move out of ranges not yet copied",
    "snapshot.sending": "the worker's outbox",
    "snapshot.answered": "the worker's outbox",
}
POINTS_HERE = [name for name in POINTS if name.partition(".")[0] in PARTS and name not in ELSEWHERE]
SEED = 77
# What makes a point likely: a change of a chunk's rows comes while they are being read.
HELD, HELD_S = {"handoff.stalled": "chunk.read"}, 0.2
ATTEMPTS_MAX = 5


class Died(BaseException):
    """Not an error anybody handles."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer(newest(), settings={"max_prepared_transactions": 20, "deadlock_timeout": "100ms"}) as server:
        yield server


@pytest.fixture
def pair(server: PostgresServer, database: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr(pgedges, "CHUNK_BYTES", 1_500)
    monkeypatch.setattr(pgedges, "CHUNK_ROWS_MIN", 15)
    pair = Pair(server, database(server), database(server))
    yield pair
    faultpoint.arm(None)
    pair.close()


class Deaths:
    """Whoever crosses the point for the `nth` time dies there, once."""

    def __init__(self, point: str, nth: int) -> None:
        self.point, self.left = point, nth
        self.happened = threading.Event()
        faultpoint.arm(self.watch)

    def watch(self, point: str) -> None:
        if point == HELD.get(self.point):
            time.sleep(HELD_S)
        if point != self.point or self.happened.is_set():
            return
        self.left -= 1
        if self.left <= 0:
            self.happened.set()
            raise Died(point)


def begins_again(rig: Rig, deaths: Deaths) -> None:
    """Start the run until somebody has died at the point; a point of resuming needs a run that was cut before."""
    for _ in range(ATTEMPTS_MAX):
        if deaths.happened.is_set():
            break
        rig.start()
        eventually(lambda: deaths.happened.is_set() or rig.is_open.is_set(), f"{deaths.point} or an open run")
        with suppress(AssertionError):
            eventually(deaths.happened.is_set, f"a death at {deaths.point}", 3)
        if not deaths.happened.is_set():
            rig.cut()
    assert deaths.happened.is_set(), f"nobody died at {deaths.point} in {ATTEMPTS_MAX} attempts"
    eventually(lambda: rig.error is not None, "the run ends of it")
    rig.close_ends()


@pytest.mark.parametrize("write", ["upsert", "append"])
@pytest.mark.parametrize("point", POINTS_HERE)
def test_a_worker_that_died_here_is_followed_by_one_that_ends_equal(pair: Pair, point: str, write: str) -> None:
    # No TRUNCATE: readers cut off often while tables are truncated can lead PostgreSQL to "could not map filenumber".
    load = Load(pair.source_conninfo, SEED, writers=2, truncates=False)
    load.fill(80)
    rig = pair.rig([f"public.{table}" for table in KEYED], write=write, snapshots={"every": "1s"})
    load.start()
    try:
        begins_again(rig, Deaths(point, 1 if point.startswith("run") else 3))
        faultpoint.arm(None)
        rig.start().opens().copied()
    finally:
        load.stop()
    for table in KEYED:
        equal = partial(pair.equal if write == "upsert" else pair.folds, table)
        rig.reaches(equal, f"{table} after a death at {point}")
    if write == "append":
        for table in KEYED:
            twice = f"select opid from {table} where _tidegate_op <> 'delete' group by 1 having count(*) > 1"
            assert pair.target.execute(twice).fetchall() == [], table


def test_every_point_of_a_run_is_struck_here_or_named_with_its_reason() -> None:
    assert ELSEWHERE.keys() <= POINTS.keys()
