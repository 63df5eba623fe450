"""Alerts on both kinds of store and a clock that is moved by hand: what a sweep costs, what it takes in, what it
forgets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle.world import World, definition
from tidegate.errors import InUse, TidegateError, TooManyAlertRules
from tidegate.model.alert import DEFAULT_RULES, parse_rule
from tidegate.model.firing import Look
from tidegate.model.lifecycle import State
from tidegate.model.principal import built_in
from tidegate.server.batchviews import Named, Wish
from tidegate.server.limits import Limits
from tidegate.server.views import Beat
from tidegate.store import alerts, catalog, moves
from tidegate.store.opening import Store
from tidegate.store.tables import key_event
from tidegate.watch.alerts import Alerts
from tidegate.watch.seeing import thinned


def watching(world: World, **more: Any) -> Alerts:
    return Alerts(world.store.database, world.clock, lambda: True, **more)


def rule(world: World, *conditions: dict[str, Any], **more: Any) -> None:
    given = {"alert_rule": "own", "applies_to": {"all": True}, "conditions": list(conditions)} | more
    world.control.create_alert_rule(parse_rule(given), actor="ann")


def fired(world: World) -> list[tuple[str, str, bool]]:
    """Task, metric and whether it goes on; oldest first."""
    found = world.control.alerts(rule="own", limit=200)
    return [(one.task_name, one.metric, one.resolved_at is None) for one in reversed(found)]


def go_on(world: World, watch: Alerts, for_s: float) -> None:
    """Time passes, with a look every two seconds."""
    watch.step()
    for _ in range(int(for_s / 2)):
        world.clock.advance(2)
        watch.step()


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is asked of stores meanwhile."""
    said: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_an_alert_fires_and_ends_on_each_store(any_world: World) -> None:
    task, worker = any_world.running()
    watch = watching(any_world)
    rule(any_world, {"metric": "restarts", "threshold": 1}, {"metric": "task_paused"})
    watch.step()
    assert fired(any_world) == []
    for _ in range(2):
        worker.say("restarted")
    watch.step()
    assert fired(any_world) == [("shop", "restarts", True)]
    any_world.clock.advance(601)
    watch.step()
    assert fired(any_world) == [("shop", "restarts", False)]
    said = [name for name in any_world.events(task) if name.startswith("alert_")]
    assert said[:2] == ["alert_fired", "alert_resolved"]


def test_a_figure_must_be_beyond_its_threshold_for_the_whole_window(world: World) -> None:
    world.running()
    figures = {"business_delay_s": 90.0}
    watch = watching(world, figures=lambda run: figures)
    rule(world, {"metric": "business_delay", "threshold": 1, "unit": "min", "window": "5m"})
    for _ in range(30):
        watch.step()
        assert fired(world) == []
        world.clock.advance(10)
    watch.step()
    assert fired(world) == [("shop", "business_delay", True)]
    figures["business_delay_s"] = 30
    world.clock.advance(10)
    watch.step()
    assert fired(world) == [("shop", "business_delay", False)]
    figures["business_delay_s"] = 90
    for _ in range(30):
        world.clock.advance(10)
        watch.step()
    assert len(fired(world)) == 1, "the window has to be full again"


def test_a_worker_that_is_not_heard_of_is_told_apart_from_a_clock_that_jumps(world: World) -> None:
    _, worker = world.running()
    watch = watching(world)
    rule(world, {"metric": "not_reporting", "threshold": 15})
    watch.step()
    world.clock.jump(3600)
    watch.step()
    world.clock.jump(-7200)
    watch.step()
    assert fired(world) == []
    go_on(world, watch, 16)
    assert fired(world) == [("shop", "not_reporting", True)]
    worker.beat()
    world.reconciler.write_reports()
    watch.step()
    assert fired(world) == [("shop", "not_reporting", False)]


