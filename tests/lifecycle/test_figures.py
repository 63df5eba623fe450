"""History of figures in the store: points, minutes and hours made of them, and their end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidegate.model.measured import TableMeasure, TableStatus
from tidegate.store import history, points, standings
from tidegate.store.opening import Store
from tidegate.store.points import Point, TableFigures
from tidegate.store.tables import key_event, project, run, task
from tidegate.watch.meter import Meter
from tidegate.watch.metrics import BY_NAME, Of
from tidegate.watch.recorder import Recorder

ROWS, DELAY = BY_NAME[Of.TASK]["rows_read"].number, BY_NAME[Of.TASK]["business_delay_s"].number
NOON = 1_800_000_000 // 3600 * 3600
KEEP_S = {10: 600.0, 60: 7200.0, 3600: 86_400.0}


class Kept:
    """A store with a running task, a meter, a recorder, and a clock that only moves when told."""

    def __init__(self, store: Store) -> None:
        self.db = store.database
        self.at = float(NOON)
        self.meter = Meter()
        self.recorder = Recorder(self.db, self.meter, lambda: self.at, lambda: self.at, KEEP_S)
        with self.db.write() as tx:
            home = tx.execute(project.insert().values(name="p", description="", created_at=0))
            self.project = home.inserted_primary_key[0]
        self.task, self.run = self.add("shop")

    def add(self, name: str) -> tuple[int, int]:
        with self.db.write() as tx:
            added = tx.execute(
                task.insert().values(
                    project_id=self.project, name=name, description="", owner="", state="running", intent="run",
                    version=1, state_since=NOON, created_at=0, definition={}, changed=False, submitted=1, kind="k",
                    source_name="s", target_name="t", read="r", write="w", group_name="default", units=2,
                )
            )  # fmt: skip
            task_id = added.inserted_primary_key[0]
            begun = tx.execute(
                run.insert().values(
                    task_id=task_id, number=1, key=f"{name}r1", version=1, start={}, group_name="default", units=2,
                    restarts_max=-1, snapshots_keep=3, started_at=NOON, epoch=1, restarts=0, restarts_spent=0,
                    restarts_quick=0, phase="full", health="steady", counters={}, cleanup="kept",
                    cleanup_tries=0,
                )
            )  # fmt: skip
            run_id = begun.inserted_primary_key[0]
            tx.execute(task.update().where(task.c.id == task_id).values(run_id=run_id))
        return task_id, run_id

    def live(self, lasts_s: int, *, rows_per_s: int = 0, delay_s: float = 0.0, run_id: int | None = None) -> None:
        """Let time pass, with a heartbeat and a sweep each 10 s."""
        for _ in range(0, lasts_s, 10):
            self.at += 10
            figures = {"rows_read": rows_per_s * (self.at - NOON), "business_delay_s": delay_s}
            self.meter.hear(run_id or self.run, 1, self.at, figures, {}, None)
            self.recorder.sweep()

    def points(self, step_s: int, run_id: int | None = None) -> list[Point]:
        with self.db.read() as tx:
            return points.read(tx, run_id or self.run, step_s, 0, self.at + 10_000)


@pytest.fixture
def kept(store: Store) -> Iterator[Kept]:
    return Kept(store)


def test_a_run_at_work_has_a_point_each_ten_seconds(kept: Kept) -> None:
    kept.live(60, rows_per_s=5, delay_s=0.5)
    found = kept.points(10)
    assert [point.at - NOON for point in found] == [10, 20, 30, 40, 50, 60]
    assert [point.figures[ROWS] for point in found] == [50, 100, 150, 200, 250, 300]
    assert found[0].figures[DELAY] == 0.5


def test_minutes_and_hours_are_made_of_them(kept: Kept) -> None:
    kept.live(60, delay_s=0.1)
    kept.live(60, delay_s=9.0)
    kept.live(3600 - 120 + 30, rows_per_s=1)
    minutes, (hour,) = kept.points(60), kept.points(3600)
    assert [point.at - NOON for point in minutes[:3]] == [60, 120, 180]
    assert minutes[1].figures[DELAY] == 9.0
    assert (minutes[1].points, minutes[59].figures[ROWS]) == (6, 3600)
    assert (hour.at - NOON, hour.figures[DELAY], hour.figures[ROWS], hour.points) == (3600, 9.0, 3600, 360)


def test_points_are_kept_for_the_time_of_their_step(kept: Kept) -> None:
    kept.live(3 * 3600)
    with kept.db.read() as tx:
        oldest = {step_s: points.oldest(tx, step_s, 0) or 0 for step_s in KEEP_S}
    assert kept.at - oldest[10] <= 600 + 70
    assert kept.at - oldest[60] <= 7200 + 70
    assert oldest[3600] == NOON + 3600


def test_a_new_server_goes_on_where_the_last_one_was_killed(kept: Kept) -> None:
    kept.live(50)
    kept.recorder = Recorder(kept.db, kept.meter, lambda: kept.at, lambda: kept.at, KEEP_S)
    kept.live(600, rows_per_s=1)
    assert [point.at - NOON for point in kept.points(60)] == list(range(60, 660, 60))


def test_many_runs_are_rolled_up_some_at_a_time(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.watch.recorder.ROLLED_AT_ONCE", 2)
    ids = [kept.run, *(kept.add(f"more{n}")[1] for n in range(4))]
    for _ in range(20):
        kept.at += 10
        for run_id in ids:
            kept.meter.hear(run_id, 1, kept.at, {"rows_read": 7}, {}, None)
        kept.recorder.sweep()
    assert [[point.at - NOON for point in kept.points(60, run_id)][:2] for run_id in ids] == [[60, 120]] * 5


def test_a_clock_that_is_set_back_changes_no_history(kept: Kept) -> None:
    kept.live(60, rows_per_s=5)
    before = kept.points(10)
    kept.at -= 30
    kept.recorder.record()
    assert kept.points(10) == before


def test_restarts_count_for_ten_and_for_twenty_minutes(kept: Kept) -> None:
    with kept.db.write() as tx:
        for ago_s, name in ((100, "worker_lost"), (700, "restarted"), (1300, "worker_lost"), (50, "opened")):
            tx.execute(
                key_event.insert().values(
                    at=kept.at - ago_s, task_id=kept.task, run_number=1, name=name, task_version=1, actor="", facts={}
                )
            )
    kept.live(10)
    values = kept.meter.values(kept.run, kept.at)
    assert (values["restarts_10min"], values["restarts_20min"]) == (1, 2)


def test_tables_are_kept_as_they_are_now(kept: Kept) -> None:
    def figures(name: str, rows: int, **more: object) -> TableFigures:
        return TableFigures(kept.run, name, TableMeasure(rows_read=rows, **more), 1.5, 0.0, kept.at)  # type: ignore[arg-type]

    with kept.db.write() as tx:
        points.put_tables(tx, [figures("public.a", 1), figures("public.b", 2, chunks_done=1, chunks_total=2)])
        points.put_tables(tx, [figures("public.a", 9, status="abnormal", chunks_done=1, chunks_total=1)])
    with kept.db.read() as tx:
        found, total = points.tables(tx, kept.run, sort="rows_read", descending=True)
        assert ([(one.name, one.measure.rows_read) for one in found], total) == ([("public.a", 9), ("public.b", 2)], 2)
        assert [one.name for one in points.tables(tx, kept.run, part=".B")[0]] == ["public.b"]
        assert points.tables(tx, kept.run, status=TableStatus.ABNORMAL.value)[1] == 1
        sums = points.sums(tx, [kept.run])[kept.run]
    assert (sums.tables, sums.copied, sums.abnormal) == (2, 1, 1)


def test_what_is_forgotten_of_a_run_is_all_of_it(kept: Kept) -> None:
    kept.live(30)
    with kept.db.write() as tx:
        points.put_tables(tx, [TableFigures(kept.run, "a", TableMeasure(), 0, 0, 0)])
        tx.execute(run.update().values(ended_at=NOON, cleanup="done"))
        history.forget_runs(tx, [kept.run])
    assert kept.points(10) == []
    with kept.db.read() as tx:
        assert points.tables(tx, kept.run)[1] == 0


def test_a_run_that_ends_has_a_last_point_with_all_that_was_counted(kept: Kept) -> None:
    kept.live(20, rows_per_s=5)
    kept.meter.hear(kept.run, 1, kept.at, {"rows_read": 123}, {"a": TableMeasure(rows_read=123).tell()}, None)
    with kept.db.write() as tx:
        tx.execute(task.update().values(state="stopped"))
    kept.at += 10
    kept.recorder.sweep()
    assert kept.points(10)[-1].figures[ROWS] == 123
    with kept.db.read() as tx:
        assert points.tables(tx, kept.run)[0][0].measure.rows_read == 123
    assert kept.meter.runs == set()


def test_a_task_that_does_not_run_makes_no_points(kept: Kept) -> None:
    with kept.db.write() as tx:
        tx.execute(task.update().values(state="paused"))
    for _ in range(6):
        kept.at += 10
        kept.recorder.sweep()
    assert kept.points(10) == []
    with kept.db.read() as tx:
        assert standings.at_work(tx) == []
        assert standings.of_run(tx, kept.run) is not None
