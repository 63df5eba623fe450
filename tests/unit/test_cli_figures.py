"""Numbers and times as people read them."""

from __future__ import annotations

import pytest

from tidegate.cli.figures import NONE, ago, count, duration, moment, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, NONE),
        (0, "0 ms"),
        (0.0312, "31 ms"),
        (0.0999, "0.1 s"),
        (1.26, "1.3 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, NONE),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (150 * 1024, "150 KiB"),
        (5 * 1024**2, "5.0 MiB"),
        (3 * 1024**4, "3.0 TiB"),
        (-2048, "-2.0 KiB"),
    ],
)
def test_sizes(size_bytes: float | None, text: str) -> None:
    assert size(size_bytes) == text


def test_counts_are_grouped() -> None:
    assert (count(1234567), count(None)) == ("1,234,567", NONE)


def test_a_time_ahead_of_this_clock_is_now() -> None:
    assert (ago(105.0, now=100.0), ago(40.0, now=100.0), ago(None)) == ("0 ms", "1 min", NONE)


def test_a_time_of_another_day_has_its_day() -> None:
    assert moment(0).startswith("19")
    assert moment(None) == NONE
