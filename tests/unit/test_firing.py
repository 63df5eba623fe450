"""When alerts fire, are told and end: windows, limits and quiet periods on a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.model.alert import ALARMS, Condition, Form, Reads, RuleSpec, parse_rule
from tidegate.model.firing import Look, Open, Verdict, judge, settle
from tidegate.model.lifecycle import State

T0 = 1_772_452_800.0  # 2026-03-02 12:00 UTC, a Monday


def condition(metric: str, threshold: float | None = None, **more: Any) -> Condition:
    return Condition.model_validate({"metric": metric} | ({} if threshold is None else {"threshold": threshold}) | more)


def looks(*lags: float | None, every_s: float = 10, run: int = 1, state: State = State.RUNNING) -> list[Look]:
    """One after the other, with these lags."""
    return [Look(at * every_s, state, run, {} if lag_s is None else {"lag_s": lag_s}) for at, lag_s in enumerate(lags)]


def rule(**more: Any) -> RuleSpec:
    return parse_rule(
        {"alert_rule": "r", "applies_to": {"all": True}, "conditions": [{"metric": "task_failed"}]} | more
    )


# --- one condition ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "state"),
    [
        ("task_failed", State.FAILURE),
        ("task_stopped", State.STOPPED),
        ("task_paused", State.PAUSED),
        ("detection_exception", State.DETECTION_EXCEPTION),
    ],
)
def test_an_alarm_of_a_state_holds_in_it_and_nowhere_else(metric: str, state: State) -> None:
    for other in State:
        assert judge(condition(metric), [Look(0, other)]).holds is (other is state)


@pytest.mark.parametrize("alarm", [one for one in ALARMS if one.reads is Reads.FIGURE], ids=lambda one: one.name)
def test_an_alarm_of_a_figure_holds_beyond_its_threshold_and_not_at_it(alarm: Any) -> None:
    checked = condition(alarm.name, 100)
    beyond, before = (99.0, 101.0) if alarm.form is Form.BELOW else (101.0, 99.0)
    for value, holds in ((beyond, True), (before, False), (100.0, False)):
        assert judge(checked, [Look(0, alarm.within[0], 1, {alarm.of[0]: value})]) == Verdict(holds, value)
    assert judge(checked, [Look(0, alarm.within[0], 1)]).holds is None
    outside = next(state for state in State if state not in alarm.within)
    assert judge(checked, [Look(0, outside, 1, {alarm.of[0]: beyond})]).holds is False


def test_with_a_window_it_must_have_been_so_all_through_it() -> None:
    checked = condition("task_delay", 60, window="30s")
    assert judge(checked, looks(90, 90, 90)).holds is None, "not seen for long enough"
    assert judge(checked, looks(90, 90, 90, 90)).holds is True
    assert judge(checked, looks(90, 50, 90, 90)).holds is False
    assert judge(checked, looks(50, 90, 90, 90, 90)).holds is True, "what was before the window does not count"
    assert judge(checked, looks(90, None, 90, 90)).holds is None
    assert judge(checked, looks(90, 90, 90, 50)).holds is False


def test_another_runs_past_does_not_count() -> None:
    checked = condition("task_delay", 60, window="30s")
    seen = [*looks(90, 90, 90), Look(30, State.RUNNING, 2, {"lag_s": 90})]
    assert judge(checked, seen).holds is None


def test_time_in_which_the_task_rested_is_no_part_of_the_window() -> None:
    checked = condition("task_delay", 60, window="30s")
    rested = looks(90, 90, 90, 90, state=State.PAUSED)
    assert judge(checked, [*rested, Look(40, State.RUNNING, 1, {"lag_s": 90})]).holds is None


def rows(*counts: float, every_s: float = 10) -> list[Look]:
    return [Look(at * every_s, State.RUNNING, 1, {"rows_read": count}) for at, count in enumerate(counts)]


def test_a_speed_is_the_average_over_the_window() -> None:
    slow = condition("read_speed", 10, operator="below", window="30s")
    fast = condition("read_speed", 10, operator="above", window="30s")
    assert judge(slow, rows(0, 0, 0, 270)) == Verdict(True, 9.0)
    assert judge(fast, rows(0, 0, 0, 330)) == Verdict(True, 11.0)
    assert judge(slow, rows(0, 0, 0, 300)) == Verdict(False, 10.0)
    assert judge(slow, rows(0, 0, 270)).holds is None, "the window is not full"
    assert judge(slow, rows(500, 510, 520, 10)).holds is None, "the counter went back"


def test_events_count_within_the_window() -> None:
    for metric, inside_s, outside_s in (("restarts", 599, 601), ("restarts_20min", 1199, 1201)):
        checked = condition(metric, 1)
        inside = ((inside_s, "worker_lost"), (10, "restarted"), (5, "table_gone"))
        assert judge(checked, [Look(0, State.RUNNING, 1, {}, inside)]) == Verdict(True, 2)
        outside = ((outside_s, "worker_lost"), (10, "restarted"))
        assert judge(checked, [Look(0, State.RUNNING, 1, {}, outside)]) == Verdict(False, 1)


def test_a_task_exception_is_any_of_its_events() -> None:
    checked = condition("task_exception")
    assert judge(checked, [Look(0, State.RUNNING, 1, {}, ((10, "snapshot_failed"),))]).holds is True
    assert judge(checked, [Look(0, State.RUNNING, 1, {}, ((10, "edited"),))]).holds is False


# --- what follows -----------------------------------------------------------------------------------------------


class Story:
    """A rule with one condition, looked at again and again."""

    def __init__(self, checked: RuleSpec) -> None:
        self.rule = checked
        self.open: dict[str, Open] = {}
        self.ended: list[Open] = []
        self.told: list[float] = []
        self.said: list[tuple[float, str]] = []

    def at(self, passed_s: float, holds: bool | None) -> str:
        """What is done: letters of fire, resolve, tell, tell of the end."""
        now, key = T0 + passed_s, "task_failed"
        open_alerts = [*self.open.values(), *self.ended]
        steps = settle(self.rule, {key: Verdict(holds)}, open_alerts, self.told, now)
        if steps.tell_resolved:
            self.ended = []
        for _ in steps.resolve:
            before = self.open.pop(key)
            if key not in steps.tell_resolved and before.told_at is not None:
                self.ended.append(Open(key, before.told_at, now))
        for _ in steps.fire:
            self.open[key] = Open(key)
        for _ in steps.tell:
            self.open[key] = Open(key, now)
            self.told.append(now)
        done = (("f", steps.fire), ("r", steps.resolve), ("t", steps.tell), ("e", steps.tell_resolved))
        return "".join(letter * len(which) for letter, which in done)


def test_an_alert_fires_once_and_is_told_once_however_long_it_holds() -> None:
    story = Story(rule())
    assert [story.at(t, True) for t in range(3)] == ["ft", "", ""]
    assert story.at(3, False) == "re"
    assert story.at(4, False) == ""


def test_what_is_not_known_neither_fires_nor_ends() -> None:
    story = Story(rule())
    assert story.at(0, None) == ""
    assert story.at(1, True) == "ft"
    assert story.at(2, None) == ""


def test_beyond_the_limit_it_fires_and_is_told_when_there_is_room_again() -> None:
    story = Story(rule(limit={"most": 2, "per": "10m"}))
    for t in (0, 10):
        assert story.at(t, True) == "ft"
        assert story.at(t + 5, False) == "re"
    assert story.at(20, True) == "f"
    assert story.at(599, True) == ""
    assert story.at(600, True) == "t"
    assert story.at(610, False) == "re"


def test_what_was_never_told_ends_without_a_word() -> None:
    story = Story(rule(limit={"most": 1, "per": "10m"}))
    assert (story.at(0, True), story.at(1, False)) == ("ft", "re")
    assert (story.at(2, True), story.at(3, False)) == ("f", "r")


def test_in_a_quiet_period_nothing_is_said_and_afterwards_what_still_holds() -> None:
    story = Story(rule(quiet=[{"from": "12:00", "to": "13:00"}]))
    assert story.at(0, True) == "f"
    assert story.at(3599, True) == ""
    assert story.at(3600, True) == "t"


def test_what_ended_in_a_quiet_period_is_not_told_at_all() -> None:
    story = Story(rule(quiet=[{"from": "12:00", "to": "13:00"}]))
    assert [story.at(0, True), story.at(10, False), story.at(3600, False)] == ["f", "r", ""]


def test_the_end_of_what_was_told_before_a_quiet_period_is_told_after_it() -> None:
    story = Story(rule(quiet=[{"from": "12:01", "to": "13:00"}]))
    assert story.at(0, True) == "ft"
    assert story.at(60, False) == "r"
    assert story.at(3600, False) == "e"


def test_a_condition_that_is_gone_from_the_rule_ends_its_alert() -> None:
    steps = settle(rule(), {"task_failed": Verdict(False)}, [Open("task_paused", T0)], [T0], T0 + 1)
    assert (steps.resolve, steps.tell_resolved) == (("task_paused",), ("task_paused",))


def test_a_clock_that_was_set_back_silences_nobody() -> None:
    checked = rule(limit={"most": 1, "per": "10m"})
    steps = settle(checked, {"task_failed": Verdict(True)}, [], [T0 + 10_000], T0)
    assert steps.tell == ("task_failed",)


@settings(deadline=None, max_examples=200)
@given(
    holds=st.lists(st.sampled_from([True, False, None]), max_size=60),
    most=st.integers(1, 3),
    quiet=st.lists(st.sampled_from([("12:10", "12:20"), ("12:30", "12:31"), ("23:00", "12:05")]), max_size=2),
)
def test_whatever_happens_told_is_limited_paired_and_never_in_a_quiet_period(
    holds: Sequence[bool | None], most: int, quiet: Sequence[tuple[str, str]]
) -> None:
    checked = rule(limit={"most": most, "per": "10m"}, quiet=[{"from": start, "to": end} for start, end in quiet])
    story = Story(checked)
    fired = ended = told_end = 0
    for minute, held in enumerate(holds):
        done = story.at(minute * 60, held)
        fired, ended, told_end = fired + done.count("f"), ended + done.count("r"), told_end + done.count("e")
        if checked.is_quiet(T0 + minute * 60):
            assert "t" not in done
            assert "e" not in done
        assert 0 <= fired - ended <= 1, "one alert of a condition is open at most"
        assert told_end <= len(story.told) <= fired
        if held is True:
            assert story.open
        if held is False:
            assert not story.open
    for at in story.told:
        assert sum(1 for other in story.told if at - 600 < other <= at) <= most
