"""Workers come, speak, die and are replaced: the worker protocol and the reconciler, stepped by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifecycle.world import FakeWorker, ServerKilled, World
from tidegate import faultpoint
from tidegate.errors import CommandRefused, Fenced, Invalid, PositionWentBack, StoreUnavailable, Unauthorized
from tidegate.server.limits import Limits
from tidegate.server.roster import new_token
from tidegate.store import runs
from tidegate.store.opening import Store


def keep_beating(world: World, seconds: float) -> None:
    """Time passes, and the present worker speaks all the while."""
    while seconds > 0:
        world.clock.advance(min(seconds, 5.0))
        seconds -= 5.0
        world.worker().beat()
        world.step()


# --- tokens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token", ["", "tgw", "tg_abc", "tgw_1_1_" + "x" * 43, "tgw_99_1_" + "x" * 43, "tgw_1_2_" + "x" * 43]
)
def test_a_token_nobody_was_given_is_unauthorized(world: World, token: str) -> None:
    world.running()
    with pytest.raises(Unauthorized):
        world.control.authenticate(token)


def test_only_a_hash_of_the_token_is_stored(world: World) -> None:
    _, worker = world.running()
    secret = worker.process.launch.token.encode()
    assert not [path for path in world.data_dir.rglob("*") if path.is_file() and secret in path.read_bytes()]


def test_a_worker_that_was_replaced_is_told_and_changes_nothing(world: World) -> None:
    task, old = world.running()
    old.exit()
    world.clock.advance(61)
    world.step(2)
    world.worker().open()
    before, events = world.control.detail(task), world.events(task)
    for say in (old.register, old.beat, old.snapshot, lambda: old.say("gave_up"), lambda: old.say("drained")):
        with pytest.raises(Fenced):
            say()
    world.step()
    assert world.control.detail(task) == before
    assert world.events(task) == events


def test_a_session_that_began_before_the_epoch_ended_changes_nothing(world: World) -> None:
    task, worker = world.running()
    session = worker.control.authenticate(worker.process.launch.token)
    world.command(task, "force-pause")
    with pytest.raises(Fenced):
        world.control.store_snapshot(session, kind="periodic", position="9", state={})
    with pytest.raises(Fenced):
        world.control.event(session, "gave_up")
    assert world.state(task) == "force_pausing"


def test_one_epoch_has_one_process(world: World) -> None:
    _, worker = world.running()
    session = worker.control.authenticate(worker.process.launch.token)
    with pytest.raises(Fenced):
        world.control.register(session, pid=4711, started="later")


# --- death and replacement ------------------------------------------------------------------------------------


def test_a_worker_that_died_is_replaced_and_the_status_stays_running(world: World) -> None:
    task, worker = world.running()
    keep_beating(world, 70)
    worker.exit()
    world.step()
    view = world.view(task)
    assert (view.status, view.health, view.restarts, view.epoch) == ("Running", "recovering", 1, 2)
    assert view.error is not None
    assert view.error["code"] == "worker.lost"
    world.worker().open()
    view = world.view(task)
    assert (view.health, view.error) == ("steady", None)
    assert world.events(task)[-3:] == ["worker_lost", "worker_started", "recovered"]


def test_heartbeats_before_it_has_opened_do_not_make_a_new_worker_steady(world: World) -> None:
    task, worker = world.running()
    keep_beating(world, 70)
    worker.exit()
    world.step()
    world.worker().beat()
    world.step()
    assert world.view(task).health == "recovering"


def test_a_worker_that_the_store_kept_from_being_started_is_started_at_once(world: World) -> None:
    """The epoch was stored, then the store went away: that nobody of it will ever speak is known here."""
    task = world.add_task(restarts={"max": 0})
    world.command(task, "run")

    def strike(point: str) -> None:
        if point == "worker.launching":
            raise StoreUnavailable("the metadata store failed")

    faultpoint.arm(strike)
    try:
        with pytest.raises(StoreUnavailable):
            world.step()
    finally:
        faultpoint.arm(None)
    assert not world.engine.processes
    world.step()
    assert [process.launch.epoch for process in world.engine.living()] == [2]
    world.worker().open()
    assert world.state(task) == "running", "no restart was spent"


def test_a_worker_that_speaks_while_the_store_is_away_is_heard(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    task, worker = world.running()
    keep_beating(world, 70)

    def away(*given: object) -> None:
        raise StoreUnavailable("the metadata store failed")

    world.clock.advance(9)
    with monkeypatch.context() as broken:
        broken.setattr(runs, "standings", away)
        with pytest.raises(StoreUnavailable):
            worker.beat()
    world.clock.advance(9)
    world.step()
    assert (worker.process.alive, world.view(task).epoch) == (True, 1)


def test_a_silent_worker_is_killed_and_replaced_when_its_lease_is_over(world: World) -> None:
    _, worker = world.running()
    keep_beating(world, 70)
    world.clock.advance(9.9)
    world.step()
    assert worker.process.alive
    world.clock.advance(0.2)
    world.step()
    assert not worker.process.alive
    assert [process.launch.epoch for process in world.engine.living()] == [2]


def test_a_jump_of_the_clock_ends_no_lease_and_no_step(world: World) -> None:
    task, worker = world.running()
    world.command(task, "pause")
    world.step()
    world.clock.jump(86_400)
    world.step()
    assert worker.process.alive
    assert world.state(task) == "pausing"
    world.clock.jump(-2 * 86_400)
    world.step()
    assert world.state(task) == "pausing"


def test_quick_deaths_are_answered_more_and_more_slowly(world: World) -> None:
    world.running(restarts={"max": -1})
    waits = []
    for _ in range(7):
        count = len(world.engine.processes)
        world.worker().exit()
        world.step()
        waited = 0.0
        while len(world.engine.processes) == count:
            world.clock.advance(0.5)
            waited += 0.5
            world.step()
        waits.append(waited)
        world.worker().open()
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_a_death_after_a_steady_time_is_answered_at_once(world: World) -> None:
    world.running()
    world.worker().exit()
    world.step()
    world.clock.advance(1)
    world.step()
    world.worker().open()
    keep_beating(world, 65)
    world.worker().exit()
    world.step()
    assert len(world.engine.processes) == 3


@pytest.mark.parametrize(("most", "deaths"), [(0, 1), (2, 3)])
def test_restarts_beyond_the_most_allowed_are_a_failure(world: World, most: int, deaths: int) -> None:
    task, _ = world.running(restarts={"max": most})
    for _ in range(deaths):
        world.worker().exit()
        world.step()
        world.clock.advance(31)
        world.step()
        if world.state(task) == "running":
            world.worker().open()
    view = world.view(task)
    assert view.error is not None
    assert (view.state, view.restarts, view.error["code"]) == ("failure", most, "worker.restarts_spent")
    assert world.engine.living() == []


def test_continue_gives_all_restarts_anew(world: World) -> None:
    task, worker = world.running(restarts={"max": 1})
    worker.say("restarted")
    worker.say("restarted")
    assert world.state(task) == "failure"
    world.command(task, "continue")
    world.step(2)
    world.worker().open()
    world.worker().say("restarted")
    assert (world.state(task), world.view(task).restarts) == ("running", 2)


def test_a_restart_inside_the_worker_counts(world: World) -> None:
    task, worker = world.running(restarts={"max": 1})
    worker.say("restarted", {"code": "source.unreachable", "detail": "away"})
    assert (world.view(task).restarts, world.state(task)) == (1, "running")
    worker.say("restarted", {"code": "source.unreachable", "detail": "away"})
    error = world.view(task).error
    assert error is not None
    assert error["code"] == "worker.restarts_spent"
    assert "away" in error["detail"]


def test_a_worker_that_dies_while_pausing_is_replaced_and_the_pause_goes_on(world: World) -> None:
    task, worker = world.running()
    keep_beating(world, 70)
    world.command(task, "pause")
    worker.exit()
    world.step()
    assert world.state(task) == "pausing"
    world.worker().open()
    assert world.worker().beat().intent == "pause"
    world.worker().drain()
    world.step()
    assert world.state(task) == "paused"


def test_a_worker_that_gives_up_while_pausing_leaves_both_moves_behind(world: World) -> None:
    task, worker = world.running()
    world.command(task, "pause")
    worker.say("gave_up", {"code": "source.log_broken", "detail": "broken"})
    assert world.state(task) == "failure"
    assert world.events(task)[-2:] == ["pause_failed", "gave_up"]


def test_a_worker_that_misses_a_thing_leads_to_detection_exception(world: World) -> None:
    task, worker = world.running()
    worker.say("gave_up", {"code": "detection.object_missing", "detail": "table public.orders is gone"})
    assert world.view(task).status == "Detection Exception"


def test_a_machine_that_starts_no_process_fails_the_run_when_restarts_are_spent(world: World) -> None:
    world.engine.refuses = True
    task = world.add_task(restarts={"max": 2})
    world.command(task, "run")
    for _ in range(5):
        world.step()
        world.clock.advance(31)
    assert world.state(task) == "failure"
    error = world.view(task).error
    assert error is not None
    assert "no processes left" in error["detail"]


def test_a_worker_that_never_speaks_is_replaced(world: World) -> None:
    task = world.add_task()
    world.command(task, "run")
    world.step()
    world.clock.advance(61)
    world.step(2)
    world.clock.advance(2)
    world.step()
    assert [process.launch.epoch for process in world.engine.living()] == [2]
    assert world.state(task) == "starting"


def test_a_worker_that_said_its_last_has_a_moment_to_end_by_itself(world: World) -> None:
    task, worker = world.running()
    worker.say("gave_up", {"code": "source.log_broken", "detail": "broken"})
    world.step()
    assert worker.process.alive
    world.clock.advance(6)
    world.step()
    assert not worker.process.alive
    assert world.state(task) == "failure"


def test_a_run_that_reached_its_end_is_stopped_and_cleaned(world: World) -> None:
    task, worker = world.running()
    worker.say("end_reached")
    assert world.state(task) == "stopped"
    world.step(3)
    assert world.data_plane.made == set()
    assert world.control.runs(task)[0].cleanup == "done"


# --- the server dies ------------------------------------------------------------------------------------------


def test_a_started_server_adopts_live_workers_and_gives_them_a_whole_lease(world: World) -> None:
    task, worker = world.running()
    world.clock.advance(300)  # the server was away
    world.restart_server()
    world.step()
    assert worker.process.alive
    world.clock.advance(9)
    world.step()
    worker.beat()
    world.clock.advance(9)
    world.step()
    view = world.view(task)
    assert (view.state, view.restarts, view.epoch) == ("running", 0, 1)


def test_a_worker_that_died_while_the_server_was_away_is_replaced_at_once(world: World) -> None:
    world.running()
    keep_beating(world, 70)
    world.worker().exit()
    world.restart_server()
    world.step()
    assert [process.launch.epoch for process in world.engine.living()] == [2]


def test_a_server_killed_between_starting_a_worker_and_noting_it_adopts_that_worker(world: World) -> None:
    task = world.add_task()
    world.command(task, "run")
    world.engine.dies_before_told = True
    with pytest.raises(ServerKilled):
        world.step()
    world.engine.dies_before_told = False
    world.restart_server()
    world.step()
    world.worker().open()
    world.step()
    assert world.state(task) == "running"
    assert len(world.engine.processes) == 1
    world.worker().exit()  # its process id is known by now, so its death is seen
    world.step()
    assert world.view(task).restarts == 1


def test_a_server_killed_before_it_started_a_worker_starts_another_after_a_lease(world: World) -> None:
    task = world.add_task()
    world.command(task, "run")
    world.engine.dies_before_told = True
    with pytest.raises(ServerKilled):
        world.step()
    world.engine.dies_before_told = False
    world.worker().exit()  # nothing is different for a server if it never lived
    world.restart_server()
    world.step()
    assert world.view(task).epoch == 1
    world.clock.advance(world.limits.lease_s + 1)
    world.step()
    world.clock.advance(world.limits.backoff_first_s)
    world.step()
    assert world.view(task).epoch == 2


@pytest.mark.parametrize("command", ["force-pause", "stop", "pause"])
def test_a_command_under_way_is_finished_by_the_next_server(world: World, command: str) -> None:
    task, worker = world.running()
    world.command(task, command)
    world.restart_server()
    world.step()
    if command == "pause":
        worker.drain()
    world.restart_server()
    world.step(3)
    assert world.state(task) == ("stopped" if command == "stop" else "paused")


def test_a_killed_server_cleans_again_what_it_had_begun_to_clean(world: World) -> None:
    task, _ = world.running()
    world.jobs.at_once = False
    world.command(task, "stop")
    world.step(2)
    world.jobs.do_all()  # removed, but not noted
    world.restart_server()
    world.step(3)
    assert (world.state(task), world.control.runs(task)[0].cleanup) == ("stopped", "done")


def test_a_store_that_is_away_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    task, worker = world.running()
    worker.beat("000000000077")
    with monkeypatch.context() as broken:
        broken.setattr(world.store.database, "read", _away)
        with pytest.raises(StoreUnavailable):
            worker.beat()
        with pytest.raises(StoreUnavailable):
            world.step()
    world.step()
    assert world.view(task).position == "000000000077"


def _away() -> None:
    raise StoreUnavailable("the metadata store failed: OperationalError")


def test_what_somebody_did_while_the_reconciler_was_looking_holds(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's death is seen, and before anything is made of it the task is paused by force."""
    task, worker = world.running()
    worker.exit()

    def look(seen: object) -> bool:
        if world.state(task) == "running":
            world.command(task, "force-pause")
        return False

    monkeypatch.setattr(world.engine, "alive", look)
    world.reconciler.tend(task)
    world.step()
    view = world.view(task)
    assert (view.state, view.restarts) == ("paused", 0)


