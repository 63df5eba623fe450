"""A run that is said to work and does not is seen within fifteen seconds; one that has nothing to do is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tidegate.server.motion import STALE_S, Motion, Motions
from tidegate.server.views import Beat


def beat(
    position: str | None = "1", *, lag_bytes: int = 0, lag_s: float = 0.0, health: str = "steady", **counters: Any
) -> Beat:
    return Beat("incremental", health, position, counters, {}, lag_s, lag_bytes)


def hear(motion: Motion, seconds: int, said: Beat, *, since: float = 0.0) -> float:
    """One heartbeat a second, all the same."""
    for second in range(seconds + 1):
        motion.hear(since + second, said)
    return since + seconds


def test_it_is_seen_within_fifteen_seconds() -> None:
    assert STALE_S < 15 - 2


def test_an_idle_run_is_well_for_ever() -> None:
    motion = Motion(0)
    now = hear(motion, 1000, beat())
    assert motion.reason(now) == ""


def test_a_run_that_moves_is_well_however_far_behind() -> None:
    motion = Motion(0)
    for second in range(100):
        motion.hear(second, beat(str(second), lag_bytes=10**12, lag_s=9000))
    assert motion.reason(100) == ""


@pytest.mark.parametrize("counter", ["rows_full", "chunks_done", "changes_read", "bytes_read", "transactions"])
def test_a_run_that_reads_is_well_although_its_position_stands(counter: str) -> None:
    """Rows are copied, a large transaction is on its way, or only tables of others are busy."""
    motion = Motion(0)
    for second in range(100):
        motion.hear(second, beat(lag_bytes=10**9, **{counter: second}))
    assert motion.reason(100) == ""


def test_a_run_that_reads_past_what_is_not_its_own_is_well() -> None:
    motion = Motion(0)
    for second in range(100):
        motion.hear(second, replace(beat(lag_bytes=10**9), read_to=str(second)))
    assert motion.reason(100) == ""


def test_a_source_whose_log_goes_on_and_does_not_come_is_named() -> None:
    motion = Motion(0)
    now = hear(motion, 30, beat())
    later = hear(motion, 13, beat(lag_bytes=4096), since=now + 1)
    assert motion.reason(later) == "nothing came for 14 s, and the source's log ends 4096 bytes further on"
    assert motion.reason(now + 12) == "", "not before it has stood for long enough"


def test_what_was_read_and_does_not_get_into_the_target_is_seen() -> None:
    motion = Motion(0)
    now = hear(motion, 13, beat(lag_s=5.0))
    assert "nothing came for 13 s" in motion.reason(now)


def test_one_answer_that_does_not_come_is_named() -> None:
    motion = Motion(0)
    motion.hear(0, beat())
    motion.hear(20, beat(still_s=12.0))
    assert motion.reason(21) == "its worker waits for one answer of source or target for 13 s"


def test_a_worker_that_is_not_heard_is_named() -> None:
    motion = Motion(0)
    motion.hear(0, beat())
    assert motion.reason(STALE_S) == ""
    assert motion.reason(13) == "its worker was not heard for 13 s"


def test_one_that_moves_again_is_well_at_once() -> None:
    motion = Motion(0)
    now = hear(motion, 30, beat(lag_bytes=4096))
    assert motion.reason(now)
    motion.hear(now + 1, beat("2", lag_bytes=2048))
    assert motion.reason(now + 1) == ""


def test_one_that_recovers_or_opens_says_so_itself() -> None:
    motion = Motion(0)
    assert motion.reason(hear(motion, 30, beat(lag_bytes=1, health="recovering"))) == ""
    assert motion.reason(hear(motion, 30, beat(None, lag_bytes=1), since=31)) == ""


def test_a_new_epoch_begins_anew_and_an_older_one_counts_for_nothing() -> None:
    motions = Motions()
    for second in range(30):
        motions.hear(7, 1, second, beat(lag_bytes=1))
    assert motions.reason(7, 1, 30)
    motions.hear(7, 2, 30, beat(lag_bytes=1))
    motions.hear(7, 1, 31, beat(lag_bytes=1))
    assert (motions.reason(7, 2, 31), motions.reason(7, 1, 31)) == ("", "")
    motions.keep({8})
    assert motions.reason(7, 2, 1000) == ""
