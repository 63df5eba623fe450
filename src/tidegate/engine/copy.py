"""Full synchronization: chunks read on threads of their own, under snapshots the writer's thread takes.

A chunk's rows are held until the writer takes them: in memory while they are few, in a temporary file beyond, so a
table that is one large chunk costs disk and not memory.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import IO, Any

import pyarrow as pa

from tidegate.connect.source import ChunkMark, ChunkReader
from tidegate.engine.handoff import Chunk, TableCopy
from tidegate.errors import WorkerDiskFull
from tidegate.faultpoint import crossing
from tidegate.model.schema import TableSchema

SPOOL_BYTES_MAX = 24 << 20
MARK_DEADLINE_S = 120.0


class Spool:
    """Record batches of one schema, written once and then read as often as wanted."""

    def __init__(self) -> None:
        self._held: list[pa.RecordBatch] = []
        self._file: IO[bytes] | None = None
        self._writer: Any = None
        self.rows = 0
        self.bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Raises `WorkerDiskFull`."""
        self.rows += batch.num_rows
        self.bytes += batch.nbytes
        if self._writer is None:
            self._held.append(batch)
        with _on_disk():
            if self._writer is not None:
                self._writer.write_batch(batch)
            elif self.bytes > SPOOL_BYTES_MAX:
                self._file = tempfile.TemporaryFile(prefix="tidegate-chunk-")  # noqa: SIM115  closed by close()
                self._writer = pa.ipc.new_stream(self._file, batch.schema)
                for held in self._held:
                    self._writer.write_batch(held)
                self._held = []

    def seal(self) -> None:
        """No more batches follow. Raises `WorkerDiskFull`."""
        if self._writer is not None and self._file is not None:
            with _on_disk():
                self._writer.close()
                self._file.flush()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self._file is None:
            yield from self._held
            return
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as stream:
            yield from stream

    def close(self) -> None:
        """Idempotent."""
        self._held = []
        if self._file is not None:
            with suppress(OSError):  # what could not be written is not wanted any more
                self._file.close()
            self._file = None


@contextmanager
def _on_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise WorkerDiskFull(f"a chunk could not be kept in {tempfile.gettempdir()}: {reason}") from error


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
    stage: Stage = Stage.LOCKING
    schema: TableSchema | None = None
    spool: Spool = field(default_factory=Spool)
    error: BaseException | None = None
    _marked: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

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
            self.schema, batches = self.reader.rows()
            for batch in batches:
                self.spool.add(batch)
            self.spool.seal()
            self.reader.close()
            crossing("chunk.read")
            self.stage = Stage.READY
        except BaseException as error:  # noqa: BLE001  handed to the writer's thread
            self.error = error
            self.stage = Stage.FAILED

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

    def begin(self, copy: TableCopy, chunk: Chunk, reader: ChunkReader) -> None:
        read = ChunkRead(copy, chunk, reader)
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
