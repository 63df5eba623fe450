"""Rows are put into their form by a thread of its own, a little ahead of who sends them."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from tidegate.targets.postgres.ahead import Ahead
from tidegate.testing.servers import until

DEADLINE_S = 10.0


class Counted:
    """Numbers from 1, and how many were made so far."""

    def __init__(self, end: int) -> None:
        self.end, self.made = end, 0

    def __iter__(self) -> Iterator[int]:
        for number in range(1, self.end + 1):
            self.made = number
            yield number


def test_items_come_in_their_order_from_a_thread_of_its_own() -> None:
    ahead: Ahead[tuple[int, str]] = Ahead(2, "made-ahead")
    one, two = (ahead.begin((n, threading.current_thread().name) for n in numbers) for numbers in ([1, 2, 3], [4]))
    assert [*one, *two] == [(n, "made-ahead") for n in (1, 2, 3, 4)]


def test_so_many_are_made_ahead_and_no_more_whatever_they_belong_to() -> None:
    ahead: Ahead[int] = Ahead(3, "made-ahead")
    small, large = Counted(2), Counted(10)
    first, second = ahead.begin(iter(small)), ahead.begin(iter(large))
    until(lambda: large.made == 2, "two of the second: one waits, one is in hand", DEADLINE_S)
    assert (small.made, large.made) == (2, 2)
    assert [*first] == [1, 2]
    until(lambda: large.made == 4, "two more", DEADLINE_S)
    assert [*second] == [*range(1, 11)]


def test_what_making_one_raises_is_raised_behind_those_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("the second cannot be made")

    ahead: Ahead[int] = Ahead(4, "made-ahead")
    broke, whole = ahead.begin(broken()), ahead.begin(iter([3]))
    assert next(broke) == 1
    with pytest.raises(ValueError, match="the second"):
        next(broke)
    assert [*whole] == [3]


def test_what_is_given_up_makes_room_for_what_is_begun_after() -> None:
    ahead: Ahead[int] = Ahead(2, "made-ahead")
    given_up = [Counted(10), Counted(10)]
    for one in given_up:
        ahead.begin(iter(one))
    until(lambda: given_up[0].made == 3, "two wait, one is in hand", DEADLINE_S)
    ahead.stop()
    assert [*ahead.begin(iter([1, 2, 3]))] == [1, 2, 3]
    assert [one.made for one in given_up] == [3, 0]


def test_its_thread_ends_with_it_also_when_something_waits_to_be_taken() -> None:
    ahead: Ahead[int] = Ahead(1, "made-ahead-and-left")
    counted = Counted(5)
    ahead.begin(iter(counted))
    until(lambda: counted.made == 2, "one waits, one is in hand", DEADLINE_S)
    del ahead
    gc.collect()
    until(lambda: all(t.name != "made-ahead-and-left" for t in threading.enumerate()), "the thread to end", DEADLINE_S)
