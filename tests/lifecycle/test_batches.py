"""The same for many tasks: each for itself, told apart, and harmless when it is asked for twice or by two at once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from lifecycle.test_commands import at_failure, at_initialize, at_paused, at_running
from lifecycle.world import World
from tidegate.errors import AlertRuleInvalid, Invalid, TooManyBatches
from tidegate.model.lifecycle import COMMANDS
from tidegate.model.principal import built_in
from tidegate.server.batches import BATCH_OPERATIONS
from tidegate.server.batchviews import BatchView, Filtered, Named, Wish

ANN = built_in("token", "ann")


def batch(world: World, operation: str, *names: str, dry_run: bool = False, **more: Any) -> BatchView:
    wish = Wish(operation, dry_run=dry_run, **more)
    return world.control.batch(wish, [Named(name) for name in names], who=ANN)


def filtered(world: World, operation: str, dry_run: bool = False, **wanted: Any) -> BatchView:
    return world.control.batch(Wish(operation, dry_run=dry_run), Filtered(**wanted), who=ANN)


def told(found: BatchView) -> dict[str, str]:
    """By name: the outcome, of what failed its code."""
    return {item.name: item.problem["code"] if item.problem else item.outcome for item in found.items}


def paused(world: World, *names: str) -> list[int]:
    made = []
    for name in names:
        task, worker = world.running(name)
        world.command(task, "pause")
        worker.drain()
        world.step()
        made.append(task)
    return made


def test_every_command_but_submit_can_be_given_to_many() -> None:
    assert set(BATCH_OPERATIONS) == {*COMMANDS, "change-owner", "add-alert-rules"} - {"submit"}


def test_each_task_has_its_outcome_and_one_that_is_refused_keeps_no_other_waiting(any_world: World) -> None:
    world = any_world
    world.running("goes")
    world.add_task("fresh")
    paused(world, "rests")
    found = batch(world, "pause", "nowhere", "goes", "fresh", "rests")
    assert told(found) == {
        "nowhere": "request.not_found",
        "goes": "accepted",
        "fresh": "lifecycle.refused",
        "rests": "unchanged",
    }
    assert (found.total, found.succeeded, found.unchanged, found.failed) == (4, 2, 1, 2)
    refused = next(item for item in found.items if item.name == "fresh")
    assert refused.problem is not None
    assert "possible when Running" in refused.problem["detail"]
    assert refused.problem["advice"]
    assert next(item for item in found.items if item.name == "goes").state == "pausing"


def test_a_task_named_twice_has_its_turn_once(world: World) -> None:
    task, _ = world.running("goes")
    found = batch(world, "pause", "goes", str(task), "goes", "nowhere", "nowhere")
    assert told(found) == {"goes": "accepted", "nowhere": "request.not_found"}
    assert found.total == 2


def test_a_filter_chooses_as_the_list_does_and_drafts_are_not_in_it(world: World) -> None:
    world.running("goes")
    paused(world, "rests", "rests_too")
    world.add_task("draft", submit=False)
    world.control.change_owner(world.control.task_id("rests_too"), "bob", actor="ann")
    assert told(filtered(world, "continue", status=["Paused"], owner="ann")) == {"rests": "accepted"}
    assert told(filtered(world, "stop", name="rests_")) == {"rests_too": "accepted"}
    assert set(told(filtered(world, "pause", dry_run=True))) == {"goes", "rests", "rests_too"}


def test_who_was_changed_after_the_filter_chose_it_is_left_alone(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr("tidegate.server.batches.AT_ONCE", 1)
    _, second = paused(world, "first", "second")

    def meanwhile() -> None:
        world.data_plane.while_checking = lambda: None
        world.command(second, "stop")

    world.data_plane.while_checking = meanwhile
    assert told(filtered(world, "continue")) == {"first": "accepted", "second": "request.stale_version"}
    assert world.state(second) == "stopping"


def test_what_was_chosen_by_name_and_version_is_done_to_that_version_only(world: World) -> None:
    task, _ = world.running("goes")
    version = world.view(task).version
    wish, chosen = Wish("pause"), [Named("goes", version - 1)]
    assert told(world.control.batch(wish, chosen, who=ANN)) == {"goes": "request.stale_version"}
    assert told(world.control.batch(wish, [Named("goes", version)], who=ANN)) == {"goes": "accepted"}


def test_a_batch_that_is_sent_again_changes_nothing_more(world: World) -> None:
    names = ("one", "two", "three")
    tasks = [world.running(name)[0] for name in names]
    version = world.view(tasks[0]).version
    wish, chosen = Wish("stop"), [Named(name, version) for name in names]
    assert set(told(world.control.batch(wish, chosen, who=ANN)).values()) == {"accepted"}
    again = world.control.batch(wish, chosen, who=ANN)
    assert (again.succeeded, again.unchanged, again.failed) == (3, 3, 0)
    world.step(4)
    assert {world.state(task) for task in tasks} == {"stopped"}
    assert set(told(world.control.batch(wish, chosen, who=ANN)).values()) == {"unchanged"}
    assert [world.events(task).count("stop") for task in tasks] == [1, 1, 1]


def test_of_many_that_ask_for_the_same_at_once_each_is_told_it_is_done_and_it_is_done_once(any_world: World) -> None:
    names = [f"shop_{number}" for number in range(4)]
    tasks = [any_world.running(name)[0] for name in names]
    found: list[BatchView] = []
    ready = threading.Barrier(4)

    def ask() -> None:
        ready.wait(30)
        found.append(batch(any_world, "force-pause", *names))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [one.failed for one in found] == [0, 0, 0, 0]
    outcomes = [told(one)[name] for name in names for one in found]
    assert outcomes.count("accepted") == 4
    assert [any_world.events(task).count("force-pause") for task in tasks] == [1, 1, 1, 1]


def test_no_more_are_run_than_there_are_units(any_world: World) -> None:
    names = [f"shop_{number}" for number in range(11)]
    for name in names:
        any_world.add_task(name)
    found = batch(any_world, "run", *names)
    assert sorted(told(found).values()) == ["accepted"] * 8 + ["lifecycle.no_units"] * 3


def test_a_dry_run_counts_the_units_of_all_of_them_together(world: World) -> None:
    names = [f"shop_{number}" for number in range(11)]
    for name in names:
        world.add_task(name)
    found = batch(world, "run", *names, dry_run=True)
    assert [told(found)[name] for name in names] == ["allowed"] * 8 + ["lifecycle.no_units"] * 3


def test_removing_what_never_was_is_no_success(world: World) -> None:
    assert told(batch(world, "remove", "nowhere")) == {"nowhere": "request.not_found"}


def test_removing_what_somebody_else_removed_meanwhile_is_done(world: World, monkeypatch: Any) -> None:
    world.add_task("first")
    second = world.add_task("second")
    choose = world.control._named

    def and_meanwhile(*given: Any) -> Any:
        chosen = choose(*given)
        world.command(second, "remove")
        world.step(3)
        return chosen

    monkeypatch.setattr(world.control, "_named", and_meanwhile)
    assert told(batch(world, "remove", "first", "second")) == {"first": "accepted", "second": "unchanged"}


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "submit"])
def test_a_dry_run_says_what_then_happens_and_changes_nothing(world: World, name: str) -> None:
    reached = [at_paused, at_failure, at_running, at_initialize]
    for number, reach in enumerate(reached):
        task = reach(world)
        spec = dict(world.control.detail(task).definition) | {"task": f"shop_{number}"}
        world.control.edit_task(task, spec, actor="ann")
    before = [world.control.detail(one.id) for one in world.control.tasks()]
    dry = filtered(world, name, dry_run=True)
    assert [world.control.detail(one.id) for one in world.control.tasks()] == before
    for item in dry.items:
        assert item.outcome == "unchanged" or item.preview is not None
    said = {task: "accepted" if outcome == "allowed" else outcome for task, outcome in told(dry).items()}
    assert told(filtered(world, name)) == said
    assert "accepted" in said.values()


def test_a_dry_run_of_many_asks_sources_what_continue_would_read(world: World) -> None:
    paused(world, "rests")
    (item,) = filtered(world, "continue", dry_run=True).items
    assert item.preview is not None
    assert item.preview.reread_bytes == 4096


def test_one_that_crashes_does_not_hide_what_became_of_the_others(world: World) -> None:
    world.add_task("well")
    world.add_task("ill")
    check = world.data_plane.check_task

    def crash(spec: Any, *more: Any) -> Any:
        if spec.task == "ill":
            raise RuntimeError("a value from the database")
        return check(spec, *more)

    world.data_plane.check_task = crash  # type: ignore[method-assign]
    found = batch(world, "run", "ill", "well")
    assert told(found) == {"ill": "internal", "well": "accepted"}
    assert "a value from the database" not in str(found)


# --- bounds ---------------------------------------------------------------------------------------------------


def test_a_filter_that_matches_too_many_is_refused_whole(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr("tidegate.server.batches.TASKS_MAX", 2)
    tasks = [world.running(name)[0] for name in ("one", "two", "three")]
    with pytest.raises(Invalid, match="3 tasks match, at most 2"):
        filtered(world, "pause")
    with pytest.raises(Invalid, match="1 to 2"):
        batch(world, "pause", "one", "two", "three")
    assert {world.state(task) for task in tasks} == {"running"}


@pytest.mark.parametrize(
    "wish",
    [
        Wish("submit"),
        Wish("dance"),
        Wish("pause", owner="bob"),
        Wish("change-owner"),
        Wish("change-owner", owner=" "),
        Wish("change-owner", owner="b" * 101),
        Wish("add-alert-rules"),
        Wish("change-owner", owner="bob", rules=({"alert_rule": "x"},)),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_whole(world: World, wish: Wish) -> None:
    world.running("goes")
    with pytest.raises(Invalid):
        world.control.batch(wish, [Named("goes")], who=ANN)


def test_a_status_that_there_is_not_is_refused(world: World) -> None:
    with pytest.raises(Invalid, match="Purple"):
        filtered(world, "pause", status=["Purple"])


def test_whose_turn_does_not_come_in_time_is_told_so_and_left_as_it_is(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr("tidegate.server.batches.DEADLINE_S", -1.0)
    task, _ = world.running("goes")
    assert told(batch(world, "pause", "goes")) == {"goes": "request.batch_over"}
    assert world.state(task) == "running"


def test_batches_beyond_those_that_can_be_done_at_once_are_refused(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr("tidegate.server.batches.WAIT_S", 0.01)
    world.add_task("fresh")
    found: list[object] = []

    def nested() -> None:
        world.data_plane.while_checking = innermost
        batch(world, "run", "fresh")

    def innermost() -> None:
        world.data_plane.while_checking = lambda: None
        with pytest.raises(TooManyBatches) as refusal:
            batch(world, "run", "fresh")
        found.append(refusal.value)

    world.data_plane.while_checking = nested
    batch(world, "run", "fresh")
    assert len(found) == 1
    assert told(batch(world, "run", "fresh")) == {"fresh": "unchanged"}, "their turns are given back"


# --- owners and rules -----------------------------------------------------------------------------------------


def test_tasks_are_handed_to_another_owner_with_a_key_event(any_world: World) -> None:
    one, _ = any_world.running("one")
    any_world.add_task("two")
    assert set(told(batch(any_world, "change-owner", "one", "two", owner="bob", dry_run=True)).values()) == {"allowed"}
    assert any_world.view(one).owner == "ann"
    found = batch(any_world, "change-owner", "one", "two", owner="bob")
    assert set(told(found).values()) == {"accepted"}
    assert any_world.view(one).owner == "bob"
    newest = any_world.control.events(one)[0]
    assert (newest.name, newest.facts) == ("owner_changed", {"before": "ann", "owner": "bob"})
    again = batch(any_world, "change-owner", "one", "two", owner="bob")
    assert (again.unchanged, again.failed) == (2, 0)
    assert any_world.events(one).count("owner_changed") == 1


LATE = {"alert_rule": "late", "conditions": [{"metric": "task_delay", "threshold": 60}]}


def test_each_task_gets_rules_of_its_own(any_world: World) -> None:
    for name in ("one", "two"):
        any_world.add_task(name)
    assert set(told(batch(any_world, "add-alert-rules", "one", "two", rules=(LATE,), dry_run=True)).values()) == {
        "allowed"
    }
    found = batch(any_world, "add-alert-rules", "one", "two", rules=(LATE,))
    assert set(told(found).values()) == {"accepted"}
    rules = {rule.name: rule.definition["applies_to"] for rule in any_world.control.alert_rules()}
    assert (rules["late_one"], rules["late_two"]) == ({"task": "one"}, {"task": "two"})
    again = batch(any_world, "add-alert-rules", "one", "two", rules=(LATE,))
    assert (again.unchanged, again.failed) == (2, 0)


def test_a_task_gets_all_of_the_rules_or_none(any_world: World) -> None:
    any_world.add_task("one")
    other = LATE | {"severity": "urgent"}
    batch(any_world, "add-alert-rules", "one", rules=(other,))
    down = {"alert_rule": "down", "conditions": [{"metric": "task_failed"}]}
    assert told(batch(any_world, "add-alert-rules", "one", rules=(down, LATE))) == {"one": "request.name_taken"}
    assert "down_one" not in {rule.name for rule in any_world.control.alert_rules()}


@pytest.mark.parametrize("wrong", [{"alert_rule": "x"}, LATE | {"applies_to": {"all": True}}, LATE | {"project": "p"}])
def test_a_rule_that_is_wrong_is_given_to_nobody(world: World, wrong: dict[str, Any]) -> None:
    world.add_task("one")
    with pytest.raises(AlertRuleInvalid):
        batch(world, "add-alert-rules", "one", rules=(LATE, wrong))
    assert "late_one" not in {rule.name for rule in world.control.alert_rules()}
