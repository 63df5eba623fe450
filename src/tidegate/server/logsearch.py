"""The part of `Control` for the log: what workers say is taken, and lines are found again. Lines that had arrived when
a search began are paged in the order they were said; what arrives later is followed in the order it arrives. Both
together give every line once, whatever comes meanwhile and however late."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tidegate.errors import CursorInvalid, Invalid, NotFound
from tidegate.model import diagnosis
from tidegate.model.logline import Container, LogLevel, LogLine
from tidegate.model.logquery import Query, folded
from tidegate.server.desk import Desk
from tidegate.server.views import Json, Moment, Session, rfc3339
from tidegate.store import lines as stored_lines
from tidegate.store import runs
from tidegate.store.lines import Stored, Which

LINES_MAX = 1_000
"""Of one answer."""
LOOKED_AT_MAX = 5_000
"""How many lines are compared with the keywords for one answer; the next one goes on where it ended."""
AT_ONCE = 500

_DURATION = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class LogLineView:
    id: int
    """Grows as lines arrive."""
    at: Moment
    """When it was said."""
    level: LogLevel
    container: Container
    run: int | None
    epoch: int | None
    """Which worker of the run said it."""
    logger: str
    """The module."""
    message: str
    text: str
    """The message and everything that belongs to it, as one line; searches look at this."""
    fields: Json
    exception: str | None


@dataclass(frozen=True, slots=True)
class LogPage:
    """Some lines. An answer to a search by keywords may have fewer than asked for, or none, and still not be the
    last."""

    items: list[LogLineView]
    cursor: str | None
    """Where the next page begins; None: there is none."""
    follow: str
    """Where what arrives later begins."""


@dataclass(frozen=True, slots=True)
class DiagnosisView:
    name: str
    says: str
    search: str


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, as it was asked. `since` and `until` are times as RFC 3339 has them, or how long ago: `90s`,
    `15m`, `1h`, `7d`."""

    run: int | None = None
    container: Container | None = None
    levels: Sequence[LogLevel] = ()
    since: str | None = None
    until: str | None = None
    keywords: str | None = None
    diagnosis: str | None = None
    oldest_first: bool = False

    def query(self) -> Query | None:
        """Raises `QueryInvalid`, `NotFound`."""
        if self.diagnosis is not None and self.diagnosis not in diagnosis.BY_NAME:
            raise NotFound(f"there is no quick diagnosis {self.diagnosis}; there are {', '.join(diagnosis.BY_NAME)}")
        return diagnosis.whole_query(self.keywords, self.diagnosis)

    def mark(self, task_id: int | None) -> str:
        """Tells one search from another."""
        levels = sorted(set(self.levels))
        said = [task_id, self.run, self.container, levels, self.since, self.until, self.keywords, self.diagnosis]
        return hashlib.sha256(json.dumps([*said, self.oldest_first]).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a search goes on. `beyond` is the time and id of the last line looked at among those that had arrived by
    `upto`; None with `follows`: what arrives after `upto`."""

    mark: str
    upto: int
    follows: bool
    since: float | None
    until: float | None
    beyond: tuple[float, int] | None = None

    def cursor(self) -> str:
        said = [self.mark, self.upto, self.follows, self.since, self.until, *(self.beyond or ())]
        return base64.urlsafe_b64encode(json.dumps(said, separators=(",", ":")).encode()).decode().rstrip("=")


def place_of(cursor: str, mark: str) -> Place:
    """Raises `CursorInvalid`, also for the cursor of another search."""
    try:
        said = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise CursorInvalid("the cursor is none that this server gave") from None
    if not _is_place(said):
        raise CursorInvalid("the cursor is none that this server gave")
    if said[0] != mark:
        raise CursorInvalid("the cursor was given for other parameters")
    mark, upto, follows, since, until, *beyond = said
    return Place(mark, upto, follows, since, until, (beyond[0], beyond[1]) if beyond else None)


def _is_place(said: Any) -> bool:
    def number(value: Any) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**62

    def id(value: Any) -> bool:
        return isinstance(value, int) and number(value) and value >= 0

    if not isinstance(said, list) or len(said) not in (5, 7):
        return False
    mark, upto, follows, since, until, *beyond = said
    bounds = all(one is None or number(one) for one in (since, until))
    beyond_is = not beyond or (number(beyond[0]) and id(beyond[1]) and not follows)
    return isinstance(mark, str) and id(upto) and isinstance(follows, bool) and bounds and beyond_is


def moment(given: str, name: str, now: float) -> float:
    """Raises `Invalid` naming the parameter."""
    if found := _DURATION.fullmatch(given):
        return now - int(found[1]) * _UNITS_S[found[2]]
    refusal = Invalid(f"{name}: write how long ago, such as 15m, 1h or 7d, or a time with its zone as RFC 3339 has it")
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise refusal from None
    if at.tzinfo is None:
        raise refusal
    return at.timestamp()


class LogSearch(Desk):
    # --- what workers say ---

    def take_lines(self, session: Session, lines: Sequence[LogLine]) -> Future[None]:
        """Store what a worker says; the future ends when that is done. It is taken from the worker of an epoch that is
        over, too: it changes nothing of the run (I5), says whose it is, and last words are worth the most."""
        with self.db.read() as tx:
            run = runs.find_run(tx, session.run_id)
        if run is None:
            raise NotFound(f"run {session.run_key} is forgotten")
        said = [
            replace(line, container=Container.WORKER, task_id=session.task_id, run=run.number, epoch=session.epoch)
            for line in lines
        ]
        return self.journal.put(said, (session.task_id, run.number, session.epoch))

    # --- looking for lines ---

    def log(self, task_id: int | None, search: Search, *, cursor: str | None = None, limit: int = 100) -> LogPage:
        """Lines of the task, or of no task. Raises `CursorInvalid`, `Invalid`, `NotFound`, `QueryInvalid`."""
        query, place = search.query(), self._begun(task_id, search, cursor)
        which = _which(task_id, search, place)
        if place.follows:
            found, place = self._follow(which, query, place, limit)
            return LogPage([_view(one) for one in found], None, place.cursor())
        found, place, more = self._page(which, query, place, search.oldest_first, limit)
        later = replace(place, follows=True, beyond=None)
        return LogPage([_view(one) for one in found], place.cursor() if more else None, later.cursor())

    def log_whole(self, task_id: int | None, search: Search) -> Iterator[Stored]:
        """All lines that have arrived by now, in the order they were said, read piece by piece. Raises what `log` does,
        when it is called."""
        search = replace(search, oldest_first=True)
        query, place = search.query(), self._begun(task_id, search, None)
        which = _which(task_id, search, place)

        def pieces() -> Iterator[Stored]:
            here, more = place, True
            while more:
                found, here, more = self._page(which, query, here, True, LINES_MAX)
                yield from found

        return pieces()

    def diagnoses(self) -> list[DiagnosisView]:
        return [DiagnosisView(one.name, one.says, one.search) for one in diagnosis.DIAGNOSES]

    def _begun(self, task_id: int | None, search: Search, cursor: str | None) -> Place:
        mark = search.mark(task_id)
        if cursor is not None:
            return place_of(cursor, mark)
        now = self.clock.now()
        since = None if search.since is None else moment(search.since, "since", now)
        until = None if search.until is None else moment(search.until, "until", now)
        with self.db.read() as tx:
            return Place(mark, stored_lines.newest_id(tx, task_id), False, since, until)

    def _page(
        self, which: Which, query: Query | None, place: Place, oldest_first: bool, limit: int
    ) -> tuple[list[Stored], Place, bool]:
        """What fits, where to go on, and whether there may be more."""
        found: list[Stored] = []
        for _ in range(LOOKED_AT_MAX // AT_ONCE):
            at_once = min(AT_ONCE, limit - len(found)) if query is None else AT_ONCE
            with self.db.read() as tx:
                seen = stored_lines.by_time(
                    tx, which, upto=place.upto, beyond=place.beyond, oldest_first=oldest_first, limit=at_once
                )
            for one in seen:
                place = replace(place, beyond=(one.line.at, one.id))
                if _fits(query, one):
                    found.append(one)
                if len(found) == limit:
                    return found, place, True
            if len(seen) < at_once:
                return found, place, False
        return found, place, True

    def _follow(self, which: Which, query: Query | None, place: Place, limit: int) -> tuple[list[Stored], Place]:
        found: list[Stored] = []
        for _ in range(LOOKED_AT_MAX // AT_ONCE):
            with self.db.read() as tx:
                newest = stored_lines.newest_id(tx, which.task_id)  # before: what it counts is among what is read
                seen = stored_lines.by_arrival(tx, which, after=place.upto, limit=AT_ONCE)
            for one in seen:
                place = replace(place, upto=one.id)
                if _fits(query, one):
                    found.append(one)
                if len(found) == limit:
                    return found, place
            if len(seen) < AT_ONCE:
                return found, replace(place, upto=max(place.upto, newest))
        return found, place


def _which(task_id: int | None, search: Search, place: Place) -> Which:
    return Which(task_id, search.run, search.container, search.levels, place.since, place.until)


def _fits(query: Query | None, one: Stored) -> bool:
    return query is None or query.fits(folded(one.line.text))


def _view(one: Stored) -> LogLineView:
    line = one.line
    return LogLineView(
        id=one.id,
        at=line.at,
        level=line.level,
        container=line.container,
        run=line.run,
        epoch=line.epoch,
        logger=line.logger,
        message=line.message,
        text=line.text,
        fields=line.fields,
        exception=line.exception,
    )


def as_json(one: Stored) -> str:
    """A line of a downloaded file: what the API shows of it."""
    line = one.line
    said = {"id": one.id, "at": rfc3339(line.at), "level": line.level, "container": line.container, "run": line.run}
    said |= {"epoch": line.epoch, "logger": line.logger, "message": line.message, "text": line.text}
    return json.dumps(said | {"fields": line.fields, "exception": line.exception}, ensure_ascii=False) + "\n"


def as_text(one: Stored) -> str:
    """The same for people: `2026-03-01T12:00:00.000Z WARNING worker 3/2 run.recovering code=source.unreachable`."""
    line = one.line
    whose = "/".join(str(part) for part in (line.run, line.epoch) if part is not None)
    parts = (rfc3339(line.at), line.level.upper(), line.container, whose, line.text)
    return " ".join(part for part in parts if part) + "\n"
