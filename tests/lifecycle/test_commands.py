"""The commands of the lifecycle, through `Control` and a reconciler stepped by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lifecycle.world import World, definition
from tidegate.errors import (
    CommandRefused,
    InUse,
    Invalid,
    NoUnits,
    PositionLost,
    ReferenceUnknown,
    SourceLogDisabled,
    SourceNoFreeSlot,
    SourceUnreachable,
    StaleVersion,
    TaskInvalid,
    TidegateError,
)
from tidegate.model.lifecycle import COMMANDS, STATES, Held, State, offers
from tidegate.model.principal import built_in

# --- getting a task into each state ---------------------------------------------------------------------------


def at_draft(world: World) -> int:
    return world.add_task(submit=False)


def at_initialize(world: World) -> int:
    return world.add_task()


def at_starting(world: World) -> int:
    task = world.add_task()
    world.command(task, "run")
    return task


def at_running(world: World) -> int:
    return world.running()[0]


def at_pausing(world: World) -> int:
    task, _ = world.running()
    world.command(task, "pause")
    return task


def at_force_pausing(world: World) -> int:
    task, _ = world.running()
    world.command(task, "force-pause")
    return task


def at_paused(world: World) -> int:
    task, worker = world.running()
    world.command(task, "pause")
    worker.drain()
    world.step()
    return task


def at_continuing(world: World) -> int:
    task = at_paused(world)
    world.command(task, "continue")
    return task


def at_stopping(world: World) -> int:
    task, _ = world.running()
    world.command(task, "stop")
    return task


def at_stopped(world: World) -> int:
    task = at_stopping(world)
    world.step(3)
    return task


def at_failure(world: World) -> int:
    task, worker = world.running()
    worker.say("gave_up", {"code": "source.log_broken", "detail": "cannot be decoded"})
    worker.exit()
    world.step()
    return task


def at_detection_exception(world: World) -> int:
    task = at_paused(world)
    world.data_plane.missing = ["table public.orders"]
    world.clock.advance(61)
    world.step(2)
    return task


def at_removing(world: World) -> int:
    task = at_stopped(world)
    world.command(task, "remove")
    return task


AT: dict[State, Callable[[World], int]] = {
    state: globals()[f"at_{state}"] for state in State if state is not State.REMOVED
}


@pytest.mark.parametrize("state", AT)
def test_every_state_can_be_reached(world: World, state: State) -> None:
    assert world.state(AT[state](world)) == state


def offered(state: State) -> set[str]:
    """The commands that may be accepted in the state, whatever is held."""
    return {offer.command for held in Held for offer in offers(state, held) if offer.allowed}


REFUSED = [(state, command) for state in AT for command in COMMANDS if command not in offered(state)]


@pytest.mark.parametrize(("state", "command"), REFUSED)
def test_a_refused_command_changes_nothing_and_names_what_is_allowed(world: World, state: State, command: str) -> None:
    task = AT[state](world)
    before, events = world.control.detail(task), world.events(task)
    with pytest.raises(CommandRefused) as caught:
        world.command(task, command)
    assert world.control.detail(task) == before
    assert world.events(task) == events
    told = [offer["command"] for offer in caught.value.facts["offers"] if offer["allowed"]]
    assert told == before.task.commands
    assert caught.value.facts["status"] == STATES[state].status


# Failure offers Run only without a snapshot, which has a test of its own.
OFFERED = [
    (state, command) for state in AT for command in sorted(offered(state)) if (state, command) != ("failure", "run")
]


@pytest.mark.parametrize(("state", "command"), OFFERED)
def test_an_offered_command_is_accepted_and_writes_one_key_event(world: World, state: State, command: str) -> None:
    task = AT[state](world)
    events = world.events(task)
    accepted = world.command(task, command)
    assert accepted.status in ("Operating", "Initialize")
    assert [name for name in world.events(task)[len(events) :] if name in COMMANDS] == [command]


@pytest.mark.parametrize("command", ["pause", "force-pause", "stop"])
def test_a_command_with_a_stale_version_changes_nothing_and_says_how_things_stand(world: World, command: str) -> None:
    task, _ = world.running()
    seen = world.view(task).version
    world.control.edit_task(task, definition(description="changed"), actor="bob")
    with pytest.raises(StaleVersion) as caught:
        world.command(task, command, version=seen)
    assert world.state(task) == "running"
    assert caught.value.facts["version"] == seen + 1
    assert world.command(task, command, version=seen + 1).status == "Operating"


def test_a_command_that_does_not_exist_is_invalid(world: World) -> None:
    with pytest.raises(Invalid):
        world.command(at_initialize(world), "explode")


# --- submit ---------------------------------------------------------------------------------------------------


def test_submit_checks_the_task_and_refuses_with_everything_that_is_wrong(world: World) -> None:
    task = at_draft(world)
    world.data_plane.against = [SourceLogDisabled("wal_level is replica"), SourceNoFreeSlot("10 of 10 are taken")]
    with pytest.raises(SourceLogDisabled) as caught:
        world.command(task, "submit")
    assert [error["code"] for error in caught.value.facts["errors"]] == ["source.log_disabled", "source.no_free_slot"]
    assert world.state(task) == "draft"
    assert world.control.versions(task) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"source": {"data_source": "nowhere", "tables": ["public.orders"]}},
        {"target": {"data_source": "nowhere", "write": "upsert"}},
        {"resource_group": "nowhere"},
    ],
)
def test_submit_refuses_what_refers_to_nothing(world: World, changes: dict[str, Any]) -> None:
    task = world.add_task(submit=False, **changes)
    with pytest.raises(ReferenceUnknown, match=r'there is no (data source|resource group) "nowhere"') as refused:
        world.command(task, "submit")
    known = "default" if "resource_group" in changes else "lake, shop_db"
    assert refused.value.detail.endswith(f"(there are: {known})")


def test_a_draft_is_not_in_ops_and_a_submitted_task_is(world: World) -> None:
    task = at_draft(world)
    assert world.control.ops().items == []
    world.command(task, "submit")
    assert [view.id for view in world.control.ops().items] == [task]


def test_submitting_again_makes_a_new_version_and_keeps_the_status(world: World) -> None:
    task = at_stopped(world)
    world.control.edit_task(task, definition(units=3), actor="ann")
    assert world.view(task).units == 1  # as submitted
    assert world.view(task).changed
    world.control.submit(task, note="more", actor="bob")
    assert [(v.number, v.note, v.submitted_by) for v in world.control.versions(task)] == [
        (2, "more", "bob"),
        (1, "", "ann"),
    ]
    assert (world.state(task), world.view(task).units) == ("stopped", 3)


def test_what_was_not_edited_makes_no_new_version(world: World) -> None:
    task = at_initialize(world)
    world.control.submit(task, actor="ann")
    assert len(world.control.versions(task)) == 1


def test_a_new_version_is_refused_while_the_task_runs(world: World) -> None:
    task = at_running(world)
    world.control.edit_task(task, definition(units=3), actor="ann")
    with pytest.raises(CommandRefused, match="pause or stop it first"):
        world.control.submit(task, actor="ann")
    assert len(world.control.versions(task)) == 1


def test_a_kept_run_does_not_take_over_another_target(world: World) -> None:
    task = at_paused(world)
    world.control.edit_task(task, definition(target={"data_source": "lake", "write": "append"}), actor="ann")
    with pytest.raises(TaskInvalid, match=r"target\.write"):
        world.control.submit(task, actor="ann")
    world.command(task, "stop")
    world.step(3)
    assert world.control.submit(task, actor="ann").task.submitted == 2


def test_a_paused_task_continues_with_the_version_submitted_meanwhile(world: World) -> None:
    task = at_paused(world)
    world.control.edit_task(task, definition(units=5), actor="ann")
    world.control.submit(task, actor="ann")
    world.command(task, "continue")
    world.step()
    assert world.worker().register().version == 2
    assert world.control.group("default").units_used == 5


# --- run ------------------------------------------------------------------------------------------------------


def test_run_takes_units_and_starts_a_worker_with_all_it_needs(world: World) -> None:
    task = world.add_task(units=2)
    accepted = world.control.command(task, "run", actor="ann")
    assert (accepted.task.state, accepted.task.run) == ("starting", 1)
    assert world.control.group("default").units_used == 2
    world.step()
    given = world.worker().register()
    assert (given.run_number, given.epoch, given.task_name, given.version, given.state) == (1, 1, "shop", 1, "starting")
    assert given.source[1]["password"] == "s3cret-canary"
    assert given.run_key == f"{world.store.server_id}_t{task}r1"
    assert given.start == {"read": "full+incremental", "position": None, "time": None}
    world.worker().open()
    assert world.state(task) == "running"


def test_run_without_free_units_is_refused_naming_who_has_them(world: World) -> None:
    world.running("big", units=7)
    task = world.add_task("small", units=2)
    with pytest.raises(NoUnits, match=r"small needs 2 of the 8 units of default; 7 are taken \(big 7\)"):
        world.command(task, "run")
    assert world.state(task) == "initialize"
    assert world.control.runs(task) == []


def test_run_is_checked_before_anything_is_left(world: World) -> None:
    task = at_stopped(world)
    world.data_plane.unreachable = True
    with pytest.raises(SourceUnreachable):
        world.command(task, "run")
    assert world.state(task) == "stopped"
    assert [run.number for run in world.control.runs(task)] == [1]


def test_run_begins_from_a_given_position(world: World) -> None:
    task = at_initialize(world)
    world.command(task, "run", start={"read": "incremental", "position": "0/16B3748"})
    world.step()
    assert world.worker().register().start == {
        "read": "incremental",
        "position": "0/16B3748",
        "time": None,
    }


def test_run_begins_where_the_definition_says_unless_it_is_told_otherwise(world: World) -> None:
    source = {"data_source": "shop_db", "tables": ["public.a"], "read": "incremental"}
    at = "2026-11-01T02:00:00+02:00"
    for name, start, position, time in (("a", None, None, at), ("b", {"position": "0/5"}, "0/5", None)):
        task = world.add_task(name, source=source | {"start": {"time": at}})
        world.command(task, "run", start=start)
        world.step()
        assert world.worker().register().start == {"read": "incremental", "position": position, "time": time}
    task = world.add_task("c", source=source | {"start": {"time": at}})
    world.command(task, "run", start={"read": "full+incremental"})
    world.step()
    assert world.worker().register().start == {"read": "full+incremental", "position": None, "time": None}


@pytest.mark.parametrize(
    "start", [{"position": "0/1"}, {"read": "sideways"}, {"reed": "incremental"}, {"read": "full+incremental", "x": 1}]
)
def test_a_start_that_means_nothing_is_refused(world: World, start: dict[str, Any]) -> None:
    task = at_initialize(world)
    with pytest.raises((Invalid, TaskInvalid), match="start"):
        world.command(task, "run", start=start)
    assert world.state(task) == "initialize"


def test_a_start_is_for_run_only(world: World) -> None:
    with pytest.raises(Invalid):
        world.command(at_paused(world), "continue", start={"read": "incremental"})


def test_the_next_run_starts_clean_and_the_old_one_stays_readable(world: World) -> None:
    task, worker = world.running()
    worker.beat("000000000009")
    world.step()
    world.command(task, "stop")
    world.step(3)
    world.command(task, "run")
    new, old = world.control.runs(task)
    assert (new.number, new.counters, new.position, new.restarts) == (2, {}, None, 0)
    assert (old.number, old.counters, old.position) == (1, {"rows": 1}, "000000000009")
    assert old.ended_at is not None
    assert "opened" in [event.name for event in world.control.events(task, run=1)]
    assert world.control.snapshots(task) == []


# --- pause, forced pause, continue ----------------------------------------------------------------------------


def test_pause_asks_the_worker_and_ends_with_its_snapshot(world: World) -> None:
    task, worker = world.running()
    assert worker.beat().intent == "run"
    world.command(task, "pause")
    assert worker.beat().intent == "pause"
    worker.drain()
    world.step()
    assert world.state(task) == "paused"
    newest = world.control.detail(task).snapshot
    assert newest is not None
    assert newest.kind == "pause"
    assert world.control.group("default").units_used == 0


def test_a_task_is_not_paused_without_its_snapshot(world: World) -> None:
    task, worker = world.running()
    world.command(task, "pause")
    with pytest.raises(Invalid, match="snapshot"):
        worker.say("drained")
    assert world.state(task) == "pausing"


def test_a_pause_that_fails_is_running_again_with_its_reason(world: World) -> None:
    task, worker = world.running()
    world.command(task, "pause")
    worker.say("pause_failed", {"code": "target.busy", "detail": "the file is held"})
    assert (world.state(task), world.view(task).intent) == ("running", "run")
    newest = world.control.events(task)[0]
    assert newest.error is not None
    assert (newest.name, newest.error["code"]) == ("pause_failed", "target.busy")
    assert worker.beat().intent == "run"


def test_a_pause_that_takes_too_long_is_running_again_and_forced_pause_is_the_way(world: World) -> None:
    task, worker = world.running()
    world.command(task, "pause")
    for _ in range(13):
        world.step()
        worker.beat()
        world.clock.advance(9.5)
    world.step()
    assert world.state(task) == "running"
    newest = world.control.events(task)[0]
    assert newest.error is not None
    assert (newest.name, newest.error["code"]) == ("pause_failed", "lifecycle.deadline")
    assert "force-pause" in world.view(task).commands


def test_that_an_earlier_pause_failed_does_not_end_a_later_one(world: World) -> None:
    task, worker = world.running()
    world.command(task, "pause")
    first = worker.beat().pause
    worker.say("pause_failed", pause=first)
    world.clock.advance(0.01)
    world.command(task, "pause")
    second = worker.beat().pause
    assert second != first
    worker.say("pause_failed", pause=first)
    assert world.state(task) == "pausing"
    worker.say("pause_failed", pause=second)
    assert world.state(task) == "running"
    assert "pause" not in world.control.events(task)[0].facts, "which one it was is between server and worker"
    assert worker.beat().pause is None


def test_a_worker_that_drains_after_the_deadline_is_told_no(world: World) -> None:
    task, worker = world.running()
    world.command(task, "pause")
    worker.snapshot("pause")
    world.step()
    world.clock.advance(121)
    world.step()
    with pytest.raises(TidegateError):
        worker.say("drained")
    assert world.state(task) == "running"


def test_forced_pause_kills_the_worker_and_writes_no_snapshot(world: World) -> None:
    task, worker = world.running()
    before = world.control.snapshots(task)
    world.command(task, "force-pause")
    world.step(2)
    assert (world.state(task), world.view(task).epoch) == ("paused", 2)
    assert not worker.process.alive
    assert world.control.snapshots(task) == before


def test_forced_pause_succeeds_although_the_worker_cannot_be_killed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, worker = world.running()
    monkeypatch.setattr(world.engine, "kill", lambda worker: None)
    world.command(task, "force-pause")
    world.step()
    assert world.state(task) == "force_pausing"
    world.clock.advance(30)
    world.step()
    assert world.state(task) == "paused"
    with pytest.raises(TidegateError, match="is over"):
        worker.snapshot()


def test_continue_starts_at_the_newest_snapshot_and_says_what_it_will_read(world: World) -> None:
    task = at_paused(world)
    newest = world.control.detail(task).snapshot
    assert newest is not None
    accepted = world.control.command(task, "continue", actor="ann")
    assert (accepted.reread_bytes, accepted.safe_bytes) == (4096, 1 << 20)
    world.step()
    given = world.worker().register()
    assert given.snapshot is not None
    assert (given.snapshot.id, given.snapshot.position) == (newest.id, newest.position)
    assert (given.epoch, given.run_number) == (2, 1)


@pytest.mark.parametrize("reach", [at_paused, at_failure])
def test_continue_with_a_lost_position_is_refused_and_nothing_is_left(
    world: World, reach: Callable[[World], int]
) -> None:
    task = reach(world)
    before = world.control.detail(task)
    world.data_plane.lost = True
    with pytest.raises(PositionLost):
        world.command(task, "continue")
    assert world.control.detail(task) == before


def test_continue_without_free_units_stays_paused(world: World) -> None:
    task = at_paused(world)
    world.running("big", units=8)
    with pytest.raises(NoUnits):
        world.command(task, "continue")
    assert world.state(task) == "paused"


def test_of_two_that_continue_at_once_one_is_told(world: World) -> None:
    task = at_paused(world)

    def meanwhile() -> None:
        world.data_plane.while_checking = lambda: None
        world.command(task, "continue")

    world.data_plane.while_checking = meanwhile
    with pytest.raises(StaleVersion):
        world.command(task, "continue")
    assert world.events(task).count("continue") == 1


def test_units_taken_while_continue_was_checked_are_counted(world: World) -> None:
    task = at_paused(world)
    rival = world.add_task("big", units=8)

    def meanwhile() -> None:
        world.data_plane.while_checking = lambda: None
        world.command(rival, "run")

    world.data_plane.while_checking = meanwhile
    with pytest.raises(NoUnits):
        world.command(task, "continue")
    assert world.control.group("default").units_used == 8


def test_the_old_worker_is_gone_before_continue_starts_another(world: World) -> None:
    task, worker = world.running()
    world.command(task, "pause")
    worker.snapshot("pause")
    worker.say("drained")  # and does not end
    world.command(task, "continue")
    world.step()
    assert not worker.process.alive
    world.step()
    assert [process.launch.epoch for process in world.engine.living()] == [2]


# --- failure --------------------------------------------------------------------------------------------------


def test_failure_keeps_its_error_until_something_is_done(world: World) -> None:
    task = at_failure(world)
    view = world.view(task)
    assert view.error is not None
    assert (view.status, view.error["code"]) == ("Failure", "source.log_broken")
    world.command(task, "continue")
    assert world.view(task).error is None


def test_failure_without_a_snapshot_offers_run_from_scratch(world: World) -> None:
    task, worker = world.running(snapshot=False)
    worker.say("gave_up", {"code": "source.no_key", "detail": "orders has no key"})
    assert world.view(task).commands == ["run", "stop"]
    world.command(task, "run")
    world.step(3)
    new, old = world.control.runs(task)
    assert (new.number, old.cleanup) == (2, "done")
    assert world.data_plane.made == set()
    assert not worker.process.alive


def test_a_run_that_does_not_open_in_time_fails(world: World) -> None:
    task = at_starting(world)
    world.step()
    world.worker().register()
    for _ in range(20):
        world.clock.advance(9.5)
        if world.state(task) == "starting":
            world.worker().beat()
        world.step()
    assert world.state(task) == "failure"
    error = world.view(task).error
    assert error is not None
    assert error["code"] == "lifecycle.deadline"
    world.step(2)
    assert world.engine.living() == []


# --- stop and remove ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reach", [at_running, at_paused, at_failure, at_detection_exception])
def test_stop_cleans_both_ends_and_discards_state_and_position(world: World, reach: Callable[[World], int]) -> None:
    task = reach(world)
    world.command(task, "stop")
    world.step(3)
    assert world.state(task) == "stopped"
    assert world.data_plane.made == set()
    assert world.control.snapshots(task) == []
    assert world.engine.living() == []


def test_stop_does_not_clean_while_the_worker_lives(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    task, worker = world.running()
    kill = world.engine.kill
    monkeypatch.setattr(world.engine, "kill", lambda worker: None)
    world.command(task, "stop")
    world.step(3)
    assert world.data_plane.made
    kill(worker.process.worker)
    world.step(3)
    assert (world.state(task), world.data_plane.made) == ("stopped", set())


def test_stop_never_waits_for_what_cannot_be_removed_and_names_it(world: World) -> None:
    task, _ = world.running()
    world.data_plane.unreachable = True
    world.command(task, "stop")
    world.step(3)
    assert world.state(task) == "stopped"
    left = next(event for event in world.control.events(task) if event.name == "leftover")
    assert left.error is not None
    assert "could not be dropped" in left.error["detail"]
    assert world.control.runs(task)[0].cleanup == "left"


def test_what_was_left_is_removed_once_it_can_be(world: World) -> None:
    task, _ = world.running()
    world.data_plane.unreachable = True
    world.command(task, "stop")
    world.step(3)
    world.data_plane.unreachable = False
    world.clock.advance(61)
    world.step(2)
    assert world.control.runs(task)[0].cleanup == "done"
    assert world.events(task)[-1] == "leftover_removed"


def test_stop_ends_by_its_deadline_although_cleaning_hangs(world: World) -> None:
    task, _ = world.running()
    world.jobs.at_once = False
    world.command(task, "stop")
    world.step(3)
    assert world.state(task) == "stopping"
    world.clock.advance(121)
    world.step()
    assert world.state(task) == "stopped"
    world.jobs.do_all()
    world.step()
    assert world.control.runs(task)[0].cleanup == "done"


def test_remove_ends_a_draft_at_once_and_frees_the_data_sources(world: World) -> None:
    task = at_draft(world)
    with pytest.raises(InUse, match="shop"):
        world.control.delete_data_source("lake", actor="ann")
    world.command(task, "remove")
    world.step()
    with pytest.raises(TidegateError, match="no task"):
        world.control.detail(task)
    world.control.delete_data_source("lake", actor="ann")


def test_remove_never_waits_for_a_source_that_is_gone(world: World) -> None:
    task, _ = world.running()
    world.data_plane.unreachable = True
    world.command(task, "stop")
    world.step(3)
    world.command(task, "remove")
    world.step(3)
    assert world.events(task)[-2:] == ["leftover", "removed"]


# --- detection ------------------------------------------------------------------------------------------------


def test_a_running_task_that_lost_a_table_comes_back_paused_with_its_snapshot(world: World) -> None:
    task, worker = world.running()
    world.data_plane.missing = ["table public.orders"]
    for _ in range(8):
        world.clock.advance(8)
        if world.state(task) == "running":
            worker.beat()
        world.step(2)
    assert world.view(task).status == "Detection Exception"
    error = world.view(task).error
    assert error is not None
    assert "public.orders" in error["detail"]
    assert world.engine.living() == []
    assert world.control.group("default").units_used == 0
    world.data_plane.missing = []
    world.clock.advance(16)
    world.step(2)
    assert world.state(task) == "paused"
    assert world.command(task, "continue").state == "continuing"


def test_a_task_that_never_ran_comes_back_initialized(world: World) -> None:
    task = at_initialize(world)
    world.step()
    world.data_plane.missing = ["table public.orders"]
    world.clock.advance(61)
    world.step(2)
    assert world.state(task) == "detection_exception"
    world.data_plane.missing = []
    world.clock.advance(16)
    world.step(2)
    assert world.state(task) == "initialize"


def test_a_source_that_cannot_be_asked_is_not_taken_for_gone(world: World) -> None:
    task = at_paused(world)
    world.data_plane.unreachable = True
    world.clock.advance(200)
    world.step(3)
    assert world.state(task) == "paused"


def test_a_group_that_became_too_small_is_named_until_it_has_room_again(world: World) -> None:
    task, worker = world.running("big", units=6)
    world.command(task, "pause")
    worker.drain()
    world.step()
    world.control.edit_group("default", units=2, actor="ann")
    world.clock.advance(61)
    world.step(2)
    assert world.view(task).status == "Detection Exception"
    error = world.view(task).error
    assert error is not None
    assert error["facts"]["missing"] == ["resource group default has 2 units; the task needs 6"]
    world.control.edit_group("default", units=6, actor="ann")
    world.clock.advance(16)
    world.step(2)
    assert world.state(task) == "paused"


def test_a_version_that_needs_less_ends_the_exception(world: World) -> None:
    task, worker = world.running("big", units=6)
    world.command(task, "pause")
    worker.drain()
    world.step()
    world.control.edit_group("default", units=2, actor="ann")
    world.clock.advance(61)
    world.step(2)
    world.control.edit_task(task, definition("big", units=1), actor="ann")
    world.control.submit(task, actor="ann")
    world.clock.advance(16)
    world.step(2)
    assert world.state(task) == "paused"


def test_what_was_found_missing_before_somebody_acted_counts_for_nothing(world: World) -> None:
    task = at_paused(world)
    world.jobs.at_once = False
    world.data_plane.missing = ["table public.orders"]
    world.clock.advance(61)
    world.step()
    world.jobs.do_all()  # looked, but not acted upon yet
    world.command(task, "stop")
    world.step()
    assert world.state(task) == "stopping"


def test_what_was_found_missing_of_an_older_version_counts_for_nothing(world: World) -> None:
    task = at_initialize(world)
    world.jobs.at_once = False
    world.step()
    world.data_plane.missing = ["table public.orders"]
    world.clock.advance(61)
    world.step()
    world.jobs.do_all()  # looked, but not acted upon yet
    world.control.edit_task(task, definition(units=2), actor="ann")
    world.control.submit(task, actor="ann")
    world.data_plane.missing = []
    world.step()
    assert world.state(task) == "initialize"


# --- the rest -------------------------------------------------------------------------------------------------


def test_a_manual_snapshot_is_asked_for_once_and_found_when_stored(world: World) -> None:
    task, worker = world.running()
    request = world.control.request_snapshot(task, actor="ann")
    assert world.control.request_snapshot(task, actor="bob") == request
    orders = worker.beat()
    assert orders.snapshot == request.id
    stored = worker.snapshot("manual", request=orders.snapshot)
    found = world.control.snapshot_request(task, request.id).snapshot
    assert found is not None
    assert (found.id, found.kind) == (stored, "manual")
    assert worker.beat().snapshot is None


def test_positions_ask_the_source_only_of_a_task_that_rests(world: World) -> None:
    task = at_paused(world)
    view = world.control.positions(task, ask_source=True)
    assert view is not None
    assert (view.reread_bytes, view.safe_bytes) == (4096, 1 << 20)
    world.data_plane.lost = True
    view = world.control.positions(task, ask_source=True)
    assert view is not None
    assert view.source_error is not None
    assert view.source_error["code"] == "source.position_lost"


def test_a_group_shrunk_below_its_use_stops_nothing_and_lets_nothing_start(world: World) -> None:
    task, _ = world.running("big", units=6)
    other = world.add_task("small", units=1)
    world.control.edit_group("default", units=2, actor="ann")
    world.step()
    assert world.state(task) == "running"
    with pytest.raises(NoUnits):
        world.command(other, "run")


def test_answers_never_hold_a_secret(world: World) -> None:
    task = at_failure(world)
    said = [
        world.control.data_sources(),
        world.control.detail(task),
        world.control.events(task),
        world.control.runs(task),
        world.control.versions(task),
        world.control.positions(task, ask_source=True),
    ]
    assert "s3cret-canary" not in repr(said)


def test_a_masked_secret_sent_back_keeps_the_stored_one(world: World) -> None:
    shown = world.control.data_source("shop_db").config
    world.control.edit_data_source("shop_db", config={**shown, "database": "db2"}, who=built_in("test"))
    kind, config = world.control.data_source_side("shop_db")
    assert (kind, config["database"], config["password"]) == ("postgres", "db2", "s3cret-canary")


def test_edits_with_a_stale_version_change_nothing(world: World) -> None:
    control = world.control
    control.edit_data_source("lake", description="one", version=1, who=built_in("test"))
    control.edit_group("default", units=9, version=1, actor="ann")
    with pytest.raises(StaleVersion):
        control.edit_data_source("lake", description="two", version=1, who=built_in("test"))
    with pytest.raises(StaleVersion):
        control.delete_data_source("lake", version=1, actor="bob")
    with pytest.raises(StaleVersion):
        control.edit_group("default", units=1, version=1, actor="bob")
    assert (control.data_source("lake").description, control.group("default").units) == ("one", 9)


def test_the_admin_token_is_told_once_and_only_its_hash_is_kept(world: World) -> None:
    kept: list[str] = []
    token = world.control.first_token(kept.append)
    assert token is not None
    assert kept == [token]
    assert world.control.first_token() is None
    assert world.control.check_admin(token)
    assert not world.control.check_admin(token + "x")
    assert not [p for p in world.data_dir.rglob("*") if p.is_file() and token.encode() in p.read_bytes()]


def test_a_token_that_could_not_be_kept_was_never_made(world: World) -> None:
    def full_disk(token: str) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        world.control.first_token(full_disk)
    assert world.control.first_token() is not None
