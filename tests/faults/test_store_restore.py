"""The metadata store is put back to how it was yesterday, while sources and targets went on."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.lanes import long
from faults.whole import Whole, ended, eventually, whole
from tidegate.testing.servers import PostgresServer

pytestmark = long


class Yesterday:
    """The store as it was when this was made."""

    def __init__(self, held: Whole) -> None:
        self.held = held
        self.store = held.site.folder / "tidegate.db"
        self.kept = sqlite3.connect(":memory:", check_same_thread=False)
        with contextlib.closing(sqlite3.connect(self.store)) as now:
            now.backup(self.kept)

    def returns(self) -> None:
        """The server dies, its store is replaced, and it starts again."""
        self.held.site.kill()
        for path in self.store.parent.glob("tidegate.db*"):
            path.unlink()
        with contextlib.closing(sqlite3.connect(self.store)) as again:
            self.kept.backup(again)
        self.kept.close()
        self.held.site.start()


@pytest.fixture
def held(tmp_path: Path, postgres: PostgresServer, database: Callable[..., str]) -> Iterator[Whole]:
    with whole(tmp_path / "site", postgres, database) as made:
        made.shop.start()
        yield made


def replace_worker(held: Whole, task: str) -> None:
    epoch = held.site.epoch(task)
    os.kill(held.worker(task), signal.SIGKILL)
    eventually(lambda: held.site.epoch(task) > epoch, f"{task} has another worker")
    held.worker(task)


def fails(held: Whole, task: str, code: str) -> str:
    """Wait for its failure; the advice."""
    eventually(lambda: held.site.status(task) == "Failure", f"{task} fails")
    error = held.site.task(task)["task"]["error"]
    assert error["code"] == code, error
    return str(error["advice"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("to", "alive"), [("dst", True), ("lake", False)], ids=["its worker lives", "its worker is gone"]
)
def test_a_store_older_than_the_target_is_refused_and_a_person_decides(held: Whole, to: str, alive: bool) -> None:
    held.task("app", "ledger", to=to, write="append")
    held.worker("app")
    yesterday = Yesterday(held)
    replace_worker(held, "app")
    replace_worker(held, "app")
    worker = held.worker("app")
    if not alive:
        os.kill(worker, signal.SIGKILL)
    yesterday.returns()
    advice = fails(held, "app", "target.epoch_ahead")
    assert "restored" in advice
    assert ended(worker)
    held.site.command("app", "continue")
    held.worker("app")
    held.shop.stop()
    if to == "dst":
        held.is_whole("app")
    else:
        caught_up(held)


def caught_up(held: Whole) -> None:
    """The DuckDB file has everything once; a worker that pauses has written all it was given."""
    wanted = (held.shop.committed,) * 3

    def is_so() -> bool:
        held.site.becomes("app", "Running")
        held.site.command("app", "pause")
        held.site.becomes("app", "Paused")
        eventually(held.lake_is_free, "the file is let go")
        if held.lake_numbers("app") == wanted:
            return True
        held.site.command("app", "continue")
        return False

    eventually(is_so, "everything is there once")


@pytest.mark.slow
def test_a_run_that_was_stopped_since_yesterday_does_not_go_on(held: Whole) -> None:
    held.task("app", "ledger", write="append")
    held.worker("app")
    yesterday = Yesterday(held)
    held.site.command("app", "stop")
    held.site.becomes("app", "Stopped")
    before = held.numbers("app")
    yesterday.returns()
    fails(held, "app", "target.position_mismatch")
    assert held.numbers("app") == before, "rows came again"
