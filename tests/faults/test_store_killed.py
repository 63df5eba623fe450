"""The server is killed wherever a step of its own could be half done: the next start goes on from the store."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults.lanes import long
from faults.whole import HarmedSite, Whole, eventually, whole
from tidegate.faultpoint import VARIABLE
from tidegate.model.lifecycle import MOVES
from tidegate.testing.faults import Faults
from tidegate.testing.servers import PostgresServer, free_port

pytestmark = long

LEGAL = {(str(source), move.name, str(move.target)) for move in MOVES for source in move.sources}
STORES = ["sqlite", "postgresql"]
SEED = random.SystemRandom().randrange(2**32)


def store_settings(kind: str, server: PostgresServer, database: Callable[..., str]) -> dict[str, str]:
    if kind == "sqlite":
        return {}
    return {"TIDEGATE_STORE_URL": f"postgresql://postgres@{server.host}:{server.port}/{database(server)}"}


def begun(site: HarmedSite) -> subprocess.Popen[bytes]:
    """A server that nobody waits for."""
    with open(site.folder / "server.out", "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "tidegate", "server", "--port", str(free_port())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=site.environment,
        )


def works(site: HarmedSite) -> None:
    """It has what a first start makes, once, and takes work."""
    site.start()
    assert [project["name"] for project in site.ask("GET", "/projects")] == ["default"]
    assert [group["name"] for group in site.ask("GET", "/resource-groups")] == ["default"]
    site.ask("POST", "/data-sources", {"name": "lake", "kind": "duckdb", "config": {"path": str(site.folder / "l.db")}})


@pytest.mark.slow
@pytest.mark.parametrize("kind", STORES)
def test_a_first_start_that_is_killed_at_each_of_its_commits_is_finished_by_the_next(
    kind: str, tmp_path: Path, postgres: PostgresServer, database: Callable[..., str]
) -> None:
    faults = Faults(tmp_path / "faults")
    site = HarmedSite(tmp_path / "site", {VARIABLE: str(faults.folder), **store_settings(kind, postgres, database)})
    killed = 0
    # Tables, what is there from the first start, the token: each start comes one commit further.
    points = ("store.committing", "store.committed") if kind == "sqlite" else ("store.committing",)
    for after in range(3):
        for point in points:
            faults.order(point, after=after)
            process = begun(site)
            eventually(
                lambda process=process: process.poll() is not None or b"listens" in _said(site),  # type: ignore[misc]
                "it is killed or has started",
            )
            killed += process.poll() == -9
            process.kill()
            process.wait(10)
            faults.forget(point)
    assert killed >= 2 * len(points), "hardly any start was killed on its way"
    try:
        works(site)
    finally:
        site.close()


def _said(site: HarmedSite) -> bytes:
    return (site.folder / "server.out").read_bytes()


@pytest.mark.slow
def test_a_first_start_that_is_killed_at_any_moment_is_finished_by_the_next(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    for number in range(3):
        site = HarmedSite(tmp_path / f"site{number}")
        process, file = begun(site), site.folder / "tidegate.db"
        eventually(file.exists, "the store's file is made")
        time.sleep(chance.uniform(0, 0.15))
        process.kill()
        process.wait(10)
        if number % 2 == 0:
            continue  # a start that is killed is much like another
        try:
            works(site)
        finally:
            site.close()


# What to do so that the server comes by.
PLACES = {
    "move.deciding": "pause",
    "move.recorded": "pause",
    "store.committing": "pause",
    "store.committed": "force-pause",
    "worker.launching": "continue",
    "worker.launched": "continue",
    "leftover.removing": "stop",
    "leftover.removed": "stop",
}
MEANT = {"pause": "Paused", "force-pause": "Paused", "continue": "Running", "stop": "Stopped"}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", STORES)
def test_a_server_killed_inside_a_step_loses_no_move_and_invents_none(
    kind: str, tmp_path: Path, postgres: PostgresServer, database: Callable[..., str]
) -> None:
    faults = Faults(tmp_path / "faults")
    more = {VARIABLE: str(faults.folder), **store_settings(kind, postgres, database)}
    with whole(tmp_path / "site", postgres, database, environment=more) as held:
        held.shop.start()
        held.task("app", "ledger", write="append")
        # Each kind of store has its half of the places; which, does not matter.
        for point, command in list(PLACES.items())[STORES.index(kind) :: 2]:
            _be_ready_for(held, command)
            before, version = held.site.events("app"), held.site.task("app")["task"]["version"]
            _killed_at(held, faults, point, command)
            held.site.start()
            settled(held, command, version)
            events = held.site.events("app")
            assert events[: len(before)] == before, "what had happened was changed"
            told = chain(events)
            assert told[-1] == held.site.task("app")["task"]["state"]
            assert sum(event["name"] == command for event in events[len(before) :]) == 1


def _be_ready_for(held: Whole, command: str) -> None:
    status = held.site.status("app")
    if status == "Stopped":
        held.site.command("app", "run")
    elif status == "Paused" and command != "continue":
        held.site.command("app", "continue")
    if command == "continue" and status != "Paused":
        held.site.becomes("app", "Running")
        held.site.command("app", "pause")
    held.site.becomes("app", "Paused" if command == "continue" else "Running")
    if command != "continue":
        held.worker("app")


def _killed_at(held: Whole, faults: Faults, point: str, command: str) -> None:
    assert held.site.process is not None
    assert held.site.client is not None
    faults.order(point)
    try:
        held.site.client.post(f"/tasks/app/commands/{command}")
    except Exception as error:  # noqa: BLE001  the server dies in the middle of its answer, whatever that looks like
        print(f"{point}: {type(error).__name__}")
    eventually(lambda: held.site.process.poll() is not None, f"the server is killed at {point}")  # type: ignore[union-attr]
    held.site.process.wait(10)
    faults.forget(point)


def settled(held: Whole, command: str, version: int) -> None:
    """Wait until what was asked for is so; if the command was lost before it counted, it is given again."""
    now = held.site.task("app")["task"]
    if now["version"] == version:
        held.site.command("app", command)
    held.site.becomes("app", MEANT[command])
    if MEANT[command] == "Running":
        held.worker("app")
    else:
        eventually(lambda: not held.site.workers(), "no worker is left")
    if command == "stop":
        eventually(lambda: held.slots() == [], "nothing is left at the source")


def chain(events: list[dict[str, Any]]) -> list[str]:
    """The states a task went through, each by a legal move from the one before."""
    states = ["draft"]
    for event in events:
        if event["state_to"] is not None:
            assert event["state_from"] == states[-1], "a move is missing"
            assert (event["state_from"], event["name"], event["state_to"]) in LEGAL
            states.append(event["state_to"])
    return states
