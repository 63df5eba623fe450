"""Full synchronization: chunks read on threads of their own, under snapshots the writer's thread takes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from tidegate.connect.source import ChunkMark, ChunkReader
from tidegate.connect.spool import BatchSpool, BlockSpool
from tidegate.engine.handoff import Chunk, TableCopy
from tidegate.faultpoint import crossing
from tidegate.model.schema import TableSchema

MARK_DEADLINE_S = 120.0


class Stage(Enum):
    LOCKING = "locking"
    LOCKED = "locked"
    READING = "reading"
    READY = "ready"
    FAILED = "failed"


@dataclass(slots=True, eq=False)
class ChunkRead:
    """One chunk on its way; `stage` is moved by the reading thread but for LOCKED → READING."""

    copy: TableCopy
    chunk: Chunk
    reader: ChunkReader
    form: str = ""
    """In which blocks of bytes would do (see `Target.block_form`); empty: none."""
    stage: Stage = Stage.LOCKING
    schema: TableSchema | None = None
    spool: BatchSpool | BlockSpool = field(default_factory=BatchSpool)
    error: BaseException | None = None
    under: TableSchema = field(init=False)
    """The shape that the run knew of the table when this was begun."""
    _marked: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self.under = self.copy.schema

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name=f"copy-{self.copy.name}", daemon=True)
        self._thread.start()

    def mark(self) -> ChunkMark:
        """R2: called on the thread that writes the log, between two of its parts."""
        mark = self.reader.mark()
        crossing("chunk.marked")
        self.stage = Stage.READING
        self._marked.set()
        return mark

    def _work(self) -> None:
        try:
            self.reader.lock()
            crossing("chunk.locked")
            self.stage = Stage.LOCKED
            if not self._marked.wait(MARK_DEADLINE_S):
                raise TimeoutError("the chunk's snapshot was not taken in time")
            self._read()
            self.spool.seal()
            self.reader.close()
            crossing("chunk.read")
            self.stage = Stage.READY
        except BaseException as error:  # noqa: BLE001  handed to the writer's thread
            self.error = error
            self.stage = Stage.FAILED

    def _read(self) -> None:
        blocks = self.reader.blocks(self.form, self.copy.schema) if self.form else None
        if blocks is not None:
            self.schema, self.spool = self.copy.schema, BlockSpool()
            for block in blocks:
                self.spool.add(block)
            self.spool.rows = blocks.rows
            return
        self.schema, batches = self.reader.rows()
        spool = self.spool = BatchSpool()
        for batch in batches:
            spool.add(batch)

    def close(self) -> None:
        """Give everything up. Idempotent."""
        self._marked.set()
        self.reader.close()
        if self._thread is not None:
            self._thread.join(timeout=10)
        self.spool.close()


class Copier:
    """Keeps up to `parallel` chunks under way; in the order of tables and keys."""

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel
        self.reads: list[ChunkRead] = []

    def free(self) -> int:
        return self._parallel - len(self.reads)

    def begin(self, copy: TableCopy, chunk: Chunk, reader: ChunkReader, form: str) -> None:
        read = ChunkRead(copy, chunk, reader, form)
        self.reads.append(read)
        read.start()

    def under_way(self, chunk: Chunk) -> bool:
        return any(read.chunk is chunk for read in self.reads)

    def at(self, stage: Stage) -> Sequence[ChunkRead]:
        """Those at a stage, oldest first."""
        return [read for read in self.reads if read.stage is stage]

    def done(self, read: ChunkRead) -> None:
        self.reads.remove(read)
        read.close()

    def close(self) -> None:
        for read in list(self.reads):
            self.done(read)
