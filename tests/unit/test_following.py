"""When changes are decided one by one, and when batches come."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.connect.capability import BatchShape, WriteMode
from tidegate.connect.source import Gathering
from tidegate.decode.gatherer import Mode
from tidegate.engine.following import Following
from tidegate.model.schema import TableName

NAMES = [TableName("public", "a"), TableName("public", "b")]


class Log:
    """Does what it is asked for once it is `settled`."""

    def __init__(self) -> None:
        self.asked: list[Gathering | None] = []
        self.settled = True

    def gather(self, wanted: Gathering | None) -> bool:
        self.asked.append(wanted)
        return self.settled


@pytest.fixture
def stage() -> Any:
    """A run with two tables in step, as `Following` sees it."""
    modes = {NAMES[0]: WriteMode.UPSERT, NAMES[1]: WriteMode.APPEND}
    copies = {name: SimpleNamespace(schema=name) for name in NAMES}
    running = SimpleNamespace(
        handoff=SimpleNamespace(tables=copies),
        shapes=SimpleNamespace(place=lambda name: SimpleNamespace(mode=modes[name])),
        target=SimpleNamespace(batch=BatchShape(rows=7, interval_s=0.1)),
        inspector=SimpleNamespace(seeking=False),
    )
    found = SimpleNamespace(running=running, full=SimpleNamespace(wanted=False), log=Log())
    found.following = Following(running, found.full, found.log)  # type: ignore[arg-type]
    return found


def test_batches_are_made_of_all_tables_each_in_its_mode(stage: Any) -> None:
    for _ in range(2):
        stage.following.turn()
    assert stage.log.asked[0] == Gathering({NAMES[0]: Mode.NET, NAMES[1]: Mode.LOG}, 7)
    assert stage.log.asked[0] is stage.log.asked[1], "an equal wish would begin anew"
    assert not stage.following.single


@pytest.mark.parametrize("who", ["full", "inspector"])
def test_who_must_decide_every_change_waits_until_no_batch_is_on_its_way(stage: Any, who: str) -> None:
    stage.following.turn()
    if who == "full":
        stage.full.wanted = True
    else:
        stage.running.inspector.seeking = True
    stage.log.settled = False
    stage.following.turn()
    assert stage.log.asked[-1] is None
    assert not stage.following.single
    stage.log.settled = True
    stage.following.turn()
    assert stage.following.single