def test_no_worker_is_started_for_a_task_that_was_paused_just_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, worker = world.running()
    keep_beating(world, 70)
    worker.exit()

    def give_token(run: int, epoch: int) -> tuple[str, str]:
        world.command(task, "force-pause")
        return new_token(run, epoch)

    monkeypatch.setattr("tidegate.server.keeper.new_token", give_token)
    world.step(2)
    assert world.state(task) == "paused"
    assert len(world.engine.processes) == 1


# --- what workers say -----------------------------------------------------------------------------------------


def test_the_same_word_said_twice_counts_once(world: World) -> None:
    task, worker = world.running()
    worker.say("opened")
    world.command(task, "pause")
    worker.say("pause_failed")
    worker.say("pause_failed")
    assert world.events(task).count("opened") == 1
    assert "recovered" not in world.events(task)
    assert world.events(task).count("pause_failed") == 1


def test_a_snapshot_sent_twice_is_stored_once(world: World) -> None:
    task, worker = world.running(snapshot=False)
    first = worker.snapshot(position="000000000005")
    assert worker.snapshot(position="000000000005") == first
    assert len(world.control.snapshots(task)) == 1


def test_a_position_never_goes_back(world: World) -> None:
    task, worker = world.running()
    worker.snapshot(position="000000000900")
    with pytest.raises(PositionWentBack):
        worker.snapshot(position="000000000800")
    newest = world.control.detail(task).snapshot
    assert newest is not None
    assert newest.position == "000000000900"


