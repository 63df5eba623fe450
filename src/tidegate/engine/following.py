"""The log of a run: what comes is decided in order and put into the batch.

While tables are copied or compared, every change is decided by itself (see `handoff.py`). Otherwise all of them are to
be delivered, and the source may hand over whole batches.
"""

from __future__ import annotations

import time
from collections import Counter, deque

from tidegate.connect.capability import WriteMode
from tidegate.connect.source import Gathering, LogBatch, LogReader, SnapshotMark
from tidegate.decode.gatherer import Mode
from tidegate.engine.full import FullCopy
from tidegate.engine.gathered import rows_bytes, rows_of
from tidegate.engine.handoff import sides
from tidegate.engine.running import Running
from tidegate.faultpoint import crossing
from tidegate.model.change import UNCHANGED, Change, LogPart, Op, Row
from tidegate.model.position import Position
from tidegate.model.schema import TableName

# How long to wait before asking again whether the log may go on.
WAIT_S = 0.002
# How long a chunk waits at most for its snapshot, or to be written, while nothing else is to do.
CHUNK_WAIT_S = 0.01
# How long to sleep at once while a batch waits for its time.
HOLD_S = 0.005
# How often the source is asked where its log ends.
LOOK_BEHIND_S = 1.0
# How long nothing of it may come before it is asked for a sign.
NUDGE_AFTER_S = 5.0


class Following:
    """Used by the run's one thread."""

    def __init__(self, running: Running, full: FullCopy, log: LogReader) -> None:
        self._run, self._full, self._log = running, full, log
        self.pending: deque[LogPart | LogBatch] = deque()
        self._gathering: Gathering | None = None
        self._wanted: Gathering | None = None
        self._settled = True
        self._gate: SnapshotMark | None = None
        self._asked_at = self._moved_at = 0.0
        self._moved_to: Position | None = None

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
            self._take()
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

    def _take(self) -> None:
        began = time.monotonic()
        items = self._log.take(self._patience_s())
        self._run.gauges.add("waiting_s", time.monotonic() - began)
        if items:
            now_us = int(time.time() * 1e6)
            for item in items:
                item.read_at_us = item.read_at_us or now_us
            self.pending.extend(items)
        self._run.watch.queue_share = self._log.fullness

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
        rest_s = min(HOLD_S, writer.due_in_s())
        time.sleep(rest_s)
        self._run.gauges.add("waiting_s", rest_s)
        return True

    def _patience_s(self) -> float:
        """How long to wait for the log: not longer than something else can wait for this thread."""
        writer = self._run.writer
        if writer.batch:
            return min(0.05, writer.due_in_s()) if writer.calm else 0.05
        if self._full.busy:
            return 0.0 if self._full.ready else CHUNK_WAIT_S
        return 0.02 if self._full.wanted else 0.1

    def _first_waiting_us(self) -> int | None:
        for item in self.pending:
            if isinstance(item, LogBatch) and item.transactions:
                return item.transactions[0].committed_at_us
            if isinstance(item, LogPart) and item.transaction is not None:
                return item.committed_at_us
        return None

    def _look_behind(self) -> None:
        """How far the source's log has gone on. When nothing of it comes, a sign is written into it: what then does not
        come either, and is shown as not moving, does not come at all."""
        now = time.monotonic()
        if now - self._asked_at < LOOK_BEHIND_S:
            return
        self._asked_at = now
        reached = self._run.watch.reached = self._run.writer.reached
        behind_bytes = self._run.watch.behind_bytes = self._run.source.behind_bytes(reached)
        kept = self._run.source.log_state(self._run.plan.run, None)
        self._run.watch.log_short = kept.safe_bytes is not None and kept.behind_bytes > kept.safe_bytes
        if not behind_bytes or self.pending or self._moved_to is None or self._moved_to < reached:
            self._moved_to, self._moved_at = reached, now
        elif now - self._moved_at >= NUDGE_AFTER_S:
            self._moved_at = now
            self._run.source.nudge()

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
        counts = counted(batch)
        run.writer.batch.gather(batch, {name: changes for name, (changes, _) in counts.items()})
        run.gauges.read(batch.changes, batch.bytes, counts)
        run.gauges.add("transactions", batch.ended)
        run.writer.gathered(batch)

    # --- changes one by one ---

    def _decide(self, part: LogPart) -> None:
        run = self._run
        for schema in part.met:
            run.follow_shape(schema)
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
        tables = Counter(change.table.name for change in part.changes)
        share = part.bytes / max(1, len(part.changes))
        run.gauges.read(len(part.changes), part.bytes, {name: (n, round(n * share)) for name, n in tables.items()})
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
        run.writer.remember(run.unlogged.truncated(copy.name, part))
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


def counted(batch: LogBatch) -> dict[TableName, tuple[int, int]]:
    """How many changes and bytes of each table are in it; where the source does not say, a table's rows are counted."""
    counts = batch.counts or [(rows_of(rows), rows_bytes(rows)) for _, rows in batch.tables]
    found: dict[TableName, tuple[int, int]] = {}
    for (table, _), (changes, size) in zip(batch.tables, counts, strict=True):
        some, bytes = found.get(table.name, (0, 0))
        found[table.name] = some + changes, bytes + size
    return found


def _lacks_values(change: Change) -> bool:
    return change.op is Op.UPDATE and change.new is not None and UNCHANGED in change.new
