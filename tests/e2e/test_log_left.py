"""A source that keeps little log: how long it lasts is foretold, and a paused task that wants it goes on in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.conftest import World
from tidegate.testing.servers import PostgresServer, newest
from tidegate.testing.site import Site, eventually

RATE_BYTES_S = 2_500_000
PIECE_BYTES = 250_000


@contextmanager
def writing(server: PostgresServer, database: str) -> Iterator[None]:
    """The log grows at a known rate, in no table; the server drops what it may every now and then."""
    over, began, written = threading.Event(), time.monotonic(), 0

    def write() -> None:
        nonlocal written
        piece = f"select pg_logical_emit_message(false, 'noise', repeat('x', {PIECE_BYTES}))"
        with server.connect(database) as connection:
            while not over.wait(0.3):
                while written < (time.monotonic() - began) * RATE_BYTES_S:
                    connection.execute(piece)
                    written += PIECE_BYTES
                connection.execute("checkpoint")

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


@pytest.mark.slow
@pytest.mark.alone
def test_the_loss_is_foretold_and_a_task_that_wants_it_is_continued_before_it(tmp_path: Path) -> None:
    settings = {"max_slot_wal_keep_size": "48MB", "max_wal_size": "64MB", "min_wal_size": "32MB"}
    site = Site(tmp_path, **{"detection-interval-s": "0.5"}).start()
    with PostgresServer(newest(), settings=settings) as server:
        server.create_database("src")
        server.create_database("dst")
        world = World(site, server, "src", "dst")
        try:
            foretold(world)
        finally:
            world.close()


def foretold(world: World) -> None:
    site = world.site
    world.source.execute("create table a (id int primary key)")
    # The pace is a mean of the last minute: writing begins before the clock's first look at the source.
    with writing(world.server, "src"):
        warned = world.task("warned", ["public.a"], log={"when_short": "warn", "below": "10s"})
        eager = world.task(
            "eager", ["public.a"], target={"table": "b_{table}"}, log={"when_short": "continue", "below": "10s"}
        )
        for task in (eager, warned):
            eventually(lambda task=task: site.task(task)["snapshot"], "a first snapshot")
        steady = pytest.approx(RATE_BYTES_S, rel=0.05)
        eventually(lambda: site.task(warned)["task"]["log_rate_bytes_s"] == steady, "the pace is known")
        for task in (eager, warned):
            site.command(task, "pause")
            site.becomes(task, "Paused")
        world.source.execute("insert into a select generate_series(1, 1000)")
        eventually(lambda: site.task(warned)["task"]["log_left_s"] is not None, "it is known how long the log lasts")
        began, view = time.monotonic(), site.task(warned)["task"]
        status = "select wal_status from pg_replication_slots where slot_name like 'tidegate_%%' || %s"
        slot = (site.task(warned)["run"]["key"],)
        eventually(lambda: world.source.execute(status, slot).fetchone() == ("lost",), "the slot is lost")
        left_s, took_s = view["log_left_s"], time.monotonic() - began
        assert left_s > 10, f"foretold {left_s:.1f} s: too little of it to tell anything by"
        assert left_s == pytest.approx(took_s, rel=0.2), f"foretold {left_s:.1f} s, it took {took_s:.1f} s"
        eventually(lambda: "log_lost" in names(world, warned), "the loss is told")

    assert names(world, warned).index("log_lost") < names(world, warned).index("log_short"), "newest first"
    site.becomes(eager, "Running")
    events = site.ask("GET", f"/tasks/{eager}/events")
    assert next(one["actor"] for one in events if one["name"] == "continue") == "tidegate"
    rows = "select id from {} order by 1"
    everything = world.source.execute(rows.format("a")).fetchall()
    eventually(lambda: world.target.execute(rows.format("b_a")).fetchall() == everything, "nothing was lost")
    assert site.status(warned) == "Paused"
    refused = site.ask("GET", f"/tasks/{warned}/operations/continue/preview")
    assert (refused["allowed"], refused["problem"]["code"]) == (False, "source.position_lost")


def names(world: World, task: str) -> list[str]:
    return [one["name"] for one in world.site.ask("GET", f"/tasks/{task}/events")]
