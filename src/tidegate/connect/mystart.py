"""Where in a binary log a run begins that is to begin at a position or a time: found by reading the log's own words,
the times and transaction ids at the head of each file, and then one file from its beginning.

Only a place between two transactions is given, so that none is cut in two. A time means the first transaction of the
log that was committed in that second or later; what stands behind it comes, whatever its own time is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from tidegate.connect.mariadb import MariadbConfig, place
from tidegate.connect.myfiles import FIRST_EVENT, Logged, head, logged
from tidegate.connect.myposition import MyPosition, Place
from tidegate.connect.mysession import file_sizes, global_setting
from tidegate.connect.mytypes import Query
from tidegate.decode.gtid import Gtids, NotAGtid, covers, parse_gtids, passed, stands_at
from tidegate.errors import SourceStartPurged, SourceStartUnknown, SourceStartUnsupported
from tidegate.model.start import StartSpec, moment


@dataclass(frozen=True, slots=True)
class _Between:
    """A place between two transactions, the last in front of it, and the event that stands there."""

    place: Place
    gtids: Gtids
    event: Logged | None


class Starts:
    """Places to begin at in one server's log."""

    def __init__(self, query: Query, config: MariadbConfig) -> None:
        self._query, self._config = query, config
        self._files = list(file_sizes(query))

    def find(self, start: StartSpec, now: Place) -> MyPosition:
        """`now` is a place of the log no later than which the catalogue is known. Raises as `Source.start_at`."""
        metadata = global_setting(self._query, "binlog_row_metadata")
        if metadata != "FULL":
            raise SourceStartUnsupported(
                f"binlog_row_metadata = {metadata} at {place(self._config)}: the log does not name columns, and which"
                f" they were at {start} nobody knows; with FULL, a run can begin at what is logged from then on"
            )
        found = self._at_time(start.time_s) if start.position is None else self._at(start.position.strip())
        return MyPosition(found.place, found.gtids, named_until=now if found.place < now else None)

    # --- by time ---

    def _at_time(self, at_s: int) -> _Between:
        ((now_s,),) = self._query("select unix_timestamp()", ())
        if at_s > int(now_s):
            raise SourceStartUnknown(
                f"{moment(at_s)} is in the future: by the clock of {place(self._config)} it is {moment(int(now_s))}"
            )
        begun = bisect_left(self._files, at_s, key=lambda file: head(self._config, file).at_s)
        if not begun:
            first = self._files[0]
            raise SourceStartPurged(
                f"{moment(at_s)} is before the log that {place(self._config)} still has: its oldest file, {first},"
                f" begins at {moment(head(self._config, first).at_s)}"
            )
        found = None
        for found in self._between(self._files[begun - 1]):
            if found.event is not None and found.event.begins and found.event.at_s >= at_s:
                break
        return self._some(found, self._files[begun - 1])

    # --- by position ---

    def _at(self, text: str) -> _Between:
        try:
            return self._at_gtids(parse_gtids(text))
        except NotAGtid:
            pass
        try:
            return self._at_place(MyPosition.parse(text))
        except ValueError:
            raise SourceStartUnknown(
                f'"{text}" is no position of a binary log: it is a file and an offset, such as log.000007:4711, or the'
                " transactions in front: the last of each domain, such as 0-1-4711, or MySQL's set of all of them, such"
                " as 3e11fa47-71ca-11e1-9e33-c80aa9429562:1-4711"
            ) from None

    def _at_place(self, wanted: MyPosition) -> _Between:
        at = wanted.place
        if wanted.changes:
            raise SourceStartUnknown(f"{wanted} is amid a transaction; that begins at {at}")
        if at.file not in self._files:
            self._missing(at)
        before = None
        for found in self._between(at.file):
            if found.place.offset == at.offset:
                if not stands_at(wanted.gtids, found.gtids):
                    raise SourceStartUnknown(
                        f"the log of {place(self._config)} is another one: in front of {at} stands {found.gtids}, and"
                        f" {wanted.gtids} was asked for"
                    )
                return found
            if found.place.offset > at.offset:
                raise SourceStartUnknown(
                    f"{at} is amid a transaction, or no place at all; around it the log of {place(self._config)} has"
                    f" {before.place if before else Place.of(at.file, FIRST_EVENT)} and {found.place}"
                )
            before = found
        end = self._some(before, at.file).place
        raise SourceStartUnknown(f"{at} is behind what the log of {place(self._config)} has: {at.file} ends at {end}")

    def _missing(self, at: Place) -> None:
        first, last = self._files[0], self._files[-1]
        same = first.rpartition(".")[0] == at.file.rpartition(".")[0]
        if same and at < Place.of(first, FIRST_EVENT):
            raise SourceStartPurged(
                f"{place(self._config)} no longer has its log file {at.file}; the oldest place it has is"
                f" {first}:{FIRST_EVENT}"
            )
        raise SourceStartUnknown(f"{place(self._config)} has no log file {at.file}: it has {first} to {last}")

    def _at_gtids(self, wanted: Gtids) -> _Between:
        """The one place in front of which exactly these transactions are the last."""
        behind = bisect_left(
            self._files, 1, key=lambda file: int(not covers(wanted, head(self._config, file).gtids))
        )  # so many files begin with what is wanted, or before it
        if not behind:
            first = self._files[0]
            raise SourceStartPurged(
                f"{wanted} is before the log that {place(self._config)} still has: its oldest file, {first}, begins"
                f" behind {head(self._config, first).gtids}"
            )
        found = None
        for found in self._between(self._files[behind - 1]):
            if found.gtids == wanted:
                return found
            gtid = found.event.gtid if found.event is not None else None
            if gtid is not None and not covers(wanted, passed(found.gtids, [gtid])):
                break
        reached = self._some(found, self._files[behind - 1])
        raise SourceStartUnknown(
            f"the log of {place(self._config)} has no place behind exactly {wanted}; the last in front of which nothing"
            f" else stands is behind {reached.gtids}"
        )

    # --- a file ---

    def _between(self, file: str) -> Iterator[_Between]:
        """Every place of the file between two transactions, in order; the last is its end."""
        begins = head(self._config, file)
        gtids, at = begins.gtids, Place.of(file, FIRST_EVENT)
        with closing(logged(self._config, file)) as events:
            for one in events:
                if one.outside:
                    yield _Between(at._replace(offset=one.start), gtids, one)
                if one.last:
                    return
                gtids = passed(gtids, [one.gtid])
                at = at._replace(offset=one.end)
        yield _Between(at, gtids, None)

    def _some(self, found: _Between | None, file: str) -> _Between:
        if found is None:
            raise SourceStartUnknown(f"the log file {file} of {place(self._config)} is empty")
        return found
