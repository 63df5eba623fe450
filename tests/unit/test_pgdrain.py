"""What the readable drain makes of what a walsender sends."""

from __future__ import annotations

import struct
from typing import Any

import psycopg
import pytest

from tidegate.connect.pgdrain import PlainDrain, State

Answer = tuple[int, bytes] | psycopg.OperationalError


class Sent:
    """A connection that has these answers, and nothing behind them."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.looked = 0

    def get_copy_data(self, wait: int) -> tuple[int, bytes]:
        if not self._answers:
            return 0, b""
        answer = self._answers.pop(0)
        if isinstance(answer, psycopg.OperationalError):
            raise answer
        return answer

    def consume_input(self) -> None:
        self.looked += 1


def log(start: int, message: bytes) -> Answer:
    data = b"w" + struct.pack(">QQq", start, start, 0) + message
    return len(data), data


def alive(end: int, *, wish: bool = False) -> Answer:
    data = b"k" + struct.pack(">QqB", end, 0, wish)
    return len(data), data


def drain(*answers: Answer, framed: bool = True) -> PlainDrain:
    connection: Any = Sent(*answers)
    return PlainDrain(connection, framed)


def test_messages_of_the_log_become_frames() -> None:
    gulp = drain(log(10, b"abc"), log(20, b""), log(15, b"d")).take(1 << 20)
    assert bytes(gulp.frames) == b"\0\0\0\x03abc" + b"\0\0\0\0" + b"\0\0\0\x01d"
    assert gulp[1:] == (20, 0, False, 3, State.NOTHING_MORE)


def test_signs_of_life_say_how_far_there_was_nothing() -> None:
    assert drain(log(10, b"a"), alive(30)).take(1 << 20)[1:] == (30, 30, False, 2, State.NOTHING_MORE)
    assert drain(alive(30, wish=True), log(40, b"a")).take(1 << 20)[1:] == (40, 0, True, 2, State.NOTHING_MORE)


def test_it_stops_at_about_the_limit_and_goes_on_from_there() -> None:
    reading = drain(*(log(10, b"abcd") for _ in range(5)))
    sizes = []
    while (gulp := reading.take(16)).state is State.FULL:
        sizes.append(len(gulp.frames))
    assert (sizes, len(gulp.frames)) == ([16, 16], 8)


@pytest.mark.parametrize(
    ("last", "state"),
    [
        ((-1, b""), State.ENDED),
        (psycopg.OperationalError("gone"), State.FAILED),
        ((3, b"w__"), State.GARBLED),
        ((25, b"x" * 25), State.GARBLED),
        ((19, b"k" * 19), State.GARBLED),
    ],
)
def test_what_came_in_front_of_an_end_is_kept(last: Answer, state: State) -> None:
    gulp = drain(log(10, b"a"), last).take(1 << 20)
    assert (bytes(gulp.frames), gulp.state) == (b"\0\0\0\x01a", state)


def test_rows_of_a_table_are_bytes_as_they_are() -> None:
    gulp = drain((2, b"ab"), (3, b"wde"), framed=False).take(1 << 20)
    assert (bytes(gulp.frames), gulp.messages) == (b"abwde", 2)
