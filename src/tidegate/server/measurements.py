"""The part of `Control` for figures: what is measured of a task now and was before, of its tables, how far it is, and
what holds it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from tidegate.errors import Invalid
from tidegate.model.lifecycle import STATES
from tidegate.model.measured import TableStatus
from tidegate.model.mode import ReadMode
from tidegate.server.operations import Operations
from tidegate.server.views import Moment, Page
from tidegate.store import catalog, moves, points, standings
from tidegate.store.points import STEPS_S, Point, TableFigures
from tidegate.store.rows import RunRow
from tidegate.watch import bottleneck
from tidegate.watch.exposition import Labelled, exposition
from tidegate.watch.metrics import BY_NAME, From, Metric, Of
from tidegate.watch.progress import Facts, Progress, progress, table_percent
from tidegate.watch.recorder import WINDOWS_S, known_of, together

POINTS_MAX = 2_000
POINTS_WANTED = 400
HOUR_S = 3600.0
HOUR_STEP_S = 3600
TABLE_SORTS = (*points.SORTS, *points.RATES)


@dataclass(frozen=True, slots=True)
class PointView:
    at: Moment
    """When the step ends."""
    values: Mapping[str, float | None]
    """By name of the metric; None: it was not known then."""


@dataclass(frozen=True, slots=True)
class MetricsView:
    """`now` is the newest value of each metric, of a run at work; `points` are its history, the oldest first."""

    run: int
    step_s: int
    since: Moment
    until: Moment
    now: Mapping[str, float | None]
    points: list[PointView]


@dataclass(frozen=True, slots=True)
class MovedView:
    """What tasks moved together in the hour that ends `at`."""

    at: Moment
    rows_read: int
    rows_written: int
    dirty_rows: int


@dataclass(frozen=True, slots=True)
class TableView:
    """One table of a run. `status` is unknown while nobody works on the run."""

    name: str
    state: str
    status: str
    reason: str
    percent: float
    """Of its existing rows, copied."""
    rows_read: int
    bytes_read: int
    rows_written: int
    bytes_written: int
    dirty_rows: int
    dirty_bytes: int
    rows_copied: int
    rows_estimated: int
    rows_read_per_s: float
    rows_written_per_s: float
    business_delay_s: float
    at: Moment
    """When something of it last changed."""


@dataclass(frozen=True, slots=True)
class StageView:
    """A stage of a run: Not Started, In Progress or Completed. What does not belong to the stage, and what is not
    known, is None: `left_s` at the rate so far, `catch_up_s` at the present rates."""

    stage: str
    state: str
    percent: float | None
    started_at: Moment | None
    ended_at: Moment | None
    tables_done: int | None = None
    tables_total: int | None = None
    rows_done: int | None = None
    rows_estimated: int | None = None
    rows_per_s: float | None = None
    left_s: float | None = None
    position: str | None = None
    lag_s: float | None = None
    lag_bytes: int | None = None
    catch_up_s: float | None = None


@dataclass(frozen=True, slots=True)
class VerdictView:
    """What holds the task up: `source`, `decode`, `target`, `idle`, or `unknown`."""

    holds: str
    because: str
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ProgressView:
    """The stages of a run in order (a run that copies nothing has no full one), and what holds it up."""

    run: int
    stages: list[StageView]
    bottleneck: VerdictView


class Measurements(Operations):
    def known(self, run: int) -> dict[str, float]:
        """The newest figures of a run (by the store's id) as far as they are known, by the names of the metric table;
        and how long its source keeps the log, also while it rests."""
        ticks = self.clock.ticks()
        found = {name: value for name, value in self.meter.values(run, ticks).items() if value is not None}
        left_s = self.logbook.left_s(run, ticks)
        return found if left_s is None else found | {"log_left_s": left_s}

    def metrics(
        self,
        task: int,
        *,
        run: int | None = None,
        since: float | None = None,
        until: float | None = None,
        step_s: int | None = None,
        names: Sequence[str] = (),
    ) -> MetricsView:
        """Of the present run unless another is named; by default of the last hour, in the finest step that is not too
        fine. Raises `NotFound` (also without a run), `Invalid`."""
        known = BY_NAME[Of.TASK]
        if unknown := [name for name in names if name not in known]:
            raise Invalid(f"names: there is no metric {', '.join(unknown)}")
        chosen = {name: metric for name, metric in known.items() if not names or name in names}
        with self.db.read() as tx:
            row = self._run_row(tx, task, run)
            until = self.clock.now() if until is None else until
            since = until - HOUR_S if since is None else since
            step_s = step_s or self._step(since, until)
            if step_s not in STEPS_S:
                raise Invalid(f"step: must be one of {', '.join(str(one) for one in STEPS_S)}")
            if not 0 <= until - since <= step_s * POINTS_MAX:
                raise Invalid(f"from and to: at most {POINTS_MAX} steps of {step_s} s may be between them")
            # One more in front, for rates are of what came between two points.
            found = points.read(tx, row.id, step_s, since - step_s, until)
        now = self._newest(row)
        return MetricsView(
            row.number,
            step_s,
            since,
            until,
            {name: value for name, value in now.items() if name in chosen},
            _points(found, chosen, since, step_s),
        )

    def _step(self, since: float, until: float) -> int:
        kept = self.limits.keep_points_s
        now = self.clock.now()
        for step_s in STEPS_S:
            if (until - since) / step_s <= POINTS_WANTED and now - since <= kept.get(step_s, 0.0) + step_s:
                return step_s
        return STEPS_S[-1]

    def _newest(self, run: RunRow) -> dict[str, float | None]:
        """Of a run at work; of one that rests no more than how long its log lasts."""
        now, ticks = self.clock.now(), self.clock.ticks()
        left_s = None if run.ended_at is not None else self.logbook.left_s(run.id, ticks)
        with self.db.read() as tx:
            standing = standings.of_run(tx, run.id)
            if standing is None or not STATES[standing.state].worker:
                return {} if left_s is None else {"log_left_s": round(left_s, 3)}
            restarts = standings.restarts(tx, now - max(WINDOWS_S.values()))
            sums = points.sums(tx, [run.id])
        known = known_of(standing, restarts, sums.get(run.id), now, log_left_s=left_s)
        return together(known, self.meter.values(run.id, ticks))

    def moved(self, project: str, since: float, until: float) -> list[MovedView]:
        """What all tasks of a project moved in each hour that ended after `since` and not after `until`, the oldest
        first; an hour is told of once it is over. Raises `NotFound` (the project)."""
        counters = [BY_NAME[Of.TASK][name] for name in ("rows_read", "rows_written", "dirty_rows")]
        totals: dict[int, list[float]] = {}
        with self.db.read() as tx:
            project_id = catalog.get_project(tx, project).id
            found = points.of_project(tx, project_id, HOUR_STEP_S, since - HOUR_STEP_S, until)
        for (point, started_at), (before, _) in zip(found, [(None, 0.0), *found], strict=False):
            if point.at <= since:
                continue
            follows = before is not None and (before.run_id, before.at) == (point.run_id, point.at - HOUR_STEP_S)
            begins = point.at - HOUR_STEP_S < started_at <= point.at
            if not (follows or begins):
                continue  # how much of its totals belongs to this hour is not known
            hour = totals.setdefault(point.at, [0.0] * len(counters))
            for place, metric in enumerate(counters):
                base = before.figures.get(metric.number, 0) if follows and before is not None else 0
                hour[place] += max(0.0, (point.figures.get(metric.number, 0) or 0) - (base or 0))
        return [MovedView(at, *(int(total) for total in hour)) for at, hour in sorted(totals.items())]

    def tables(
        self,
        task: int,
        *,
        run: int | None = None,
        name: str | None = None,
        status: str | None = None,
        sort: str = "name",
        page: int = 1,
        page_size: int = 50,
    ) -> Page[TableView]:
        """Tables of the present run unless another is named; `name` is a part of one's. Raises `NotFound` (also without
        a run), `Invalid`."""
        column = sort.removeprefix("-")
        if column not in TABLE_SORTS:
            raise Invalid(f"sort: must be one of {', '.join(TABLE_SORTS)}, or one of them behind a -")
        with self.db.read() as tx:
            row = self._run_row(tx, task, run)
            now_in = moves.get(tx, task)
        works = now_in.run is not None and now_in.run.id == row.id and STATES[now_in.task.state].worker
        if changed := self.meter.changed_tables(row.id, self.clock.ticks(), self.clock.now()):
            self._keep_tables(changed)
        with self.db.read() as tx:
            found, total = points.tables(
                tx,
                row.id,
                part=name,
                status=status if works else None,
                sort=column,
                descending=sort.startswith("-"),
                offset=(page - 1) * page_size,
                limit=page_size,
            )
        if not works and status not in (None, TableStatus.UNKNOWN.value):
            return Page([], 0, page, page_size)
        return Page([_table_view(one, works=works) for one in found], total, page, page_size)

    def _keep_tables(self, changed: list[TableFigures]) -> None:
        try:
            with self.db.write() as tx:
                points.put_tables(tx, changed)
        except BaseException:
            self.meter.unwritten(changed)
            raise

    def progress(self, task: int, *, run: int | None = None) -> ProgressView:
        """How far a run is: the present one unless another is named. Raises `NotFound`, also without a run."""
        with self.db.read() as tx:
            row = self._run_row(tx, task, run)
            phases = standings.phases(tx, task, row.number)
            rests = standings.rests(tx, task, row.number)
            sums = points.sums(tx, [row.id]).get(row.id)
        found = progress(
            Facts(
                started_at=row.started_at,
                ended_at=row.ended_at,
                copies=row.start.get("read") != ReadMode.INCREMENTAL.value,
                phases=phases,
                rests=rests,
                sums=sums,
                position=row.position,
                lag_s=row.lag_s,
                lag_bytes=row.lag_bytes,
                shrinks_bytes_s=self.meter.log_shrinks_bytes_s(row.id),
            ),
            self.clock.now(),
        )
        held = bottleneck.verdict(self.meter.values(row.id, self.clock.ticks()) if row.ended_at is None else {})
        return ProgressView(row.number, _stages(found), VerdictView(held.holds.value, held.because, held.figures))

    def exposition(self) -> bytes:
        """Every metric of runs at work and of resource groups, and how long the log lasts of those that rest, as
        Prometheus scrapes them."""
        now, ticks = self.clock.now(), self.clock.ticks()
        with self.db.read() as tx:
            at_work = standings.at_work(tx)
            restarts = standings.restarts(tx, now - max(WINDOWS_S.values()))
            sums = points.sums(tx, [standing.run_id for standing in at_work])
            groups, used = catalog.list_groups(tx), catalog.units_used(tx)
            resting = standings.at_rest(tx)
            statuses = [(project, name, STATES[state].status) for project, name, state in standings.statuses(tx)]
        tasks = [
            Labelled(
                (standing.project, standing.task, str(standing.number)),
                together(
                    known_of(
                        standing,
                        restarts,
                        sums.get(standing.run_id),
                        now,
                        log_left_s=self.logbook.left_s(standing.run_id, ticks),
                    ),
                    self.meter.values(standing.run_id, ticks),
                ),
            )
            for standing in at_work
        ]
        tasks += [
            Labelled((project, name, str(number)), {"log_left_s": self.logbook.left_s(run_id, ticks)})
            for run_id, project, name, number in resting
        ]
        held = {group.name: sum(units for _, units in used.get(group.name, ())) for group in groups}
        units = [
            Labelled(
                (group.name,),
                {
                    "units": group.units,
                    "units_used": held[group.name],
                    "units_free": group.units - held[group.name],
                },
            )
            for group in groups
        ]
        return exposition({Of.TASK: tasks, Of.GROUP: units}, statuses)


def _points(found: Sequence[Point], chosen: Mapping[str, Metric], since: float, step_s: int) -> list[PointView]:
    views = []
    for point, before in zip(found, [None, *found], strict=False):
        if point.at <= since:
            continue
        adjoins = before if before is not None and point.at - before.at <= 2 * step_s else None
        views.append(PointView(point.at, {name: _value(metric, point, adjoins) for name, metric in chosen.items()}))
    return views


def _value(metric: Metric, point: Point, before: Point | None) -> float | None:
    if metric.source is not From.RATE:
        return point.figures.get(metric.number, 0)
    counter = BY_NAME[metric.of][metric.rate_of].number
    new = point.figures.get(counter, 0)
    old = before.figures.get(counter, 0) if before is not None else None
    if before is None or new is None or old is None:
        return None
    return max(0.0, round((new - old) / (point.at - before.at), 4))


def _table_view(one: TableFigures, *, works: bool) -> TableView:
    figures = {name: value for name, value in asdict(one.measure).items() if not name.startswith("chunks_")}
    if not works:
        figures["status"] = TableStatus.UNKNOWN.value
    rates = (one.rows_read_per_s, one.rows_written_per_s) if works else (0.0, 0.0)
    return TableView(
        name=one.name,
        percent=table_percent(one.measure),
        rows_read_per_s=rates[0],
        rows_written_per_s=rates[1],
        at=one.at,
        **figures,
    )


def _stages(found: Progress) -> list[StageView]:
    stages = {"preparation": found.preparation, "full": found.full, "incremental": found.incremental}
    return [StageView(stage=name, **asdict(stage)) for name, stage in stages.items() if stage is not None]