@pytest.mark.parametrize("name", ["cut", "halted", "removed", "object_missing", "found_kept", "Opened", "", "x" * 51])
def test_a_worker_cannot_say_what_is_not_its_to_say(world: World, name: str) -> None:
    task, worker = world.running()
    with pytest.raises(Invalid):
        worker.say(name)
    assert world.state(task) == "running"


def test_a_word_out_of_place_is_refused_and_changes_nothing(world: World) -> None:
    task, worker = world.running()
    worker.snapshot("pause")
    before = world.control.detail(task)
    with pytest.raises(CommandRefused, match="Running"):
        worker.say("drained")
    assert world.control.detail(task) == before


def test_other_words_become_key_events(world: World) -> None:
    task, worker = world.running()
    worker.say("schema_change", table="public.orders", column="note")
    newest = world.control.events(task)[0]
    assert (newest.name, newest.facts, newest.run) == ("schema_change", {"table": "public.orders", "column": "note"}, 1)


def test_what_is_said_is_bounded(world: World) -> None:
    _, worker = world.running()
    with pytest.raises(Invalid):
        worker.say("schema_change", text="x" * 20_000)


def test_a_server_on_the_same_source_has_other_run_keys(world: World, tmp_path: Path, store: Store) -> None:
    world.running()
    other = World(tmp_path, store=store)
    other.add_data_sources()
    other.running()
    assert FakeWorker(world, world.worker().process).process.launch.run_key != other.worker().process.launch.run_key


def test_backoff_never_exceeds_its_maximum() -> None:
    limits = Limits()
    assert limits.restart_after_s(0) == 0
    assert limits.restart_after_s(10_000) == limits.backoff_max_s
    assert limits.cleanup_after_s(10_000) == limits.cleanup_max_s
