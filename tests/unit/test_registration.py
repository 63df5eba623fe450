"""Who a worker says it is."""

from __future__ import annotations

import os
from typing import Any

from tidegate.errors import Fenced
from tidegate.model.process import started
from tidegate.worker.agent import Agent
from tidegate.worker.shipping import Shipper


class Line:
    """A server that has replaced every worker already."""

    def __init__(self) -> None:
        self.said: dict[str, dict[str, Any]] = {}

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.said[path] = body
        raise Fenced("another worker has the run")


def test_a_worker_names_its_process_as_the_engine_does() -> None:
    line = Line()
    assert Agent(line, Shipper(line)).run() == 1  # type: ignore[arg-type]
    assert line.said["register"] == {"pid": os.getpid(), "started": started(os.getpid())}
