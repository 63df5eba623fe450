"""One run at work: the log and the copy's chunks, decided, batched and written by a single thread.

Reading happens on other threads; every decision, every snapshot of the source and every write happens here, one after
the other (R2). The source hears of a position only after the target holds it and the snapshot naming it is kept (I1).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from tidegate.connect.source import LogReader, Source
from tidegate.connect.target import Target
from tidegate.engine.following import Following
from tidegate.engine.full import FullCopy
from tidegate.engine.gauges import Gauges
from tidegate.engine.opening import check_fed, open_run
from tidegate.engine.plan import TablePlan
from tidegate.engine.running import Phase, Running
from tidegate.engine.snapshot import Desk, Hooks, Snapshot, SnapshotKind
from tidegate.faultpoint import crossing
from tidegate.model.change import LogPart
from tidegate.model.position import Position
from tidegate.model.schema import TableName
from tidegate.model.start import StartSpec

SNAPSHOT_DEADLINE_S = 60.0
SNAPSHOT_WHEN_SHORT_S = 2.0
# How many names one key event lists.
OMITTED_TOLD_MAX = 50


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
        start: StartSpec | None = None,
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
        self._running: Running | None = None

    @property
    def phase(self) -> Phase:
        return Phase.PREPARING if self._running is None else self._running.watch.phase

    @property
    def position(self) -> Position | None:
        """What the target holds, for those who watch."""
        return None if self._running is None else self._running.watch.position

    @property
    def behind_bytes(self) -> int | None:
        """How much of the source's log was not at the target when last asked."""
        return None if self._running is None else self._running.watch.behind_bytes

    @property
    def queue_share(self) -> float:
        """How full the queue between reading and writing is, from 0 to 1."""
        return 0.0 if self._running is None else self._running.watch.queue_share

    @property
    def reached(self) -> Position | None:
        """How far the log was read when last looked."""
        return None if self._running is None else self._running.watch.reached

    @property
    def still_s(self) -> float:
        """For how long the run's thread has waited for one answer of source or target."""
        return 0.0 if self._running is None else time.monotonic() - self._running.watch.turned_at

    def run(self) -> None:
        opened = open_run(
            self._plan, self._source, self._target, start=self._start, snapshot_position=self._snapshot_position
        )
        with ExitStack() as stack:
            tables = {name: copy.schema for name, copy in opened.state.handoff.tables.items()}
            log = self._source.log(self._plan.run, opened.position, tables=tables)
            stack.callback(log.close)
            running = Running(self._plan, self._source, self._target, self._hooks, self._desk, self._gauges, opened)
            self._running = running
            stack.callback(running.inspector.close)
            full = FullCopy(running)
            stack.callback(full.close)
            crossing("run.opened")
            running.check_unlogged()
            self._hooks.opened()
            if self._snapshot_position is None:  # the run begins
                self._tell_omitted(list(opened.state.handoff.tables))
            _Work(running, full, log).go()

    def _tell_omitted(self, tables: Sequence[TableName]) -> None:
        """Say once what nobody would find at the target, and why."""
        for kind, names in self._plan.omitted(self._source, tables).items():
            why = "generated at the source" if kind == "columns" else "unlogged at the source"
            facts = {
                kind: names[:OMITTED_TOLD_MAX],
                "count": len(names),
                "reason": f"{why}: the log does not have them",
            }
            self._hooks.event("columns_left_out" if kind == "columns" else "tables_left_out", facts)


