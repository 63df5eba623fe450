"""Which pause a worker answers."""

from __future__ import annotations

from typing import Any

from tidegate.testing.servers import free_port
from tidegate.worker.agent import Agent
from tidegate.worker.shipping import Shipper

DEFINITION = {
    "task": "copy",
    "kind": "whole_database",
    "source": {"data_source": "src", "tables": ["public.a"]},
    "target": {"data_source": "dst", "write": "upsert"},
}


class Line:
    """A server whose operator asks for a second pause as soon as the first has failed, before the next heartbeat."""

    def __init__(self) -> None:
        config = {"host": "127.0.0.1", "port": free_port(), "database": "a", "user": "a"}
        nowhere = {"kind": "postgres", "config": config}
        self.given = {
            "run": {"key": "k_t1r1", "number": 1, "epoch": 1},
            "state": "running",
            "task": {"id": 1, "name": "copy", "version": 1, "definition": DEFINITION},
            "source": nowhere,
            "target": nowhere,
            "snapshot": None,
            "start": None,
            "heartbeat_s": 0.02,
        }
        self.failed: list[float] = []

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "register":
            return self.given
        if path == "event" and body["name"] == "pause_failed":
            self.failed.append(body["facts"]["pause"])
        asked = 1.0 + len(self.failed)
        return {"intent": "pause", "pause": asked} if asked < 3 else {"intent": "drain"}

    def close(self) -> None:
        pass


def test_a_second_pause_that_no_heartbeat_came_before_is_answered_too() -> None:
    line = Line()
    assert Agent(line, Shipper(line)).run() == 0  # type: ignore[arg-type]
    assert line.failed == [1.0, 2.0]
