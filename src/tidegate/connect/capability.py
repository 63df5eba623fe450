"""What a connector declares about itself; the engine asks these, never for a class."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tidegate.model.mode import ReadMode, WriteMode

__all__ = ["BatchShape", "Check", "Delivery", "ReadMode", "WriteMode"]


class Delivery(StrEnum):
    """What a target can promise when a run is cut off: see the table of guarantees in the README."""

    EXACTLY_ONCE = "exactly_once"
    EFFECTIVELY_ONCE = "effectively_once"
    AT_LEAST_ONCE = "at_least_once"


@dataclass(frozen=True, slots=True)
class BatchShape:
    """How a target likes its writes: at most `rows` in one, and at most one each `interval_s` while the stream is
    thin (a full batch is written at once)."""

    rows: int
    interval_s: float


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a connectivity test: what was looked at, whether it is in order, what was found, what to do."""

    name: str
    ok: bool
    found: str
    advice: str = ""
    code: str = ""
    """The error code this would be at run time; empty when ok."""
