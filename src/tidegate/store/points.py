"""History of runs' figures in steps of 10 s, 1 min and 1 h, and the newest figures of their tables."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

from sqlalchemy import Connection, Table, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from tidegate.model.measured import TableMeasure
from tidegate.store.tables import metric_point, run, table_figure, task

STEPS_S = (10, 60, 3600)

Figures: TypeAlias = Mapping[int, float | None]
"""By the number of the metric; None: it was not known. One that is missing was 0."""


@dataclass(frozen=True, slots=True)
class Point:
    """What a run was like in the `step_s` seconds that end `at` (seconds since 1970-01-01 UTC); `points` of the finest
    step made it."""

    run_id: int
    step_s: int
    at: int
    points: int
    figures: Figures


def _insert(tx: Connection, table: Table) -> Any:
    """The dialect's own, for what is there already."""
    return (sqlite if tx.dialect.name == "sqlite" else postgresql).insert(table)


def add(tx: Connection, points: Sequence[Point]) -> None:
    """One that is there already stays as it is: a clock that was set back changes no history."""
    values = [
        {
            "run_id": point.run_id,
            "step_s": point.step_s,
            "at": point.at,
            "points": point.points,
            "figures": _text(point.figures),
        }
        for point in points
    ]
    if values:
        tx.execute(_insert(tx, metric_point).on_conflict_do_nothing(), values)


def _text(figures: Figures) -> str:
    return json.dumps({number: value for number, value in figures.items() if value != 0}, separators=(",", ":"))


_READ = (
    select(metric_point)
    .where(
        metric_point.c.run_id == bindparam("the_run"),
        metric_point.c.step_s == bindparam("the_step"),
        metric_point.c.at > bindparam("after"),
        metric_point.c.at <= bindparam("until"),
    )
    .order_by(metric_point.c.at)
)


def read(tx: Connection, run_id: int, step_s: int, after: float, until: float) -> list[Point]:
    """Those that end after `after` and not after `until`, the oldest first."""
    rows = tx.execute(_READ, {"the_run": run_id, "the_step": step_s, "after": after, "until": until})
    return [_point(row) for row in rows]


def read_of(tx: Connection, run_ids: Collection[int], step_s: int, after: float, until: float) -> list[Point]:
    """The same of many runs, in no order."""
    query = select(metric_point).where(
        metric_point.c.run_id.in_(run_ids),
        metric_point.c.step_s == step_s,
        metric_point.c.at > after,
        metric_point.c.at <= until,
    )
    return [_point(row) for row in tx.execute(query)]


def of_project(tx: Connection, project_id: int, step_s: int, after: float, until: float) -> list[tuple[Point, float]]:
    """The same of all runs of a project's tasks, each with when its run began; by run, the oldest first."""
    query = (
        select(metric_point, run.c.started_at)
        .join(run, run.c.id == metric_point.c.run_id)
        .join(task, task.c.id == run.c.task_id)
        .where(
            task.c.project_id == project_id,
            metric_point.c.step_s == step_s,
            metric_point.c.at > after,
            metric_point.c.at <= until,
        )
        .order_by(metric_point.c.run_id, metric_point.c.at)
    )
    return [(_point(row[:-1]), row[-1]) for row in tx.execute(query)]


def _point(row: Sequence[Any]) -> Point:
    run_id, step_s, at, points, figures = row
    return Point(run_id, step_s, at, points, {int(number): value for number, value in json.loads(figures).items()})


def runs_with(tx: Connection, step_s: int, after: int, until: int, *, beyond: int, limit: int) -> list[int]:
    """Ids greater than `beyond` of the runs that have points of this step that end then, in order."""
    query = (
        select(metric_point.c.run_id)
        .where(
            metric_point.c.step_s == step_s,
            metric_point.c.at > after,
            metric_point.c.at <= until,
            metric_point.c.run_id > beyond,
        )
        .distinct()
        .order_by(metric_point.c.run_id)
        .limit(limit)
    )
    return list(tx.execute(query).scalars())


def newest(tx: Connection, step_s: int) -> int | None:
    """When the newest point of this step ends."""
    found: int | None = tx.execute(
        select(func.max(metric_point.c.at)).where(metric_point.c.step_s == step_s)
    ).scalar_one()
    return found


