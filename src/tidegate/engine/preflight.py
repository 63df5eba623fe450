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
from tidegate.connect.fitting import shared_error
from tidegate.connect.registry import source_class, target_class
from tidegate.connect.source import Retentions, Source
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
    SourceNoFreeSlot,
    TargetLoop,
    TargetMisfit,
    TargetNotEmpty,
    TargetPositionMismatch,
    TargetTableMissing,
    TaskInvalid,
    TidegateError,
    by_code,
)
from tidegate.model.mapping import ColumnFit, SourceTables, TableFit, TableFits
from tidegate.model.problem import problem
from tidegate.model.schema import TableName, TableSchema
from tidegate.model.task import TaskSpec, is_plain, matches, target_names

Side: TypeAlias = "tuple[str, Mapping[str, Any]]"
"""A connector's kind and its settings, secrets in the clear."""


@dataclass(frozen=True, slots=True)
class ContinueReport:
    """What continuing costs: the log from where the target stands to its end, how much longer the source would keep it,
    and the pieces of the full copy that the target has not."""

    reads_from: str
    source_end: str
    reread_bytes: int
    safe_bytes: int | None
    chunks_left: int
    chunks_total: int
    delivery: str


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
    if spec.source.start is not None:
        reads.start_at(spec.source.start)
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
        if place.mode is WriteMode.APPEND:
            return []
        if shared := shared_error(place, writes.sharer(plan.run, place)):
            return shared
        if plan.replace or not writes.holds_others(plan.run, place):
            return []
        return [TargetNotEmpty(f"{place} holds rows that no run of this task wrote")]
    listed = "; ".join(f"{misfit.column}: {misfit.reason}" if misfit.column else misfit.reason for misfit in misfits)
    return [TargetMisfit(f"{place}: {listed}", misfits=[{"column": m.column, "reason": m.reason} for m in misfits])]


def source_tables(source: Side) -> SourceTables:
    """What could be read. Raises what makes the source unusable."""
    reads = open_source(source)
    try:
        return SourceTables(reads.database, reads.tables(), reads.unlogged_tables())
    finally:
        reads.close()


def table_fits(spec: TaskSpec, source: Side, target: Side, task_key: str, most: int) -> TableFits:
    """Where each table of the task goes, column by column, and what is against it; of the first `most`. Raises what
    `matches` and `target_names` do, and what makes either end unusable."""
    with _ends(source, target) as (reads, writes):
        plan = TablePlan(task_key, 0, spec, spec.source.read, reads.database)
        names = matches(spec, reads.tables())
        target_names(spec.target, spec.source.data_source, reads.database, names)
        return TableFits(len(names), [_fit(plan, reads, writes, name) for name in names[:most]])


def _fit(plan: TablePlan, reads: Source, writes: Target, name: TableName) -> TableFit:
    schema, refused = plan.look(reads, name)
    try:
        place = plan.place(schema)
    except TaskInvalid:  # which is among what `look` refused
        return TableFit(str(name), "", False, _columns(schema, {}, {}), [problem(error) for error in refused])
    there = writes.columns(place)
    held = {column.name: column.type for column in there or ()}
    wrong = {misfit.column: misfit.reason for misfit in (writes.misfits(place) if there is not None else ())}
    types = {one.name: held.get(one.name) or writes.type_of(one.type, schema.family) for one in schema.columns}
    refused += writes.refusals([place])
    refused += _place_refusals(plan, writes, place)
    return TableFit(
        str(name), str(place), there is not None, _columns(schema, types, wrong), [problem(error) for error in refused]
    )


def _columns(schema: TableSchema, types: Mapping[str, str], wrong: Mapping[str, str]) -> list[ColumnFit]:
    return [
        ColumnFit(
            name=one.name,
            type=one.type.native,
            target_type=types.get(one.name, ""),
            nullable=one.nullable,
            key=one.name in schema.key,
            wrong=wrong.get(one.name, ""),
        )
        for one in schema.columns
    ]


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
        copying = [copy for name, copy in tables.items() if name in kept and not copy.in_step]
        return ContinueReport(
            reads_from=str(held),
            source_end=str(state.end),
            reread_bytes=state.behind_bytes,
            safe_bytes=state.safe_bytes,
            chunks_left=sum(len(copy.chunks) - copy.chunks_done for copy in copying),
            chunks_total=sum(len(copy.chunks) for copy in copying),
            delivery=str(writes.delivery),
        )


