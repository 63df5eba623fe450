"""Workers that are asked to end, asked again, and killed again and again while they recover."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from faults.lanes import long
from faults.whole import Whole, ended, eventually, whole
from tidegate.testing.servers import PostgresServer

pytestmark = long


@pytest.fixture
def held(tmp_path: Path, postgres: PostgresServer, database: Callable[..., str]) -> Iterator[Whole]:
    with whole(tmp_path / "site", postgres, database) as made:
        made.shop.start()
        yield made


def how_it_ended(held: Whole, epoch: int) -> str:
    """What the server says of the end of that epoch's worker."""

    def told() -> str | None:
        lost = [event for event in held.site.events("app") if event["name"] == "worker_lost"]
        return next((event["error"]["detail"] for event in lost if event["facts"]["epoch"] == epoch), None)

    return str(eventually(told, f"the end of epoch {epoch} is told"))


@pytest.mark.slow
def test_a_worker_that_is_asked_to_end_finishes_what_it_has_and_ends_well(held: Whole) -> None:
    held.task("app", "ledger", write="append")
    worker, epoch = held.worker("app"), held.site.epoch("app")
    held.progresses("app")
    os.kill(worker, signal.SIGTERM)
    assert how_it_ended(held, epoch).endswith("ended with 0")
    held.worker("app")  # it was not the server that asked, so the task runs on
    held.shop.stop()
    held.is_whole("app")


@pytest.mark.slow
def test_a_worker_that_is_asked_twice_ends_at_once(held: Whole) -> None:
    held.task("app", "ledger", write="append")
    worker, epoch = held.worker("app"), held.site.epoch("app")
    with psycopg.connect(held.target.info.dsn) as holding:
        holding.execute("lock table app.ledger in exclusive mode")  # what it has cannot be finished
        waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and application_name like 'tidegate %'"
        eventually(lambda: held.target.execute(waiting).fetchone(), "the worker waits for its target")

        def asked_again() -> bool:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGTERM)  # two at the same moment are one
            return ended(worker)

        eventually(asked_again, "it ends", 20)  # sooner than its own wait for the lock would
        assert how_it_ended(held, epoch).endswith("ended with 143")
    held.worker("app")
    held.shop.stop()
    held.is_whole("app")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_worker_killed_twenty_times_while_it_recovers_leaves_no_more_than_one_does(held: Whole) -> None:
    held.task("app", "ledger", write="append", restarts={"max": 1})
    held.worker("app")
    before = leftovers(held)
    kills = 0
    while kills < 20:
        epoch = held.site.epoch("app")
        os.kill(newest_worker(held), signal.SIGKILL)
        kills += 1
        eventually(
            lambda epoch=epoch: held.site.status("app") == "Failure" or held.site.epoch("app") > epoch,  # type: ignore[misc]
            "another worker, or the end of it",
        )
        if held.site.status("app") == "Failure":
            error = held.site.task("app")["task"]["error"]
            assert error["code"] == "worker.restarts_spent"
            assert error["advice"]
            held.site.command("app", "continue")
    eventually(lambda: held.site.status("app") in ("Running", "Failure"), "it comes to rest")
    if held.site.status("app") == "Failure":
        held.site.command("app", "continue")
    held.worker("app")
    held.shop.stop()
    held.is_whole("app")
    assert leftovers(held) == before
    logs = list((held.site.folder / "logs").glob("*_t*.log"))
    assert len(logs) <= 20


def newest_worker(held: Whole) -> int:
    """A worker that has begun, wherever it is in its recovery."""

    def begun() -> int | None:
        present = held.site.workers()
        return max(present) if present else None

    return int(eventually(begun, "there is a worker"))


def leftovers(held: Whole) -> dict[str, int]:
    """How much there is of what must not grow."""

    def count(connection: psycopg.Connection, query: str) -> int:
        row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    return {
        "slots": count(held.source, "select count(*) from pg_replication_slots where database = current_database()"),
        "publications": count(held.source, "select count(*) from pg_publication"),
        "runs": count(held.target, "select count(*) from tidegate.position"),
        "tables": count(held.target, "select count(*) from pg_class where relkind = 'r' and relname like '%tidegate%'"),
        "workers": len(held.site.workers()),
    }
