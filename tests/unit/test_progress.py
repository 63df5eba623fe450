"""How far a run is, and what holds it up, from what is known of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidegate.store.points import Sums
from tidegate.watch.bottleneck import Holds, verdict
from tidegate.watch.progress import Facts, StageState, progress

BEGAN = 1_000.0
FRESH = Facts(BEGAN, None, True, (), None, None, None, None, None)
COPYING = replace(FRESH, phases=(("full", BEGAN + 10),), sums=Sums(4, 1, 0, 300, 1_000))
FOLLOWING = replace(
    COPYING,
    phases=(("full", BEGAN + 10), ("incremental", BEGAN + 60)),
    sums=Sums(4, 4, 0, 900, 1_000),
    position="0/9",
    lag_s=3.0,
    lag_bytes=6_000,
    shrinks_bytes_s=2_000.0,
)


def test_a_fresh_run_prepares_and_nothing_else_has_begun() -> None:
    found = progress(FRESH, BEGAN + 5)
    assert found.full is not None
    assert [found.preparation.state, found.full.state, found.incremental.state] == [
        StageState.IN_PROGRESS,
        StageState.NOT_STARTED,
        StageState.NOT_STARTED,
    ]


def test_a_copy_under_way_says_how_much_is_done_how_fast_and_how_long_it_takes() -> None:
    full = progress(COPYING, BEGAN + 40).full
    assert full is not None
    assert (full.state, full.percent, full.tables_done, full.tables_total) == (StageState.IN_PROGRESS, 30.0, 1, 4)
    assert (full.rows_done, full.rows_estimated, full.rows_per_s, full.left_s) == (300, 1_000, 10.0, 70.0)


def test_a_copy_of_more_rows_than_were_estimated_is_not_done_before_it_is() -> None:
    full = progress(replace(COPYING, sums=Sums(4, 3, 0, 5_000, 1_000)), BEGAN + 40).full
    assert full is not None
    assert (full.percent, full.rows_estimated, full.left_s) == (99.9, 5_000, None)


def test_time_in_which_a_copy_rested_makes_it_no_slower() -> None:
    rested = replace(COPYING, rests=((BEGAN + 20, BEGAN + 3_620),))
    full = progress(rested, BEGAN + 3_640).full
    assert full is not None
    assert (full.rows_per_s, full.left_s) == (10.0, 70.0)


def test_of_a_copy_that_rests_nobody_knows_how_long_it_will_take() -> None:
    full = progress(replace(COPYING, rests=((BEGAN + 40, None),)), BEGAN + 9_000).full
    assert full is not None
    assert (full.rows_per_s, full.left_s) == (10.0, None)


def test_where_nobody_knows_the_rows_tables_are_counted() -> None:
    full = progress(replace(COPYING, sums=Sums(4, 1, 0, 300, 0)), BEGAN + 40).full
    assert full is not None
    assert full.percent == 25.0


def test_a_run_that_follows_has_copied_and_says_when_it_will_have_caught_up() -> None:
    found = progress(FOLLOWING, BEGAN + 100)
    assert found.full is not None
    assert (found.full.state, found.full.percent, found.full.rows_estimated) == (StageState.COMPLETED, 100.0, 900)
    assert (found.full.started_at, found.full.ended_at) == (BEGAN + 10, BEGAN + 60)
    assert (found.incremental.state, found.incremental.catch_up_s) == (StageState.IN_PROGRESS, 3.0)
    assert found.preparation.ended_at == BEGAN + 10


def test_a_run_that_falls_behind_will_not_catch_up() -> None:
    found = progress(replace(FOLLOWING, shrinks_bytes_s=-10.0), BEGAN + 100)
    assert found.incremental.catch_up_s is None


def test_log_that_is_behind_and_does_not_get_less_is_not_said_to_be_there() -> None:
    stuck = replace(FOLLOWING, lag_s=0.0, lag_bytes=1 << 30, shrinks_bytes_s=0.0)
    assert progress(stuck, BEGAN + 100).incremental.catch_up_s is None
    assert progress(replace(stuck, lag_bytes=100), BEGAN + 100).incremental.catch_up_s == 0


def test_a_run_that_copies_nothing_has_no_full_stage() -> None:
    found = progress(replace(FRESH, copies=False, phases=(("incremental", BEGAN + 2),)), BEGAN + 5)
    assert found.full is None
    assert found.preparation.state is StageState.COMPLETED


def test_a_table_that_joins_later_does_not_begin_the_stages_anew() -> None:
    again = (*FOLLOWING.phases, ("full", BEGAN + 500), ("incremental", BEGAN + 510))
    found = progress(replace(FOLLOWING, phases=again), BEGAN + 600)
    assert found.incremental.started_at == BEGAN + 60


BUSY = {"rows_read_per_s": 9_000.0, "lag_bytes": 5e8, "lag_s": 4.0}


@pytest.mark.parametrize(
    ("figures", "holds"),
    [
        ({}, Holds.UNKNOWN),
        (BUSY | {"writing_share": 0.9, "waiting_share": 0.02, "cpu_cores": 0.3}, Holds.TARGET),
        (BUSY | {"writing_share": 0.4, "waiting_share": 0.1, "queue_share": 1.0, "cpu_cores": 0.3}, Holds.TARGET),
        (BUSY | {"writing_share": 0.1, "waiting_share": 0.85, "cpu_cores": 0.2}, Holds.SOURCE),
        (BUSY | {"writing_share": 0.1, "waiting_share": 0.8, "cpu_cores": 1.0}, Holds.DECODE),
        (BUSY | {"writing_share": 0.2, "waiting_share": 0.1, "cpu_cores": 0.6}, Holds.DECODE),
        ({"writing_share": 0.0, "waiting_share": 0.99, "lag_bytes": 0.0, "lag_s": 0.0}, Holds.IDLE),
        ({"writing_share": 0.1, "waiting_share": 0.8, "rows_read_per_s": 20.0, "lag_bytes": 400.0}, Holds.IDLE),
    ],
)
def test_a_verdict_names_who_takes_the_time(figures: dict[str, float], holds: Holds) -> None:
    found = verdict(figures)
    assert found.holds is holds
    assert set(found.figures) == set(figures) or holds is Holds.UNKNOWN
    assert found.because
