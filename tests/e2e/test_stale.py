"""Green means rows arrive: a task whose source went silent, or whose worker hangs, is shown as stale."""

from __future__ import annotations

import os
import signal
import time

import pytest

from e2e.conftest import World
from tidegate.testing.site import eventually


def health(world: World, task: str) -> tuple[str, str | None]:
    shown = world.site.task(task)["task"]
    return shown["health"], shown["health_reason"]


@pytest.mark.slow
def test_a_log_that_does_not_come_any_more_is_seen_without_anybody_writing_to_a_table(world: World) -> None:
    world.source.execute("create table a (id int primary key)")
    task = world.task("shop", ["public.a"])
    eventually(lambda: world.site.task(task)["task"]["phase"] == "incremental", "the log is followed")
    row = world.source.execute("select active_pid from pg_replication_slots where active_pid is not null").fetchone()
    assert row is not None
    os.kill(row[0], signal.SIGSTOP)
    began = time.monotonic()
    try:
        world.source.execute("select pg_logical_emit_message(true, 'somebody', 'else')")
        eventually(lambda: health(world, task)[0] == "stale", "it is shown", 40)
        took_s = time.monotonic() - began
        shown, reason = health(world, task)
        assert shown == "stale"
        assert "the source's log ends" in (reason or "")
        assert world.site.status(task) == "Running"
        print(f"seen after {took_s:.1f} s")
    finally:
        os.kill(row[0], signal.SIGCONT)
    world.source.execute("insert into a values (1)")
    eventually(lambda: world.equal("a"), "it goes on")
    eventually(lambda: health(world, task) == ("steady", None), "it is well again")