class _Work:
    """An opened run, until it ends."""

    def __init__(self, running: Running, full: FullCopy, log: LogReader) -> None:
        self._run, self._full, self._log = running, full, log
        self._desk, self._hooks = running.desk, running.hooks
        self._following = Following(running, full, log)
        # At once, so that a run that fails early has one to continue from.
        self._snapshot_at = -running.plan.spec.snapshots.every_s
        self._snapshot_on_way = False

    def go(self) -> None:
        while not self._ended():
            self._run.watch.turned_at = time.monotonic()
            self._full.advance()
            self._following.turn()
            if self._following.single:
                self._full.join()
            self._following.advance()
            self._keep_snapshots()
            self._inspect()

    # --- ending ---

    def _ended(self) -> bool:
        """Whether it was asked to end, and has."""
        if self._desk.abandoned:
            return True
        kind = self._desk.ending
        return kind is not None and self._run.writer.calm and self._end_with(kind)

    def _end_with(self, kind: SnapshotKind) -> bool:
        """Write what is decided and store a snapshot. A pause that gets no snapshot goes on running."""
        run = self._run
        if kind is SnapshotKind.PAUSE:
            run.check_unlogged()
        self._full.abandon()
        run.flush()
        run.store_reached()
        self._desk.answer()
        self._send_snapshot(kind)
        until = time.monotonic() + SNAPSHOT_DEADLINE_S
        reason = f"the snapshot was not stored within {SNAPSHOT_DEADLINE_S:.0f} s"
        while time.monotonic() < until and not self._desk.abandoned:
            stored, refused = self._desk.answer()
            if stored is not None and not stored < run.writer.position:
                run.gauges.snapshot_stored(time.monotonic() - self._snapshot_at)
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

    # --- comparing ---

    def _inspect(self) -> None:
        """Find the instant at which somebody wants both ends compared."""
        run, inspector = self._run, self._run.inspector
        inspection = inspector.advance(self._desk)
        if inspection is None or not self._following.single:
            return
        if not self._following.pending:
            inspector.nudge()
        if inspector.waits(run.handoff.tables):
            return
        inspection.seek()
        parts = [item for item in self._following.pending if isinstance(item, LogPart)]
        agrees = inspection.judge(parts, run.writer.reached)
        if agrees is None and inspection.holding:
            self._following.look_ahead()
        elif agrees and run.writer.calm:
            run.flush()
            run.store_reached()
            inspector.found(run.writer.position, run.handoff.tables, run.shapes.known)
        elif agrees is False:
            inspection.again()

    # --- snapshots ---

    def _keep_snapshots(self) -> None:
        run = self._run
        stored, refused = self._desk.answer()
        if stored is not None:
            self._snapshot_on_way = False
            run.gauges.snapshot_stored(time.monotonic() - self._snapshot_at)
            crossing("source.acknowledging")
            self._log.acknowledge(stored)  # I1: the target holds it and the snapshot naming it is stored
        if refused is not None:
            self._snapshot_on_way = False
            run.gauges.add("snapshot_failures")
            self._hooks.event("snapshot_failed", {"reason": refused.detail})
        if not run.writer.calm:
            return
        run.check_unlogged(look=False)
        request = self._desk.next_request()
        every_s = run.plan.spec.snapshots.every_s
        if run.watch.log_short:  # only behind a snapshot may the source forget (I1)
            every_s = min(every_s, SNAPSHOT_WHEN_SHORT_S)
        due = time.monotonic() - self._snapshot_at >= every_s and not self._snapshot_on_way
        if request is not None or due:
            run.shapes.check_followed()
            run.check_unlogged()
            if run.writer.position < run.writer.reached:  # for a look alone no file is opened
                check_fed(run.plan, run.target, (copy.schema for copy in run.handoff.tables.values()))
            run.flush()
            run.store_reached()
            self._send_snapshot(SnapshotKind.PERIODIC if request is None else SnapshotKind.MANUAL, request)

    def _send_snapshot(self, kind: SnapshotKind, request: str | None = None) -> None:
        run = self._run
        tables = {
            str(copy.name): {
                "state": "in_step" if copy.in_step else "copying",
                "chunks_done": copy.chunks_done,
                "chunks_total": len(copy.chunks),
                "rows_full": copy.rows,
                "columns": list(copy.schema.names),
            }
            for copy in run.handoff.tables.values()
        }
        self._snapshot_at = time.monotonic()
        self._snapshot_on_way = True
        state = {"phase": str(run.watch.phase), "tables": tables, "counters": run.gauges.totals()}
        crossing("snapshot.due")
        self._hooks.snapshot(Snapshot(kind, run.writer.position, state, request))
