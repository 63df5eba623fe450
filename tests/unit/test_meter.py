"""What the newest figures of a run come to: rates, delays, what stands still, and points of history."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.model.measured import TableMeasure, heard
from tidegate.store.points import Point
from tidegate.watch.meter import Meter
from tidegate.watch.metrics import BY_NAME, Of
from tidegate.watch.rollup import bucket, rolled

NUMBER = {name: metric.number for name, metric in BY_NAME[Of.TASK].items()}


class Told:
    """A meter and a worker that reports once a second."""

    def __init__(self) -> None:
        self.meter, self.ticks = Meter(), 100.0

    def beat(self, epoch: int = 1, position: str = "0/1", tables: dict[str, Any] | None = None, **figures: Any) -> bool:
        self.ticks += 1
        return self.meter.hear(7, epoch, self.ticks, figures, tables or {}, position)

    def now(self) -> dict[str, float | None]:
        return self.meter.values(7, self.ticks)


def test_a_rate_is_what_came_in_the_last_seconds() -> None:
    told = Told()
    for second in range(20):
        told.beat(rows_read=1_000 * second if second < 10 else 10_000 + 50 * second)
    assert told.now()["rows_read_per_s"] == pytest.approx(50, rel=0.01)


def test_of_one_report_there_is_no_rate_and_of_a_silent_worker_none_either() -> None:
    told = Told()
    told.beat(rows_read=10)
    assert "rows_read_per_s" not in told.now()
    told.beat(rows_read=20)
    assert told.now()["rows_read_per_s"] == 10
    told.ticks += 30
    assert "rows_read_per_s" not in told.now()
    assert told.now()["silent_s"] == 30


def test_what_a_silent_worker_measured_is_not_so_now_but_what_it_counted_is() -> None:
    told = Told()
    told.beat(rows_read=10, lag_s=0.1, lag_bytes=5, memory_bytes=9)
    told.ticks += 30
    assert told.now() == {"rows_read": 10, "silent_s": 30, "stuck_s": 30}


def test_a_new_worker_does_not_make_a_rate_with_the_old_ones_figures() -> None:
    told = Told()
    told.beat(rows_read=10)
    told.beat(epoch=2, rows_read=500_000)
    assert "rows_read_per_s" not in told.now()


def test_a_name_or_a_reason_that_no_store_can_hold_is_not_kept() -> None:
    told = Told()
    for name in ("public.a\0", "public.\udcff"):
        with pytest.raises(ValueError, match="no store can"):
            told.beat(tables={name: TableMeasure().tell()})
    assert heard(TableMeasure(reason="a\0b\udcff").tell()).reason == "a\ufffdb?"
    with pytest.raises(ValueError, match="out of range"):
        heard(TableMeasure(chunks_total=2**31).tell())


def test_a_word_of_an_older_epoch_counts_for_nothing() -> None:
    told = Told()
    told.beat(epoch=2, rows_read=10)
    told.beat(epoch=1, rows_read=99)
    assert told.now()["rows_read"] == 10


def test_a_task_at_rest_is_not_stuck() -> None:
    told = Told()
    for _ in range(30):
        told.beat(rows_read=5, lag_bytes=0)
    assert told.now()["stuck_s"] == 0


def test_a_task_that_does_not_move_although_log_is_waiting_is_stuck() -> None:
    told = Told()
    told.beat(rows_read=5, lag_bytes=100)
    for more in range(30):
        told.beat(rows_read=5, lag_bytes=100 + more)
    assert told.now()["stuck_s"] == 30


def test_a_worker_that_tries_to_recover_stands_still() -> None:
    told = Told()
    told.beat(rows_read=5, lag_bytes=0, lag_s=0.0)
    for _ in range(30):
        told.beat(rows_read=5, lag_bytes=None, lag_s=None)
    assert told.now()["stuck_s"] == 30
    told.beat(rows_read=5, lag_bytes=None, lag_s=0.0)
    assert told.now()["stuck_s"] == 0


@pytest.mark.parametrize(
    "moving",
    [{"rows_read": 6}, {"position": "0/2"}, {"lag_bytes": 50}, {"reading_bytes": 1}],
    ids=lambda one: next(iter(one)),
)
def test_whatever_moves_ends_that(moving: dict[str, Any]) -> None:
    told = Told()
    still: dict[str, Any] = {"rows_read": 5, "lag_bytes": 100, "position": "0/1"}
    for _ in range(10):
        told.beat(**still)
    told.beat(**(still | moving))
    assert told.now()["stuck_s"] == 0


def test_a_point_has_the_largest_delay_the_mean_of_batches_and_the_last_total() -> None:
    told = Told()
    for delay_s, batch, rows in ((0.1, 10, 5), (4.0, 30, 9), (0.2, 20, 12)):
        told.beat(business_delay_s=delay_s, batch_rows=batch, rows_read=rows)
    point = told.meter.point(7, told.ticks)
    assert (point["business_delay_s"], point["batch_rows"], point["rows_read"]) == (4.0, 20, 12)
    told.beat(business_delay_s=0.3, batch_rows=1, rows_read=12)
    assert told.meter.point(7, told.ticks)["business_delay_s"] == 0.3


def test_what_nobody_knew_is_not_0_in_a_point() -> None:
    told = Told()
    told.beat(lag_s=None)
    assert told.meter.point(7, told.ticks)["lag_s"] is None


def test_the_first_report_is_answered_by_asking_for_every_table() -> None:
    told = Told()
    assert told.beat()
    assert not told.beat()
    assert not told.beat(epoch=2), "this server knows them already"


def test_tables_are_kept_once_after_they_changed_and_once_more_when_their_rate_is_over() -> None:
    told = Told()
    told.beat(tables={"a": TableMeasure(rows_read=0).tell(), "b": TableMeasure().tell()})
    assert {one.name for one in told.meter.changed_tables(7, told.ticks, 0)} == {"a", "b"}
    told.ticks += 10
    told.beat(tables={"a": TableMeasure(rows_read=220).tell()})
    (kept,) = told.meter.changed_tables(7, told.ticks, 0)
    assert (kept.name, kept.measure.rows_read, kept.rows_read_per_s) == ("a", 220, 20)
    told.ticks += 10
    (kept,) = told.meter.changed_tables(7, told.ticks, 0)
    assert kept.rows_read_per_s == 0
    assert told.meter.changed_tables(7, told.ticks, 0) == []


def test_tables_that_could_not_be_written_are_kept_for_the_next_time() -> None:
    told = Told()
    told.beat(tables={"a": TableMeasure().tell()})
    told.meter.unwritten(told.meter.changed_tables(7, told.ticks, 0))
    assert [one.name for one in told.meter.changed_tables(7, told.ticks, 0)] == ["a"]


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [*TableMeasure().tell(), 1],
        [1, *TableMeasure().tell()[1:]],
        ["asleep", *TableMeasure().tell()[1:]],
        [*TableMeasure().tell()[:3], -1, *TableMeasure().tell()[4:]],
        [*TableMeasure().tell()[:3], True, *TableMeasure().tell()[4:]],
        [*TableMeasure().tell()[:-1], float("inf")],
    ],
)
def test_figures_of_a_table_that_make_no_sense_are_refused(wrong: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"figure|not a valid"):
        heard(wrong)


# --- many points as one ---


def test_many_points_become_one_as_each_metrics_line_says() -> None:
    def point(at: int, points: int = 1, **figures: float | None) -> Point:
        return Point(1, 10, at, points, {NUMBER[name]: value for name, value in figures.items()})

    whole = rolled(
        [
            point(610, rows_read=5, business_delay_s=3, batch_rows=10, lag_s=None),
            point(620, rows_read=9, business_delay_s=7, batch_rows=30, lag_s=None),
            point(630, 2, rows_read=11, batch_rows=50, lag_s=None),
        ],
        60,
    )
    assert (whole.step_s, whole.at, whole.points) == (60, 660, 4)
    assert {name: whole.figures.get(NUMBER[name]) for name in ("rows_read", "business_delay_s", "batch_rows")} == {
        "rows_read": 11,
        "business_delay_s": 7,
        "batch_rows": 35,
    }
    assert whole.figures[NUMBER["lag_s"]] is None


def test_a_point_belongs_to_the_time_it_ends_in() -> None:
    assert [bucket(at, 60) for at in (1, 59, 60, 61, 120)] == [60, 60, 60, 120, 120]
