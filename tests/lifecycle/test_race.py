"""Many clients fire all commands at one task at once: exactly one wins per version."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter

import pytest

from lifecycle.world import World
from tidegate.errors import CommandRefused, NoSnapshot, StaleVersion, TidegateError
from tidegate.model.lifecycle import COMMANDS

SEED = int(os.environ.get("TIDEGATE_TEST_SEED") or random.SystemRandom().randrange(2**32))
CLIENTS = 16


def race(world: World, rounds: int) -> Counter[str]:
    """How often each outcome came."""
    print(f"TIDEGATE_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    task, outcomes = world.add_task(), Counter[str]()
    ready, done = threading.Barrier(CLIENTS + 1), threading.Barrier(CLIENTS + 1)
    orders: list[tuple[str, int]] = [("", 0)] * CLIENTS
    won: list[str] = []
    ending = threading.Event()

    def client(number: int) -> None:
        while True:
            ready.wait(60)
            if ending.is_set():
                return
            command, version = orders[number]
            try:
                world.command(task, command, version=version)
                won.append(command)
            except (StaleVersion, CommandRefused, NoSnapshot) as error:
                outcomes[type(error).__name__] += 1
            except TidegateError as error:
                outcomes[f"unexpected {error!r}"] += 1
            finally:
                done.wait(60)

    threads = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for turn in range(rounds):
        seen = world.view(task)
        # The command that is done fastest would win nearly every round and end the task, so in most rounds the
        # one that won least comes alone, among those that are not offered.
        rarest = min(seen.commands, key=lambda command: (outcomes[command], chance.random()))
        others = [command for command in COMMANDS if command not in seen.commands]
        fired = [*COMMANDS, *seen.commands] if turn % 4 == 0 else [*others, rarest, rarest]
        for number in range(CLIENTS):
            orders[number] = (chance.choice(fired), seen.version)
        orders[0] = (rarest, seen.version)
        won.clear()
        ready.wait(60)
        done.wait(60)
        moved = [event for event in world.control.events(task, limit=50) if event.name in COMMANDS]
        assert len(won) == 1, f"{won} won on version {seen.version}"
        assert world.view(task).version == seen.version + 1
        assert (moved[0].name, moved[0].state_from) == (won[0], seen.state)
        outcomes[won[0]] += 1
        task = settle(world, task, chance)
    ending.set()
    ready.wait(60)
    for thread in threads:
        thread.join(60)
    return outcomes


def settle(world: World, task: int, chance: random.Random) -> int:
    """Let the step end, so that something is offered again; a removed task is followed by another."""
    for _ in range(20):
        world.clock.advance(1)
        world.step()
        try:
            state = world.state(task)
        except TidegateError:
            return world.add_task(f"shop_{chance.getrandbits(40)}")
        worker = world.worker() if world.engine.living() else None
        if worker is not None and state in ("starting", "continuing"):
            worker.open()
            worker.snapshot()
        elif worker is not None and state == "pausing":
            worker.drain()
        if world.view(task).commands:
            return task
    raise AssertionError(f"the task stays {world.state(task)}")


def test_exactly_one_of_many_clients_wins_per_version(world: World) -> None:
    outcomes = race(world, 200)
    assert not [outcome for outcome in outcomes if outcome.startswith("unexpected")]
    print(outcomes)
    assert sum(outcomes[command] for command in COMMANDS) == 200
    assert min(outcomes[command] for command in COMMANDS if command != "submit") > 0, outcomes


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_exactly_one_of_many_clients_wins_per_version_on_postgresql(any_world: World) -> None:
    outcomes = race(any_world, 30)
    assert not [outcome for outcome in outcomes if outcome.startswith("unexpected")]
    assert sum(outcomes[command] for command in COMMANDS) == 30
