"""Quick diagnosis: one table of ready-made searches for what usually goes wrong. Their keywords are error codes and
names of lines, which stay the same over versions; a test sees to it that each can still be met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tidegate.model.logquery import All, Query, parse_query


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`search` is in the words of `model.logquery`."""

    name: str
    says: str
    search: str


def _any(*words: str) -> str:
    return " OR ".join(words)


DIAGNOSES: Final[tuple[Diagnosis, ...]] = (
    Diagnosis(
        "connection",
        "source, target or server could not be reached, or did not answer",
        _any("source.unreachable", "target.unreachable", "source.standby", "target.busy", "server.unreachable"),
    ),
    Diagnosis("access", "credentials or privileges were refused", _any("auth_failed", "privilege_missing")),
    Diagnosis(
        "source_log",
        "the source's log: lost, short, unreadable, or not set up for being followed",
        _any(
            "position_lost",
            "log_lost",
            "log_short",
            "log_continue_failed",
            "log_broken",
            "log_disabled",
            "no_free_slot",
        ),
    ),
    Diagnosis(
        "schema",
        "tables and columns that changed, came or went",
        _any("schema_change", "table_joined", "table_refused", "table_gone", "table_remade", "table_missing", "misfit"),
    ),
    Diagnosis(
        "values",
        "rows that the target does not take, or lacks",
        _any("value_refused", "row_missing", "target.conflict", "column_unreadable"),
    ),
    Diagnosis(
        "restarts",
        "workers that ended, fell silent or began anew",
        _any("worker.lost", "worker.crashed", "run.recovering", "restarted", "restarts_spent"),
    ),
    Diagnosis(
        "failure",
        "why a run ended in Failure",
        _any("run.gave_up", "gave_up", "open_failed", "worker.crashed", "restarts_spent", "object_missing"),
    ),
    Diagnosis(
        "pause",
        "operations that did not end as they should, and snapshots that were not stored",
        _any("pause_failed", "task.overdue", "lifecycle.deadline", "snapshot_failed"),
    ),
    Diagnosis(
        "room",
        "disks or the metadata store are full or away",
        _any("disk_full", "target.exhausted", "store.full", "store.unavailable", "store_unavailable", "log.lost"),
    ),
    Diagnosis(
        "takeover",
        "two workers of one run, or a target that knows a newer one",
        _any("target.fenced", "worker.fenced", "epoch_ahead"),
    ),
)
BY_NAME: Final[Mapping[str, Diagnosis]] = {one.name: one for one in DIAGNOSES}


def whole_query(search: str | None, diagnosis: str | None) -> Query | None:
    """What a line must fit that is looked for with both; None: everything fits. `diagnosis` is one of the table's
    names. Raises `QueryInvalid`."""
    ready_made = BY_NAME[diagnosis].search if diagnosis else None
    parts = [parse_query(text) for text in (search, ready_made) if text is not None]
    return None if not parts else parts[0] if len(parts) == 1 else All(tuple(parts))
