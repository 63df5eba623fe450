"""The metadata store goes away under a running server: workers go on, the API says so, and when the store is back
everything is as it was."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.lanes import long
from faults.whole import Whole, eventually, whole
from tidegate.testing.servers import PostgresServer
from tidegate.testing.site import Refused

pytestmark = long

LEASE_S = 2.0


@pytest.fixture
def store_server() -> Iterator[PostgresServer]:
    """For the store alone, so that it can fall while source and target stand."""
    with PostgresServer() as server:
        server.create_database("store")
        yield server


@pytest.fixture
def held(
    tmp_path: Path, postgres: PostgresServer, database: Callable[..., str], store_server: PostgresServer
) -> Iterator[Whole]:
    url = f"postgresql://postgres@{store_server.host}:{store_server.port}/store"
    with whole(tmp_path / "site", postgres, database, environment={"TIDEGATE_STORE_URL": url}) as made:
        made.shop.start()
        yield made


@pytest.mark.slow
def test_a_store_that_goes_away_for_many_leases_costs_no_worker_and_no_move(
    held: Whole, store_server: PostgresServer
) -> None:
    held.task("app", "ledger", write="append")
    worker, epoch, before = held.worker("app"), held.site.epoch("app"), held.site.events("app")
    store_server.stop("immediate")
    eventually(lambda: held.site.answers_with("store.unavailable"), "the server says that its store is away")
    with pytest.raises(Refused) as refused:
        held.site.command("app", "pause")
    assert refused.value.problem["status"] == 503
    held.progresses("app")
    time.sleep(4 * LEASE_S)  # it is the time that passes that must not matter
    held.progresses("app")
    store_server.start()
    assert held.worker("app") == worker, "a live worker was replaced"
    time.sleep(LEASE_S)  # … nor is it later
    assert held.worker("app") == worker, "a live worker was replaced"
    assert held.site.epoch("app") == epoch
    told = [event["name"] for event in held.site.events("app")[len(before) :]]
    assert not [name for name in told if name not in ("snapshot_failed", "snapshot_stored")], told
    held.site.command("app", "pause")
    held.site.becomes("app", "Paused")
    held.shop.stop()
    held.site.command("app", "continue")
    held.is_whole("app")


@pytest.mark.slow
def test_a_server_that_stood_still_takes_no_live_worker_for_dead(
    tmp_path: Path, postgres: PostgresServer, database: Callable[..., str]
) -> None:
    with whole(tmp_path / "site", postgres, database) as held:
        held.shop.start()
        held.task("app", "ledger", write="append")
        worker, epoch = held.worker("app"), held.site.epoch("app")
        assert held.site.process is not None
        held.site.process.send_signal(signal.SIGSTOP)
        time.sleep(3 * LEASE_S)
        held.progresses("app")
        held.site.process.send_signal(signal.SIGCONT)
        time.sleep(2 * LEASE_S)
        assert (held.worker("app"), held.site.epoch("app")) == (worker, epoch)


@pytest.mark.slow
def test_a_worker_that_dies_while_the_store_is_away_is_replaced_when_it_is_back(
    held: Whole, store_server: PostgresServer
) -> None:
    held.task("app", "ledger", write="append")
    worker, epoch = held.worker("app"), held.site.epoch("app")
    store_server.stop("fast")
    eventually(lambda: held.site.answers_with("store.unavailable"), "the server says that its store is away")
    os.kill(worker, signal.SIGKILL)
    time.sleep(1)
    store_server.start()
    eventually(lambda: held.site.answers_with("store.unavailable") is False, "the server answers again")
    assert held.worker("app") != worker
    assert held.site.epoch("app") == epoch + 1
    held.shop.stop()
    held.is_whole("app")


@pytest.mark.slow
def test_a_server_is_killed_while_the_store_is_away_and_waits_for_nothing(
    held: Whole, store_server: PostgresServer
) -> None:
    held.task("app", "ledger", write="append")
    worker = held.worker("app")
    store_server.stop("immediate")
    held.site.kill()
    came = held.site.cli("server", "--port", str(held.site.port))
    assert came.returncode != 0
    assert "store" in (came.stdout + came.stderr).lower()
    assert "Traceback" not in came.stderr
    held.progresses("app")
    store_server.start()
    held.site.start()
    assert held.worker("app") == worker, "the worker was not adopted"
