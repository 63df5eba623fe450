"""Leads the state machine to moves it has made least: for every legal move a way to the state it begins in, and what
brings it about there."""

from __future__ import annotations

from collections import deque
from random import Random

from lifecycle.machine import Machine
from lifecycle.oracle import COMMANDS, LEGAL
from lifecycle.world import FakeWorker, Process
from tidegate.errors import Fenced, ObjectMissing, TidegateError

Move = tuple[str, str, str]
MOVES: list[Move] = sorted(LEGAL)


def least_made(machine: Machine, chance: Random) -> Move:
    """One of the moves that were made least."""
    fewest = min(machine.seen[f"{source} {name}"] for source, name, _ in MOVES)
    return chance.choice([move for move in MOVES if machine.seen[f"{move[0]} {move[1]}"] == fewest])


def lead(machine: Machine, goal: Move) -> None:
    """One step of the way."""
    machine._mend()
    for task in machine._tasks():
        if (way := _way(machine, task, goal)) is not None:
            _bring_about(machine, task, way, goal)
            return
    machine._create(1, -1, 2)


def _way(machine: Machine, task: int, goal: Move) -> Move | None:
    """The next move of the shortest way from where the task is to where the goal begins, or the goal itself; None if
    there is no way."""
    state, has = machine._state(task), machine._has_snapshot(task)
    if goal[:2] == ("failure", "continue") and not has and state in ("starting", "running"):
        return (state, "opened" if state == "starting" else "snapshot", "running")
    if goal[1] == "found_fresh" and (_ran(machine, task) or state not in ("draft", "initialize", goal[0])):
        return None
    if (
        goal[1] == "remove_failed"
        and state in ("draft", "initialize", "stopped")
        and not _possible(machine, task, goal)
    ):
        return (state, "submit" if state == "draft" else "run", "")
    if state == goal[0] and _possible(machine, task, goal):
        return goal
    ways: deque[tuple[str, Move | None]] = deque([(state, None)])
    known = {state}
    while ways:
        here, first = ways.popleft()
        for move in MOVES:
            if move[0] != here or (here == state and not _possible(machine, task, move)):
                continue
            _, name, target = move
            if here != state and (name.startswith("found_") or here == "failure"):
                continue  # where that leads is known only once the task is there
            if target == goal[0]:
                return first or move
            if target not in known:
                known.add(target)
                ways.append((target, first or move))
    return None


def _ran(machine: Machine, task: int) -> bool:
    return bool(
        machine._rows(
            "select 1 from task t join run r on r.id = t.run_id where t.id = ? and r.ended_at is null limit 1", task
        )
    )


def _possible(machine: Machine, task: int, move: Move) -> bool:
    source, name, _ = move
    if name in ("run", "continue") and source == "failure":
        return name in machine._offered(task)
    if name == "found_fresh":
        return not _ran(machine, task)
    if name == "found_kept":
        return _ran(machine, task)
    if name == "remove_failed":
        return bool(machine._rows("select 1 from run where task_id = ? and cleanup = 'due'", task))
    return True


def _bring_about(machine: Machine, task: int, move: Move, goal: Move) -> None:
    source, name, _ = move
    if name in COMMANDS:
        if name in ("run", "continue"):
            machine._resize(machine._units_used() + 6)
        machine._command(task, name, None)
    elif name == "object_missing" and source in ("initialize", "running", "paused"):
        machine._look(gone=True)
        machine.world.data_plane.missing = []
    elif name in ("found_fresh", "found_kept"):
        machine._resize(machine._units_used() + 6)
        machine._look(gone=False)
    elif name == "halted" and goal[1] == "remove_failed":
        machine._be_silent(125.0)
        machine._be_silent(1.0)
    elif name == "remove_failed":
        machine._be_silent(305.0)
        machine._be_silent(1.0)
    elif (worker := _worker(machine, task)) is not None:
        _say(machine, worker, name)
    else:
        machine._all_goes_well()


def _worker(machine: Machine, task: int) -> Process | None:
    """The task's worker; time passes until it has one."""
    for _ in range(6):
        for process in machine._current():
            if machine._rows("select task_id from run where id = ?", process.launch.run_id)[0][0] == task:
                return process
        if machine._state(task) not in ("starting", "running", "continuing", "pausing"):
            return None
        machine._pass(9.0)
    return None


def _say(machine: Machine, process: Process, name: str) -> None:
    """What the worker says for the move to come about. It may be ended while time passes: then another will."""
    worker = FakeWorker(machine.world, process)
    try:
        if name == "object_missing":
            worker.say("open_failed", {"code": ObjectMissing.code, "detail": "table public.orders is gone"})
        elif name == "snapshot":
            worker.snapshot()
        elif name == "drained":
            worker.drain()
        elif name == "opened":
            worker.open()
        else:
            machine._say(worker, name)
    except Fenced:
        raise
    except TidegateError as error:
        machine.seen[f"not brought about: {name} {error.code}"] += 1
