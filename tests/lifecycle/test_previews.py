"""What a command would do is told by the command's own gate: what is allowed is taken, what is refused is refused with
the same words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

import pytest

from lifecycle.test_commands import at_failure, at_paused
from lifecycle.world import World
from tidegate.connect.capability import Delivery
from tidegate.errors import CommandRefused, Invalid, NoUnits, PositionLost, StaleVersion, TidegateError
from tidegate.model.lifecycle import COMMANDS, STATES, State
from tidegate.model.problem import problem
from tidegate.server.costs import DISCARDS, KEEPS, REPEATS


def at_draft(world: World) -> int:
    return world.add_task(submit=False)


def at_initialize(world: World) -> int:
    return world.add_task()


def at_running(world: World) -> int:
    return world.running()[0]


def at_running_without_snapshot(world: World) -> int:
    return world.running(snapshot=False)[0]


def at_pausing(world: World) -> int:
    task, _ = world.running()
    world.command(task, "pause")
    return task


def at_stopped(world: World) -> int:
    task, _ = world.running()
    world.command(task, "stop")
    world.step(3)
    assert world.state(task) == "stopped"
    return task


def at_failure_without_snapshot(world: World) -> int:
    task, worker = world.running(snapshot=False)
    worker.say("gave_up", problem(PositionLost("gone")))
    return task


def at_detection_exception(world: World) -> int:
    task = at_paused(world)
    world.data_plane.missing = ["table public.orders"]
    world.clock.advance(61)
    world.step(2)
    assert world.state(task) == "detection_exception"
    return task


SITUATIONS = [
    at_draft,
    at_initialize,
    at_running,
    at_running_without_snapshot,
    at_pausing,
    at_paused,
    at_stopped,
    at_failure,
    at_failure_without_snapshot,
    at_detection_exception,
]


@pytest.mark.parametrize("trouble", ["none", "lost", "unreachable", "no units"])
@pytest.mark.parametrize("reach", SITUATIONS)
def test_a_preview_says_what_the_command_then_does(world: World, reach: Callable[[World], int], trouble: str) -> None:
    task = reach(world)
    world.data_plane.lost = trouble == "lost"
    world.data_plane.unreachable = trouble == "unreachable"
    if trouble == "no units":
        world.running("other", units=8 - STATES[State(world.state(task))].units)
    before = world.control.detail(task)
    previews = {name: world.control.preview(task, name) for name in COMMANDS}
    assert world.control.detail(task) == before, "a preview changes nothing"
    for name, view in previews.items():
        if view.allowed:
            assert (view.reason, view.problem) == ("", None)
            continue
        with pytest.raises(TidegateError) as refusal:
            world.command(task, name)
        assert view.problem == problem(refusal.value), name
        assert view.reason
    allowed = [name for name, view in previews.items() if view.allowed]
    if allowed:
        assert world.command(task, allowed[0], version=previews[allowed[0]].version)


def test_continue_tells_what_it_will_read_and_from_which_snapshot(world: World) -> None:
    task = at_paused(world)
    world.clock.advance(30)
    view = world.control.preview(task, "continue")
    newest = world.control.detail(task).snapshot
    assert view.snapshot == newest
    assert view.snapshot_age_s == 30
    assert (view.reads_from, view.source_end, view.reread_bytes) == ("0000/EFFF", "0000/FFFF", 4096)
    assert (view.repeats, view.safe_bytes) == ("none", 1 << 20)
    accepted = world.control.command(task, "continue", version=view.version, actor="ann")
    assert accepted.reread_bytes == view.reread_bytes


def test_a_forced_pause_tells_what_continue_would_read_as_things_are(world: World) -> None:
    task, _ = world.running()
    view = world.control.preview(task, "force-pause")
    assert view.reread_bytes == 4096
    assert "the target gets nothing that it has" in view.cost
    assert view.discards == ["what the worker has read and the target has not"]


def test_a_forced_pause_is_allowed_and_warns_when_continue_would_be_refused(world: World) -> None:
    task, _ = world.running()
    world.data_plane.lost = True
    view = world.control.preview(task, "force-pause")
    assert view.allowed
    assert "Continue would be refused as things are" in view.cost
    assert view.source_error is not None
    assert view.source_error["code"] == "source.position_lost"


def test_a_source_that_is_away_forbids_no_pause_and_no_stop(world: World) -> None:
    task, _ = world.running()
    world.data_plane.unreachable = True
    for name in ("pause", "force-pause", "stop"):
        assert world.control.preview(task, name).allowed, name


@pytest.mark.parametrize(("name", "reach"), [("run", at_initialize), ("stop", at_paused)])
def test_the_rows_of_a_run_from_scratch_are_estimated(world: World, name: str, reach: Callable[[World], int]) -> None:
    view = world.control.preview(reach(world), name)
    assert view.rows_to_copy == 12_000
    assert "12000 rows" in view.cost


def test_run_from_the_log_alone_copies_nothing(world: World) -> None:
    assert world.control.preview(at_initialize(world), "run", start={"read": "incremental"}).rows_to_copy == 0


def test_a_preview_names_whoever_holds_the_units(world: World) -> None:
    task = at_paused(world)
    world.running("big", units=8)
    view = world.control.preview(task, "continue")
    assert not view.allowed
    assert "big 8" in view.reason
    with pytest.raises(NoUnits):
        world.command(task, "continue")


def test_a_command_with_the_previews_version_is_refused_once_somebody_changed_the_task(world: World) -> None:
    task = at_paused(world)
    view = world.control.preview(task, "continue")
    world.command(task, "stop")
    with pytest.raises(StaleVersion):
        world.command(task, "continue", version=view.version)


def test_somebody_who_changes_the_task_during_a_preview_is_told_of(world: World) -> None:
    task = at_paused(world)

    def meanwhile() -> None:
        world.data_plane.while_checking = lambda: None
        world.command(task, "stop")

    world.data_plane.while_checking = meanwhile
    view = world.control.preview(task, "continue")
    with pytest.raises((StaleVersion, CommandRefused)):
        world.command(task, "continue", version=view.version)


def test_a_start_point_is_for_run_only(world: World) -> None:
    with pytest.raises(Invalid):
        world.control.preview(at_paused(world), "continue", start={"read": "incremental"})


def test_previews_hold_no_secret(world: World) -> None:
    task = at_paused(world)
    said = [asdict(world.control.preview(task, name)) for name in COMMANDS]
    assert "s3cret-canary" not in json.dumps(said)


def test_every_promise_of_a_target_says_whether_rows_repeat() -> None:
    assert REPEATS.keys() == {str(one) for one in Delivery}


def test_words_are_about_commands_there_are() -> None:
    assert set(KEEPS) == set(COMMANDS)
    assert set(DISCARDS) <= set(COMMANDS)