def test_time_in_which_nobody_could_look_makes_no_worker_silent(world: World) -> None:
    world.running()
    watch = watching(world)
    rule(world, {"metric": "not_reporting", "threshold": 15})
    watch.step()
    world.clock.advance(300)
    go_on(world, watch, 14)
    assert fired(world) == []
    go_on(world, watch, 2)
    assert fired(world) == [("shop", "not_reporting", True)]


def test_a_worker_that_could_not_be_heard_because_the_server_stood_still_is_not_silent(world: World) -> None:
    _, worker = world.running()
    watch = watching(world, figures=world.control.known)
    rule(world, {"metric": "not_reporting", "threshold": 15}, {"metric": "not_moving", "threshold": 15})
    worker.beat("1")
    world.reconciler.write_reports()
    watch.step()
    world.clock.advance(300)
    go_on(world, watch, 14)
    assert fired(world) == []
    go_on(world, watch, 4)
    assert fired(world)[0] == ("shop", "not_reporting", True)


def test_a_task_whose_target_does_not_answer_for_long_is_told_of(world: World) -> None:
    _, worker = world.running()
    watch = watching(world, figures=world.control.known)
    session = worker.control.authenticate(worker.process.launch.token)
    worker.beat("1")
    for _ in range(170):
        world.clock.advance(2)
        world.control.heartbeat(session, Beat("incremental", "recovering", "1", {"rows": 1}, {}))
        world.reconciler.write_reports()
        watch.step()
    assert [alert.metric for alert in world.control.alerts(rule="task_dead", limit=9)] == ["not_moving"]


def test_a_snapshot_is_as_old_as_it_is_not_as_it_was_when_figures_were_last_kept(world: World) -> None:
    _, worker = world.running()
    watch = watching(world, figures=world.control.known)
    rule(world, {"metric": "snapshot_age", "threshold": 60})
    for _ in range(14):
        world.clock.advance(5)
        worker.beat()
        world.step()  # now and then a point of history is made, with the age as it is then
    worker.snapshot()
    watch.step()
    assert fired(world) == []


def test_what_befell_an_earlier_run_is_not_held_against_the_next(world: World) -> None:
    task, worker = world.running()
    for _ in range(3):
        worker.say("restarted")
    world.command(task, "stop")
    worker.exit()
    world.step(4)
    world.command(task, "run")
    world.step()
    world.worker().open()
    watch = watching(world)
    rule(world, {"metric": "restarts", "threshold": 1}, {"metric": "task_exception"})
    watch.step()
    assert fired(world) == []
    for _ in range(2):
        world.worker().say("restarted")
    watch.step()
    assert {metric for _, metric, _ in fired(world)} == {"restarts", "task_exception"}


def test_a_rule_that_looks_far_back_does_not_make_others_slow(world: World) -> None:
    world.running()
    figures = {"business_delay_s": 90.0, "transmission_delay_s": 0.0}
    watch = watching(world, figures=lambda run: figures)
    far = {"metric": "business_delay", "threshold": 1, "unit": "min", "window": "1h"}
    rule(world, far, {"metric": "transmission_delay", "threshold": 5, "window": "20s"})
    go_on(world, watch, 3_000)
    figures["transmission_delay_s"] = 9.0
    go_on(world, watch, 24)
    assert fired(world) == [("shop", "transmission_delay", True)]
    go_on(world, watch, 600)
    assert ("shop", "business_delay", True) in fired(world)


def test_what_is_remembered_of_a_task_does_not_grow_with_the_time_it_is_watched() -> None:
    looks: list[Look] = []
    for second in range(0, 7_200, 2):
        looks.append(Look(float(second), State.RUNNING, 1, {}))
        looks = thinned(looks, 3_600.0)
    assert len(looks) < 250
    ages = [looks[-1].at - look.at for look in looks]
    assert 3_600 <= ages[0] < 3_800
    assert ages[-3:] == [4.0, 2.0, 0.0]
    assert all(old - new <= max(4.0, old / 20) for old, new in pairwise(ages))


