"""How a task reads and writes."""

from __future__ import annotations

from enum import StrEnum


class WriteMode(StrEnum):
    """`append`: every change becomes a row. `upsert`: the target holds the latest row per key."""

    APPEND = "append"
    UPSERT = "upsert"


class ReadMode(StrEnum):
    """What a run reads: the existing rows and then the log, or only the log."""

    FULL_INCREMENTAL = "full+incremental"
    INCREMENTAL = "incremental"
