"""A source transaction is in the target whole or not at all (I4), for everything that fits a batch."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from pipeline.pairs import Pair
from pipeline.steering import Steering
from tidegate.connect.target import BatchShape
from tidegate.targets.postgres import PostgresTarget


def test_a_transaction_that_comes_in_parts_is_not_torn(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """It describes tables on its way, so the log gives it in two parts; the second comes late."""
    monkeypatch.setattr(PostgresTarget, "batch", BatchShape(rows=50_000, interval_s=0.02))
    steering = Steering()
    pair.source_class = steering.source_class()
    pair.source.execute("create table public.a (id int primary key); create table public.b (id int primary key)")
    rig = pair.rig(["public.a", "public.b"], snapshots={"every": "1s"}).start().opens().copied()
    steering.parts_allowed = 0
    pair.source.execute("begin; insert into a values (1); insert into b values (1); commit")
    steering.allow(1)
    rig.reaches(lambda: rig.counters()["changes_read"] == 1, "the first part is decided")
    rig.desk.ask_snapshot("in between")
    rig.desk.pause()
    until = time.monotonic() + 0.5
    rig.reaches(lambda: time.monotonic() > until)
    assert pair.arrived("select count(*) from a") == [(0,)]
    steering.allow(1)
    rig.pause()
    assert pair.arrived("select (select count(*) from a), (select count(*) from b)") == [(1, 1)]


def test_readers_of_the_target_never_see_half_a_transfer(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PostgresTarget, "batch", BatchShape(rows=20, interval_s=0.01))
    pair.source.execute(
        "create table public.a (id int primary key, n int); create table public.b (id int primary key, n int)"
    )
    pair.source.execute("insert into a select i, 100 from generate_series(1, 10) i; insert into b select * from a")
    rig = pair.rig(["public.a", "public.b"]).start().opens().copied()
    rig.reaches(lambda: pair.equal("a") and pair.equal("b"))
    done = threading.Event()

    def transfer() -> None:
        with psycopg.connect(pair.source_conninfo) as connection:
            while not done.is_set():
                for n in range(5):
                    connection.execute("update a set n = n - %s where id = %s", (n, n + 1))
                    connection.execute("update b set n = n + %s where id = %s", (n, 10 - n))
                connection.commit()

    writers = [threading.Thread(target=transfer) for _ in range(2)]
    for writer in writers:
        writer.start()
    totals = set()
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        totals |= set(pair.arrived("select (select sum(n) from a) + (select sum(n) from b)"))
    done.set()
    for writer in writers:
        writer.join()
    rig.reaches(lambda: pair.equal("a") and pair.equal("b"))
    assert totals == {(2000,)}
    assert rig.counters()["transactions"] > 20
