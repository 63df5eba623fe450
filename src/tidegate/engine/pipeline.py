"""One run at work: the log's parts and the copy's chunks, decided, batched and written by a single thread.

Reading happens on other threads; every decision, every snapshot of the source and every write happens here, one after
the other (R2). The source hears of a position only after the target holds it and the snapshot naming it is kept (I1).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from tidegate.connect.capability import WriteMode
from tidegate.connect.source import SnapshotMark, Source
from tidegate.connect.target import Append, Clear, KeyRange, Step, Target, TargetTable
from tidegate.engine import evolve
from tidegate.engine.copy import ChunkRead, Copier, Stage
from tidegate.engine.gauges import Gauges
from tidegate.engine.handoff import Chunk, ChunkState, TableCopy, sides
from tidegate.engine.inspector import Inspector
from tidegate.engine.joining import Joiner
from tidegate.engine.opening import Opened, check_fed, check_followed, open_run, planned_copy, prepare
from tidegate.engine.partitions import PartitionWatch, first_look
from tidegate.engine.plan import TablePlan
from tidegate.engine.snapshot import Desk, Hooks, Snapshot, SnapshotKind
from tidegate.engine.writer import Writer, stamped
from tidegate.errors import Fenced, Retry, SourceLogBroken, SourceSchemaChange, TidegateError
from tidegate.faultpoint import crossing
from tidegate.model.change import UNCHANGED, Change, LogPart, Op, Row
from tidegate.model.position import Position
from tidegate.model.schema import TableName, TableSchema

COPY_PARALLEL = 2
CHUNK_ATTEMPTS = 20
CHUNK_PAUSE_S = 0.5
SNAPSHOT_DEADLINE_S = 60.0
# How long to wait before asking again whether the log may go on.
WAIT_S = 0.002
# How often the source is asked where its log ends.
LOOK_BEHIND_S = 1.0
# How many names one key event lists.
OMITTED_TOLD_MAX = 50


class Phase(StrEnum):
    PREPARING = "preparing"
    FULL = "full"
    INCREMENTAL = "incremental"


class Pipeline:
    """`run` returns once it was asked over the desk to end, and did; raises the error that ended it."""

    def __init__(
        self,
        plan: TablePlan,
        source: Source,
        target: Target,
        hooks: Hooks,
        desk: Desk,
        gauges: Gauges,
        *,
        start: str | None = None,
        snapshot_position: str | None = None,
    ) -> None:
        self._plan = plan
        self._source = source
        self._target = target
        self._hooks = hooks
        self._desk = desk
        self._gauges = gauges
        self._start = start
        self._snapshot_position = snapshot_position
        self.phase = Phase.PREPARING
        self.position: Position | None = None
        """What the target holds, for those who watch."""
        self.behind_bytes: int | None = None
        """How much of the source's log was not at the target when last asked."""

    def run(self) -> None:
        opened = open_run(
            self._plan, self._source, self._target, start=self._start, snapshot_position=self._snapshot_position
        )
        work = _Work(self, opened)
        try:
            crossing("run.opened")
            work.check_partitions()
            self._hooks.opened()
            if self._snapshot_position is None:  # the run begins
                work.tell_omitted(list(opened.state.handoff.tables))
            while not work.ended():
                work.advance_copy()
                work.advance_log()
                work.keep_snapshots()
                work.inspect()
        finally:
            work.close()


