"""What happens to a run when somebody takes its target tables away."""

from __future__ import annotations

import pytest

from e2e.conftest import World
from tidegate.testing.site import Refused, eventually


def test_a_dropped_target_table_is_not_taken_for_the_empty_one_made_in_its_place(world: World) -> None:
    world.source.execute("create table a (id int primary key, name text)")
    world.source.execute("insert into a select i, 'n' from generate_series(1, 100) i")
    task, site = world.task("history", ["public.a"], write="append"), world.site
    eventually(lambda: site.task(task)["task"]["phase"] == "incremental", "the copy is done")
    world.target.execute("create table saved (like a); drop table a")
    world.source.execute("update a set name = 'x' where id = 1")
    failed = eventually(lambda: (t := site.task(task)["task"])["status"] == "Failure" and t, "the run fails")
    assert failed["error"]["code"] == "target.table_gone"
    world.target.execute("alter table saved rename to a")
    with pytest.raises(Refused) as refused:
        site.command(task, "continue")
    assert refused.value.code == "target.table_gone"
    assert "public.a" in refused.value.problem["detail"]
    assert world.target.execute("select count(*) from a").fetchone() == (0,)


def test_a_run_that_fails_early_has_a_snapshot_to_continue_from(world: World) -> None:
    world.source.execute("create table a (id int primary key, amount int)")
    world.source.execute("insert into a select i, i from generate_series(1, 100) i")
    task, site = world.task("early", ["public.a"]), world.site
    eventually(lambda: world.equal("a"), "the copy is done")
    world.source.execute("alter table a alter amount type bigint")
    world.source.execute("update a set amount = 5000000000 where id = 1")
    failed = eventually(lambda: (t := site.task(task)["task"])["status"] == "Failure" and t, "the run fails")
    assert failed["error"]["code"] == "source.schema_change"
    world.target.execute("alter table a alter amount type bigint")
    site.command(task, "continue")
    site.becomes(task, "Running")
    eventually(lambda: world.equal("a"), "it goes on where it stopped")
