"""Figures of a real task against what was done at its source: of a run, of the next one, and of its tables."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.conftest import World
from tidegate.testing.site import eventually

COPIED, CHANGED, AGAIN = 2_000, 500, 40
NEAR = 0.05


def metrics(world: World, task: str, **params: Any) -> Any:
    return world.site.ask("GET", f"/tasks/{task}/metrics", **params)


def test_a_run_counts_what_happened_the_next_begins_clean_and_the_old_one_stays_readable(world: World) -> None:
    world.source.execute("create table a (id int primary key, note text)")
    world.source.execute(f"insert into a select g, repeat('x', 100) from generate_series(1, {COPIED}) g")
    task = world.task("shop", ["public.a"])
    eventually(lambda: world.equal("a"), "the rows arrive")
    for first in range(0, CHANGED, 50):
        world.source.execute(f"update a set note = repeat('y', 100) where id between {first + 1} and {first + 50}")
    eventually(lambda: world.equal("a"), "the changes arrive")
    rows = COPIED + CHANGED
    eventually(lambda: metrics(world, task)["now"].get("rows_written") == rows, "all is told")
    now = metrics(world, task)["now"]
    assert (now["rows_read"], now["rows_copied"], now["dirty_rows"]) == (rows, COPIED, 0)
    assert now["bytes_written"] == pytest.approx(rows * 104, rel=4 * NEAR)  # the copy's rows have frames
    assert 0 < now["memory_bytes"] < 2**31
    (table,) = world.site.ask("GET", f"/tasks/{task}/tables")["items"]
    assert (table["name"], table["rows_written"], table["percent"]) == ("public.a", rows, 100.0)
    assert (table["status"], table["rows_copied"]) == ("normal", COPIED)
    stages = {stage["stage"]: stage for stage in world.site.ask("GET", f"/tasks/{task}/progress")["stages"]}
    assert [stage["state"] for stage in stages.values()] == ["Completed", "Completed", "In Progress"]
    assert (stages["full"]["rows_done"], stages["full"]["tables_done"], stages["full"]["percent"]) == (COPIED, 1, 100)

    world.site.command(task, "stop")
    world.site.becomes(task, "Stopped")
    world.target.execute("drop table a")
    world.source.execute(f"delete from a where id > {AGAIN}")
    world.site.command(task, "run")
    world.site.becomes(task, "Running")
    eventually(lambda: world.equal("a"), "the rows arrive again")
    eventually(lambda: metrics(world, task)["now"].get("rows_written") == AGAIN, "all is told")
    assert (metrics(world, task)["run"], metrics(world, task)["now"]["rows_read"]) == (2, AGAIN)

    def last() -> Any:
        points = metrics(world, task, run=1)["points"]
        return points[-1]["values"]["rows_written"] if points else None

    eventually(lambda: last() == rows, "the last point of the first run")
    (old,) = world.site.ask("GET", f"/tasks/{task}/tables", run=1)["items"]
    assert (old["rows_written"], old["status"]) == (rows, "unknown")
