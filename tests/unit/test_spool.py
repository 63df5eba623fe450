"""A chunk's rows between source and target: kept whole, in order, and read as often as wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from tidegate.connect import spool
from tidegate.connect.spool import BatchSpool, BlockSpool
from tidegate.errors import WorkerDiskFull


def batches(count: int) -> list[pa.RecordBatch]:
    return [pa.RecordBatch.from_arrays([pa.array([str(n)] * 3)], ["k"]) for n in range(count)]


@pytest.mark.parametrize("memory_bytes", [1 << 20, 20], ids=["in memory", "on disk"])
def test_batches_come_back_as_they_went_in(monkeypatch: pytest.MonkeyPatch, memory_bytes: int) -> None:
    monkeypatch.setattr(spool, "SPOOL_BYTES_MAX", memory_bytes)
    held = BatchSpool()
    for batch in batches(10):
        held.add(batch)
    held.seal()
    assert held.rows == 30
    for _ in range(2):
        assert list(held) == batches(10)
    held.close()
    held.close()


@pytest.mark.parametrize("memory_bytes", [1 << 20, 20], ids=["in memory", "on disk"])
def test_blocks_come_back_byte_for_byte(monkeypatch: pytest.MonkeyPatch, memory_bytes: int) -> None:
    monkeypatch.setattr(spool, "SPOOL_BYTES_MAX", memory_bytes)
    monkeypatch.setattr(spool, "BLOCK_BYTES", 7)
    held = BlockSpool()
    for n in range(10):
        held.add(bytes([n]) * n)
    held.seal()
    for _ in range(2):
        assert b"".join(held) == b"".join(bytes([n]) * n for n in range(10))
    assert held.bytes == 45
    held.close()


@pytest.mark.parametrize("made", [BatchSpool, BlockSpool])
def test_nothing_is_nothing(made: Callable[[], Any]) -> None:
    held = made()
    held.seal()
    assert (list(held), held.rows, held.bytes) == ([], 0, 0)


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "SPOOL_BYTES_MAX", 1)
    monkeypatch.setattr(spool.tempfile, "TemporaryFile", full)
    with pytest.raises(WorkerDiskFull, match="No space left"):
        BlockSpool().add(b"four")
