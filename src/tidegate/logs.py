"""The log of the server and of every worker: one JSON line per event on standard error, or plain lines at a terminal.

An exception is written as its type and the places it passed, never with its text, which may quote values (I8).
"""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from tidegate.errors import TidegateError


def configure(level: str) -> None:
    """Log events of `level` (debug, info, warning, error) and above."""
    last = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            without_texts,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(Lossy(sys.stderr)),  # type: ignore[arg-type]  # all it uses
        cache_logger_on_first_use=True,
    )


class Lossy:
    """A stream whose failures, a full disk above all, cost lines of the log and nothing else. The first line that can
    be written again is preceded by one that says how many were lost."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lost = 0

    def write(self, text: str) -> int:
        try:
            if self._lost:
                self._stream.write(f'{{"event": "log.lost", "lines": {self._lost}, "level": "warning"}}\n')
                self._stream.flush()
                self._lost = 0
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: closed
            self._lost += text.count("\n")
        return len(text)

    def flush(self) -> None:
        """Everything was flushed as it was written."""


def without_texts(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by what may be shown of it."""
    given: Any = event.pop("exc_info", None)
    if not given:
        return event
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else sys.exc_info()[1]
    if error is not None:
        event["exception"] = chain(error)
        event["places"] = places(error.__traceback__)
    return event


def chain(error: BaseException) -> str:
    """The types of an error and its causes; of our own errors, whose details are made to be shown, those too."""
    said: list[str] = []
    here: BaseException | None = error
    while here is not None and len(said) < 10:
        own = isinstance(here, TidegateError)
        said.append(f"{type(here).__name__}: {here}" if own else type(here).__name__)
        here = here.__cause__
    return " from ".join(said)


def places(trace: TracebackType | None) -> list[str]:
    """File, line and function, without the lines' texts."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]
