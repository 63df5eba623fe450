"""What is looked at before a task is submitted, run or continued, and what is cleaned after it.

The one door through which the server touches sources and targets. Everything opened here is closed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from tidegate.connect.capability import WriteMode
from tidegate.connect.config import parse_config
from tidegate.connect.registry import source_class, target_class
from tidegate.connect.source import Source
from tidegate.connect.target import Target, TargetTable
from tidegate.engine.opening import (
    check_fed,
    check_followed,
    check_forward,
    check_same_line,
    check_same_shape,
    check_same_source,
)
from tidegate.engine.plan import TablePlan
from tidegate.engine.state import restored
from tidegate.errors import (
    Retry,
    TargetLoop,
    TargetMisfit,
    TargetNotEmpty,
    TargetPositionMismatch,
    TargetTableMissing,
    TaskInvalid,
    TidegateError,
    by_code,
)
from tidegate.model.schema import TableName, TableSchema
from tidegate.model.task import TaskSpec, matches

Side: TypeAlias = "tuple[str, Mapping[str, Any]]"
"""A connector's kind and its settings, secrets in the clear."""


@dataclass(frozen=True, slots=True)
class ContinueReport:
    """What continuing costs: how much log is read again or at all, how much longer the source would keep it, and where
    it ends."""

    reread_bytes: int
    safe_bytes: int | None
    source_end: str


@dataclass(frozen=True, slots=True)
class LogReport:
    """Where the source's log ends, how much of it is behind the position asked about (None: about none), and how much
    more may be written before the source drops what the run needs (None: no limit is set)."""

    source_end: str
    behind_bytes: int | None
    safe_bytes: int | None


def open_source(side: Side) -> Source:
    """Raises `ConnectorUnknown`, `ConfigInvalid`. Connects to nothing yet."""
    kind, settings = side
    cls = source_class(kind)
    return cls(parse_config(cls.Config, settings, of=f"{kind} source"))


def open_target(side: Side) -> Target:
    """Raises `ConnectorUnknown`, `ConfigInvalid`. Connects to nothing yet."""
    kind, settings = side
    cls = target_class(kind)
    return cls(parse_config(cls.Config, settings, of=f"{kind} target"))


@contextmanager
def _ends(source: Side, target: Side) -> Iterator[tuple[Source, Target]]:
    reads = open_source(source)
    try:
        writes = open_target(target)
        try:
            yield reads, writes
        finally:
            writes.close()
    finally:
        reads.close()


def check_task(spec: TaskSpec, source: Side, target: Side, task_key: str) -> list[TidegateError]:
    """Everything that is against submitting or running the task; empty: it can run. `task_key` is the task's part of
    its runs' keys: by it the target tells the task's own rows from others'."""
    try:
        with _ends(source, target) as (reads, writes):
            refused = _failed_checks(reads, writes)
            return refused or _table_refusals(spec, reads, writes, task_key)
    except TidegateError as error:
        return [error]


def _failed_checks(reads: Source, writes: Target) -> list[TidegateError]:
    return [
        _as_error(check.code, check.name, check.found) for check in (*reads.check(), *writes.check()) if not check.ok
    ]


def _as_error(code: str, name: str, found: str) -> TidegateError:
    return by_code(code)(f"{name}: {found}")


def _table_refusals(spec: TaskSpec, reads: Source, writes: Target, task_key: str) -> list[TidegateError]:
    if spec.target.write not in writes.modes:
        return [TaskInvalid(f"target: {writes.title} cannot be written by {spec.target.write}")]
    plan = TablePlan(task_key, 0, spec, spec.source.read, reads.database)
    schemas, refused = plan.refusals(reads)
    if refused:
        return refused
    places = [plan.place(schema) for schema in schemas]
    if reads.identity() == writes.identity():
        refused += _loops(plan, schemas, places)
    refused += writes.refusals(places)
    if refused:
        return refused
    for place in places:
        refused += _place_refusals(plan, writes, place)
    return refused


