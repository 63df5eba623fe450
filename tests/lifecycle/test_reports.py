"""What a worker reports late, or once more, changes nothing that is known better."""

from __future__ import annotations

from lifecycle.world import World


def test_a_heartbeat_on_its_way_while_the_run_drained_does_not_move_the_position_back(any_world: World) -> None:
    world = any_world
    task, worker = world.running()
    world.command(task, "pause")
    worker.snapshot("pause", position="000000000900")
    worker.beat(position="000000000800")
    worker.say("drained")
    worker.exit()
    world.step(3)
    view = world.view(task)
    assert (view.state, view.position) == ("paused", "000000000900")
    assert view.counters == {"rows": 1}  # what it counted is still news


def test_a_heartbeat_moves_the_position_while_the_run_has_a_worker(world: World) -> None:
    task, worker = world.running()
    worker.beat(position="000000000800")
    world.step()
    assert world.view(task).position == "000000000800"


def test_a_phase_is_said_once_per_change_within_a_run(world: World) -> None:
    task, worker = world.running()
    worker.say("phase", phase="full")
    worker.say("phase", phase="incremental")
    world.command(task, "pause")
    worker.drain()
    world.step(2)
    world.command(task, "continue")
    world.step()
    again = world.worker()
    again.open()
    again.say("phase", phase="incremental")
    assert world.events(task).count("phase") == 2
    again.say("phase", phase="full")  # a table joined
    again.say("phase", phase="incremental")
    assert world.events(task).count("phase") == 4


def test_the_phases_of_another_run_are_said_anew(world: World) -> None:
    task, worker = world.running()
    worker.say("phase", phase="incremental")
    world.command(task, "stop")
    worker.exit()
    world.step(4)
    world.command(task, "run")
    world.step()
    again = world.worker()
    again.open()
    again.say("phase", phase="incremental")
    assert world.events(task).count("phase") == 2


def test_of_a_run_that_nobody_works_on_nobody_says_how_far_it_is_behind(any_world: World) -> None:
    world = any_world
    task, worker = world.running()
    worker.beat("000000000700")
    world.step()
    assert (world.view(task).lag_s, world.view(task).lag_bytes) == (0.5, 100)
    world.command(task, "pause")
    worker.snapshot("pause", position="000000000900")
    worker.beat(position="000000000800")
    worker.say("drained")
    worker.exit()
    world.step(3)
    assert (world.view(task).lag_s, world.view(task).lag_bytes) == (None, None)


def test_nor_of_one_whose_worker_was_lost_or_cut_off(world: World) -> None:
    task, worker = world.running()
    worker.beat()
    world.step()
    world.clock.advance(100)
    worker.exit()
    world.step()
    assert world.events(task)[-1] in ("worker_lost", "worker_started")
    assert world.view(task).lag_s is None
    world.step()
    again = world.worker()
    again.open()
    again.beat()
    world.step()
    assert world.view(task).lag_s == 0.5
    world.command(task, "force-pause")
    assert world.view(task).lag_s is None
