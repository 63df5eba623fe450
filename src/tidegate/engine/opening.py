"""How a run starts or goes on: nothing is read or written before both ends agree on where it stands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tidegate.connect.capability import ReadMode
from tidegate.connect.source import Source
from tidegate.connect.target import KeyRange, Progress, Stored, Target
from tidegate.engine.handoff import Chunk, ChunkState, TableCopy
from tidegate.engine.plan import TablePlan
from tidegate.engine.state import LINEAGE, SOURCE, TASK, Entries, RunState, restored
from tidegate.engine.unlogged import first_look
from tidegate.errors import (
    ObjectMissing,
    SourceIdentityChanged,
    SourceTableRemade,
    TargetPositionMismatch,
    TargetTableGone,
    TaskInvalid,
)
from tidegate.faultpoint import crossing
from tidegate.model.position import Position
from tidegate.model.schema import TableName, TableSchema
from tidegate.model.start import StartSpec


@dataclass(slots=True)
class Opened:
    state: RunState
    position: Position
    entries: set[str]
    """Names of the progress entries the target holds."""


def open_run(
    plan: TablePlan, source: Source, target: Target, *, start: StartSpec | None, snapshot_position: str | None
) -> Opened:
    """Take the run over at the target (I5), then begin or resume it. `start` is where a run without a full copy begins;
    `snapshot_position` is the newest snapshot's. Raises what makes either impossible."""
    stored = target.open(plan.run, plan.epoch)
    crossing("run.taken")
    if stored is not None:
        return _resume(plan, source, target, stored, snapshot_position)
    if snapshot_position is not None:
        # The snapshot says rows are there, the target says none ever came: it is not the same target any more.
        raise TargetPositionMismatch(f"the target holds no state of run {plan.run}")
    return _begin(plan, source, target, start)


def _begin(plan: TablePlan, source: Source, target: Target, start: StartSpec | None) -> Opened:
    """The log first, then where the copy starts; both stored in one write. Died before it: the next worker begins
    again, and the source replaces what this one left."""
    schemas = plan.resolve(source)
    empty = {schema.name: prepare(plan, target, schema) for schema in schemas}
    position = source.begin(plan.run, [schema.name for schema in schemas])
    crossing("run.begun")
    if start is not None:
        position = source.start_at(start)
    state = RunState()
    entries: Entries = {SOURCE: json.dumps(source.identity()), LINEAGE: source.lineage(), TASK: plan.shape()}
    for schema in schemas:
        entries |= state.add(planned_copy(plan, source, target, schema, position, empty=empty[schema.name]))
    entries |= first_look(source, state, state.handoff.tables)
    target.write([], Progress(str(position), entries))
    crossing("run.planned")
    return Opened(state, position, set(entries))


def prepare(plan: TablePlan, target: Target, schema: TableSchema) -> bool:
    """Make the table's place ready; whether it is known to be empty."""
    return target.prepare(plan.place(schema), create=plan.spec.target.create_tables, replace=plan.replace)


def planned_copy(
    plan: TablePlan, source: Source, target: Target, schema: TableSchema, position: Position, *, empty: bool
) -> TableCopy:
    """The table's chunks; a table whose existing rows are not wanted is in step from the beginning. `position` is
    where it joins the run."""
    order, since = source.order(schema), position.sortable()
    if plan.read is ReadMode.INCREMENTAL:
        whole = Chunk(0, KeyRange(None, None), ChunkState.DONE)
        return TableCopy(schema, [whole], order, in_step=True, empty=empty, since=since)
    ranges = source.edges(schema, can_order=target.can_order)
    chunks = [Chunk(i, keys) for i, keys in enumerate(ranges)]
    return TableCopy(schema, chunks, order, empty=empty, estimated=max(0, source.estimate(schema.name)), since=since)


def _resume(plan: TablePlan, source: Source, target: Target, stored: Stored, snapshot_position: str | None) -> Opened:
    check_same_source(source, stored.entries)
    check_same_shape(plan, stored.entries)
    position = stored_position(source, stored)
    check_forward(source, position, snapshot_position)
    state = restored(stored.entries, source)
    crossing("run.resumed")
    left = _leave(plan, source, target, state, stored)
    lineage = check_same_line(source, state, position, stored.entries)
    source.log_state(plan.run, position)
    if lineage != stored.entries.get(LINEAGE):  # before any position of the new line
        target.write([], Progress(stored.position, {LINEAGE: lineage}))
    check_followed(plan, source, state.handoff.tables)
    check_fed(plan, target, (copy.schema for copy in state.handoff.tables.values()))
    return Opened(state, position, {LINEAGE, *stored.entries} - left)


