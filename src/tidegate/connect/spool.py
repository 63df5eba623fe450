"""What was read and cannot be written yet: in memory while it is little, in a temporary file beyond, so that a table
that is one large chunk, or a large transaction, costs disk and not memory."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Generic, TypeVar

import pyarrow as pa

from tidegate.errors import WorkerDiskFull

SPOOL_BYTES_MAX = 24 << 20
BLOCK_BYTES = 1 << 20

T = TypeVar("T")


class Memory:
    """How much those spools that share it may hold in memory together. Used by one thread."""

    def __init__(self, bytes_max: int) -> None:
        self._left = bytes_max

    def take(self, size_bytes: int) -> bool:
        """Whether there is room for so much more."""
        if size_bytes > self._left:
            return False
        self._left -= size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        self._left += size_bytes


class _Spool(ABC, Generic[T]):
    """Pieces written once, and then read as often as wanted."""

    def __init__(self, what: str = "a chunk", memory: Memory | None = None) -> None:
        """`what` it is goes into errors; without `memory` to share it has its own."""
        self._what = what
        self._memory = memory or Memory(SPOOL_BYTES_MAX)
        self._held: list[T] = []
        self._held_bytes = 0
        self._file: IO[bytes] | None = None
        self.rows = 0
        self.bytes = 0

    def add(self, piece: T) -> None:
        """Raises `WorkerDiskFull`."""
        size = self._size_bytes(piece)
        self.bytes += size
        if self._file is None and self._memory.take(size):
            self._held.append(piece)
            self._held_bytes += size
            return
        with self._on_disk():
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="tidegate-spool-")  # noqa: SIM115  closed by close()
                for held in self._held:
                    self._write(held)
                self._let_go()
            self._write(piece)

    def seal(self) -> None:
        """No more follow. Raises `WorkerDiskFull`."""
        if self._file is not None:
            with self._on_disk():
                self._finish()
                self._file.flush()

    def __iter__(self) -> Iterator[T]:
        if self._file is None:
            yield from self._held
            return
        self._file.seek(0)
        yield from self._read(self._file)

    def close(self) -> None:
        """Idempotent."""
        self._let_go()
        if self._file is not None:
            with suppress(OSError):  # what could not be written is not wanted any more
                self._file.close()
            self._file = None

    def _let_go(self) -> None:
        self._memory.give_back(self._held_bytes)
        self._held, self._held_bytes = [], 0

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            raise WorkerDiskFull(f"{self._what} could not be kept in {tempfile.gettempdir()}: {reason}") from error

    @abstractmethod
    def _size_bytes(self, piece: T) -> int: ...

    @abstractmethod
    def _write(self, piece: T) -> None: ...

    @abstractmethod
    def _read(self, file: IO[bytes]) -> Iterator[T]: ...

    def _finish(self) -> None:
        """The last piece was written."""


class BatchSpool(_Spool[pa.RecordBatch]):
    """Record batches of one schema."""

    _writer: Any = None

    def _size_bytes(self, piece: pa.RecordBatch) -> int:
        self.rows += piece.num_rows
        return int(piece.nbytes)

    def _write(self, piece: pa.RecordBatch) -> None:
        if self._writer is None:
            self._writer = pa.ipc.new_stream(self._file, piece.schema)
        self._writer.write_batch(piece)

    def _finish(self) -> None:
        self._writer.close()

    def _read(self, file: IO[bytes]) -> Iterator[pa.RecordBatch]:
        with pa.ipc.open_stream(file) as stream:
            yield from stream


class BlockSpool(_Spool[bytes]):
    """Blocks of bytes that mean something one behind the other; how many `rows` they are is said by who adds them."""

    def _size_bytes(self, piece: bytes) -> int:
        return len(piece)

    def _write(self, piece: bytes) -> None:
        if self._file is not None:
            self._file.write(piece)

    def _read(self, file: IO[bytes]) -> Iterator[bytes]:
        while block := file.read(BLOCK_BYTES):
            yield block
