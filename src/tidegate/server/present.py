"""Rows of the store as the records that are answered. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.model.keyevent import level_of, says_of
from tidegate.model.lifecycle import STATES, State, expires_in, offers, refused
from tidegate.server.limits import Limits
from tidegate.server.logbook import LogLeft
from tidegate.server.views import (
    EventView,
    RunView,
    SnapshotView,
    TaskView,
    VersionView,
)
from tidegate.store.moves import Situation
from tidegate.store.rows import EventRow, Health, RunRow, SnapshotRow, VersionRow

STALE = "stale"
"""The health of a run whose worker lives and does not move, or is not heard."""


def task_view(
    project: str,
    now_in: Situation,
    *,
    now: float,
    limits: Limits,
    log: LogLeft | None = None,
    ticks: float = 0.0,
    stale: str = "",
    figures: Mapping[str, float | None] | None = None,
) -> TaskView:
    """`log` is what was last seen of its source's log; `stale` why it only seems to run; `figures` the newest of a run
    at work, by the names of the metric table."""
    task, run = now_in.task, now_in.run
    lasted_s = max(0.0, now - task.state_since)
    return TaskView(
        id=task.id,
        project=project,
        name=task.name,
        description=task.description,
        owner=task.owner,
        kind=task.kind,
        state=task.state.value,
        status=STATES[task.state].status,
        state_since=task.state_since,
        expires_in_s=expires_in(task.state, lasted_s, limits.deadlines_s),
        intent=task.intent,
        version=task.version,
        submitted=task.submitted,
        changed=task.changed,
        created_at=task.created_at,
        source=task.source_name,
        source_kind=task.source_kind,
        target=task.target_name,
        target_kind=task.target_kind,
        read=task.read,
        write=task.write,
        resource_group=task.group_name,
        units=task.units,
        commands=allowed(now_in),
        **((_run_part(run) | _health(task.state, run, stale)) if run else {}),
        **(_log_part(log, ticks) if log and STATES[task.state].pins_log else {}),
        rows_read_per_s=(figures or {}).get("rows_read_per_s"),
        rows_written_per_s=(figures or {}).get("rows_written_per_s"),
        error=task.error or (run.error if run and STATES[task.state].worker else None),
    )


def _run_part(run: RunRow) -> dict[str, Any]:
    return {
        "run": run.number,
        "run_started_at": run.started_at,
        "epoch": run.epoch,
        "phase": run.phase,
        "health": run.health,
        "restarts": run.restarts,
        "position": run.position,
        "lag_s": run.lag_s,
        "lag_bytes": run.lag_bytes,
        "counters": run.counters,
        "heard_at": run.heard_at,
    }


def _health(state: State, run: RunRow, stale: str) -> dict[str, Any]:
    """Green means that rows arrive: a worker that only says so is none."""
    if state is State.RUNNING and stale and run.health == Health.STEADY.value:
        return {"health": STALE, "health_reason": stale}
    return {}


def _log_part(log: LogLeft, ticks: float) -> dict[str, Any]:
    return {
        "log_left_s": log.left_at(ticks),
        "log_retained_bytes": log.retained_bytes,
        "log_safe_bytes": log.safe_bytes,
        "log_rate_bytes_s": log.rate_bytes_s,
        "log_seen_at": log.seen_at,
    }


def allowed(now_in: Situation) -> list[str]:
    """The commands allowed now."""
    return [offer.command for offer in offers(now_in.task.state, now_in.held) if offer.allowed]


def refusal_facts(now_in: Situation) -> dict[str, Any]:
    """The present status and what is allowed, for a refusal that is not about the state."""
    task = now_in.task
    return refused(task.state, "", now_in.held, task=task.name, version=task.version).facts


def run_view(run: RunRow, log_files: list[str]) -> RunView:
    return RunView(
        number=run.number,
        key=run.key,
        version=run.version,
        epoch=run.epoch,
        started_at=run.started_at,
        ended_at=run.ended_at,
        phase=run.phase,
        health=run.health,
        restarts=run.restarts,
        start=run.start,
        position=run.position,
        lag_s=run.lag_s,
        lag_bytes=run.lag_bytes,
        counters=run.counters,
        error=run.error,
        cleanup=run.cleanup,
        log_files=log_files,
    )


def snapshot_view(row: SnapshotRow, run_number: int) -> SnapshotView:
    return SnapshotView(row.id, run_number, row.epoch, row.kind, row.at, row.position, row.state_bytes, row.request)


def version_view(row: VersionRow) -> VersionView:
    return VersionView(row.number, row.definition, row.submitted_at, row.submitted_by, row.note)


def event_view(row: EventRow) -> EventView:
    return EventView(
        id=row.id,
        at=row.at,
        task=row.task_id,
        run=row.run_number,
        name=row.name,
        level=level_of(row.name).value,
        says=says_of(row.name),
        state_from=row.state_from,
        state_to=row.state_to,
        actor=row.actor,
        cause=str((row.error or {}).get("detail") or row.facts.get("reason") or ""),
        advice=str((row.error or {}).get("advice") or ""),
        error=row.error,
        facts=row.facts,
    )
