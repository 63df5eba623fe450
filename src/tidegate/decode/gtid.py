"""Where a log stands by transaction ids: MariaDB's positions (`0-1-5,3-1-7`) and MySQL's sets with their arithmetic.

Sources: MariaDB documentation, "Global Transaction ID"; MySQL Reference Manual, "GTID Format and Storage" (tags:
since 8.4, `uuid:tag:1-5`). Both print in one canonical order, so equal positions are equal texts.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

SEQUENCE_MAX = 2**63 - 1
_TAG = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_NUMBER = re.compile(r"[0-9]{1,20}")


class NotAGtid(ValueError):
    """A text is no position of its kind."""


class MariadbGtid(NamedTuple):
    domain: int
    server: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.domain}-{self.server}-{self.sequence}"


@dataclass(frozen=True, slots=True)
class MariadbPosition:
    """The last transaction seen of each replication domain, ordered by domain. Within a domain the log has one order;
    domains are independent of each other."""

    gtids: tuple[MariadbGtid, ...] = ()

    @classmethod
    def parse(cls, text: str) -> MariadbPosition:
        """`domain-server-sequence`, separated by commas. Raises `NotAGtid`."""
        held: dict[int, MariadbGtid] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            numbers = part.split("-")
            if len(numbers) != 3 or not all(map(_NUMBER.fullmatch, numbers)):
                raise NotAGtid("a MariaDB position is a list of domain-server-sequence")
            gtid = MariadbGtid(*map(int, numbers))
            if gtid.domain >= 2**32 or gtid.server >= 2**32 or gtid.sequence >= 2**64 or gtid.domain in held:
                raise NotAGtid("a MariaDB position has each domain once, with numbers of 32, 32 and 64 bits")
            held[gtid.domain] = gtid
        return cls.of(held.values())

    @classmethod
    def of(cls, gtids: Iterable[MariadbGtid]) -> MariadbPosition:
        return cls(tuple(sorted(gtids)))

    def __str__(self) -> str:
        return ",".join(map(str, self.gtids))

    def sequence(self, domain: int) -> int:
        """0 for a domain not seen yet."""
        return next((gtid.sequence for gtid in self.gtids if gtid.domain == domain), 0)

    def after(self, *gtids: MariadbGtid) -> MariadbPosition:
        """The position once these are seen, in their order."""
        held = {gtid.domain: gtid for gtid in (*self.gtids, *gtids)}
        return self.of(held.values())

    def covers(self, other: MariadbPosition) -> bool:
        """Whether everything up to `other` is seen here."""
        return all(self.sequence(gtid.domain) >= gtid.sequence for gtid in other.gtids)

    def stands_at(self, found: MariadbPosition) -> bool:
        """Whether a place in front of which `found` stands is the one that this was noted at; a domain that was not
        known then may have come."""
        return set(self.gtids) <= set(found.gtids)

    def __bool__(self) -> bool:
        """Whether anything is known of what came before."""
        return bool(self.gtids)


Interval: TypeAlias = tuple[int, int]
"""First and last sequence number, both within."""
Source: TypeAlias = tuple[str, str]
"""A server's UUID, lower case with dashes, and the tag (empty: none)."""


class MysqlGtid(NamedTuple):
    source: Source
    sequence: int

    def __str__(self) -> str:
        return f"{':'.join(filter(None, self.source))}:{self.sequence}"


Gtid: TypeAlias = "MariadbGtid | MysqlGtid"


@dataclass(frozen=True, slots=True)
class MysqlGtidSet:
    """A set of transactions: of each source, in order, disjoint intervals that do not touch, in order."""

    sources: tuple[tuple[Source, tuple[Interval, ...]], ...] = ()

    @classmethod
    def parse(cls, text: str) -> MysqlGtidSet:
        """`uuid[:tag]:n[-m][:n[-m]…][:tag:n…]`, separated by commas. Raises `NotAGtid`."""
        held: list[tuple[Source, Interval]] = []
        for part in filter(None, ("".join(part.split()) for part in text.split(","))):
            held.extend(_parsed(part))
        return cls.of(held)

    @classmethod
    def of(cls, intervals: Iterable[tuple[Source, Interval]]) -> MysqlGtidSet:
        """The union of intervals, which may overlap and come in any order."""
        grouped: dict[Source, list[Interval]] = {}
        for source, interval in intervals:
            grouped.setdefault(source, []).append(interval)
        return cls(tuple((source, tuple(_joined(grouped[source]))) for source in sorted(grouped)))

    def __str__(self) -> str:
        parts: dict[str, list[str]] = {}
        for (server, tag), intervals in self.sources:
            shown = [f"{first}-{last}" if first != last else str(first) for first, last in intervals]
            parts.setdefault(server, []).extend([tag, *shown] if tag else shown)
        return ",".join(":".join([server, *shown]) for server, shown in parts.items())

    def __contains__(self, gtid: MysqlGtid) -> bool:
        return any(first <= gtid.sequence <= last for first, last in self._of(gtid.source))

    def __or__(self, other: MysqlGtidSet) -> MysqlGtidSet:
        return self.of([*self._flat(), *other._flat()])

    def __sub__(self, other: MysqlGtidSet) -> MysqlGtidSet:
        """What is here and not there."""
        return self.of(
            (source, left)
            for source, intervals in self.sources
            for interval in intervals
            for left in _without(interval, other._of(source))
        )

    def __and__(self, other: MysqlGtidSet) -> MysqlGtidSet:
        return self - (self - other)

    def __le__(self, other: MysqlGtidSet) -> bool:
        """Whether every transaction here is also there."""
        return not (self - other).sources

    def after(self, *gtids: MysqlGtid) -> MysqlGtidSet:
        """The set once these are in it. As a rule each is its server's next."""
        grown, others = self, []
        for gtid in gtids:
            longer = grown._extended(gtid)
            if longer is None:
                others.append((gtid.source, (gtid.sequence, gtid.sequence)))
            else:
                grown = longer
        return self.of([*grown._flat(), *others]) if others else grown

    def _extended(self, gtid: MysqlGtid) -> MysqlGtidSet | None:
        """With one that follows its source's last; None: it does not."""
        for at, (source, intervals) in enumerate(self.sources):
            if source == gtid.source and intervals[-1][1] + 1 == gtid.sequence:
                last = (*intervals[:-1], (intervals[-1][0], gtid.sequence))
                return MysqlGtidSet((*self.sources[:at], (source, last), *self.sources[at + 1 :]))
        return None

    def covers(self, other: MysqlGtidSet) -> bool:
        """Whether everything in `other` is here."""
        return other <= self

    def stands_at(self, found: MysqlGtidSet) -> bool:
        """Whether a place in front of which `found` stands is the one that this was noted at. In front of one place
        stands one set."""
        return self == found

    def __bool__(self) -> bool:
        """Whether anything is known of what came before."""
        return bool(self.sources)

    def count(self) -> int:
        return sum(last - first + 1 for _, (first, last) in self._flat())

    def _of(self, source: Source) -> tuple[Interval, ...]:
        return next((intervals for held, intervals in self.sources if held == source), ())

    def _flat(self) -> Iterator[tuple[Source, Interval]]:
        return ((source, interval) for source, intervals in self.sources for interval in intervals)


