"""What lists of tasks show besides the tasks themselves: how far their copies are, their last operation, totals, and
one figure's last minutes; each read from the store in few statements, however many tasks there are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from sqlalchemy import Connection

from tidegate.model.lifecycle import STATES
from tidegate.model.mode import ReadMode
from tidegate.server.views import OperationView, OpsTotals, OpsTrends, TaskView
from tidegate.store import moves, points, tasks
from tidegate.store.moves import Situation
from tidegate.store.rows import Health
from tidegate.watch.metrics import BY_NAME, From, Metric
from tidegate.watch.progress import share

TREND_S = 600
TREND_STEP_S = points.STEPS_S[0]


def enriched(tx: Connection, views: Sequence[TaskView], situations: Sequence[Situation]) -> list[TaskView]:
    """The views with `copied_percent` and `last_operation`."""
    running = {one.task.id: one.run for one in situations if one.run is not None}
    copying = [run.id for run in running.values() if run.phase == "full"]
    sums = points.sums(tx, copying) if copying else {}
    commands = moves.newest_commands(tx, [view.id for view in views]) if views else {}

    def percent(view: TaskView) -> float | None:
        run = running.get(view.id)
        if run is None or run.start.get("read") == ReadMode.INCREMENTAL.value:
            return None
        if run.phase == "incremental":
            return 100.0
        known = sums.get(run.id)
        return share(known.rows_copied, known.rows_estimated, known.copied, known.tables) if known else None

    return [
        replace(
            view,
            copied_percent=percent(view),
            last_operation=OperationView(*commands[view.id]) if view.id in commands else None,
        )
        for view in views
    ]


def totals(
    tx: Connection, *, project: str | None, seen: Collection[str] | None, name: str | None, equal: dict[str, str | None]
) -> OpsTotals:
    """Over the tasks that match."""
    statuses = dict.fromkeys((facts.status for facts in STATES.values() if facts.status), 0)
    del statuses["New"]
    recovering = 0
    facets: list[set[str]] = [set() for _ in tasks.FACETS]
    for state, health, values, count in tasks.count_tasks(
        tx, project_name=project, seen=seen, name_part=name, equal=equal
    ):
        statuses[STATES[state].status] += count
        recovering += count if STATES[state].worker and health == Health.RECOVERING.value else 0
        for seen, value in zip(facets, values, strict=True):
            if value is not None:
                seen.add(value)
    owners, source_kinds, target_kinds, groups = (sorted(seen) for seen in facets)
    return OpsTotals(
        total=sum(statuses.values()),
        statuses=statuses,
        recovering=recovering,
        owners=owners,
        source_kinds=source_kinds,
        target_kinds=target_kinds,
        resource_groups=groups,
    )


def trends(tx: Connection, run_of: Mapping[int, int], metric: Metric, now: float) -> OpsTrends:
    """`run_of` gives the run of each task."""
    until = int(now // TREND_STEP_S) * TREND_STEP_S
    since, steps = until - TREND_S, TREND_S // TREND_STEP_S
    # One more in front, for rates are of what came between two points.
    found = points.read_of(tx, list(run_of.values()), TREND_STEP_S, since - TREND_STEP_S, until) if run_of else []
    number = BY_NAME[metric.of][metric.rate_of].number if metric.source is From.RATE else metric.number
    values: dict[int, dict[int, float | None]] = {}
    for point in found:
        values.setdefault(point.run_id, {})[point.at] = point.figures.get(number, 0)

    def series(run_id: int) -> list[float | None]:
        known = values.get(run_id, {})
        at = [since + TREND_STEP_S * step for step in range(steps + 1)]
        if metric.source is not From.RATE:
            return [known.get(moment) for moment in at[1:]]
        return [_rate(known.get(before), known.get(after)) for before, after in pairwise(at)]

    return OpsTrends(metric.name, TREND_STEP_S, until, {str(task): series(run) for task, run in run_of.items()})


def _rate(before: float | None, after: float | None) -> float | None:
    if before is None or after is None:
        return None
    return round(max(0.0, after - before) / TREND_STEP_S, 3)
