"""The log of the server and of every worker: one JSON line per event on standard error, or plain lines at a terminal,
and each line as data to whoever keeps it.

An exception is written as its type and the places it passed, never with its text, which may quote values; secrets that
were named to `conceal` are replaced wherever they stand (I8). Who says the same again and again is cut short, and
a line says by how much.
"""

from __future__ import annotations

import json
import logging
import math
import os
import stat
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, WrappedLogger

from tidegate.errors import TidegateError
from tidegate.flood import Flood

log = structlog.get_logger()

Entry = Mapping[str, Any]
"""A line as data: `event`, `level`, `timestamp` (seconds since 1970-01-01 UTC), `logger`, and its fields."""

LEVELS = ("debug", "info", "warning", "error")
_NUMBERS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
TEXT_MAX = 1_000
ITEMS_MAX = 50
DEPTH_MAX = 4
LINE_BYTES_MAX = 6_000
CONCEALED = "(secret)"
SECRET_MIN = 3
"""A secret shorter than this cannot be told from other text."""


class _Journal:
    """What all of a process's lines pass: one, as logging is."""

    def __init__(self) -> None:
        self.level = logging.INFO
        self.flood = Flood()
        self.secrets: tuple[str, ...] = ()
        self.taker: Callable[[Entry], None] | None = None


_journal = _Journal()


def configure(level: str, *, flood: Flood | None = None, file_bytes_max: int | None = None) -> None:
    """Log events of `level` (debug, info, warning, error) and above. If standard error is a file, it is begun anew
    whenever it has `file_bytes_max`."""
    _journal.level = _NUMBERS[level.lower()]
    _journal.flood = flood or Flood()
    last = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _of_level,
            _not_too_often,
            structlog.processors.TimeStamper(fmt=None),
            _with_origin,
            without_texts,
            _bounded,
            _handed_on,
            _with_time_as_text,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        logger_factory=structlog.PrintLoggerFactory(Lossy(sys.stderr, file_bytes_max)),  # type: ignore[arg-type]  # all it uses
        cache_logger_on_first_use=True,
    )


def hand_to(taker: Callable[[Entry], None] | None) -> None:
    """Give each line as data to `taker`, too. It is called from every thread, and must neither wait nor raise."""
    _journal.taker = taker


def conceal(secrets: Iterable[str]) -> None:
    """Replace these texts in every line from now on, also as they stand in addresses (I8)."""
    known = {secret for secret in secrets if len(secret) >= SECRET_MIN}
    known |= {quote(secret, safe="") for secret in known}
    _journal.secrets = tuple(sorted({*_journal.secrets, *known}, key=len, reverse=True))


def settle(*, everything: bool = False) -> None:
    """Say what was left out and is to be told by now; with `everything`, whatever is left to be told."""
    for kind, lines in _journal.flood.due(time.monotonic(), everything=everything):
        log.warning(LEFT_OUT, of=kind[0], lines=lines, **({} if kind[1] is None else {"task": kind[1]}))


LEFT_OUT = "log.left_out"


def _of_level(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Asked at each line: loggers that were used before keep what they were made with."""
    if _NUMBERS[event["level"]] < _journal.level:
        raise structlog.DropEvent
    return event


def _not_too_often(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    said, task = str(event.get("event")), event.get("task")
    kind = (said, task if isinstance(task, (int, str)) else None)
    if said != LEFT_OUT and not _journal.flood.admits(kind, time.monotonic()):
        raise structlog.DropEvent
    return event


def _with_origin(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """The module whose line it is."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(("structlog", __name__)):
        frame = frame.f_back
    event.setdefault("logger", str(frame.f_globals.get("__name__", "")).removeprefix("tidegate."))
    return event


def _handed_on(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    if _journal.taker is not None:
        _journal.taker(dict(event))
    return event


def _with_time_as_text(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    event["timestamp"] = datetime.fromtimestamp(event["timestamp"], UTC).isoformat().replace("+00:00", "Z")
    return event


def _bounded(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Plain JSON data of a few kilobytes, in characters that every store takes, without secrets (I8)."""
    event["timestamp"] = round(event["timestamp"], 3)
    event["level"] = event["level"] if event["level"] in LEVELS else LEVELS[-1]
    plain: EventDict = {str(key): _plain(value) for key, value in event.items()}
    over = len(json.dumps(plain)) - LINE_BYTES_MAX
    for key in [key for key in plain if key not in ("event", "level", "timestamp", "logger", "task", "run")][::-1]:
        if over <= 0:
            break
        over -= len(json.dumps({key: plain[key]}))
        plain[key] = "…"
    return plain


def _plain(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if depth < DEPTH_MAX and isinstance(value, Mapping):
        return {_text(key): _plain(one, depth + 1) for key, one in list(value.items())[:ITEMS_MAX]}
    if depth < DEPTH_MAX and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(one, depth + 1) for one in list(value)[:ITEMS_MAX]]
    return _text(value)


def _text(value: Any) -> str:
    text = str(value)
    for secret in _journal.secrets:
        text = text.replace(secret, CONCEALED)
    text = text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


class Lossy:
    """A stream whose failures, a full disk above all, cost lines of the log and nothing else. The first line that can
    be written again is preceded by one that says how many were lost. A file is begun anew at `bytes_max`."""

    def __init__(self, stream: TextIO, bytes_max: int | None = None) -> None:
        self._stream = stream
        self._lost = 0
        self._bytes_max = bytes_max
        self._bytes = 0

    def write(self, text: str) -> int:
        try:
            if self._lost:
                self._stream.write(f'{{"event": "log.lost", "lines": {self._lost}, "level": "warning"}}\n')
                self._stream.flush()
                self._lost = 0
            self._make_room(len(text))
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: closed
            self._lost += text.count("\n")
        return len(text)

    def _make_room(self, more: int) -> None:
        self._bytes += more
        if self._bytes_max is None or self._bytes <= self._bytes_max:
            return
        self._bytes = more
        file = self._stream.fileno()
        if stat.S_ISREG(os.fstat(file).st_mode):
            os.ftruncate(file, 0)  # opened for appending: what follows stands at its beginning
            self._stream.write('{"event": "log.begun_anew", "level": "info"}\n')

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
