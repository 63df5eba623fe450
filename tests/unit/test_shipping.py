"""How a worker's lines come to its server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tidegate.errors import Fenced, Invalid, ServerUnreachable, TidegateError
from tidegate.testing.servers import until
from tidegate.worker import shipping
from tidegate.worker.shipping import Shipper


class Server:
    """One that stores lines, or fails as it is told to."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.fails_with: TidegateError | None = None
        self.free = threading.Event()
        self.free.set()
        self.posts = 0

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        assert path == "log"
        self.posts += 1
        assert self.free.wait(30)
        if self.fails_with is not None:
            raise self.fails_with
        self.lines += body["lines"]
        return {}

    @property
    def said(self) -> list[str]:
        return [line["message"] for line in self.lines]


def entry(event: str, **fields: Any) -> dict[str, Any]:
    return {"event": event, "level": "info", "timestamp": round(time.time(), 3), "logger": "test", **fields}


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def shipper(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shipper]:
    monkeypatch.setattr(shipping, "AGAIN_S", 0.02)
    made = Shipper(server, every_s=0.02)  # type: ignore[arg-type]  # all of a link it uses
    yield made
    server.free.set()
    made.close(20)


def test_lines_arrive_in_order_while_the_process_runs(server: Server, shipper: Shipper) -> None:
    for at in range(500):
        shipper.take(entry(f"line {at}", detail="x"))
    until(lambda: len(server.lines) == 500, "all lines to arrive", 30)
    assert server.said == [f"line {at}" for at in range(500)]
    assert [line["seq"] for line in server.lines] == list(range(1, 501))
    assert server.lines[0]["fields"] == {"detail": "x"}


def test_who_logs_never_waits_for_the_server(server: Server, shipper: Shipper) -> None:
    server.free.clear()
    shipper.take(entry("first"))
    until(lambda: server.posts == 1, "the first to be on its way", 30)
    for _ in range(10 * shipping.WAITING_MAX):
        shipper.take(entry("more"))  # would hang
    assert len(shipper._waiting) <= shipping.WAITING_MAX + 1


def test_lines_wait_for_a_server_that_is_away(server: Server, shipper: Shipper) -> None:
    server.fails_with = ServerUnreachable("away")
    shipper.take(entry("said meanwhile"))
    until(lambda: server.posts >= 3, "it to be tried again", 30)
    server.fails_with = None
    until(lambda: server.said == ["said meanwhile"], "the line to arrive once", 30)


def test_of_too_many_the_newest_are_kept_and_a_line_says_how_many_were_lost(server: Server, shipper: Shipper) -> None:
    server.fails_with = ServerUnreachable("away")
    for at in range(shipping.WAITING_MAX + 50):
        shipper.take(entry(f"line {at}"))
    server.fails_with = None
    shipper.take(entry("last"))
    until(lambda: "last" in server.said and "log.lost" in server.said, "what is left to arrive", 30)
    lost = sum(line["fields"]["lines"] for line in server.lines if line["message"] == "log.lost")
    kept = [line for line in server.said if line != "log.lost"]
    assert len(kept) + lost == shipping.WAITING_MAX + 51
    assert kept[-2:] == [f"line {shipping.WAITING_MAX + 49}", "last"]


def test_what_the_server_refuses_is_not_sent_for_ever(server: Server, shipper: Shipper) -> None:
    server.fails_with = Invalid("no")
    shipper.take(entry("refused"))
    until(lambda: server.posts >= 1 and not shipper._waiting, "it to be given up", 30)
    server.fails_with = None
    shipper.take(entry("next"))
    until(lambda: "next" in server.said, "the next to arrive", 30)
    assert "refused" not in server.said


def test_a_worker_that_is_fenced_off_says_nothing_more(server: Server, shipper: Shipper) -> None:
    server.fails_with = Fenced("over")
    shipper.take(entry("too late"))
    until(lambda: not shipper._thread.is_alive(), "shipping to end", 30)
    shipper.take(entry("later"))
    assert not shipper._waiting


def test_the_last_lines_are_told_before_the_process_ends(server: Server) -> None:
    shipper = Shipper(server, every_s=60)  # type: ignore[arg-type]
    shipper.take(entry("first"))
    until(lambda: server.said == ["first"], "the first", 30)
    shipper.take(entry("last"))
    shipper.close(20)
    assert server.said == ["first", "last"]
