"""Rows of the store as frozen records, column for column, and what their words mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import Table

from tidegate.model.lifecycle import State


class Cleanup(StrEnum):
    """What became of what a run made at the source and target."""

    KEPT = "kept"
    """The run may go on: nothing is cleaned."""
    DUE = "due"
    DONE = "done"
    LEFT = "left"
    """Something could not be removed; a key event names it."""


class SnapshotKind(StrEnum):
    """Why a snapshot was taken."""

    PERIODIC = "periodic"
    PAUSE = "pause"
    MANUAL = "manual"


class Health(StrEnum):
    """How a run's worker is."""

    STEADY = "steady"
    RECOVERING = "recovering"


@dataclass(frozen=True, slots=True)
class ProjectRow:
    id: int
    name: str
    description: str
    created_at: float
    allow_from: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class DataSourceRow:
    id: int
    project_id: int
    name: str
    kind: str
    description: str
    config: Mapping[str, Any]
    secrets: bytes
    version: int
    created_at: float
    changed_at: float


@dataclass(frozen=True, slots=True)
class GroupRow:
    id: int
    name: str
    engine: str
    units: int
    description: str
    version: int


@dataclass(frozen=True, slots=True)
class TaskRow:
    id: int
    project_id: int
    name: str
    description: str
    owner: str
    state: State
    intent: str
    version: int
    state_since: float
    created_at: float
    definition: Mapping[str, Any]
    changed: bool
    submitted: int | None
    kind: str
    source_name: str
    source_kind: str | None
    target_name: str
    target_kind: str | None
    read: str
    write: str
    group_name: str
    units: int
    run_id: int | None
    error: Mapping[str, Any] | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", State(self.state))


@dataclass(frozen=True, slots=True)
class VersionRow:
    task_id: int
    number: int
    definition: Mapping[str, Any]
    submitted_at: float
    submitted_by: str
    note: str


@dataclass(frozen=True, slots=True)
class RunRow:
    id: int
    task_id: int
    number: int
    key: str
    version: int
    start: Mapping[str, Any]
    group_name: str
    units: int
    restarts_max: int
    snapshots_keep: int
    started_at: float
    ended_at: float | None
    epoch: int
    token_hash: str | None
    worker_pid: int | None
    worker_started: str | None
    worker_since: float | None
    registered_at: float | None
    opened_at: float | None
    heard_at: float | None
    restarts: int
    restarts_spent: int
    restarts_quick: int
    restart_at: float | None
    phase: str
    health: str
    position: str | None
    lag_s: float | None
    lag_bytes: int | None
    counters: Mapping[str, Any]
    error: Mapping[str, Any] | None
    snapshot_request: str | None
    cleanup: str
    cleanup_tries: int
    cleanup_at: float | None


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """Without its state, which may be large."""

    id: int
    run_id: int
    epoch: int
    kind: str
    at: float
    position: str
    sortable: str | None
    state_bytes: int
    request: str | None


@dataclass(frozen=True, slots=True)
class EventRow:
    id: int
    at: float
    task_id: int
    run_number: int | None
    name: str
    state_from: str | None
    state_to: str | None
    task_version: int
    actor: str
    error: Mapping[str, Any] | None
    facts: Mapping[str, Any]


R = TypeVar("R")


def columns(table: Table, record: type[Any]) -> list[Any]:
    """The table's columns that make the record, in its order, for a select."""
    return [table.c[field.name] for field in fields(record)]


def width(record: type[Any]) -> int:
    """How many columns the record has."""
    return len(fields(record))


def read(record: type[R], values: Sequence[Any]) -> R:
    """The record from the values of its columns."""
    return record(*values)