Gtids: TypeAlias = "MariadbPosition | MysqlGtidSet"
"""What stands in front of a place in a log."""
NO_GTIDS = MariadbPosition()


def parse_gtids(text: str) -> Gtids:
    """Either's. An empty text is both's. Raises `NotAGtid`."""
    return MysqlGtidSet.parse(text) if ":" in text else MariadbPosition.parse(text)


def passed(held: Gtids, gtids: Iterable[Gtid | None]) -> Gtids:
    """What stands behind transactions that follow what is held; None are those without a name. Raises `NotAGtid` for a
    name of the other kind of server."""
    named = [gtid for gtid in gtids if gtid is not None]
    if not named:
        return held
    of_mysql = [gtid for gtid in named if isinstance(gtid, MysqlGtid)]
    of_mariadb = [gtid for gtid in named if isinstance(gtid, MariadbGtid)]
    if of_mysql and of_mariadb:
        raise NotAGtid("transactions of MariaDB's and of MySQL's stand in one log")
    if of_mariadb and isinstance(held or NO_GTIDS, MariadbPosition):
        return (held if isinstance(held, MariadbPosition) else NO_GTIDS).after(*of_mariadb)
    if of_mysql and isinstance(held or MysqlGtidSet(), MysqlGtidSet):
        return (held if isinstance(held, MysqlGtidSet) else MysqlGtidSet()).after(*of_mysql)
    raise NotAGtid("a transaction is named as the other kind of server names them")


def stands_at(wanted: Gtids, found: Gtids) -> bool:
    """See `stands_at` of either; what is not known stands anywhere."""
    if not wanted:
        return True
    if isinstance(wanted, MariadbPosition):
        return isinstance(found, MariadbPosition) and wanted.stands_at(found)
    return isinstance(found, MysqlGtidSet) and wanted.stands_at(found)


def covers(one: Gtids, other: Gtids) -> bool:
    """Whether everything in front of `other` is in front of `one`."""
    if not other:
        return True
    if isinstance(one, MariadbPosition) and isinstance(other, MariadbPosition):
        return one.covers(other)
    return isinstance(one, MysqlGtidSet) and isinstance(other, MysqlGtidSet) and one.covers(other)


def _parsed(part: str) -> Iterator[tuple[Source, Interval]]:
    server, *rest = part.split(":")
    try:
        server = str(uuid.UUID(server))
    except ValueError:
        raise NotAGtid("a MySQL set begins with a server's UUID") from None
    tag, seen = "", False
    for item in rest:
        numbers = item.split("-")
        if all(map(_NUMBER.fullmatch, numbers)) and len(numbers) <= 2:
            first, last = int(numbers[0]), int(numbers[-1])
            if not 1 <= first <= last < SEQUENCE_MAX:
                raise NotAGtid("an interval of a MySQL set ends before it begins, or is out of range")
            seen = True
            yield (server, tag), (first, last)
        elif _TAG.fullmatch(item.lower()):
            tag = item.lower()
        else:
            raise NotAGtid("a MySQL set has a part that is neither an interval nor a tag")
    if not seen:
        raise NotAGtid("a MySQL set names a server without an interval")


def _joined(intervals: list[Interval]) -> Iterator[Interval]:
    """Overlapping and touching intervals as one."""
    ordered = sorted(intervals)
    first, last = ordered[0]
    for next_first, next_last in ordered[1:]:
        if next_first > last + 1:
            yield first, last
            first = next_first
        last = max(last, next_last)
    yield first, last


def _without(interval: Interval, removed: tuple[Interval, ...]) -> Iterator[Interval]:
    first, last = interval
    for gone_first, gone_last in removed:
        if gone_last < first or gone_first > last:
            continue
        if first < gone_first:
            yield first, gone_first - 1
        first = gone_last + 1
    if first <= last:
        yield first, last
