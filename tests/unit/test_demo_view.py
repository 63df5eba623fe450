"""What the demo's live picture shows of a task."""

from __future__ import annotations

import pytest

from tidegate.demo.view import lag


@pytest.mark.parametrize("status", ["Paused", "Operating", "Stopped", "Failure"])
def test_a_lag_is_shown_only_while_rows_arrive(status: str) -> None:
    assert lag({"status": "Running", "lag_s": 0.24}) == "0.2 s"
    assert lag({"status": "Running", "lag_s": None}) == ""
    assert lag({"status": status, "lag_s": 0.24}) == ""
