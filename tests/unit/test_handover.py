"""What the reading thread has, and how the writing one gets it."""

from __future__ import annotations

import threading

from tidegate.connect.handover import Handover


def test_entries_come_in_order_and_no_more_than_there_is_room_for() -> None:
    handover: Handover[int] = Handover()
    assert [handover.put(n, room=2, timeout_s=0) for n in range(3)] == [True, True, False]
    assert [handover.take(0), handover.take(0), handover.take(0)] == [0, 1, None]


def test_who_waits_gets_what_comes_and_who_has_it_gets_room() -> None:
    handover: Handover[int] = Handover()
    taken: list[int | None] = []
    taker = threading.Thread(target=lambda: taken.extend(handover.take(30) for _ in range(3)))
    taker.start()
    assert all(handover.put(n, room=1, timeout_s=30) for n in range(3))
    taker.join(30)
    assert taken == [0, 1, 2]


def test_it_is_known_whether_somebody_wants_something_and_there_is_nothing() -> None:
    handover: Handover[int] = Handover()
    assert not handover.asked
    handover.take(0)
    assert handover.asked
    handover.put(1, room=1, timeout_s=0)
    assert not handover.asked
    handover.take(0)
    assert not handover.asked