def test_an_alert_about_silence_goes_on_over_a_restart_of_the_server_and_a_time_nobody_looked(world: World) -> None:
    _, worker = world.running()
    watch = watching(world)
    rule(world, {"metric": "not_reporting", "threshold": 15})
    go_on(world, watch, 16)
    assert fired(world) == [("shop", "not_reporting", True)]
    watch = watching(world)
    go_on(world, watch, 10)
    assert fired(world) == [("shop", "not_reporting", True)], "a server that starts does not know that it was heard"
    world.clock.advance(300)
    go_on(world, watch, 10)
    assert fired(world) == [("shop", "not_reporting", True)]
    worker.beat()
    world.reconciler.write_reports()
    watch.step()
    assert fired(world) == [("shop", "not_reporting", False)]


def test_a_sweep_asks_the_store_no_more_of_many_tasks_than_of_one(world: World) -> None:
    asked = []
    for count in (1, 30):
        for number in range(count):
            world.add_task(f"task_{count}_{number}")
        watch = watching(world)
        watch.step()
        with statements() as said:
            watch.step()
        asked.append(len([one for one in said if one.lstrip().lower().startswith("select")]))
    assert asked[0] == asked[1] <= 6


def test_a_server_that_starts_knows_of_restarts_before_it(world: World) -> None:
    _, worker = world.running()
    for _ in range(3):
        worker.say("restarted")
    rule(world, {"metric": "restarts", "threshold": 2})
    watching(world).step()
    assert fired(world) == [("shop", "restarts", True)]


def test_an_event_that_is_committed_late_is_counted_once(world: World) -> None:
    task, worker = world.running()
    worker.say("restarted")
    watch = watching(world)
    rule(world, {"metric": "restarts", "threshold": 1})
    watch.step()
    with world.store.database.write() as tx:
        newest = tx.execute(sa.select(sa.func.max(key_event.c.id))).scalar_one()
        late = tx.execute(sa.select(key_event.c.id).where(key_event.c.name == "created")).scalars().first()
        tx.execute(key_event.delete().where(key_event.c.id == late))
    watch = watching(world)
    watch.step()
    with world.store.database.write() as tx:
        moves.record(tx, moves.get(tx, task), "restarted", now=world.clock.now())
        made = tx.execute(sa.select(sa.func.max(key_event.c.id))).scalar_one()
        tx.execute(key_event.update().where(key_event.c.id == made).values(id=late))
    assert late < newest
    watch.step()
    watch.step()
    assert [alert.value for alert in world.control.alerts(rule="own", limit=10)] == [2]


def test_alerts_of_a_task_that_is_gone_end(world: World) -> None:
    task = world.add_task()
    with world.store.database.write() as tx:
        alerts.add_alert(
            tx,
            rule_id=1,
            rule_name="own",
            project_id=1,
            task_id=task + 99,
            task_name="gone",
            severity="normal",
            metric="task_paused",
            key="task_paused",
            condition="task_paused",
            fired_at=world.clock.now(),
            held="",
            resolved_told=False,
        )
    watching(world).step()
    assert fired(world) == [("gone", "task_paused", False)]


def test_what_ended_long_ago_is_forgotten_and_what_goes_on_is_not(world: World) -> None:
    task, worker = world.running()
    watch = watching(world, keep_s=86_400)
    rule(world, {"metric": "restarts", "threshold": 0}, {"metric": "task_paused"})
    worker.say("restarted")
    watch.step()
    world.clock.advance(601)
    watch.step()
    world.command(task, "pause")
    worker.drain()
    watch.step()
    assert len(fired(world)) == 2
    world.clock.advance(2 * 86_400)
    watch.step()
    assert fired(world) == [("shop", "task_paused", True)]


@pytest.mark.parametrize("name", ["own", "task_down"])
def test_a_rule_that_cannot_be_read_stops_no_other(world: World, name: str) -> None:
    world.running()
    rule(world, {"metric": "not_reporting", "threshold": 15})
    watch = watching(world)
    with world.store.database.write() as tx:
        held = alerts.get_rule(tx, 1, name)
        alerts.change_rule(tx, held, now=0.0, definition={"from": "another version"})
    go_on(world, watch, 16)
    assert bool(fired(world)) is (name != "own")


