"""The log of a run: what comes is decided in order and put into the batch.

While tables are copied or compared, every change is decided by itself (see `handoff.py`). Otherwise all of them are to
be delivered, and the source may hand over whole batches.
"""

from __future__ import annotations

import time
from collections import deque

from tidegate.connect.capability import WriteMode
from tidegate.connect.source import Gathering, LogBatch, LogReader, SnapshotMark
from tidegate.decode.gatherer import Mode
from tidegate.engine.full import FullCopy
from tidegate.engine.handoff import sides
from tidegate.engine.running import Running
from tidegate.faultpoint import crossing
from tidegate.model.change import UNCHANGED, Change, LogPart, Op, Row

# How long to wait before asking again whether the log may go on.
WAIT_S = 0.002
# How long to sleep at once while a batch waits for its time.
HOLD_S = 0.005
# How often the source is asked where its log ends.
LOOK_BEHIND_S = 1.0


class Following:
    """Used by the run's one thread."""

    def __init__(self, running: Running, full: FullCopy, log: LogReader) -> None:
        self._run, self._full, self._log = running, full, log
        self.pending: deque[LogPart | LogBatch] = deque()
        self._gathering: Gathering | None = None
        self._wanted: Gathering | None = None
        self._settled = True
        self._gate: SnapshotMark | None = None
        self._asked_at = 0.0

    def turn(self) -> None:
        """Ask for what the run needs now: parts, or batches."""
        single = self._full.wanted or self._run.inspector.seeking
        self._wanted = None if single else self._all_tables()
        self._settled = self._log.gather(self._wanted)

    @property
    def single(self) -> bool:
        """Whether from here on every change is decided by itself: no batch is on its way."""
        return self._settled and self._wanted is None

    @property
    def _gathers(self) -> bool:
        return self._settled and self._wanted is not None

    def look_ahead(self) -> None:
        """See what comes, without deciding anything."""
        self.pending.extend(self._log.take(0.0))

    def advance(self) -> None:
        writer = self._run.writer
        if not self.pending and not self._held_back():
            self.pending.extend(self._log.take(self._patience_s()))
        while self.pending:
            item = self.pending[0]
            if self._must_wait(item):
                time.sleep(WAIT_S)
                break
            if isinstance(item, LogBatch):
                self._gather(item)
            else:
                self._decide(item)
            self.pending.popleft()
            if writer.full:
                self._flush()
                break
        if writer.calm and (not writer.due_in_s() or (self._gathers and self._log.ready())):
            self._flush()
        if self._run.handoff.copying and not writer.batch and not self._full.busy:
            self._run.store_reached()  # nothing happens in the tables: only so do they come in step
        self._show_waiting()
        self._look_behind()
        writer.let_go(idle=not self.pending and not self._full.busy)

    def _flush(self) -> None:
        self._show_waiting()  # a write may take long
        self._run.flush()

    def _show_waiting(self) -> None:
        self._run.gauges.oldest_waiting(self._run.writer.oldest_waiting_us() or self._first_waiting_us())

    def _held_back(self) -> bool:
        """Whether the batch waits for its time, so that the next one grows meanwhile."""
        writer = self._run.writer
        if not (self._gathers and writer.batch and writer.calm) or self._log.ready():
            return False
        time.sleep(min(HOLD_S, writer.due_in_s()))
        return True

    def _patience_s(self) -> float:
        """How long to wait for the log: not longer than something else can wait for this thread."""
        writer = self._run.writer
        if writer.batch:
            return min(0.05, writer.due_in_s()) if writer.calm else 0.05
        return 0.02 if self._full.wanted else 0.1

    def _first_waiting_us(self) -> int | None:
        for item in self.pending:
            if isinstance(item, LogBatch) and item.transactions:
                return item.transactions[0].committed_at_us
            if isinstance(item, LogPart) and item.transaction is not None:
                return item.committed_at_us
        return None

    def _look_behind(self) -> None:
        if time.monotonic() - self._asked_at >= LOOK_BEHIND_S:
            self._asked_at = time.monotonic()
            self._run.watch.behind_bytes = self._run.source.behind_bytes(self._run.writer.reached)

    # --- waiting ---

    def _must_wait(self, item: LogPart | LogBatch) -> bool:
        if isinstance(item, LogBatch):
            return any(self._gated(one.transaction) for one in item.transactions)
        if item.transaction is None:
            return False
        if self._gated(item.transaction):
            return True
        if self._run.handoff.stalls(item, self._run.writer.position):
            self._run.gauges.add("stalls")
            crossing("handoff.stalled")
            return True
        return self._run.inspector.holds(item)

    def _gated(self, transaction: object) -> bool:
        """R1: a commit is in the log, and sent, before snapshots see it; until then no chunk may rely on it."""
        if self._gate is None or not self._gate.sees(transaction):
            self._gate = self._run.source.now()
        if self._gate.sees(transaction):
            return False
        self._run.gauges.add("gate_waits")
        crossing("handoff.gated")
        return True

    # --- batches ---

    def _all_tables(self) -> Gathering:
        tables = self._run.handoff.tables
        if self._gathering is None or len(self._gathering.tables) != len(tables):
            places = {name: self._run.shapes.place(copy.schema) for name, copy in tables.items()}
            modes = {n: Mode.NET if place.mode is WriteMode.UPSERT else Mode.LOG for n, place in places.items()}
            self._gathering = Gathering(modes, self._run.target.batch.rows)
        return self._gathering

    def _gather(self, batch: LogBatch) -> None:
        """All tables are in step: everything is delivered."""
        run = self._run
        for schema in (*batch.met, *(schema for schema, _ in batch.tables)):
            run.follow_shape(schema)
        run.writer.batch.gather(batch)
        run.gauges.add("changes_read", batch.changes)
        run.gauges.add("bytes_read", batch.bytes)
        run.gauges.add("transactions", batch.ended)
        run.writer.gathered(batch)

    # --- changes one by one ---

    def _decide(self, part: LogPart) -> None:
        run = self._run
        for change in part.changes:
            if run.shapes.known.get(change.table.name) is not change.table:
                run.follow_shape(change.table)
        contained = 0
        for index, change in enumerate(part.changes, part.first_index):
            if change.op is Op.TRUNCATE:
                self._truncate(change, part, index)
                continue
            old_side, new_side = run.handoff.deliver(change, part, run.writer.position)
            if not (old_side or new_side):
                contained += 1
            elif new_side and not old_side and _lacks_values(change):
                self._patch(change, part, index)
            else:
                run.writer.batch.add(change, old_side, new_side, part, index)
        run.gauges.add("changes_read", len(part.changes))
        run.gauges.add("bytes_read", part.bytes)
        run.gauges.add("changes_contained", contained)
        if part.ends and part.transaction is not None:
            run.gauges.add("transactions")
        run.writer.decided(part)

    def _truncate(self, change: Change, part: LogPart, index: int) -> None:
        run = self._run
        copy = run.handoff.tables.get(change.table.name)
        if copy is None:
            return
        chunks = run.handoff.truncated(copy.name, part, run.writer.position)
        # A patched key goes by its own snapshot: one that already contains the TRUNCATE keeps its row.
        keep = [key for key, mark in copy.patches.items() if mark.seen.sees(part.transaction)]
        run.inspector.disturb(copy.name)
        run.writer.remember(run.partitions.truncated(copy.name, part))
        run.writer.batch.truncate(change.table, chunks, keep, part, index)

    def _patch(self, change: Change, part: LogPart, index: int) -> None:
        """The key moved here from a range whose copy never held the row, and a large value was left out: read the row
        itself, as a chunk of one key that goes by its own snapshot from now on."""
        run = self._run
        copy = run.handoff.tables[change.table.name]
        key = sides(change)[1] or ()
        reader = run.source.row_chunk(copy.schema, key)
        try:
            reader.lock()
            mark = reader.mark()
            schema, batches = reader.rows()
            rows: list[Row] = [tuple(row.values()) for batch in batches for row in batch.to_pylist()]
        finally:
            reader.close()
        run.shapes.widen(schema)
        run.writer.batch.put(schema, key, rows[0] if rows else None, part, index)
        copy.patches[key] = mark
        run.writer.remember(run.state.patch_entry(copy, key))
        run.gauges.add("patches")
        crossing("handoff.patched")


def _lacks_values(change: Change) -> bool:
    return change.op is Op.UPDATE and change.new is not None and UNCHANGED in change.new
