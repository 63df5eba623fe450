"""Two ways through a log: parts, made change by change, or batches, gathered table by table; and changing over from one
to the other between two transactions, so that each is read in one way. What the sources that have both share."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from tidegate.connect.handover import Handover
from tidegate.connect.source import Gathering, LogBatch, LogReader
from tidegate.errors import TidegateError
from tidegate.model.change import LogPart

Item: TypeAlias = "LogPart | LogBatch"

# How many entries wait for the writer: lists of parts, which are small, and batches, which are not.
PARTS_WAIT_MAX = 8
BATCHES_WAIT_MAX = 2
# A list of parts ends at so many parts, or at so many bytes.
PARTS_MAX = 1_000
PART_BYTES_MAX = 4 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What is asked of the lanes, told from an equal one before it."""

    gathering: Gathering | None = None


class Entry(NamedTuple):
    """What goes to the writer at once; without items it says that from here on another request is followed."""

    request: Request
    items: list[Item]

    @property
    def gathered(self) -> bool:
        return self.request.gathering is not None


class Batching(Protocol):
    """What puts batches together."""

    hurry: bool
    """A batch is wanted at the next commit."""

    @property
    def in_transaction(self) -> bool: ...

    @property
    def holds(self) -> bool:
        """Whether there is anything to tell."""
        ...

    def begin(self, gathering: Gathering) -> None:
        """Between two transactions, and with nothing gathered."""

    def cut(self) -> LogBatch:
        """What is gathered, and no longer is."""
        ...


class Turning(ABC):
    """Used by the thread that reads, but for `wanted`."""

    def __init__(self, batches: Batching) -> None:
        self._batching = batches
        self.wanted = self._request = Request()
        """The newest request."""
        self._made: list[Entry] = []
        self._parts: list[Item] = []
        self._parts_bytes = 0

    @property
    def gathers(self) -> bool:
        return self._request.gathering is not None

    @property
    @abstractmethod
    def _inside(self) -> bool:
        """Whether this is no place to change over."""

    @property
    def _turning(self) -> bool:
        return self.wanted is not self._request

    def made(self, *, all: bool) -> list[Entry]:
        """What is ready; `all`: what is gathered too, if no transaction is open, or else as soon as none is."""
        self._turn()
        if all and self.gathers:
            self._batching.hurry = self._batching.in_transaction
            if not self._batching.in_transaction:
                self._cut()
        made, self._made = self._made, []
        return made

    def _turn(self) -> None:
        if self._turning and not self._inside:
            self._close_parts()
            if self.gathers:
                self._cut()
            self._request = self.wanted
            if self._request.gathering is not None:
                self._batching.begin(self._request.gathering)
            self._made.append(Entry(self._request, []))

    def _cut(self) -> None:
        if self._batching.holds:
            self._made.append(Entry(self._request, [self._batching.cut()]))

    def _finish(self, part: LogPart) -> None:
        self._parts.append(part)
        self._parts_bytes += part.bytes
        if len(self._parts) >= PARTS_MAX or self._parts_bytes >= PART_BYTES_MAX:
            self._close_parts()

    def _close_parts(self) -> None:
        if self._parts:
            self._made.append(Entry(self._request, self._parts))
            self._parts, self._parts_bytes = [], 0


class LanedReader(LogReader):
    """The writer's side of a reader with lanes: what it takes, and what it asks for."""

    def __init__(self, lanes: Turning) -> None:
        self._laned = lanes
        self._entries: Handover[Entry] = Handover()
        self._followed = self._asked = lanes.wanted
        """By whose wishes what was taken last was made, and the newest."""
        self._failure: TidegateError | None = None
        self._closed = threading.Event()

    def take(self, timeout_s: float) -> list[Item]:
        failure = self._failure  # before looking: what was handed over in front of it comes first
        entry = self._entries.take(timeout_s)
        if entry is None:
            if failure is not None:
                raise failure from failure.__cause__
            return []
        self._followed = entry.request
        return entry.items

    def gather(self, wanted: Gathering | None) -> bool:
        if wanted is not self._asked.gathering:
            self._asked = self._laned.wanted = Request(wanted)
        return self._followed is self._asked

    def ready(self) -> bool:
        return len(self._entries) > 0

    @property
    def fullness(self) -> float:
        room = BATCHES_WAIT_MAX if self._followed.gathering is not None else PARTS_WAIT_MAX
        return min(1.0, len(self._entries) / room)

    def _placed_at(self, error: TidegateError, place: str) -> TidegateError:
        """The error, saying which server it is about."""
        if place in error.detail:
            return error
        placed = type(error)(f"{place}: {error.detail}", **error.facts)
        placed.__cause__ = error.__cause__ or error
        return placed
