"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tidegate.cli.figures import NONE, ago, between, count, duration, moment, size


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
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert (ago("2026-03-01T12:00:05.000Z", now), ago("2026-03-01T11:59:00.000Z", now)) == ("0 ms", "1 min")
    assert ago(None) == NONE


def test_between_two_times() -> None:
    assert between("2026-03-01T11:59:00.250Z", "2026-03-01T12:00:00.500Z") == 60.25


def test_a_time_of_another_day_has_its_day() -> None:
    assert moment("1970-01-02T00:00:00.000Z").startswith("1970-01-0")
    assert moment(None) == NONE
