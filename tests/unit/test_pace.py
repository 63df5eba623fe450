"""How long a log lasts is told from how it grows."""

from __future__ import annotations

import pytest

from tidegate.server.logclock import level
from tidegate.server.pace import Floor, Pace, left_s

MB = 1_000_000


def test_a_steady_writer_is_measured_exactly() -> None:
    pace = Pace()
    for second in range(0, 1800, 15):
        pace.read(100 + second, second * 4 * MB)
    assert pace.rate() == pytest.approx(4 * MB)


def test_one_reading_tells_nothing() -> None:
    pace = Pace()
    assert pace.rate() is None
    pace.read(100, 5 * MB)
    assert pace.rate() is None


def test_a_burst_counts_as_soon_as_it_is_seen() -> None:
    pace = Pace()
    for second in range(0, 600, 15):
        pace.read(second, 0)
    for second in range(0, 75, 15):
        pace.read(600 + second, second * 10 * MB)
    assert pace.rate() == pytest.approx(10 * MB)


def test_a_quiet_minute_does_not_make_a_busy_log_look_quiet() -> None:
    pace = Pace()
    for second in range(0, 600, 15):
        pace.read(second, min(second, 540) * MB)
    rate = pace.rate()
    assert rate is not None
    assert rate == pytest.approx(540 / 585 * MB)


def test_what_is_older_than_the_window_is_forgotten() -> None:
    pace = Pace()
    pace.read(0, 0)
    pace.read(10, 1000 * MB)
    for second in range(15, 1800, 15):
        pace.read(second, 1000 * MB)
    assert pace.rate() == 0


def test_a_source_that_was_put_back_is_measured_anew() -> None:
    pace = Pace()
    pace.read(0, 1000 * MB)
    pace.read(10, 2000 * MB)
    pace.read(20, 10 * MB)
    assert pace.rate() is None
    pace.read(30, 20 * MB)
    assert pace.rate() == pytest.approx(MB)


def test_the_log_of_a_run_that_keeps_up_does_not_run_out() -> None:
    """Kept up to each snapshot, then let go: a saw, whose low points stay where they are."""
    floor = Floor()
    for second in range(0, 900, 15):
        floor.read(second, second % 60 * 4 * MB)
    assert floor.growth() == 0


def test_the_log_of_a_run_that_stands_still_does() -> None:
    floor = Floor()
    for second in range(0, 900, 15):
        floor.read(second, second * 4 * MB)
    assert floor.growth() == pytest.approx(4 * MB, rel=0.1)


def test_nothing_is_said_of_a_run_at_work_before_it_was_seen_for_some_minutes() -> None:
    floor = Floor()
    for second in range(0, 285, 15):
        floor.read(second, second * MB)
    assert floor.growth() is None


@pytest.mark.parametrize(
    ("safe", "rate", "expires", "left"),
    [
        (100 * MB, MB, None, 100),
        (100 * MB, MB, 60.0, 60),
        (100 * MB, None, None, None),  # not known yet
        (100 * MB, 0.0, None, None),  # nobody writes
        (None, MB, None, None),  # no limit
        (None, MB, 60.0, 60),  # by age alone, as where logs expire
        (0, None, None, 0),  # gone at the next occasion
    ],
)
def test_what_ends_first_counts(
    safe: int | None, rate: float | None, expires: float | None, left: float | None
) -> None:
    assert left_s(safe, rate, expires) == left


DAY, HOUR = 86_400.0, 3_600.0


def test_each_time_is_told_once_on_the_way_down_and_relief_once() -> None:
    told: float | None = None
    said = []
    for left in (None, 90_000, 86_000, 87_000, 86_000, 3_700, 3_500, 3_700, 3_500, 50_000, 100_000, 200_000, None):
        now = level(left, told, (DAY, HOUR))
        if now != told:
            said.append(now)
        told = now
    assert said == [DAY, HOUR, None]
