"""When a batch that is not full is written: by the time since the last write began."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.connect.capability import BatchShape
from tidegate.connect.pgposition import PgPosition
from tidegate.engine import writer
from tidegate.engine.gauges import Gauges
from tidegate.engine.writer import INTERVAL_MIN_S, WRITING_SHARE, Writer

INTERVAL_S = 0.2


class SlowTarget:
    """Takes its time for every write, on a clock of its own."""

    batch = BatchShape(rows=100, interval_s=INTERVAL_S)

    def __init__(self) -> None:
        self.now_s, self.takes_s = 1_000.0, 0.0

    def monotonic(self) -> float:
        return self.now_s

    def write(self, steps: Any, progress: Any) -> None:
        self.now_s += self.takes_s


@pytest.mark.parametrize(
    ("takes_s", "due_in_s"),
    [
        (0.001, INTERVAL_MIN_S - 0.001),
        (0.04, 0.04 / WRITING_SHARE - 0.04),
        (0.15, INTERVAL_S - 0.15),
        (0.5, 0.0),
    ],
    ids=["quick", "by its share of the time", "by the target's interval", "longer than that"],
)
def test_the_next_batch_is_due_by_when_the_last_write_began(
    monkeypatch: pytest.MonkeyPatch, takes_s: float, due_in_s: float
) -> None:
    target: Any = SlowTarget()
    monkeypatch.setattr(writer, "time", target)
    place: Any = None
    writing = Writer(target, Gauges(), place, PgPosition(1))
    target.takes_s = takes_s
    writing.remember({"entry": "1"})
    assert writing.flush()
    assert writing.due_in_s() == pytest.approx(due_in_s)
