"""A PostgreSQL source whose chunks and log wait for the test's word, so that a chosen interleaving happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from tidegate.connect.source import ChunkMark, ChunkReader, LogReader
from tidegate.connect.target import KeyRange
from tidegate.model.change import LogPart
from tidegate.model.position import Position
from tidegate.model.schema import TableSchema
from tidegate.sources.postgres import PostgresSource

WAIT_MAX_S = 60.0


class Steering:
    """What may go on. At first everything may."""

    def __init__(self) -> None:
        self.holds: Callable[[KeyRange], bool] = lambda keys: False
        """Which chunks wait before they take their lock."""
        self.holds_rows: Callable[[KeyRange], bool] = lambda keys: False
        """Which chunks wait after their snapshot was taken."""
        self.parts_allowed: int | None = None
        """How many parts with changes the log may still give; None: as many as there are. What has no changes (the
        server's word of how far it has read, empty transactions of others) comes at any time and is never held."""
        self.parts_given = 0
        self.marked: list[KeyRange] = []

    def wait_while(self, held: Callable[[], bool]) -> None:
        until = time.monotonic() + WAIT_MAX_S
        while held() and time.monotonic() < until:
            time.sleep(0.005)

    def allow(self, parts: int) -> None:
        self.parts_allowed = (self.parts_allowed or 0) + parts

    def source_class(self) -> type[PostgresSource]:
        steering = self

        class Steered(PostgresSource):
            def chunk(self, table: TableSchema, keys: KeyRange) -> ChunkReader:
                return _Chunk(super().chunk(table, keys), keys, steering)

            def log(self, run: str, position: Position, **more: Any) -> LogReader:
                return _Log(super().log(run, position, **more), steering)

        return Steered


class _Chunk(ChunkReader):
    def __init__(self, reader: ChunkReader, keys: KeyRange, steering: Steering) -> None:
        self._reader, self._keys, self._steering = reader, keys, steering
        self._closed = False

    def lock(self) -> None:
        self._steering.wait_while(lambda: self._steering.holds(self._keys) and not self._closed)
        self._reader.lock()

    def mark(self) -> ChunkMark:
        mark = self._reader.mark()
        self._steering.marked.append(self._keys)
        return mark

    def rows(self) -> tuple[TableSchema, Iterator[pa.RecordBatch]]:
        self._steering.wait_while(lambda: self._steering.holds_rows(self._keys) and not self._closed)
        return self._reader.rows()

    def close(self) -> None:
        self._closed = True
        self._reader.close()


class _Log(LogReader):
    def __init__(self, reader: LogReader, steering: Steering) -> None:
        self._reader, self._steering = reader, steering
        self._held: list[LogPart] = []

    def take(self, timeout_s: float) -> list[LogPart]:
        steering = self._steering
        if not self._held:
            self._held = self._reader.take(timeout_s)
        if steering.parts_allowed is None:
            given, self._held = self._held, []
            steering.parts_given += sum(bool(part.changes) for part in given)
            return given
        if not self._held:
            return []
        if self._held[0].changes:
            if not steering.parts_allowed:
                time.sleep(0.005)
                return []
            steering.parts_allowed -= 1
            steering.parts_given += 1
        return [self._held.pop(0)]

    def acknowledge(self, position: Position) -> None:
        self._reader.acknowledge(position)

    def close(self) -> None:
        self._reader.close()


def low(keys: KeyRange) -> bool:
    """The first chunk."""
    return keys.after is None


def high(keys: KeyRange) -> bool:
    """The last chunk."""
    return keys.upto is None
