"""The open batch and the target it goes to: rows, position and progress in one transaction each (I1, I4)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from tidegate.connect.source import LogBatch
from tidegate.connect.target import Progress, Step, Target, TargetTable
from tidegate.engine.batcher import Batcher
from tidegate.engine.gathered import step_bytes
from tidegate.engine.gauges import Gauges
from tidegate.engine.stamp import TEXT, instant
from tidegate.engine.state import Entries
from tidegate.faultpoint import crossing
from tidegate.model.change import LogPart, Op
from tidegate.model.position import Position
from tidegate.model.schema import TableName, TableSchema

BATCH_BYTES_MAX = 16 << 20
# While the stream is thin: how often to write at most, and about how much of the time.
INTERVAL_MIN_S = 0.01
WRITING_SHARE = 0.4
IDLE_RELEASE_S = 0.05


class Writer:
    """Used by the pipeline's thread only.

    `position` is what the target holds; `reached` is what was decided, or needs no writing: it moves into `position`
    with the next write. `entries` names the progress entries stored.
    """

    def __init__(
        self, target: Target, gauges: Gauges, place: Callable[[TableSchema], TargetTable], position: Position
    ) -> None:
        self._target = target
        self._gauges = gauges
        self._place = place
        self.position = self.reached = position
        self.entries: set[str] = set()
        self.batch = Batcher(place)
        self._ends_whole = True
        self._with_batch: Entries = {}
        self._committed: list[int] = []
        self._read_at_us: int | None = None
        """When the first change of the batch was read."""
        self._oldest_us: int | None = None
        """When the source committed the oldest of them."""
        self._read_delay_us = 0
        self._begun_us: int | None = None
        """When the source committed the transaction of which only a part is here yet."""
        self._bytes = 0
        self._write_began = self._write_s = 0.0
        self._held_since = 0.0
        self._idle_since: float | None = None

    def decided(self, part: LogPart) -> None:
        """Everything of the part is in the batch."""
        self.reached = part.position
        self._ends_whole = part.ends
        self._bytes += part.bytes
        self._begun_us = None if part.ends else part.committed_at_us
        if part.transaction is not None:
            self._note_read(part.read_at_us, part.committed_at_us)
            if part.ends:
                self._committed.append(part.committed_at_us)

    def gathered(self, batch: LogBatch) -> None:
        """The batch is in this one."""
        self.reached = batch.position
        self._ends_whole = batch.ends
        self._bytes += batch.bytes
        committed = [one.committed_at_us for one in batch.transactions]
        if committed:
            self._note_read(batch.read_at_us, committed[0])
        self._begun_us = None if batch.ends else committed.pop()
        self._committed += committed

    def _note_read(self, read_at_us: int, committed_at_us: int) -> None:
        self._read_at_us = self._read_at_us or read_at_us
        self._oldest_us = min(self._oldest_us or committed_at_us, committed_at_us)
        self._read_delay_us = max(self._read_delay_us, read_at_us - committed_at_us)

    def _arrived(self) -> None:
        if self._oldest_us is None:
            return
        self._gauges.arrived(self._oldest_us, self._read_at_us, self._read_delay_us)
        self._oldest_us = self._read_at_us = None
        self._read_delay_us = 0

    def remember(self, entries: Entries) -> None:
        """Store these with the batch."""
        self._with_batch |= entries

    @property
    def calm(self) -> bool:
        """Whether writing now tears no transaction that is not torn already for being too large (I4)."""
        return self._ends_whole or not self.batch

    @property
    def full(self) -> bool:
        return self.batch.changes >= self._target.batch.rows or self._bytes >= BATCH_BYTES_MAX

    def due_in_s(self) -> float:
        """When a batch that is not full wants to be written, seen from the begin of the last write; the target says how
        often it likes that."""
        interval_s = min(self._target.batch.interval_s, max(INTERVAL_MIN_S, self._write_s / WRITING_SHARE))
        return max(0.0, self._write_began + interval_s - time.monotonic())

    def oldest_waiting_us(self) -> int | None:
        return self._committed[0] if self._committed else self._begun_us

    def flush(self) -> bool:
        """Write the batch if there is one. I4: it holds whole source transactions, or a part of one together with a
        position inside it."""
        if not self.batch and not self._with_batch:
            self._gauges.written(self._committed)  # transactions of which nothing had to be written
            self._arrived()
            self._committed, self._bytes = [], 0
            return False
        batch, entries, committed = self.batch, self._with_batch, self._committed
        self._bytes = 0
        self.batch, self._with_batch, self._committed = Batcher(self._place), {}, []
        crossing("batch.writing")
        began = time.monotonic()
        steps = batch.steps()
        self.write(steps, self.reached, entries)
        self._write_began, self._write_s = began, time.monotonic() - began
        self._gauges.written(committed)
        self._arrived()
        self._gauges.batch(batch.counts, _sizes(steps), batch.changes)
        return True

    def store_reached(self) -> bool:
        """Move the stored position where only the position moved; the batch must be empty."""
        if not self.position < self.reached:
            return False
        self.write([], self.reached, {})
        return True

    def write(self, steps: Sequence[Step], position: Position, entries: Entries) -> None:
        began = time.monotonic()
        self._held_since = self._held_since or began
        self._target.write(steps, Progress(str(position), entries))
        self._gauges.add("writing_s", time.monotonic() - began)
        crossing("batch.committed")
        self.position = position
        for name, text in entries.items():
            if text is None:
                self.entries.discard(name)
            else:
                self.entries.add(name)

    def let_go(self, *, idle: bool) -> None:
        """Let others at the target while there is nothing to do."""
        now = time.monotonic()
        self._idle_since = (self._idle_since or now) if idle and not self.batch else None
        if not self._held_since:
            return
        if self._idle_since is not None and now - self._idle_since >= IDLE_RELEASE_S:
            self._target.release()
            self._held_since = 0.0


def _sizes(steps: Sequence[Step]) -> Counter[TableName]:
    sizes: Counter[TableName] = Counter()
    for step in steps:
        sizes[step.table.source.name] += step_bytes(step)
    return sizes


def stamped(rows: Iterator[pa.RecordBatch], place: TargetTable, position: Position) -> Iterator[pa.RecordBatch]:
    """Rows of the full copy with append's columns. They carry the position stored at this moment, so that they sort
    behind every change the target has and before every change the log brings after them."""
    count, at = 0, instant(int(time.time() * 1e6))
    for batch in rows:
        size = batch.num_rows
        places = [f"{position.sortable()}:0:{count + i:010d}" for i in range(size)]
        count += size
        added = (
            (place.stamp.op, pa.array([str(Op.READ)] * size, TEXT)),
            (place.stamp.committed_at, pa.array([at] * size, TEXT)),
            (place.stamp.position, pa.array(places, TEXT)),
            (place.stamp.detail, pa.nulls(size, TEXT)),
        )
        for name, values in added:
            if name:
                batch = batch.append_column(name, values)
        yield batch
