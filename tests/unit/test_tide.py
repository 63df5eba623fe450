"""When the reader of a log rests, and when it lets go of what it has."""

from __future__ import annotations

import pytest

from tidegate.connect.tide import BATCH_S, REST_BYTES_S, TIDE_BYTES_S, TIDE_WINDOW_S, Tide

ENOUGH = int(TIDE_BYTES_S * TIDE_WINDOW_S) + 1


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("tidegate.connect.tide.time", found)
    return found


def test_it_rests_while_much_comes_and_not_when_little_does(clock: Clock) -> None:
    tide = Tide(0.02)
    assert tide.rest_s == 0
    tide.came(ENOUGH)
    assert tide.rest_s == 0.02
    clock.now += 0.11
    tide.came(1000)
    assert tide.rest_s == 0


def test_it_rests_while_something_comes_and_keeps_nothing_back_yet(clock: Clock) -> None:
    tide = Tide(0.02)
    clock.now += 0.1
    tide.came(int(REST_BYTES_S * 0.1) + 1)
    assert tide.rest_s == 0.02
    assert tide.let_go()
    assert tide.let_go()


def test_that_nobody_took_what_there_was_is_no_low_tide(clock: Clock) -> None:
    tide = Tide(0.02)
    for _ in range(3):
        clock.now += 10.01
        tide.waited(10)
        tide.came(ENOUGH)
        assert tide.rest_s == 0.02


def test_who_asks_gets_what_there_is_unless_much_is_coming(clock: Clock) -> None:
    tide = Tide(0.02)
    tide.came(10)
    assert tide.let_go()
    tide.came(ENOUGH)
    assert not tide.let_go()
    clock.now += BATCH_S
    assert tide.let_go()
    assert not tide.let_go()


def test_nothing_is_held_back_once_nothing_comes(clock: Clock) -> None:
    tide = Tide(0.02)
    tide.came(ENOUGH)
    tide.came(0)
    assert tide.rest_s == 0.02
    assert tide.let_go()


def test_without_a_pace_it_never_rests(clock: Clock) -> None:
    tide = Tide(0.0)
    tide.came(ENOUGH)
    assert tide.rest_s == 0