def oldest(tx: Connection, step_s: int, after: int) -> int | None:
    """When the oldest that ends after `after` does."""
    query = select(func.min(metric_point.c.at)).where(metric_point.c.step_s == step_s, metric_point.c.at > after)
    found: int | None = tx.execute(query).scalar_one()
    return found


def forget(tx: Connection, step_s: int, before: int) -> None:
    """Points of this step that ended before then."""
    tx.execute(delete(metric_point).where(metric_point.c.step_s == step_s, metric_point.c.at < before))


def forget_runs(tx: Connection, run_ids: Collection[int]) -> None:
    """All that is known of these runs' figures."""
    for table in (metric_point, table_figure):
        tx.execute(delete(table).where(table.c.run_id.in_(run_ids)))


# --- tables -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TableFigures:
    """The newest figures of one table in a run, as of `at`."""

    run_id: int
    name: str
    measure: TableMeasure
    rows_read_per_s: float
    rows_written_per_s: float
    at: float


def put_tables(tx: Connection, figures: Sequence[TableFigures]) -> None:
    """In place of what was known of them."""
    if not figures:
        return
    insert = _insert(tx, table_figure)
    changed = {name: insert.excluded[name] for name in (*MEASURES, *RATES, "at")}
    insert = insert.on_conflict_do_update(index_elements=["run_id", "name"], set_=changed)
    # There may be tens of thousands, every few seconds, of plain types: what SQLAlchemy does for each row is left out.
    compiled = insert.compile(dialect=tx.dialect, column_keys=[*_TABLE_COLUMNS])
    rows = [
        (one.run_id, one.name, *_measured(one.measure), one.rows_read_per_s, one.rows_written_per_s, one.at)
        for one in figures
    ]
    if compiled.positional:
        order = itemgetter(*(_TABLE_COLUMNS.index(name) for name in compiled.positiontup or ()))
        tx.exec_driver_sql(compiled.string, [order(row) for row in rows])
    else:
        tx.exec_driver_sql(compiled.string, [dict(zip(_TABLE_COLUMNS, row, strict=True)) for row in rows])


MEASURES = tuple(TableMeasure.__dataclass_fields__)
_measured = attrgetter(*MEASURES)
SORTS = ("name", "state", "status", *(name for name in MEASURES if name not in ("state", "status", "reason")))
RATES = ("rows_read_per_s", "rows_written_per_s")
_TABLE_COLUMNS = ("run_id", "name", *MEASURES, *RATES, "at")


def tables(
    tx: Connection,
    run_id: int,
    *,
    part: str | None = None,
    status: str | None = None,
    sort: str = "name",
    descending: bool = False,
    offset: int = 0,
    limit: int | None = None,
) -> tuple[list[TableFigures], int]:
    """Tables of a run whose name contains `part`, and how many match in all."""
    query = select(table_figure).where(table_figure.c.run_id == run_id)
    if part:
        query = query.where(table_figure.c.name.icontains(part, autoescape=True))
    if status:
        query = query.where(table_figure.c.status == status)
    total = tx.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    column = table_figure.c[sort]
    order = column.desc() if descending else column.asc()
    rows = tx.execute(query.order_by(order, table_figure.c.name).offset(offset).limit(limit)).mappings()
    found = [
        TableFigures(
            row["run_id"],
            row["name"],
            TableMeasure(**{name: row[name] for name in MEASURES}),
            row["rows_read_per_s"],
            row["rows_written_per_s"],
            row["at"],
        )
        for row in rows
    ]
    return found, total


@dataclass(frozen=True, slots=True)
class Sums:
    """Over all tables of a run."""

    tables: int
    copied: int
    """Tables whose rows are all copied."""
    abnormal: int
    rows_copied: int
    rows_estimated: int


def sums(tx: Connection, run_ids: Collection[int]) -> dict[int, Sums]:
    """By run; one without tables is not in it."""
    c = table_figure.c
    done = func.sum((c.chunks_done == c.chunks_total).cast(c.chunks_done.type))
    query = (
        select(
            c.run_id,
            func.count(),
            done,
            func.sum((c.status == "abnormal").cast(c.chunks_done.type)),
            func.sum(c.rows_copied),
            func.sum(c.rows_estimated),
        )
        .where(c.run_id.in_(run_ids))
        .group_by(c.run_id)
    )
    return {row[0]: Sums(*(int(value or 0) for value in row[1:])) for row in tx.execute(query)}
