"""The part of `Control` that says how everything is at one look: tasks by status, alerts by severity, groups."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tidegate.model.alert import Severity
from tidegate.model.lifecycle import STATES
from tidegate.server import listing
from tidegate.server.desk import Desk
from tidegate.server.views import Moment, OpsTotals
from tidegate.store import alerts, catalog, tasks

FIRED_S = 24 * 3600
FIRED_STEP_S = 3600
FIRED_MAX = 20_000
"""Counted at most."""


@dataclass(frozen=True, slots=True)
class GroupOutlook:
    """A resource group with its units, and its submitted tasks by status."""

    name: str
    units: int
    units_used: int
    statuses: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FiredView:
    """How many alerts fired in the hour that begins `at`, by severity."""

    at: Moment
    severities: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class OutlookView:
    """Of the projects that are there for whoever asks. `alerts` are those that go on, by severity; rates are the sums
    over tasks at work, None while nobody is; `fired` are the last 24 hours, the oldest first."""

    totals: OpsTotals
    rows_read_per_s: float | None
    rows_written_per_s: float | None
    alerts: Mapping[str, int]
    fired: list[FiredView]
    groups: list[GroupOutlook]


class Outlook(Desk):
    def outlook(self, *, seen: Collection[str] | None = None) -> OutlookView:
        """Of these projects; None: of all. Units in use are everybody's."""
        now, ticks = self.clock.now(), self.clock.ticks()
        last = int(now // FIRED_STEP_S) * FIRED_STEP_S
        since = last - FIRED_S + FIRED_STEP_S
        with self.db.read() as tx:
            totals = listing.totals(tx, project=None, seen=seen, name=None, equal={})
            known = alerts.count_open(tx, seen=seen)
            fired = alerts.fired(tx, since=since, limit=FIRED_MAX, seen=seen)
            groups, used = catalog.list_groups(tx), catalog.units_used(tx)
            counted = tasks.count_tasks(tx, seen=seen)
            runs = self.meter.runs if seen is None else self.meter.runs & tasks.run_ids(tx, seen)
        statuses: dict[str, dict[str, int]] = {row.name: {} for row in groups}
        place = tasks.FACETS.index("group_name")
        for state, _, facets, count in counted:
            held = statuses.setdefault(facets[place] or "", {})
            status = STATES[state].status
            held[status] = held.get(status, 0) + count
        hours = {at: dict.fromkeys(Severity, 0) for at in range(since, last + 1, FIRED_STEP_S)}
        for at, severity in fired:
            hours[min(last, int(at // FIRED_STEP_S) * FIRED_STEP_S)][Severity(severity)] += 1
        rates = [self.meter.values(run, ticks) for run in runs]
        return OutlookView(
            totals=totals,
            rows_read_per_s=_sum([one.get("rows_read_per_s") for one in rates]),
            rows_written_per_s=_sum([one.get("rows_written_per_s") for one in rates]),
            alerts={severity.value: known.get(severity.value, 0) for severity in Severity},
            fired=[FiredView(at, {key.value: count for key, count in held.items()}) for at, held in hours.items()],
            groups=[
                GroupOutlook(row.name, row.units, sum(units for _, units in used.get(row.name, [])), statuses[row.name])
                for row in groups
            ],
        )


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known), 3) if known else None
