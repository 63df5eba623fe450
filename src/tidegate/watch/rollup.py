"""Many points in a row as one, each metric as its line of the table says. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidegate.store.points import Figures, Point
from tidegate.watch.metrics import BY_NUMBER, Metric, Roll


def bucket(at: float, step_s: int) -> int:
    """The end of the `step_s` seconds that a point which ends `at` belongs to."""
    return -int(-at // step_s) * step_s


def rolled(points: Sequence[Point], step_s: int) -> Point:
    """One point for those of one run, which are in order and all of one bucket; at least one."""
    last = points[-1]
    numbers = {number for point in points for number in point.figures}
    figures = {number: one(BY_NUMBER[number], points) for number in numbers if number in BY_NUMBER}
    return Point(last.run_id, step_s, bucket(last.at, step_s), sum(point.points for point in points), figures)


def one(metric: Metric, points: Sequence[Point]) -> float | None:
    """The value of the metric; None where no point knows it."""
    known = [(value, point.points) for point in points if (value := point.figures.get(metric.number, 0)) is not None]
    if not known:
        return None
    values = [value for value, _ in known]
    match metric.roll:
        case Roll.MAX:
            return max(values)
        case Roll.MIN:
            return min(values)
        case Roll.LAST:
            return values[-1]
        case Roll.SUM:
            return sum(values)
        case Roll.MEAN:
            return round(sum(value * weight for value, weight in known) / sum(weight for _, weight in known), 6)


def numbered(values: Mapping[str, float | None], by_name: Mapping[str, Metric]) -> Figures:
    """By number, as history keeps them; those without one are left out."""
    return {metric.number: values.get(name) for name, metric in by_name.items() if metric.number}
