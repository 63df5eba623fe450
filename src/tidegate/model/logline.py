"""Lines of the log: who said what of which task's run, when. A line holds no cell value and no secret (I8): what it is
made of is named by the code that says it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class LogLevel(StrEnum):
    """How serious a line is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """The more serious, the greater; as Python's logging numbers them."""
        return RANKS[self]


RANKS: Final[Mapping[LogLevel, int]] = {level: 10 * (at + 1) for at, level in enumerate(LogLevel)}
BY_RANK: Final[Mapping[int, LogLevel]] = {rank: level for level, rank in RANKS.items()}


class Container(StrEnum):
    """Which process said it."""

    SERVER = "server"
    WORKER = "worker"


LOGGER_MAX = 100
MESSAGE_MAX = 200
EXCEPTION_MAX = 2_000
FIELDS_MAX = 50
FIELDS_BYTES_MAX = 8_000
"""Of a line's fields, as JSON."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line. `at` is when it really happened, in seconds since 1970-01-01 UTC, exact to the millisecond."""

    at: float
    level: LogLevel
    container: Container
    logger: str
    """The module that says it."""
    message: str
    """What happened, as a short constant text, such as `run.recovering`."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    exception: str | None = None
    """The classes of an exception and its causes, with the details of those that are made to be shown."""
    task_id: int | None = None
    """None: it is about no task."""
    run: int | None = None
    epoch: int | None = None
    """Which worker of the run."""
    seq: int = 0
    """Counts what one worker says."""

    @property
    def text(self) -> str:
        """The whole line but time, level and origin, on one line: what people read, and what searches look at."""
        return said(self.message, self.fields, self.exception)


_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_PLAIN = re.compile(r"[^\s\"'=]+")


def said(message: str, fields: Mapping[str, Any], exception: str | None) -> str:
    """`run.recovering code=source.unreachable detail="host a: no route"`."""
    parts = [message, *(f"{name}={_shown(value)}" for name, value in fields.items())]
    if exception:
        parts.append(f"exception={_shown(exception)}")
    return _BREAKS.sub(" ", " ".join(parts))


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_shown(one)}" for name, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_shown, value)) + "]"
    text = json.dumps(value) if value is None or isinstance(value, bool) else str(value)
    return text if _PLAIN.fullmatch(text) else f'"{text}"'
