"""What the source is asked about its log while a task runs."""

from __future__ import annotations

from e2e.conftest import World
from tidegate.connect.pgposition import parse_lsn
from tidegate.testing.site import eventually


def test_a_running_task_tells_where_the_log_ends_and_how_far_it_is_behind(world: World) -> None:
    world.source.execute("create table a (id int primary key)")
    task = world.task("shop", ["public.a"])
    world.source.execute("insert into a select generate_series(1, 1000)")
    eventually(lambda: world.equal("a"), "the rows arrive")
    path = f"/tasks/{task}/positions"
    eventually(lambda: all(world.site.ask("GET", path)[name] for name in ("current", "snapshot")), "the worker's word")
    found = world.site.ask("GET", path, ask_source=True)
    assert found["source_error"] is None
    assert parse_lsn(found["source_end"]) >= parse_lsn(found["snapshot"])
    assert found["behind_bytes"] == parse_lsn(found["source_end"]) - parse_lsn(found["current"])
    assert found["reread_bytes"] is None
    assert world.site.ask("GET", path)["source_end"] is None

    world.site.command(task, "pause")
    world.site.becomes(task, "Paused")
    world.source.execute("insert into a select generate_series(1001, 2000)")
    resting = world.site.ask("GET", path, ask_source=True)
    assert resting["reread_bytes"] > 0
    assert parse_lsn(resting["source_end"]) > parse_lsn(found["source_end"])
