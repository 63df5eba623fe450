"""What the hour in peace says of memory."""

from __future__ import annotations

import pytest

from tidegate.testing.soak import MB, Memory


def seen(*mb: float, every_s: float = 60.0) -> Memory:
    memory = Memory()
    for number, held in enumerate(mb):
        memory.add(number * every_s, int(held * MB))
    return memory


def test_memory_that_grows_has_its_slope() -> None:
    assert seen(*(100 + minute / 60 for minute in range(60))).slope_mb_h(0.0, 300.0) == pytest.approx(1.0)


def test_what_comes_and_goes_has_none_and_what_stays_below_it_has() -> None:
    tides = [(minute % 5) * 10.0 for minute in range(60)]
    assert seen(*(100 + tide for tide in tides)).slope_mb_h(0.0, 300.0) == pytest.approx(0.0)
    rising = seen(*(100 + tide + minute / 30 for minute, tide in enumerate(tides)))
    assert rising.slope_mb_h(0.0, 300.0) == pytest.approx(2.0)


def test_what_is_seen_of_a_span_that_is_not_over_does_not_count() -> None:
    tides = [100.0, 110.0, 120.0, 130.0, 140.0] * 4
    assert seen(*tides, 190.0).slope_mb_h(0.0, 300.0) == pytest.approx(0.0)


def test_what_was_before_the_time_to_warm_up_is_over_does_not_count() -> None:
    assert seen(10.0, 50.0, *[100.0] * 20).slope_mb_h(120.0, 60.0) == pytest.approx(0.0)


def test_too_short_a_time_has_no_slope() -> None:
    assert seen(100.0, 101.0).slope_mb_h(0.0, 300.0) is None