def _leave(plan: TablePlan, source: Source, target: Target, state: RunState, stored: Stored) -> set[str]:
    """Tables that the task's newest version no longer takes; returns the entries removed. Their rows stay."""
    leaving = [name for name in state.handoff.tables if not plan.takes(name)]
    if not leaving:
        return set()
    entries: Entries = {}
    for name in leaving:
        entries |= state.drop(name, stored.entries)
    target.write([], Progress(stored.position, entries))
    source.drop_tables(plan.run, leaving)
    return set(entries)


def check_fed(plan: TablePlan, target: Target, tables: Iterable[TableSchema]) -> None:
    """Whether the target still has the tables the run wrote to (I3). Raises `TargetTableGone`."""
    lost = target.lost(plan.run, [plan.place(schema) for schema in tables])
    if lost:
        raise TargetTableGone(lost[0])


def check_followed(plan: TablePlan, source: Source, tables: Iterable[TableName]) -> list[TableName]:
    """Whether the source still logs every table of the run for it (I3: else its changes would be missed in silence).

    Raises `SourceTableRemade` for a table that is there and not followed, `ObjectMissing` for one named in the task
    that is gone. Returns those gone that were only matched by a pattern: such tables come and go."""
    left_out = source.unfollowed(plan.run, list(tables))
    if not left_out:
        return []
    there = set(source.tables())
    for name in left_out:
        if name in there:
            raise SourceTableRemade(
                f"{name} is not followed any more: it was dropped and made again, or the run's publication was changed"
            )
        if plan.names(name):
            raise ObjectMissing(f"{name} no longer exists at the source: it was dropped or renamed")
    return left_out


def check_same_shape(plan: TablePlan, entries: Mapping[str, str]) -> None:
    """A run goes on only with the target mapping it began with. Raises `TaskInvalid`."""
    was = entries.get(TASK)
    if was is not None and was != plan.shape():
        raise TaskInvalid("the task's write mode, target names or added columns were changed; Stop it and Run it again")


def stored_position(source: Source, stored: Stored) -> Position:
    """Raises `TargetPositionMismatch` if the target holds something else in its place."""
    try:
        return source.parse_position(stored.position)
    except ValueError as error:
        raise TargetPositionMismatch("what the target holds as the run's position is none of this source") from error


def check_forward(source: Source, position: Position, snapshot_position: str | None) -> None:
    """I2: the target must not stand behind what the source was already told. Raises `TargetPositionMismatch`."""
    if snapshot_position is not None and position < source.parse_position(snapshot_position):
        raise TargetPositionMismatch(f"the target stands at {position}, behind the snapshot at {snapshot_position}")


def check_same_line(source: Source, state: RunState, position: Position, entries: Mapping[str, str]) -> str:
    """I3: all that was read, the log's and the copy's, must be part of what the source holds now; after a failover to a
    standby that was behind it is not. Raises `PositionLost`; returns the line the source is on."""
    copying = [copy for copy in state.handoff.tables.values() if not copy.in_step]
    marks = [chunk.mark for copy in copying for chunk in copy.chunks if chunk.mark is not None]
    marks += [mark for copy in copying for mark in copy.patches.values()]
    furthest = position
    for mark in marks:
        furthest = mark.log_end if furthest < mark.log_end else furthest
    source.check_lineage(entries.get(LINEAGE, ""), furthest)
    return source.lineage()


def check_same_source(source: Source, entries: Mapping[str, str]) -> None:
    """Raises `SourceIdentityChanged` when this is not the server and database the run was started on, and
    `TargetPositionMismatch` when the target does not know which that was."""
    if SOURCE not in entries:
        raise TargetPositionMismatch("the run's stored progress at the target is not whole")
    was = json.loads(entries[SOURCE])
    if not source.recognises(was):
        now = source.identity()
        raise SourceIdentityChanged(f"the run was started on {'/'.join(was)}, this is {'/'.join(now)}")
