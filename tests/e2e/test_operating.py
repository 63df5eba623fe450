"""The life of a task with the real server, a real worker process and real databases."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from e2e.conftest import World
from e2e.shop import TOTAL, audit_append
from tidegate.testing.site import Refused, eventually

SEED = 20_260


def test_a_task_runs_pauses_goes_on_and_stops(world: World) -> None:
    world.source.execute("create table a (id int primary key, name text)")
    world.source.execute("insert into a select i, 'n' || i from generate_series(1, 500) i")
    task, site = world.task("shop", ["public.a"]), world.site
    eventually(lambda: world.equal("a"), "the existing rows arrive")
    world.source.execute("update a set name = 'changed' where id < 50")
    eventually(lambda: world.equal("a"), "changes arrive")

    site.command(task, "pause")
    paused = site.becomes(task, "Paused")
    assert paused["snapshot"]["kind"] == "pause"
    world.source.execute("delete from a where id > 400")
    before = world.target.execute("select count(*) from a").fetchone()
    assert before == (500,)
    site.command(task, "continue")
    site.becomes(task, "Running")
    eventually(lambda: world.equal("a"), "what happened during the pause arrives")

    site.command(task, "force-pause")
    site.becomes(task, "Paused")
    assert site.workers() == []
    site.command(task, "continue")
    site.becomes(task, "Running")
    eventually(
        lambda: (site.task(task)["task"]["counters"] or {}).get("changes_written", 0) >= 49,
        "the run's counters go on with its next worker",
    )

    site.command(task, "stop")
    site.becomes(task, "Stopped")
    eventually(lambda: world.slots() == [], "the slot is dropped")
    assert world.target.execute("select count(*) from tidegate.position").fetchone() == (0,)

    world.source.execute("delete from a where id < 10")
    site.command(task, "run")
    site.becomes(task, "Running")
    eventually(lambda: world.equal("a"), "a new run from scratch ends equal, deleted rows included")
    assert [run["number"] for run in site.ask("GET", f"/tasks/{task}/runs")] == [2, 1]


@pytest.mark.slow
def test_thirty_two_forced_pauses_at_random_moments_lose_and_double_nothing(world: World) -> None:
    r = random.Random(SEED)
    shop = world.shop(SEED)
    appended = world.task("appended", ["public.ledger"], write="append")
    upserted = world.task("upserted", ["public.account", "public.ledger"], target={"table": "u_{table}"})
    site = world.site
    shop.start()
    for _ in range(16):
        for task in (appended, upserted):
            time.sleep(r.random() * 0.3)  # the moment is what is random here
            site.command(task, "force-pause")
        for task in (appended, upserted):
            site.becomes(task, "Paused")
            site.command(task, "continue")
        for task in (appended, upserted):
            site.becomes(task, "Running")
    shop.stop()
    assert shop.committed > 500
    eventually(lambda: not audit_append(world.target, shop), f"seed {SEED}: " + audit_append(world.target, shop))
    same = "select t::text from {} t order by 1"
    for table in ("account", "ledger"):
        eventually(
            lambda table=table: (
                world.source.execute(same.format(table)).fetchall()
                == world.target.execute(same.format(f"u_{table}")).fetchall()
            ),
            f"{table} is equal (seed {SEED})",
        )
    assert world.target.execute("select sum(amount) from u_account").fetchone() == (TOTAL,)


def test_continue_after_pause_reads_nothing_again(world: World) -> None:
    shop = world.shop(2)
    task, site = world.task("appended", ["public.ledger"], write="append"), world.site
    shop.start()
    for _ in range(3):
        time.sleep(0.2)
        site.command(task, "pause")
        paused = site.becomes(task, "Paused")
        rows = world.target.execute("select count(*) from ledger").fetchone()
        assert rows is not None
        continued = site.command(task, "continue")
        assert continued["reread_bytes"] is not None
        running = site.becomes(task, "Running")
        eventually(lambda: site.task(task)["task"]["position"], "the position is known")
        assert running["run"]["number"] == paused["run"]["number"]
    shop.stop()
    eventually(lambda: not audit_append(world.target, shop), "the ledger is whole")


@pytest.mark.slow
def test_killed_workers_and_servers_recover_by_themselves(world: World) -> None:
    shop = world.shop(3)
    task, site = world.task("appended", ["public.ledger"], write="append"), world.site
    shop.start()

    def rows() -> int:
        row = world.target.execute("select count(*) from ledger").fetchone()
        return int(row[0]) if row else 0

    for victim in ("worker", "server", "worker", "both", "server"):
        seen = rows()
        eventually(lambda seen=seen: rows() > seen, "rows flow before the kill")
        if victim in ("worker", "both"):
            for pid in site.workers():
                os.kill(pid, signal.SIGKILL)
        if victim in ("server", "both"):
            site.kill()
            if victim == "server":
                flowing = rows()
                eventually(lambda flowing=flowing: rows() > flowing, "the worker goes on without its server")
            site.start()
        seen = rows()
        eventually(lambda seen=seen: rows() > seen, f"rows flow again after killing the {victim}")
        site.becomes(task, "Running")
    shop.stop()
    eventually(lambda: not audit_append(world.target, shop), audit_append(world.target, shop))
    assert len(site.workers()) == 1


@pytest.mark.parametrize("loss", ["dropped", "recreated"])
def test_a_lost_position_is_refused_and_nothing_is_copied_again(world: World, loss: str) -> None:
    shop = world.shop(4)
    task, site = world.task("upserted", ["public.account", "public.ledger"]), world.site
    eventually(lambda: world.equal("account"), "the copy is done")
    site.command(task, "pause")
    before = site.becomes(task, "Paused")
    (slot,) = world.slots()
    world.source.execute("select pg_drop_replication_slot(%s)", (slot,))
    shop.start()
    eventually(lambda: shop.committed > 20, "changes happen")
    shop.stop()
    if loss == "recreated":
        world.source.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", (slot,))
    with pytest.raises(Refused) as refusal:
        site.command(task, "continue")
    assert refusal.value.code == "source.position_lost"
    assert "Stop the task and Run it again" in refusal.value.problem["advice"]
    after = site.task(task)
    assert (after["task"]["state"], after["task"]["version"]) == (before["task"]["state"], before["task"]["version"])
    assert world.target.execute("select count(*) from ledger").fetchone() == (0,)
    site.command(task, "stop")
    site.becomes(task, "Stopped")
    site.command(task, "run")
    site.becomes(task, "Running")
    eventually(lambda: world.equal("ledger") and world.equal("account"), "a new run is exact")
