"""Rows of the store as the records that are answered. Pure."""

from __future__ import annotations

from typing import Any

from tidegate.model.lifecycle import STATES, expires_in, offers, refused
from tidegate.server.limits import Limits
from tidegate.server.views import (
    EventView,
    OfferView,
    RunView,
    SnapshotView,
    TaskView,
    VersionView,
)
from tidegate.store.moves import Situation
from tidegate.store.rows import EventRow, RunRow, SnapshotRow, VersionRow


def task_view(project: str, now_in: Situation, *, now: float, limits: Limits) -> TaskView:
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
        **(_run_part(run) if run else {}),
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


def allowed(now_in: Situation) -> list[str]:
    """The commands allowed now."""
    return [offer.command for offer in offers(now_in.task.state, now_in.held) if offer.allowed]


def offer_views(now_in: Situation, snapshot: SnapshotRow | None, now: float) -> list[OfferView]:
    """Every command, with what it would cost now."""
    return [
        OfferView(
            offer.command,
            offer.allowed,
            offer.reason,
            offer.says,
            _cost(offer.command, snapshot, now) if offer.allowed else "",
        )
        for offer in offers(now_in.task.state, now_in.held)
    ]


def _cost(command: str, snapshot: SnapshotRow | None, now: float) -> str:
    age_s = f"{max(0.0, now - snapshot.at):.0f} s" if snapshot else ""
    match command:
        case "force-pause" if snapshot:
            return f"no snapshot is written; Continue reads again what came since the last one, {age_s} ago"
        case "force-pause":
            return "no snapshot is stored yet; Continue reads again what the target has not stored"
        case "continue" if snapshot:
            return f"reads on at the snapshot of {age_s} ago; what that is in bytes is checked before it starts"
        case "stop" if snapshot:
            return "state and position are discarded: the next Run copies every row again"
        case _:
            return ""


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
        tables=run.tables,
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
        state_from=row.state_from,
        state_to=row.state_to,
        actor=row.actor,
        error=row.error,
        facts=row.facts,
    )
