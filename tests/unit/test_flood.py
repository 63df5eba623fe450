"""How often the same may be logged."""

from __future__ import annotations

from tidegate.flood import BURST, KINDS_MAX, OTHERS, Flood

LOOP = ("loop", None)


def said(flood: Flood, kind: tuple[str, object], times: int, now: float) -> int:
    return sum(flood.admits(kind, now) for _ in range(times))


def test_a_hundred_of_a_kind_are_said_at_once_and_then_one_a_minute() -> None:
    flood = Flood()
    assert said(flood, LOOP, 500, 0) == BURST
    assert said(flood, LOOP, 500, 59) == 0
    assert said(flood, LOOP, 500, 61) == 1


def test_what_is_left_out_is_counted_and_told_once() -> None:
    flood = Flood()
    said(flood, LOOP, BURST + 7, 0)
    assert flood.due(1.0) == []
    assert flood.due(2.1) == [(LOOP, 7)]
    assert flood.due(10.0) == []
    said(flood, LOOP, 5, 10)
    assert flood.due(10.0, everything=True) == [(LOOP, 5)]


def test_one_kind_does_not_silence_another() -> None:
    flood = Flood()
    said(flood, LOOP, 10_000, 0)
    assert flood.admits(("other", None), 0)
    assert flood.admits(("loop", 7), 0), "of another task"


def test_all_kinds_together_are_bounded() -> None:
    flood = Flood(burst=1_000, per_s=5)
    assert sum(flood.admits((f"kind {at}", None), 0) for at in range(5_000)) == 1_000
    assert sum(flood.admits((f"kind {at}", None), 2) for at in range(5_000)) == 10


def test_a_week_in_a_loop_leaves_room_in_what_a_task_may_keep() -> None:
    flood = Flood()
    lines = 0
    for second in range(0, 7 * 86_400, 10):
        lines += said(flood, LOOP, 3, second)
        lines += len(flood.due(second))
    assert lines < 15_000


def test_kinds_beyond_count_share_one() -> None:
    flood = Flood(burst=10**9)
    for at in range(KINDS_MAX):
        flood.admits(("kind", at), 0)
    assert sum(flood.admits(("more", at), 0) for at in range(1_000)) == BURST
    assert flood.due(3) == [(OTHERS, 900)]
    assert flood.admits(("later", 0), 10_000), "kinds that were quiet for long are forgotten"
