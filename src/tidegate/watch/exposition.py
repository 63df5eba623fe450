"""The metrics of all runs at work and all resource groups as Prometheus scrapes them. Pure.

Tables are left out: a task may have ten thousand of them, which is no number of series for a scrape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from tidegate.watch.metrics import METRICS, Kind, Of

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATUS = "tidegate_task_status"
STATUS_HELP = "1 for the status each task in real-time ops has now."


@dataclass(frozen=True, slots=True)
class Labelled:
    """The newest values of one thing by name of the metric, under the labels its metrics have."""

    labels: Sequence[str]
    values: Mapping[str, float | None]


class _Now(Collector):
    def __init__(self, found: Mapping[Of, Sequence[Labelled]], statuses: Iterable[tuple[str, str, str]]) -> None:
        self._found, self._statuses = found, statuses

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        status = GaugeMetricFamily(STATUS, STATUS_HELP, labels=("project", "task", "status"))
        for labels in self._statuses:
            status.add_metric(labels, 1)
        yield status
        for metric in METRICS:
            if metric.of is Of.TABLE:
                continue
            make = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
            family = make(metric.prometheus, metric.help, labels=metric.labels)
            for one in self._found.get(metric.of, ()):
                value = one.values.get(metric.name)
                if value is not None:
                    family.add_metric(one.labels, value)
            yield family


def exposition(found: Mapping[Of, Sequence[Labelled]], statuses: Iterable[tuple[str, str, str]]) -> bytes:
    """`statuses` are project, task and status shown."""
    registry = CollectorRegistry()
    registry.register(_Now(found, list(statuses)))
    return generate_latest(registry)