def _loops(plan: TablePlan, schemas: list[TableSchema], places: list[TargetTable]) -> list[TidegateError]:
    """Target tables of the source's own database that the task reads, or would come to read."""
    read = {schema.name for schema in schemas}
    return [
        TargetLoop(f"{place.source.name} would be written to {place}, which the task reads from")
        for place in places
        if (name := TableName(place.schema, place.name)) in read or plan.takes(name)
    ]


def _place_refusals(plan: TablePlan, writes: Target, place: TargetTable) -> list[TidegateError]:
    if writes.columns(place) is None:
        if plan.spec.target.create_tables:
            return []
        return [TargetTableMissing(f"{place} does not exist, and create_tables is false")]
    misfits = writes.misfits(place)
    if not misfits:
        replaces = plan.replace or place.mode is WriteMode.APPEND
        if replaces or not writes.holds_others(plan.run, place):
            return []
        return [TargetNotEmpty(f"{place} holds rows that no run of this task wrote")]
    listed = "; ".join(f"{misfit.column}: {misfit.reason}" if misfit.column else misfit.reason for misfit in misfits)
    return [TargetMisfit(f"{place}: {listed}", misfits=[{"column": m.column, "reason": m.reason} for m in misfits])]


def check_continue(run_key: str, spec: TaskSpec, source: Side, target: Side, position: str | None) -> ContinueReport:
    """Whether the run can go on where it was: `position` is its newest snapshot's. Changes nothing.

    Raises `PositionLost`, `SourceIdentityChanged`, `TargetPositionMismatch`, `TargetTableGone` and what makes either
    end unusable.
    """
    with _ends(source, target) as (reads, writes):
        stored = writes.stored(run_key)
        if stored is None:
            raise TargetPositionMismatch(f"the target holds no state of run {run_key}")
        check_same_source(reads, stored.entries)
        held = reads.parse_position(stored.position)
        check_forward(reads, held, position)
        plan = TablePlan(run_key, 0, spec, spec.source.read, reads.database)
        check_same_shape(plan, stored.entries)
        run = restored(stored.entries, reads)
        check_same_line(reads, run, held, stored.entries)
        state = reads.log_state(run_key, held)
        tables = run.handoff.tables
        kept = {name: copy.schema for name, copy in tables.items() if plan.takes(name)}
        check_followed(plan, reads, kept)
        check_fed(plan, writes, kept.values())
        return ContinueReport(state.behind_bytes, state.safe_bytes, str(state.end))


def look_at_log(run_key: str, source: Side, position: str | None) -> LogReport:
    """The log that the source keeps for a run that is at work; `position` is what its target holds. What the source was
    told may be ahead of that, for a worker reports it only now and then. Raises `PositionLost` and what makes the
    source unusable."""
    reads = open_source(source)
    try:
        state = reads.log_state(run_key, None)
        behind_bytes = None if position is None else reads.behind_bytes(reads.parse_position(position))
    finally:
        reads.close()
    return LogReport(str(state.end), behind_bytes, state.safe_bytes)


def forget(run_key: str, spec: TaskSpec, source: Side, target: Side) -> list[TidegateError]:
    """Let both ends go of the run; what could not be cleaned comes back as errors."""
    left: list[TidegateError] = []
    for side, let_go in ((source, _end_source), (target, _end_target)):
        try:
            let_go(run_key, side)
        except TidegateError as error:
            left.append(error)
    return left


def _end_source(run_key: str, side: Side) -> None:
    reads = open_source(side)
    try:
        reads.end(run_key)
    finally:
        reads.close()


def _end_target(run_key: str, side: Side) -> None:
    writes = open_target(side)
    try:
        writes.forget(run_key)
    finally:
        writes.close()


def missing_objects(spec: TaskSpec, source: Side, target: Side) -> list[str]:
    """What the task names and is no longer there. Raises errors that may pass by themselves (`Retry.LATER`) when it
    cannot tell."""
    try:
        with _ends(source, target) as (reads, writes):
            names = reads.tables()
            writes.identity()
    except TidegateError as error:
        if error.retry is Retry.LATER:
            raise
        return [error.detail]
    try:
        taken = matches(spec, names)
    except TidegateError as error:
        # An expression that takes too long with a new name is no sign that anything is gone.
        return [] if "pattern" in error.facts else [error.detail]
    return [] if taken else ["no table of the task exists"]
