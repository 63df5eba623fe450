"""Alert rules as people write them: what is taken, what is refused, when it is quiet."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tidegate.errors import AlertRuleInvalid
from tidegate.model.alert import ALARMS, BY_NAME, DEFAULT_RULES, FIGURES, UNITS, Form, QuietSpec, Reads, parse_rule
from tidegate.model.lifecycle import State
from tidegate.watch.metrics import BY_NAME as METRICS
from tidegate.watch.metrics import Of

FOUND_BY_THE_SERVER = {"step_s"}


def rule(**more: Any) -> dict[str, Any]:
    return {"alert_rule": "late", "applies_to": {"all": True}, "conditions": [{"metric": "task_failed"}]} | more


def condition(**given: Any) -> dict[str, Any]:
    return rule(conditions=[given])


def test_every_figure_that_is_compared_is_one_of_the_metric_table() -> None:
    assert set(FIGURES) - set(METRICS[Of.TASK]) == FOUND_BY_THE_SERVER


def test_the_seventeen_usual_metrics_and_ours_are_there() -> None:
    assert len(ALARMS) == 17 + 5
    assert len(BY_NAME) == len(ALARMS)


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_a_line_of_the_table_is_whole(alarm: Any) -> None:
    assert alarm.says.endswith(".")
    assert alarm.unit in UNITS
    assert (alarm.form is Form.IS_SO) == (alarm.unit == "")
    if alarm.reads is Reads.STATE:
        assert alarm.of == (State(alarm.of[0]).value,)
    if alarm.reads in (Reads.EVENTS, Reads.RATE):
        assert alarm.window_s > 0


@pytest.mark.parametrize("given", DEFAULT_RULES, ids=lambda one: one.alert_rule)
def test_a_rule_that_is_there_from_the_start_is_what_its_definition_says(given: Any) -> None:
    assert parse_rule(given.definition()) == given


def test_a_threshold_is_compared_in_the_metrics_own_unit() -> None:
    for unit, limit in (("ms", 0.09), ("s", 90), ("min", 5400), (None, 90)):
        given = {"metric": "task_delay", "threshold": 90} | ({"unit": unit} if unit else {})
        assert parse_rule(condition(**given)).conditions[0].limit == pytest.approx(limit)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (condition(metric="task_delays"), "is none of"),
        (condition(metric="task_failed", threshold=1), "takes none"),
        (condition(metric="task_failed", window="5m"), "takes none"),
        (condition(metric="task_delay"), "needs one"),
        (condition(metric="task_delay", threshold=5, unit="rows"), "one of ms, s, min, h"),
        (condition(metric="task_delay", threshold=5, operator="below"), "is above"),
        (condition(metric="log_left", threshold=5, operator="above"), "is below"),
        (condition(metric="read_speed", threshold=5), "above or below"),
        (condition(metric="read_speed", operator="above", threshold=5, window="0s"), "at least 1s"),
        (condition(metric="restarts_20min", threshold=1, window="10m"), "is 1200s"),
        (condition(metric="task_delay", threshold=-1), "greater than or equal to 0"),
        (condition(metric="task_delay", threshold=float("nan")), "finite"),
        (condition(metric="task_delay", threshold=5, window="2h"), "3600"),
        (condition(metric="task_delay", threshold=5, window=60), "with its unit"),
        (rule(conditions=[]), "must be 1 to"),
        (rule(conditions=[{"metric": "task_failed"}, {"metric": "task_failed"}]), "twice"),
        (rule(applies_to={}), "exactly one"),
        (rule(applies_to={"task": "shop", "owner": "ann"}), "exactly one"),
        (rule(applies_to={"all": False}), "all"),
        (rule(severity="high"), "urgent"),
        (rule(limit={"most": 0}), "limit.most"),
        (rule(limit={"most": 3, "per": "1s"}), "limit.per"),
        (rule(quiet=[{"from": "22:00", "to": "22:00"}]), "same as from"),
        (rule(quiet=[{"from": "24:30", "to": "22:00"}]), "time of day"),
        (rule(quiet=[{"from": 1320, "to": "22:00"}]), "time of day"),
        (rule(quiet=[{"from": "22:00", "to": "07:00", "time_zone": "Mars/Olympus"}]), "no time zone"),
        (rule(quiet=[{"from": "22:00", "to": "07:00", "time_zone": "../../etc/passwd"}]), "no time zone"),
        (rule(quiet=[{"from": "22:00", "to": "07:00", "weekdays": ["monday"]}]), "quiet"),
        (rule(channels=["no such name"]), "channels"),
        (rule(alert_rule="1"), "alert_rule"),
        (rule(colour="red"), "no such field"),
        ([], "not a mapping"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_the_field(given: Any, said: str) -> None:
    with pytest.raises(AlertRuleInvalid, match=said):
        parse_rule(given)


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("quiet", "at", "covered"),
    [
        # 2026-03-02 is a Monday.
        ({"from": "22:00", "to": "07:00"}, "2026-03-02 21:59", False),
        ({"from": "22:00", "to": "07:00"}, "2026-03-02 22:00", True),
        ({"from": "22:00", "to": "07:00"}, "2026-03-03 06:59", True),
        ({"from": "22:00", "to": "07:00"}, "2026-03-03 07:00", False),
        ({"from": "12:00", "to": "13:00"}, "2026-03-02 12:30", True),
        ({"from": "00:00", "to": "24:00", "weekdays": ["sat", "sun"]}, "2026-03-07 23:59", True),
        ({"from": "00:00", "to": "24:00", "weekdays": ["sat", "sun"]}, "2026-03-09 00:00", False),
        # The night from Friday to Saturday belongs to Friday.
        ({"from": "22:00", "to": "07:00", "weekdays": ["fri"]}, "2026-03-07 03:00", True),
        ({"from": "22:00", "to": "07:00", "weekdays": ["fri"]}, "2026-03-06 03:00", False),
        ({"from": "22:00", "to": "07:00", "weekdays": ["fri"]}, "2026-03-07 22:30", False),
        # The clocks go forward on 2026-03-29 and back on 2026-10-25: what counts is what the wall shows.
        ({"from": "03:00", "to": "04:00"}, "2026-03-29 03:30", True),
        ({"from": "02:00", "to": "03:00"}, "2026-10-25 02:30", True),
    ],
)
def test_quiet_is_by_the_clock_on_the_wall(quiet: dict[str, Any], at: str, covered: bool) -> None:
    moment = datetime.fromisoformat(at).replace(tzinfo=BERLIN)
    assert QuietSpec.model_validate(quiet | {"time_zone": "Europe/Berlin"}).covers(moment.timestamp()) is covered


def test_the_second_half_past_two_of_a_night_that_is_longer_is_quiet_too() -> None:
    quiet = QuietSpec.model_validate({"from": "02:00", "to": "03:00", "time_zone": "Europe/Berlin"})
    again = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN)
    assert quiet.covers(again.timestamp())