class _Work:
    """An opened run."""

    def __init__(self, pipeline: Pipeline, opened: Opened) -> None:
        self._owner = pipeline
        self._plan, self._source, self._target = pipeline._plan, pipeline._source, pipeline._target
        self._hooks, self._desk, self._gauges = pipeline._hooks, pipeline._desk, pipeline._gauges
        self._state = opened.state
        self._handoff = opened.state.handoff
        self._places: dict[int, tuple[TableSchema, TargetTable]] = {}
        # The shape the target has, by table: the object the log's changes refer to, once one was seen.
        self._shapes: dict[TableName, TableSchema] = {n: copy.schema for n, copy in self._handoff.tables.items()}
        self._passed_over: set[TableName] = set()
        self._gone: set[TableName] = set()
        self._writer = Writer(self._target, self._gauges, self._place, opened.position)
        self._writer.entries = opened.entries
        self._copier = Copier(COPY_PARALLEL)
        self._failures: dict[int, tuple[int, float]] = {}
        self._pending: deque[LogPart] = deque()
        self._gate: SnapshotMark | None = None
        # At once, so that a run that fails early has one to continue from.
        self._snapshot_at = -self._plan.spec.snapshots.every_s
        self._snapshot_on_way = False
        self._asked_at = 0.0
        self._log = self._source.log(self._plan.run, opened.position)
        self._inspector = Inspector(self._plan, self._source, self._target)
        self._partitions = PartitionWatch(self._plan, self._source, self._state, self._hooks)
        self._joiner = Joiner(self._plan, self._source)
        self._joiner.start(set(self._shapes))
        self._count_copy()
        self._show()

    def close(self) -> None:
        self._inspector.close()
        self._copier.close()
        self._joiner.close()
        self._log.close()

    def _show(self) -> None:
        self._owner.position = self._writer.position

    def _look_behind(self) -> None:
        if time.monotonic() - self._asked_at >= LOOK_BEHIND_S:
            self._asked_at = time.monotonic()
            self._owner.behind_bytes = self._source.behind_bytes(self._writer.reached)

    def tell_omitted(self, tables: Sequence[TableName]) -> None:
        """Say once what nobody would find at the target, and why."""
        for kind, names in self._plan.omitted(self._source, tables).items():
            why = "generated at the source" if kind == "columns" else "unlogged at the source"
            facts = {
                kind: names[:OMITTED_TOLD_MAX],
                "count": len(names),
                "reason": f"{why}: the log does not have them",
            }
            self._hooks.event(f"{kind}_left_out", facts)

    # --- ending ---

    def ended(self) -> bool:
        """Whether it was asked to end, and has."""
        if self._desk.abandoned:
            return True
        kind = self._desk.ending
        return kind is not None and self._writer.calm and self._end_with(kind)

    def _end_with(self, kind: SnapshotKind) -> bool:
        """Write what is decided and store a snapshot. A pause that gets no snapshot goes on running."""
        if kind is SnapshotKind.PAUSE:
            self.check_partitions()
        self._copier.close()
        for chunk in (c for copy in self._handoff.tables.values() for c in copy.chunks):
            if chunk.state is ChunkState.READING:
                chunk.state, chunk.mark = ChunkState.TODO, None
        self._flush()
        self._store_reached()
        self._desk.answer()
        self._send_snapshot(kind)
        until = time.monotonic() + SNAPSHOT_DEADLINE_S
        reason = f"the snapshot was not stored within {SNAPSHOT_DEADLINE_S:.0f} s"
        while time.monotonic() < until and not self._desk.abandoned:
            stored, refused = self._desk.answer()
            if stored is not None and not stored < self._writer.position:
                crossing("source.acknowledging")
                self._log.acknowledge(stored)  # I1
                return True
            if refused is not None:
                reason = refused.detail
                break
            time.sleep(0.005)
        if kind is not SnapshotKind.PAUSE:
            return True  # it ends anyway: the target holds the position, the source keeps its log
        self._desk.stay()
        self._snapshot_on_way = False
        self._hooks.event("pause_failed", {"reason": reason})
        return self._desk.abandoned

    # --- the copy ---

    def advance_copy(self) -> None:
        for read in self._copier.at(Stage.FAILED):
            self._retry_chunk(read)
        for read in self._copier.at(Stage.READY):
            self._write_chunk(read)
        for read in self._copier.at(Stage.LOCKED):
            read.chunk.mark = read.mark()
            read.chunk.state = ChunkState.READING
        if self._handoff.copying:
            for copy, chunk in self._next_chunks(self._copier.free()):
                self._copier.begin(copy, chunk, self._source.chunk(copy.schema, chunk.keys))
        if self._writer.calm:
            for found in self._joiner.joined():
                self._join(found)

    def _next_chunks(self, count: int) -> list[tuple[TableCopy, Chunk]]:
        now = time.monotonic()
        found: list[tuple[TableCopy, Chunk]] = []
        for copy in self._handoff.tables.values():
            if copy.in_step:
                continue
            for chunk in copy.chunks:
                if len(found) >= count:
                    return found
                waits = self._failures.get(id(chunk), (0, 0.0))[1] > now
                if chunk.state is ChunkState.TODO and not waits and not self._copier.under_way(chunk):
                    found.append((copy, chunk))
        return found

    def _put_back(self, read: ChunkRead) -> None:
        """The chunk is to do again, after a pause."""
        chunk = read.chunk
        self._copier.done(read)
        chunk.state, chunk.mark = ChunkState.TODO, None
        attempts = self._failures.get(id(chunk), (0, 0.0))[0]
        self._failures[id(chunk)] = (attempts, time.monotonic() + CHUNK_PAUSE_S)

    def _retry_chunk(self, read: ChunkRead) -> None:
        """A chunk that could not be read is to do again; after many attempts in a row the run sees the error."""
        error, chunk = read.error, read.chunk
        self._put_back(read)
        attempts, again_at = self._failures[id(chunk)]
        self._failures[id(chunk)] = (attempts + 1, again_at)
        if not isinstance(error, TidegateError):
            raise error or RuntimeError("a chunk failed without a reason")
        if error.retry is Retry.NEVER or attempts + 1 >= CHUNK_ATTEMPTS:
            raise error

    def _write_chunk(self, read: ChunkRead) -> None:
        """R3: rows, `done` and the snapshot in one transaction."""
        self._flush()
        copy, chunk, schema = read.copy, read.chunk, read.schema
        if schema is None:
            raise SourceLogBroken(f"{copy.name}: a chunk was read without its schema")
        if not self._foresee(schema, read):
            return
        place = self._place(schema)
        steps: list[Step] = []
        rows: Any = read.spool
        if place.mode is WriteMode.APPEND:
            rows = stamped(iter(read.spool), place, self._writer.position)
        elif not copy.empty:
            steps.append(Clear(place, None if chunk.keys == KeyRange(None, None) else [chunk.keys]))
        steps.append(Append(place, rows))
        chunk.state, chunk.rows = ChunkState.DONE, read.spool.rows
        crossing("chunk.writing")
        self._writer.write(steps, self._writer.position, self._state.chunk_entry(copy, chunk))
        crossing("chunk.written")
        self._failures.pop(id(chunk), None)
        self._gauges.add("bytes_read", read.spool.bytes)
        self._copier.done(read)
        self._count_copy()
        self._settle()  # the log may have passed the chunk's snapshot already

    def _join(self, found: TableSchema | TidegateError) -> None:
        """A new table that matches: the source follows it already, and the fence (R4) is behind us. That one cannot
        join is no reason to end the run."""
        try:
            if isinstance(found, TidegateError):
                raise found
            empty = prepare(self._plan, self._target, found)
            copy = planned_copy(self._plan, self._source, self._target, found, self._writer.position, empty=empty)
        except TidegateError as error:
            if error.retry is not Retry.NEVER or isinstance(error, Fenced):
                raise
            self._hooks.event("table_refused", {"reason": error.detail, "code": error.code})
            return
        self._flush()
        entries = self._state.add(copy)
        entries |= first_look(self._source, self._state, [found.name])
        self._writer.write([], self._writer.position, entries)
        self._shapes[found.name] = found
        self._count_copy()
        left_out = list(self._source.omitted_columns([found.name]).get(found.name, ()))
        self._hooks.event("table_joined", {"table": str(found.name)} | ({"left_out": left_out} if left_out else {}))

    def _count_copy(self) -> None:
        copies = list(self._handoff.tables.values())
        done = sum(copy.in_step or copy.chunks_done == len(copy.chunks) for copy in copies)
        self._gauges.set("rows_full", sum(copy.rows for copy in copies))
        self._gauges.set("tables_total", len(copies))
        self._gauges.set("tables_done", done)
        self._gauges.set("chunks_total", sum(len(copy.chunks) for copy in copies))
        self._gauges.set("chunks_done", sum(copy.chunks_done for copy in copies))
        phase = Phase.INCREMENTAL if done == len(copies) else Phase.FULL
        if phase is not self._owner.phase:
            self._owner.phase = phase
            self._hooks.event("phase", {"phase": str(phase)})

    # --- the log ---

    def advance_log(self) -> None:
        if not self._pending:
            self._pending.extend(self._log.take(self._patience_s()))
        while self._pending:
            part = self._pending[0]
            if self._must_wait(part):
                time.sleep(WAIT_S)
                break
            self._decide(part)
            self._pending.popleft()
            if self._writer.full:
                self._flush()
                break
        if self._writer.calm and not self._writer.due_in_s():
            self._flush()
        busy = bool(self._copier.reads)
        if self._handoff.copying and not self._writer.batch and not busy:
            self._store_reached()  # nothing happens in the tables: only so do they come in step
        waiting = next((part.committed_at_us for part in self._pending if part.transaction is not None), None)
        self._gauges.oldest_waiting(self._writer.oldest_waiting_us() or waiting)
        self._look_behind()
        self._writer.let_go(idle=not self._pending and not busy)

    def _patience_s(self) -> float:
        """How long to wait for the log: not longer than something else can wait for this thread."""
        if self._writer.batch:
            return min(0.05, self._writer.due_in_s()) if self._writer.calm else 0.05
        return 0.02 if self._handoff.copying or self._copier.reads else 0.1

    def _must_wait(self, part: LogPart) -> bool:
        if part.transaction is None:
            return False
        if not self._visible(part):
            self._gauges.add("gate_waits")
            crossing("handoff.gated")
            return True
        if self._handoff.stalls(part, self._writer.position):
            self._gauges.add("stalls")
            crossing("handoff.stalled")
            return True
        return self._inspector.holds(part)

    def _visible(self, part: LogPart) -> bool:
        """R1: a commit is in the log, and sent, before snapshots see it; until then no chunk may rely on it."""
        if self._gate is None or not self._gate.sees(part.transaction):
            self._gate = self._source.now()
        return self._gate.sees(part.transaction)

    def _decide(self, part: LogPart) -> None:
        self._follow_shapes(part)
        contained = 0
        for index, change in enumerate(part.changes, part.first_index):
            if change.op is Op.TRUNCATE:
                self._truncate(change, part, index)
                continue
            old_side, new_side = self._handoff.deliver(change, part, self._writer.position)
            if not (old_side or new_side):
                contained += 1
            elif new_side and not old_side and _lacks_values(change):
                self._patch(change, part, index)
            else:
                self._writer.batch.add(change, old_side, new_side, part, index)
        self._gauges.add("changes_read", len(part.changes))
        self._gauges.add("bytes_read", part.bytes)
        self._gauges.add("changes_contained", contained)
        if part.ends and part.transaction is not None:
            self._gauges.add("transactions")
        self._writer.decided(part)

    def _truncate(self, change: Change, part: LogPart, index: int) -> None:
        copy = self._handoff.tables.get(change.table.name)
        if copy is None:
            return
        chunks = self._handoff.truncated(copy.name, part, self._writer.position)
        # A patched key goes by its own snapshot: one that already contains the TRUNCATE keeps its row.
        keep = [key for key, mark in copy.patches.items() if mark.seen.sees(part.transaction)]
        self._inspector.disturb(copy.name)
        self._writer.remember(self._partitions.truncated(copy.name, part))
        self._writer.batch.truncate(change.table, chunks, keep, part, index)

    def _patch(self, change: Change, part: LogPart, index: int) -> None:
        """The key moved here from a range whose copy never held the row, and a large value was left out: read the row
        itself, as a chunk of one key that goes by its own snapshot from now on."""
        copy = self._handoff.tables[change.table.name]
        key = sides(change)[1] or ()
        reader = self._source.row_chunk(copy.schema, key)
        try:
            reader.lock()
            mark = reader.mark()
            schema, batches = reader.rows()
            rows: list[Row] = [tuple(row.values()) for batch in batches for row in batch.to_pylist()]
        finally:
            reader.close()
        self._add_columns(schema)
        self._writer.batch.put(schema, key, rows[0] if rows else None, part, index)
        copy.patches[key] = mark
        self._writer.remember(self._state.patch_entry(copy, key))
        self._gauges.add("patches")
        crossing("handoff.patched")

    # --- the tables' shapes ---

    def _follow_shapes(self, part: LogPart) -> None:
        """A table may have another shape from this part on. The batch is not written for that: its rows name their
        columns and leave new ones to their default."""
        for change in part.changes:
            name = change.table.name
            known = self._shapes.get(name)
            if known is change.table:
                continue
            if known is None:
                self._pass_over(name)
            elif known != change.table:
                try:
                    self._add_columns(change.table)
                except SourceSchemaChange:
                    # What came before goes to the target, so that Continue begins with the new shape.
                    self._flush()
                    self._store_reached()
                    self._check_followed()  # a publication that was given fewer columns looks like this too
                    raise
                copy = self._handoff.tables[name]
                copy.schema = change.table
                self._writer.remember(self._state.table_entry(copy))
            if known is not None:
                self._shapes[name] = change.table

    def _foresee(self, seen: TableSchema, read: ChunkRead) -> bool:
        """A chunk may show a table's new shape before the log does: the target gets new columns now, and the log's own
        shape stays what it is. A shape that ends the run does so when the log is there too; False: not yet."""
        if seen == self._shapes[seen.name]:
            return True
        try:
            self._add_columns(seen)
        except SourceSchemaChange:
            self._store_reached()
            mark = read.chunk.mark
            if mark is None or mark.log_end <= self._writer.position:
                raise
            self._put_back(read)
            return False
        return True

    def _add_columns(self, seen: TableSchema) -> None:
        """Make the target take rows of this shape. Raises `SourceSchemaChange` if that takes more than new columns."""
        place = self._plan.place(seen)
        at_target = self._target.columns(place)
        new = evolve.added_columns(
            self._shapes[seen.name],
            place,
            self._target.type_of,
            {column.name: column.type for column in at_target or ()},
            lambda: {misfit.column: misfit.reason for misfit in self._target.misfits(place)} if at_target else {},
            in_step=self._handoff.tables[seen.name].in_step,
        )
        if new:
            self._inspector.disturb(seen.name)
            self._target.add_columns(place, new)
            self._hooks.event("schema_change", {"table": str(seen.name), "added": [column.name for column in new]})

    def _pass_over(self, name: TableName) -> None:
        """A change of a table the run does not have: one that joins in a moment or has left, or, which must not go
        unnoticed, one of the run's own under a new name."""
        if name not in self._passed_over:
            self._check_followed()
            self._passed_over.add(name)

    def _check_followed(self) -> None:
        for name in check_followed(self._plan, self._source, self._handoff.tables):
            if name not in self._gone:
                self._gone.add(name)
                self._hooks.event("table_gone", {"table": str(name)})

    def check_partitions(self, *, look: bool = True) -> None:
        """Raises `SourcePartitionChanged`."""
        if look:
            self._partitions.look()
        entries, ended = self._partitions.judge(self._writer.reached)
        self._writer.remember(entries)
        if ended is not None:
            # What came before goes to the target, and what was found with it, so that Continue goes on.
            self._flush()
            self._store_reached()
            raise ended

    def _check_fed(self) -> None:
        check_fed(self._plan, self._target, (copy.schema for copy in self._handoff.tables.values()))

    def _place(self, schema: TableSchema) -> TargetTable:
        held = self._places.get(id(schema))
        if held is None or held[0] is not schema:
            held = self._places[id(schema)] = (schema, self._plan.place(schema))
        return held[1]

    # --- writing ---

    def _flush(self) -> None:
        if self._writer.flush():
            self._settle()

    def _store_reached(self) -> None:
        if self._writer.store_reached():
            self._settle()

    def _settle(self) -> None:
        self._show()
        if not self._handoff.copying:
            return
        settled = self._handoff.settle(self._writer.position)
        if settled:
            crossing("handoff.settled")
            # Travels with the next write; until then the stored chunks say the same.
            self._writer.remember(self._state.settled_entries(settled, self._writer.entries))
            self._count_copy()

    # --- comparing ---

    def inspect(self) -> None:
        """Find the instant at which somebody wants both ends compared."""
        inspection = self._inspector.advance(self._desk)
        if inspection is None:
            return
        if not self._pending:
            self._inspector.nudge()
        if self._inspector.waits(self._handoff.tables):
            return
        inspection.seek()
        agrees = inspection.judge(self._pending, self._writer.reached)
        if agrees is None and inspection.holding:
            self._pending.extend(self._log.take(0.0))
        elif agrees and self._writer.calm:
            self._flush()
            self._store_reached()
            self._inspector.found(self._writer.position, self._handoff.tables, self._shapes)
        elif agrees is False:
            inspection.again()

    # --- snapshots ---

    def keep_snapshots(self) -> None:
        stored, refused = self._desk.answer()
        if stored is not None:
            self._snapshot_on_way = False
            crossing("source.acknowledging")
            self._log.acknowledge(stored)  # I1: the target holds it and the snapshot naming it is stored
        if refused is not None:
            self._snapshot_on_way = False
            self._hooks.event("snapshot_failed", {"reason": refused.detail})
        if not self._writer.calm:
            return
        self.check_partitions(look=False)
        request = self._desk.next_request()
        due = time.monotonic() - self._snapshot_at >= self._plan.spec.snapshots.every_s and not self._snapshot_on_way
        if request is not None or due:
            self._check_followed()
            self.check_partitions()
            if self._writer.position < self._writer.reached:  # for a look alone no file is opened
                self._check_fed()
            self._flush()
            self._store_reached()
            self._send_snapshot(SnapshotKind.PERIODIC if request is None else SnapshotKind.MANUAL, request)

    def _send_snapshot(self, kind: SnapshotKind, request: str | None = None) -> None:
        tables = {
            str(copy.name): {
                "state": "in_step" if copy.in_step else "copying",
                "chunks_done": copy.chunks_done,
                "chunks_total": len(copy.chunks),
                "rows_full": copy.rows,
                "columns": list(copy.schema.names),
            }
            for copy in self._handoff.tables.values()
        }
        self._snapshot_at = time.monotonic()
        self._snapshot_on_way = True
        state = {"phase": str(self._owner.phase), "tables": tables, "counters": self._gauges.totals()}
        crossing("snapshot.due")
        self._hooks.snapshot(Snapshot(kind, self._writer.position, state, request))


def _lacks_values(change: Change) -> bool:
    return change.op is Op.UPDATE and change.new is not None and UNCHANGED in change.new