def test_a_figure_that_wavers_does_not_fill_the_store(world: World) -> None:
    world.running()
    figures = {"business_delay_s": 0.0}
    watch = watching(world, figures=lambda run: figures)
    rule(world, {"metric": "business_delay", "threshold": 5})
    for _ in range(300):
        figures["business_delay_s"] = 9.0 - figures["business_delay_s"]
        world.clock.advance(2)
        watch.step()
    assert len(fired(world)) == 100
    assert not any(goes_on for _, _, goes_on in fired(world))
    world.clock.advance(3_600)
    figures["business_delay_s"] = 9.0
    watch.step()
    assert fired(world)[-1] == ("shop", "business_delay", True)


def test_a_rule_follows_its_task_to_another_name(world: World) -> None:
    task, worker = world.running()
    rule(world, {"metric": "restarts", "threshold": 0}, applies_to={"task": "shop"})
    world.control.edit_task(task, definition("store"), actor="ann")
    worker.say("restarted")
    watching(world).step()
    assert fired(world) == [("store", "restarts", True)]


def test_a_channel_is_not_deleted_while_a_rule_comes_to_name_it(store: Store, tmp_path: Path) -> None:
    world = World(tmp_path, store=store)
    sealed = store.vault.seal({"url": "https://well.example/", "key": "k" * 16}, "x")
    with store.database.write() as tx:
        given = {"project_id": 1, "name": "hook", "kind": "webhook", "description": "", "enabled": True, "shown": ""}
        alerts.add_channel(tx, now=0.0, **given, secrets=sealed)
    outcomes: list[object] = []

    def delete() -> None:
        try:
            world.control.delete_alert_channel("hook", actor="bob")
        except TidegateError as error:
            outcomes.append(type(error))
        else:
            outcomes.append("deleted")

    with store.database.write() as tx:
        row = alerts.get_rule(tx, catalog.get_project(tx, "default", lock=True).id, "task_down", lock=True)
        thread = threading.Thread(target=delete)
        thread.start()
        thread.join(1)
        alerts.change_rule(tx, row, now=1.0, definition={**row.definition, "channels": ["hook"]})
    thread.join(30)
    assert outcomes == [InUse]


def test_rules_of_a_thousand_tasks_cost_a_sweep_no_more_statements_than_one(world: World) -> None:
    world.running()
    for number in range(40):
        rule(
            world,
            {"metric": "task_delay", "threshold": 1},
            alert_rule=f"own_{number}",
            applies_to={"task": f"shop_{number}"},
        )
    rule(world, {"metric": "not_reporting", "threshold": 15}, applies_to={"task": "shop"})
    watch = watching(world)
    watch.step()
    with statements() as said:
        watch.step()
    assert [one for one in said if "definition" in one and "alert_rule" in one] == [], "what is known is not read again"
    go_on(world, watch, 16)
    assert fired(world) == [("shop", "not_reporting", True)]


def test_a_project_has_so_many_rules_and_no_more(tmp_path: Path) -> None:
    world = World(tmp_path, limits=Limits(alert_rules=len(DEFAULT_RULES) + 2))
    try:
        world.add_data_sources()
        world.add_task()
        rule(world, {"metric": "task_paused"}, alert_rule="one")
        rule(world, {"metric": "task_paused"}, alert_rule="two")
        with pytest.raises(TooManyAlertRules):
            rule(world, {"metric": "task_paused"}, alert_rule="three")
        more = {"alert_rule": "each", "conditions": [{"metric": "task_paused"}]}
        for dry_run in (True, False):
            wish = Wish("add-alert-rules", rules=[more], dry_run=dry_run)
            found = world.control.batch(wish, [Named("shop")], who=built_in("test"))
            assert [(item.problem or {})["code"] for item in found.items] == ["alert.too_many_rules"]
        world.control.delete_alert_rule("one", actor="ann")
        rule(world, {"metric": "task_paused"}, alert_rule="three")
    finally:
        world.close()
