"""What a worker tells of each table of its run, and what the words in it mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from enum import StrEnum
from typing import Any

REASON_MAX = 500


class TableState(StrEnum):
    """How far a table is."""

    WAITING = "waiting"
    """None of its rows is copied yet."""
    COPYING = "copying"
    CATCHING_UP = "catching_up"
    """All its rows are copied; the log is not past the moment they were read at."""
    FOLLOWING = "following"
    """Every change of the log is delivered."""
    REFUSED = "refused"
    """It matches, and cannot be taken in."""
    GONE = "gone"
    """It is no longer at the source."""


class TableStatus(StrEnum):
    """Whether a table is as it should be."""

    UNKNOWN = "unknown"
    """Nobody works on it now."""
    NORMAL = "normal"
    ABNORMAL = "abnormal"
    """Something is wrong; the reason says what."""


@dataclass(slots=True)
class TableMeasure:
    """Totals are of the whole run, whichever worker counted them."""

    state: str = TableState.WAITING.value
    status: str = TableStatus.NORMAL.value
    reason: str = ""
    rows_read: int = 0
    bytes_read: int = 0
    rows_written: int = 0
    bytes_written: int = 0
    dirty_rows: int = 0
    dirty_bytes: int = 0
    rows_copied: int = 0
    """Rows of the full copy that are in the target."""
    rows_estimated: int = 0
    """About how many the full copy has; 0: nobody knows, or there is no full copy."""
    chunks_done: int = 0
    chunks_total: int = 0
    business_delay_s: float = 0.0
    """Of the newest batch it had changes in."""

    def tell(self) -> list[Any]:
        """Compact, for a heartbeat that may be about thousands of tables."""
        return list(astuple(self))


def _keepable(text: str) -> str:
    """Without what no store can hold."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


_KINDS = tuple(type(value) for value in astuple(TableMeasure()))
_TEXTS = _KINDS.index(int)
"""So many are texts; all behind them are numbers."""


def named(name: str) -> str:
    """The name, if a store can hold it. Raises `ValueError`."""
    if name != _keepable(name):
        raise ValueError("the name of a table holds what no store can")
    return name


def heard(told: Sequence[Any]) -> TableMeasure:
    """What `tell` said. Raises `ValueError` for anything else."""
    if len(told) != len(_KINDS):
        raise ValueError("the figures of a table are not as many as there are")
    kinds = tuple(map(type, told))
    if kinds != _KINDS and any(
        given is not kind and (given, kind) != (int, float) for given, kind in zip(kinds, _KINDS, strict=True)
    ):
        raise ValueError("a figure of a table is of another type")
    numbers = told[_TEXTS:]
    if not (math.isfinite(sum(numbers)) and min(numbers) >= 0 and max(numbers) < 2**63):
        raise ValueError("a figure of a table is out of range")
    measure = TableMeasure(*told)
    if max(measure.chunks_done, measure.chunks_total) >= 2**31:
        raise ValueError("the number of a table's pieces is out of range")
    measure.reason = _keepable(measure.reason)
    measure.state, measure.status = TableState(measure.state).value, TableStatus(measure.status).value
    measure.reason = measure.reason[:REASON_MAX]
    return measure
