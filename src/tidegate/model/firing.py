"""Whether alerts fire, go on or end: pure functions of what was seen of a task and of what is open already.

What is not known neither fires an alert nor ends one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.model.alert import Condition, Form, Reads, RuleSpec
from tidegate.model.lifecycle import State


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a task at one time. `at` is a steady clock's, in seconds; a figure that is missing is unknown,
    one in `at_least` may be more. `happened` are key events as (seconds ago, name)."""

    at: float
    state: State
    run: int | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    happened: Sequence[tuple[float, str]] = ()
    at_least: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`holds` is None where it cannot be told; `value` is in the metric's own unit."""

    holds: bool | None
    value: float | None = None


def judge(condition: Condition, looks: Sequence[Look]) -> Verdict:
    """By looks at one task, oldest first, the last one now; at least one."""
    alarm, now = condition.alarm, looks[-1]
    if now.state not in alarm.within:
        return Verdict(False)
    match alarm.reads:
        case Reads.STATE:
            return Verdict(True)
        case Reads.EVENTS:
            times = sum(1 for ago_s, name in now.happened if name in alarm.of and ago_s <= condition.window_s)
            return Verdict(times > 0 if alarm.form is Form.IS_SO else _compared(condition, times), times)
        case Reads.RATE:
            return _rate(condition, looks)
        case Reads.FIGURE:
            return _figure(condition, looks)


def _compared(condition: Condition, value: float) -> bool:
    return value > condition.limit if condition.above else value < condition.limit


def _since(looks: Sequence[Look], window_s: float) -> list[Look] | None:
    """Those of the window, with the one that it begins with; None if the present run was not seen for so long."""
    now = looks[-1]
    found: list[Look] = []
    for look in reversed(looks):
        if look.run != now.run:
            return None
        found.append(look)
        if now.at - look.at >= window_s:
            return found[::-1]
    return None


def _figure(condition: Condition, looks: Sequence[Look]) -> Verdict:
    name = condition.alarm.of[0]
    value = looks[-1].figures.get(name)
    if value is None:
        return Verdict(None)
    if not _compared(condition, value):
        return Verdict(None if condition.above and name in looks[-1].at_least else False, value)
    seen = _since(looks, condition.window_s)
    if seen is None:
        return Verdict(None, value)
    if any(look.state not in condition.alarm.within for look in seen):
        return Verdict(None, value)
    before = [look.figures.get(name) for look in seen]
    if any(one is not None and not _compared(condition, one) for one in before):
        return Verdict(False, value)
    return Verdict(None if any(one is None for one in before) else True, value)


def _rate(condition: Condition, looks: Sequence[Look]) -> Verdict:
    name, seen = condition.alarm.of[0], _since(looks, condition.window_s)
    if seen is None or any(look.state not in condition.alarm.within for look in seen):
        return Verdict(None)
    first, last = seen[0].figures.get(name), seen[-1].figures.get(name)
    lasted_s = seen[-1].at - seen[0].at
    # A counter goes back where a worker that took over counts from the newest snapshot.
    if first is None or last is None or last < first or lasted_s <= 0:
        return Verdict(None)
    value = (last - first) / lasted_s
    return Verdict(_compared(condition, value), value)


# --- what follows -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Open:
    """An alert that has fired, and has not been told to have ended yet. Times as Unix time in seconds."""

    key: str
    told_at: float | None = None
    resolved_at: float | None = None


@dataclass(frozen=True, slots=True)
class Steps:
    """What is to be done for a rule and a task, each by the key of a condition."""

    fire: tuple[str, ...] = ()
    resolve: tuple[str, ...] = ()
    tell: tuple[str, ...] = ()
    """Fired, perhaps just now, and to be told now."""
    tell_resolved: tuple[str, ...] = ()


def settle(
    rule: RuleSpec, verdicts: Mapping[str, Verdict], open_alerts: Sequence[Open], told: Sequence[float], now: float
) -> Steps:
    """What follows for one rule and task. `open_alerts` are all of theirs; one whose condition has no verdict any more
    (the rule was changed) ends. `told` is when alerts of theirs were told.

    A condition that begins to hold fires once, however long it holds. In a quiet period, and beyond the limit, it fires
    without being told; it is told once it may be, if it still holds then. An end is told of what was told.
    """
    by_key = {one.key: one for one in open_alerts if one.resolved_at is None}
    fire = tuple(key for key, verdict in verdicts.items() if verdict.holds and key not in by_key)
    resolve = tuple(key for key in by_key if key not in verdicts or verdicts[key].holds is False)
    if rule.is_quiet(now):
        return Steps(fire, resolve)
    ended = [one.key for one in open_alerts if one.resolved_at is not None and one.told_at is not None]
    tell_resolved = (*ended, *(key for key in resolve if by_key[key].told_at is not None))
    waiting = [*fire, *(key for key, one in by_key.items() if key not in resolve and one.told_at is None)]
    room = rule.limit.most - sum(1 for at in told if now - rule.limit.per < at <= now)
    return Steps(fire, resolve, tuple(waiting[: max(0, room)]), tell_resolved)
