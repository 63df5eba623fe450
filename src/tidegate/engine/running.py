"""An opened run: what its copy, its log and its snapshots share, and the writing that all of them do."""

from __future__ import annotations

import time
from collections.abc import Iterable
from enum import StrEnum

from tidegate.connect.source import Source
from tidegate.connect.target import Target
from tidegate.engine.gauges import Gauges
from tidegate.engine.handoff import TableCopy
from tidegate.engine.inspector import Inspector
from tidegate.engine.opening import Opened
from tidegate.engine.plan import TablePlan
from tidegate.engine.shapes import Shapes
from tidegate.engine.snapshot import Desk, Hooks
from tidegate.engine.unlogged import UnloggedWatch
from tidegate.engine.writer import Writer
from tidegate.errors import SourceSchemaChange
from tidegate.faultpoint import crossing
from tidegate.model.position import Position
from tidegate.model.schema import TableSchema


class Phase(StrEnum):
    PREPARING = "preparing"
    FULL = "full"
    INCREMENTAL = "incremental"


class Watch:
    """What those may see who watch a run from another thread."""

    def __init__(self) -> None:
        self.phase = Phase.PREPARING
        self.position: Position | None = None
        """What the target holds."""
        self.behind_bytes: int | None = None
        """How much of the source's log was not at the target when last asked."""
        self.log_short = False
        """Whether the source, when last asked, was about to drop log that it was not told to be free to drop."""
        self.queue_share = 0.0
        """How full the queue between reading and writing was when last looked at."""
        self.reached: Position | None = None
        """How far the log was read when last looked, whether the target has been told or not."""
        self.turned_at = time.monotonic()
        """When the run's thread last came round; it does many times a second unless it waits for an answer."""


class Running:
    """Used by the run's one thread, but for `watch`."""

    def __init__(
        self, plan: TablePlan, source: Source, target: Target, hooks: Hooks, desk: Desk, gauges: Gauges, opened: Opened
    ) -> None:
        self.plan, self.source, self.target = plan, source, target
        self.hooks, self.desk, self.gauges = hooks, desk, gauges
        self.watch = Watch()
        self.state = opened.state
        self.handoff = opened.state.handoff
        self.inspector = Inspector(plan, source, target)
        self.shapes = Shapes(plan, source, target, self.state, hooks, self.inspector.disturb)
        self.unlogged = UnloggedWatch(plan, source, self.state, hooks)
        self.writer = Writer(target, gauges, self.shapes.place, opened.position)
        self.writer.entries = opened.entries
        self.count_copy()
        self.watch.position = self.writer.position

    # --- writing ---

    def flush(self) -> None:
        if self.writer.flush():
            self.settle()

    def store_reached(self) -> None:
        if self.writer.store_reached():
            self.settle()

    def settle(self) -> None:
        """The stored position has moved: tables may be in step now."""
        self.watch.position = self.writer.position
        if not self.handoff.copying:
            return
        settled = self.handoff.settle(self.writer.position)
        if settled:
            crossing("handoff.settled")
            # Travels with the next write; until then the stored chunks say the same.
            self.writer.remember(self.state.settled_entries(settled, self.writer.entries))
            self.count_copy(settled)

    def count_copy(self, moved: Iterable[TableCopy] | None = None) -> None:
        """How far the full copy is; these tables are further than before (None: any may be)."""
        copies = list(self.handoff.tables.values())
        done = sum(copy.in_step or copy.chunks_done == len(copy.chunks) for copy in copies)
        for copy in copies if moved is None else moved:
            self.gauges.tables.stands(copy)
        self.gauges.set("rows_full", sum(copy.rows for copy in copies))
        self.gauges.set("tables_total", len(copies))
        self.gauges.set("tables_done", done)
        self.gauges.set("chunks_total", sum(len(copy.chunks) for copy in copies))
        self.gauges.set("chunks_done", sum(copy.chunks_done for copy in copies))
        phase = Phase.INCREMENTAL if done == len(copies) else Phase.FULL
        if phase is not self.watch.phase:
            self.watch.phase = phase
            self.hooks.event("phase", {"phase": str(phase)})

    # --- what may end the run ---

    def follow_shape(self, seen: TableSchema) -> None:
        """Raises `SourceSchemaChange`."""
        try:
            self.writer.remember(self.shapes.follow(seen))
        except SourceSchemaChange:
            # What came before goes to the target, so that Continue begins with the new shape. Whether the change also
            # gave rows other values nobody needs to be told again.
            self.unlogged.look(known=seen.name)
            self.check_unlogged(look=False)
            self.flush()
            self.store_reached()
            self.shapes.check_followed()  # a publication that was given fewer columns looks like this too
            raise

    def check_unlogged(self, *, look: bool = True) -> None:
        """Raises `SourcePartitionChanged`, `SourceTableRewritten` or `SourceIdentityMissing`."""
        if look:
            self.unlogged.look()
        entries, ended = self.unlogged.judge(self.writer.reached)
        self.writer.remember(entries)
        if ended is not None:
            # What came before goes to the target, and what was found with it, so that Continue goes on.
            self.flush()
            self.store_reached()
            raise ended