def estimate_rows(spec: TaskSpec, source: Side) -> int:
    """About how many rows a run from scratch copies. Raises what makes the source unusable and what `matches` does."""
    reads = open_source(source)
    try:
        return sum(max(0, reads.estimate(table)) for table in matches(spec, reads.tables()))
    finally:
        reads.close()


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


def retentions(source: Side, runs: Mapping[str, str | None]) -> Retentions | None:
    """Until when the source keeps the log of these runs, each with the position it stands at. None: it cannot tell.
    Raises what makes the source unusable."""
    reads = open_source(source)
    try:
        return reads.retentions({run: reads.parse_position(at) if at else None for run, at in runs.items()})
    finally:
        reads.close()


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


def missing_objects(
    spec: TaskSpec, source: Side, target: Side, *, working: bool = False, run_key: str | None = None
) -> list[str]:
    """What the task needs and is not there any more, a sentence each. Of a task at work (`working`) only what its
    worker does not see itself; of one that rests also the settings of the source's log, the user's privileges, and the
    tables at the target: those of the run that is kept (`run_key`), or those that a first run is to find. Raises errors
    that may pass by themselves (`Retry.LATER`) when it cannot tell."""
    try:
        with _ends(source, target) as (reads, writes):
            writes.identity()
            gone = _tables_gone(spec, reads.tables())
            if working:
                return gone
            gone += _log_unfit(reads)
            if not gone:
                gone += _run_gone(run_key, spec, reads, writes) if run_key else _places_gone(spec, reads, writes)
            return gone
    except TidegateError as error:
        if error.retry is Retry.LATER:
            raise
        return [error.detail]


def _tables_gone(spec: TaskSpec, names: list[TableName]) -> list[str]:
    there = {str(name) for name in names}
    gone = [
        f"table {entry} does not exist at data source {spec.source.data_source}"
        for entry in spec.source.tables
        if is_plain(entry) and entry not in there
    ]
    if gone:
        return gone
    try:
        taken = matches(spec, names)
    except TidegateError as error:
        # An expression that takes too long with a new name is no sign that anything is gone.
        return [] if "pattern" in error.facts else [error.detail]
    return [] if taken else ["no table of the task exists"]


def _log_unfit(reads: Source) -> list[str]:
    """What of the connectivity test is not as a run needs it. Free slots come and go, and it has its own."""
    failed = [check for check in reads.check() if not check.ok and check.code != SourceNoFreeSlot.code]
    for check in failed:
        if by_code(check.code).retry is Retry.LATER:
            raise _as_error(check.code, check.name, check.found)
    return [f"{check.name}: {check.found}" for check in failed]


def _run_gone(run_key: str, spec: TaskSpec, reads: Source, writes: Target) -> list[str]:
    """Tables at the target that the run wrote to. A slot or a publication does not become what it was by being put
    back, for the changes in between are missed: that is for Continue to refuse (I3)."""
    stored = writes.stored(run_key)
    if stored is None:
        return []  # it was cut off before it began
    plan = TablePlan(run_key, 0, spec, spec.source.read, reads.database)
    kept = {name: copy.schema for name, copy in restored(stored.entries, reads).handoff.tables.items()}
    kept = {name: schema for name, schema in kept.items() if plan.takes(name)}
    return writes.lost(run_key, [plan.place(schema) for schema in kept.values()])


def _places_gone(spec: TaskSpec, reads: Source, writes: Target) -> list[str]:
    """Tables at the target that a run would not make."""
    if spec.target.create_tables:
        return []
    plan = TablePlan("", 0, spec, spec.source.read, reads.database)
    places = [plan.place(reads.schema(name)) for name in matches(spec, reads.tables())]
    return [f"{place} does not exist at the target" for place in places if writes.columns(place) is None]
