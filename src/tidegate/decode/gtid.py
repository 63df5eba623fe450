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

    def after(self, gtid: MariadbGtid) -> MariadbPosition:
        """The position once `gtid` is seen."""
        return self.of([*(held for held in self.gtids if held.domain != gtid.domain), gtid])

    def covers(self, other: MariadbPosition) -> bool:
        """Whether everything up to `other` is seen here."""
        return all(self.sequence(gtid.domain) >= gtid.sequence for gtid in other.gtids)


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

    def with_gtid(self, gtid: MysqlGtid) -> MysqlGtidSet:
        return self.of([*self._flat(), (gtid.source, (gtid.sequence, gtid.sequence))])

    def count(self) -> int:
        return sum(last - first + 1 for _, (first, last) in self._flat())

    def _of(self, source: Source) -> tuple[Interval, ...]:
        return next((intervals for held, intervals in self.sources if held == source), ())

    def _flat(self) -> Iterator[tuple[Source, Interval]]:
        return ((source, interval) for source, intervals in self.sources for interval in intervals)


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
