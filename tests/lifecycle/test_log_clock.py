"""The source's log while a task rests: how long it lasts is shown, told in time, and acted on where that is wanted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from lifecycle.test_commands import at_failure, at_paused
from lifecycle.world import World
from tidegate.model.alert import parse_rule
from tidegate.model.lifecycle import STATES, State
from tidegate.model.principal import built_in
from tidegate.server.jobs import Job, Work
from tidegate.server.logclock import PINNING, RESTING
from tidegate.server.views import Retention, Retentions
from tidegate.watch.alerts import Alerts

MB = 1_000_000


@dataclass(frozen=True)
class Kept:
    retained_bytes: int
    safe_bytes: int | None
    expires_in_s: float | None = None
    lost: str = ""


@dataclass
class Source:
    """Keeps `room` bytes of log for whoever rests, and is written `rate` bytes a second."""

    world: World
    room: int | None = 7_200 * MB
    rate: float = MB
    expires_at: float | None = None
    since: float = 0.0
    lost: str = ""
    free_bytes: int | None = None
    runs: Mapping[str, Retention] = field(default_factory=dict)

    @property
    def written_bytes(self) -> int:
        return int(self.world.clock.ticks() * self.rate)

    def __call__(self, keys: list[str]) -> Retentions:
        used = int((self.world.clock.ticks() - self.since) * self.rate)
        left = None if self.room is None else max(0, self.room - used)
        expires = None if self.expires_at is None else self.expires_at - self.world.clock.ticks()
        self.runs = {key: Kept(used, left, expires, self.lost) for key in keys}
        return self


def watched(world: World, **about: Any) -> Source:
    source = Source(world, since=world.clock.ticks(), **about)
    world.data_plane.log = source
    return source


def pass_time(world: World, seconds: float) -> None:
    until = world.clock.ticks() + seconds
    while world.clock.ticks() < until:
        world.clock.advance(min(15.0, until - world.clock.ticks()))
        world.step(2)


def told(world: World, task: int) -> list[tuple[str, Any]]:
    events = reversed(world.control.events(task, limit=1000))
    return [(event.name, event.facts.get("below_s")) for event in events if event.name.startswith("log_")]


def test_states_that_pin_the_log_are_watched_and_those_without_a_worker_rest() -> None:
    assert set(PINNING) == {state for state, facts in STATES.items() if facts.pins_log} - {State.STOPPING}
    assert {State.PAUSED, State.FAILURE, State.DETECTION_EXCEPTION} == RESTING


@pytest.mark.parametrize("reach", [at_paused, at_failure])
def test_a_task_that_rests_shows_how_long_its_log_lasts(world: World, reach: Callable[[World], int]) -> None:
    task = reach(world)
    watched(world)
    pass_time(world, 60)
    view = world.view(task)
    assert view.log_left_s == pytest.approx(7_140, abs=15)
    assert view.log_rate_bytes_s == pytest.approx(MB, rel=0.01)
    assert (view.log_retained_bytes, view.log_safe_bytes) == (60 * MB, 7_140 * MB)
    assert [one.log_left_s for one in world.control.ops().items] == [view.log_left_s]
    positions = world.control.positions(task)
    assert positions is not None
    assert positions.left_s == view.log_left_s


def test_it_counts_on_while_the_source_cannot_be_asked(world: World) -> None:
    task = at_paused(world)
    watched(world)
    pass_time(world, 60)
    before = world.view(task).log_left_s
    world.data_plane.unreachable = True
    pass_time(world, 300)
    assert before is not None
    assert world.view(task).log_left_s == pytest.approx(before - 300)


def test_a_limit_by_age_counts_where_it_ends_first(world: World) -> None:
    task = at_paused(world)
    watched(world, room=None, expires_at=world.clock.ticks() + 900)
    pass_time(world, 60)
    assert world.view(task).log_left_s == pytest.approx(840, abs=15)


def test_the_time_left_reaches_rules_scrapes_and_figures_of_a_task_that_rests(world: World) -> None:
    task = at_paused(world)
    watched(world)
    pass_time(world, 60)
    short = {"metric": "log_left", "threshold": 2, "unit": "h"}
    rule = {"alert_rule": "own", "applies_to": {"all": True}, "conditions": [short]}
    world.control.create_alert_rule(parse_rule(rule), actor="ann")
    Alerts(world.store.database, world.clock, lambda: True, figures=world.control.known).step()
    assert [one.value for one in world.control.alerts(rule="own", limit=9)] == [pytest.approx(7_140, abs=15)]
    scraped = re.search(r'tidegate_task_log_left_seconds\{[^}]*task="shop"[^}]*\} (\S+)', scrape(world))
    assert scraped is not None
    assert float(scraped[1]) == pytest.approx(7_140, abs=15)
    assert world.control.metrics(task).now == {"log_left_s": pytest.approx(7_140, abs=15)}
    world.command(task, "stop")
    world.step(3)
    assert world.control.metrics(task).now == {}
    assert "log_left_seconds{" not in scrape(world)


def scrape(world: World) -> str:
    return world.control.exposition().decode()


def test_the_time_left_of_a_task_at_work_is_in_its_history(world: World) -> None:
    task, worker = world.running()
    source = watched(world, expires_at=world.clock.ticks() + 3_600)

    def newest() -> float | None:
        for _ in range(3):
            world.clock.advance(10)
            worker.beat()
            world.step(2)
        return world.control.metrics(task, names=["log_left_s"]).points[-1].values["log_left_s"]

    assert newest() is None, "what a task at work has read may expire"
    source.lost = "the slot is gone"
    newest()
    assert newest() == 0


def test_what_a_definition_wants_is_not_read_again_at_every_look(world: World, monkeypatch: Any) -> None:
    for number in range(4):
        task, worker = world.running(f"shop_{number}")
        world.command(task, "pause")
        worker.drain()
        world.step()
    watched(world)
    pass_time(world, 30)
    read: list[object] = []
    monkeypatch.setattr("tidegate.server.logclock.parse_task", read.append)
    pass_time(world, 15)
    assert read == []


def test_sources_that_hang_keep_no_other_from_its_turn(world: World) -> None:
    workers = []
    for number in range(3):
        pg = {"host": f"db{number}", "database": "shop", "user": "tide", "password": "x"}
        world.control.create_data_source(f"db_{number}", "postgres", pg, who=built_in("test"))
        source = {"data_source": f"db_{number}", "tables": ["public.orders"]}
        workers.append(world.running(f"shop_{number}", source=source)[1])
    world.jobs.at_once = False
    asked: list[int] = []
    start = world.jobs.start

    def one_thread(job: Job, do: Any) -> bool:
        if job.work is Work.LOG and any(other.work is Work.LOG for other in world.jobs.waiting):
            return False
        begun = start(job, do)
        if begun and job.work is Work.LOG:
            asked.append(job.subject)
        return begun

    world.jobs.start = one_thread  # type: ignore[method-assign]
    for _ in range(6):
        world.clock.advance(16)
        for worker in workers:
            worker.beat("000000000001")
        world.step()
        world.jobs.do_all()
        world.step()
    assert len(set(asked)) == 3
    assert max(asked.count(source) for source in asked) - min(asked.count(source) for source in asked) <= 1


def test_without_a_limit_no_end_is_in_sight(world: World) -> None:
    task = at_paused(world)
    watched(world, room=None)
    pass_time(world, 60)
    view = world.view(task)
    assert (view.log_left_s, view.log_retained_bytes) == (None, 60 * MB)
    assert told(world, task) == []


def test_a_running_task_that_keeps_up_is_not_told_to_be_short(world: World) -> None:
    task, worker = world.running()
    source = watched(world, room=60 * MB)
    for _ in range(60):
        source.since = world.clock.ticks()  # its worker lets the source forget
        world.clock.advance(5)
        worker.beat()
        world.step(2)
    assert world.view(task).log_left_s is None
    assert told(world, task) == []
    assert world.control.preview(task, "pause").log_left_s == pytest.approx(60, abs=6)


def test_the_source_is_asked_one_question_for_all_its_tasks(world: World) -> None:
    watched(world)
    for number in range(4):
        task, worker = world.running(f"shop{number}")
        world.command(task, "pause")
        worker.drain()
    pass_time(world, 1)
    before = world.data_plane.asked_of_log
    pass_time(world, 60)
    assert world.data_plane.asked_of_log - before == 4


def test_each_threshold_is_one_key_event(world: World) -> None:
    task = at_paused(world)
    watched(world, room=90_000 * MB)
    pass_time(world, 30)
    assert told(world, task) == []
    pass_time(world, 3_700)
    assert told(world, task) == [("log_short", 86_400.0)]
    world.restart_server()
    pass_time(world, 60)
    assert told(world, task) == [("log_short", 86_400.0)], "a server that starts does not tell it again"


def test_the_hour_and_the_loss_are_told_with_their_figures(world: World) -> None:
    task = at_paused(world)
    source = watched(world, room=3_700 * MB)
    pass_time(world, 150)
    assert told(world, task) == [("log_short", 86_400.0), ("log_short", 3_600.0)]
    facts = world.control.events(task)[0].facts
    assert facts["left_s"] == pytest.approx(3_595, abs=20)
    assert facts["rate_bytes_s"] == pytest.approx(MB, rel=0.01)
    source.lost = "the slot was invalidated"
    pass_time(world, 30)
    lost = world.control.events(task)[0]
    assert lost.name == "log_lost"
    assert lost.error is not None
    assert lost.error["code"] == "source.position_lost"
    assert world.view(task).log_left_s == 0


def test_relief_is_told(world: World) -> None:
    task = at_paused(world)
    source = watched(world, room=3_000 * MB)
    pass_time(world, 60)
    source.room = None
    pass_time(world, 60)
    assert told(world, task) == [("log_short", 3_600.0), ("log_enough", None)]


def paused_with(world: World, **log: Any) -> int:
    task, worker = world.running(log=log)
    world.command(task, "pause")
    worker.drain()
    world.step()
    return task


def test_a_task_that_wants_it_is_continued_in_time(world: World) -> None:
    task = paused_with(world, when_short="continue", below="30m")
    watched(world, room=3_600 * MB)
    pass_time(world, 1_700)
    assert world.state(task) == "paused"
    pass_time(world, 150)
    assert world.state(task) == "continuing"
    asked = next(event for event in world.control.events(task) if event.name == "continue")
    assert asked.actor == "tidegate"
    assert ("log_short", 1_800.0) in told(world, task)


def test_by_default_nobody_is_continued(world: World) -> None:
    task = at_paused(world)
    watched(world, room=600 * MB)
    pass_time(world, 700)
    assert world.state(task) == "paused"


def test_a_task_that_failed_is_not_continued_by_itself(world: World) -> None:
    task, worker = world.running(log={"when_short": "continue"})
    worker.say("gave_up", {"code": "target.misfit", "detail": "x"})
    watched(world, room=600 * MB)
    pass_time(world, 120)
    assert world.state(task) == "failure"


def test_a_gate_that_refuses_is_told_once_and_tried_again(world: World) -> None:
    task = paused_with(world, when_short="continue", below="1h")
    other, worker = world.running("big", units=8)
    watched(world, room=1_800 * MB)
    while world.clock.ticks() < 5_000 + 200:
        world.clock.advance(5)
        worker.beat()
        world.step(2)
    assert world.state(task) == "paused"
    assert [name for name, _ in told(world, task)] == ["log_short", "log_continue_failed"]
    world.command(other, "stop")
    pass_time(world, 60)
    assert world.state(task) == "continuing"


def test_somebody_who_was_faster_is_left_alone(world: World) -> None:
    task = paused_with(world, when_short="continue", below="1h")
    watched(world, room=1_800 * MB)
    world.data_plane.while_checking = lambda: None
    pass_time(world, 15)
    world.command(task, "stop")
    pass_time(world, 60)
    assert world.state(task) == "stopped"
    assert "log_continue_failed" not in world.events(task)


def test_a_log_that_somebody_stopping_let_go_of_is_not_told_to_be_lost(world: World) -> None:
    task = at_paused(world)
    source = watched(world)
    pass_time(world, 30)
    world.jobs.at_once = False
    world.clock.advance(16)
    world.step()
    source.lost = "the slot no longer exists"
    world.jobs.do_all()  # asked, but what was found is not looked at yet
    world.command(task, "stop")
    world.step(2)
    world.clock.advance(16)
    world.step(2)
    assert "log_lost" not in world.events(task)
