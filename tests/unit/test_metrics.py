"""The metric table says of each metric all that its readers need, and nothing twice."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tidegate.watch.metrics import BY_NAME, METRICS, From, Kind, Metric, Of, Roll, Unit

_SUFFIXES = {
    Unit.SECONDS: "_s",
    Unit.BYTES: "_bytes|^bytes_.*",
    Unit.SHARE: "_share",
    Unit.CORES: "_cores",
    Unit.ROWS_PER_S: "_per_s",
    Unit.BYTES_PER_S: "_per_s",
}
EACH = pytest.mark.parametrize("metric", METRICS, ids=lambda one: f"{one.of}.{one.name}")


@EACH
def test_a_name_says_the_unit(metric: Metric) -> None:
    assert re.search(rf"(?:{_SUFFIXES.get(metric.unit, '')})$", metric.name)
    assert metric.name.endswith("_per_s") == (metric.source is From.RATE and metric.unit.value.endswith("/s"))


@EACH
def test_a_prometheus_name_is_one(metric: Metric) -> None:
    assert re.fullmatch(r"tidegate_[a-z][a-z0-9_]*", metric.prometheus)
    assert metric.prometheus.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert not metric.prometheus.endswith("_s")


@EACH
def test_a_rate_is_of_a_counter_that_is_there(metric: Metric) -> None:
    if metric.source is From.RATE:
        assert BY_NAME[metric.of][metric.rate_of].kind is Kind.COUNTER
        assert metric.number == 0, "it is found from the counter's history"
    else:
        assert metric.rate_of == ""


@EACH
def test_a_help_is_a_sentence(metric: Metric) -> None:
    assert re.fullmatch(r"[A-Z0].*\.", metric.help)


def test_a_counter_of_many_points_is_the_last_of_them() -> None:
    assert {metric.roll for metric in METRICS if metric.kind is Kind.COUNTER} == {Roll.LAST}


def test_nothing_is_there_twice() -> None:
    for what in (
        [(metric.of, metric.name) for metric in METRICS],
        [metric.prometheus for metric in METRICS],
        [metric.number for metric in METRICS if metric.number],
        [metric.alarm for metric in METRICS if metric.alarm],
    ):
        assert [one for one, times in Counter(what).items() if times > 1] == []


def test_history_is_kept_of_every_figure_of_a_task_that_is_not_a_rate_and_of_no_other() -> None:
    kept = {(metric.of, metric.name) for metric in METRICS if metric.number}
    assert kept == {(Of.TASK, metric.name) for metric in METRICS if metric.of is Of.TASK and not metric.rate_of}
