"""What is made for Prometheus and Grafana is whole, and reads as they read it."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tidegate.watch import monitoring
from tidegate.watch.exposition import STATUS, Labelled, exposition
from tidegate.watch.metrics import BY_NAME, METRICS, Of

KNOWN = {metric.prometheus for metric in METRICS if metric.of is not Of.TABLE} | {STATUS, "up"}
WORDS = re.compile(r"\btidegate_[a-z0-9_]+")


def test_every_metric_of_tasks_and_groups_is_in_one_panel() -> None:
    shown = [WORDS.findall(target["expr"]) for panel in _panels() for target in panel.get("targets", [])]
    assert sorted(name for names in shown for name in names) == sorted(KNOWN - {"up"})


def test_panels_have_numbers_of_their_own() -> None:
    numbers = [panel["id"] for panel in _panels()]
    assert len(set(numbers)) == len(numbers)


def test_alert_rules_ask_for_metrics_that_are_there() -> None:
    rules = yaml.safe_load(monitoring.rules())["groups"][0]["rules"]
    assert len(rules) == len(monitoring.RULES)
    for rule in rules:
        names = {*WORDS.findall(rule["expr"]), *re.findall(r"\bup\b", rule["expr"])}
        assert names
        assert names <= KNOWN, rule["alert"]
        assert rule["labels"]["severity"] in ("normal", "important", "urgent")


def test_what_is_scraped_reads_back_as_it_was() -> None:
    name = 'shop "eu"\nnorth\\'
    told = {
        Of.TASK: [Labelled(("default", name, "3"), {"rows_read": 12, "lag_s": 0.25, "lag_bytes": None})],
        Of.GROUP: [Labelled(("default",), {"units": 4})],
    }
    text = exposition(told, [("default", name, "Running")]).decode()
    found = {
        sample.name: (sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    labels = {"project": "default", "task": name, "run": "3"}
    assert found["tidegate_task_rows_read_total"] == (labels, 12)
    assert found["tidegate_task_lag_seconds"] == (labels, 0.25)
    assert found["tidegate_group_units"] == ({"group": "default"}, 4)
    assert found[STATUS][0]["status"] == "Running"
    assert "tidegate_task_lag_bytes" not in found, "what is not known is not 0"


def test_the_help_of_every_metric_is_scraped() -> None:
    text = exposition({}, []).decode()
    for of in (Of.TASK, Of.GROUP):
        for metric in BY_NAME[of].values():
            assert f"# TYPE {metric.prometheus} {metric.kind.value}" in text


def _panels() -> list[dict[str, Any]]:
    return list(json.loads(monitoring.dashboard())["panels"])
