"""An opened run: what its copy, its log and its snapshots share, and the writing that all of them do."""

from __future__ import annotations

from enum import StrEnum

from tidegate.connect.source import Source
from tidegate.connect.target import Target
from tidegate.engine.gauges import Gauges
from tidegate.engine.inspector import Inspector
from tidegate.engine.opening import Opened
from tidegate.engine.partitions import PartitionWatch
from tidegate.engine.plan import TablePlan
from tidegate.engine.shapes import Shapes
from tidegate.engine.snapshot import Desk, Hooks
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
        self.partitions = PartitionWatch(plan, source, self.state, hooks)
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
            self.count_copy()

    def count_copy(self) -> None:
        """How far the full copy is."""
        copies = list(self.handoff.tables.values())
        done = sum(copy.in_step or copy.chunks_done == len(copy.chunks) for copy in copies)
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
            # What came before goes to the target, so that Continue begins with the new shape.
            self.flush()
            self.store_reached()
            self.shapes.check_followed()  # a publication that was given fewer columns looks like this too
            raise

    def check_partitions(self, *, look: bool = True) -> None:
        """Raises `SourcePartitionChanged`."""
        if look:
            self.partitions.look()
        entries, ended = self.partitions.judge(self.writer.reached)
        self.writer.remember(entries)
        if ended is not None:
            # What came before goes to the target, and what was found with it, so that Continue goes on.
            self.flush()
            self.store_reached()
            raise ended
