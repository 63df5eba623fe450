"""Figures on the terminal, in units that a metric's name says."""

from __future__ import annotations

import pytest

from tidegate.cli.figures import NONE
from tidegate.cli.metrics import WIDTH, amount, bars


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("rows_read", 12_345, "12,345"),
        ("rows_read_per_s", 12_345.6, "12,346/s"),
        ("bytes_read_per_s", 2_048, "2.0 KiB/s"),
        ("memory_bytes", 1 << 20, "1.0 MiB"),
        ("lag_s", 0.25, "0.2 s"),
        ("queue_share", 0.5, "50%"),
        ("cpu_cores", 0.256, "0.26"),
        ("lag_s", None, NONE),
    ],
)
def test_a_value_is_in_the_unit_that_its_name_says(name: str, value: float | None, text: str) -> None:
    assert amount(name, value) == text


@pytest.mark.parametrize(
    ("values", "line"),
    [([], ""), ([0.0, None, 0.0], "▁ ▁"), ([0.0, 5.0, None, 10.0], "▁▅ █"), ([1.0] * 100, "█" * WIDTH)],
)
def test_a_course_is_a_line_of_bars_with_blanks_where_nothing_is_known(values: list[float | None], line: str) -> None:
    assert bars(values) == line
