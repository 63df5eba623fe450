"""The log of the server and of every worker: one JSON line per event on standard error, or plain lines at a terminal.

An exception is written as its type and the places it passed, never with its text, which may quote values (I8).
"""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType
from typing import Any

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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


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
