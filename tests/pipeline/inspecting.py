"""Asking a pipeline on a thread whether its two ends are equal."""

from __future__ import annotations

import itertools
import threading
from typing import Any

from pipeline.rig import DEADLINE_S, Rig
from tidegate.engine.snapshot import Inquiry

_numbers = itertools.count(1)


class Asked:
    """An inquiry and its answer."""

    def __init__(self, rig: Rig, *tables: str, wanted: bool = True, **more: Any) -> None:
        self.reports: list[dict[str, Any]] = []
        self.wanted = wanted
        self._over = threading.Event()
        rig.desk.inquire(Inquiry(f"inquiry{next(_numbers)}", self._tell, tuple(tables), **more))

    def _tell(self, report: dict[str, Any]) -> bool:
        self.reports.append(report)
        if report["state"] in ("done", "ended"):
            self._over.set()
        return self.wanted

    def answer(self) -> dict[str, Any]:
        assert self._over.wait(DEADLINE_S), f"no answer, the last word was {self.reports[-1:]}"
        return self.reports[-1]

    def findings(self) -> dict[str, dict[str, Any]]:
        """By table, of an inquiry that was answered."""
        answer = self.answer()
        assert answer["state"] == "done", answer
        return {finding["table"]: finding for finding in answer["findings"]}


def verdicts(rig: Rig, *tables: str, **more: Any) -> dict[str, str]:
    return {table: found["verdict"] for table, found in Asked(rig, *tables, **more).findings().items()}


def only(rig: Rig, table: str, **more: Any) -> dict[str, Any]:
    """What is found about one table."""
    return Asked(rig, table, **more).findings()[table]
