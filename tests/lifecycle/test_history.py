"""What is older than people look back is forgotten, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from lifecycle.world import World
from tidegate.model.lifecycle import State
from tidegate.server.limits import Limits
from tidegate.store.tables import key_event, run, snapshot, task, task_version

DAY_S = 86_400.0
LIMITS = replace(Limits(), keep_s=30 * DAY_S, keep_events=5, keep_runs=2)


@pytest.fixture
def aging(any_world: World) -> World:
    """A server that keeps little."""
    any_world.limits = LIMITS
    any_world.restart_server()
    return any_world


def count(world: World, table: sa.Table, task_id: int) -> int:
    column = table.c.id if table is task else table.c.task_id
    with world.control.db.read() as tx:
        return int(tx.execute(sa.select(sa.func.count()).select_from(table).where(column == task_id)).scalar_one())


def lived(world: World, runs: int, name: str = "shop") -> int:
    """A task that was run and stopped so often."""
    number = world.add_task(name)
    for _ in range(runs):
        world.command(number, "run")
        world.step()
        worker = world.worker()
        worker.open()
        worker.snapshot()
        world.command(number, "stop")
        worker.exit()
        world.step(4)
        assert world.state(number) == State.STOPPED
    return number


def test_old_events_go_but_each_tasks_newest_stay_however_old(aging: World) -> None:
    number = lived(aging, 3)
    before = aging.events(number)
    aging.clock.advance(31 * DAY_S)
    aging.step()
    assert aging.events(number) == before[-5:]


def test_events_and_runs_that_are_not_old_stay_however_many(aging: World) -> None:
    number = lived(aging, 4)
    before = aging.events(number)
    aging.clock.advance(29 * DAY_S)
    aging.step(3)
    assert aging.events(number) == before
    assert len(aging.control.runs(number)) == 4


def test_old_runs_go_but_each_tasks_newest_stay_and_numbers_are_not_given_again(aging: World) -> None:
    number = lived(aging, 4)
    aging.clock.advance(31 * DAY_S)
    aging.step()
    assert [one.number for one in aging.control.runs(number)] == [4, 3]
    aging.command(number, "run")
    assert [one.number for one in aging.control.runs(number)] == [5, 4, 3]


def test_a_run_that_has_not_ended_is_never_old(aging: World) -> None:
    number, worker = aging.running()
    aging.clock.advance(31 * DAY_S)
    worker.beat()
    aging.step(2)
    assert aging.state(number) == State.RUNNING
    assert [one.number for one in aging.control.runs(number)] == [1]
    assert len(aging.control.snapshots(number)) == 1


def test_a_run_of_which_something_is_left_at_its_ends_stays_until_that_is_gone(aging: World) -> None:
    number = lived(aging, 3)
    with aging.control.db.write() as tx:
        tx.execute(run.update().where(run.c.number == 1).values(cleanup="left", cleanup_at=0.0, cleanup_tries=1))
    aging.data_plane.unreachable = True
    aging.clock.advance(31 * DAY_S)
    aging.step(2)
    assert [one.number for one in aging.control.runs(number)] == [3, 2, 1]
    aging.data_plane.unreachable = False
    for _ in range(2):
        aging.clock.advance(LIMITS.forget_s)
        aging.step(2)
    assert [one.number for one in aging.control.runs(number)] == [3, 2]


def test_of_a_task_removed_long_ago_nothing_is_left(aging: World) -> None:
    number, kept = lived(aging, 3), lived(aging, 1, "other")
    aging.command(number, "remove")
    aging.step(3)
    assert count(aging, task, number) == 1
    aging.clock.advance(31 * DAY_S)
    aging.step(2)
    assert [count(aging, table, number) for table in (key_event, run, task_version, task)] == [0, 0, 0, 0]
    assert count(aging, task, kept) == 1
    assert aging.state(kept) == State.STOPPED


def test_much_history_is_forgotten_a_little_at_a_time(aging: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.server.history.BATCH", 4)
    number = lived(aging, 3)
    aging.clock.advance(31 * DAY_S)
    before = count(aging, key_event, number)
    aging.step()
    assert count(aging, key_event, number) == before - 4
    aging.step(20)
    assert count(aging, key_event, number) == 5


def test_after_a_round_nothing_is_looked_for_until_the_next(aging: World) -> None:
    number = lived(aging, 3)
    with aging.control.db.write() as tx:
        tx.execute(key_event.update().values(at=0.0))
    aging.step(3)
    assert count(aging, key_event, number) > 5
    aging.clock.advance(LIMITS.forget_s)
    aging.step()
    assert count(aging, key_event, number) == 5


def test_snapshots_of_forgotten_runs_are_gone(aging: World) -> None:
    lived(aging, 4)
    aging.clock.advance(31 * DAY_S)
    aging.step()
    with aging.control.db.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(snapshot)).scalar_one() == 0
