"""The log's stream cut or garbled at chosen places: what was read stays read, the rest comes once, nothing wrong is
applied."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from faults.lanes import long
from faults.wired import Wired
from tidegate.connect import pgassembly, pgreplication
from tidegate.connect.pgposition import PgPosition, parse_lsn
from tidegate.errors import SourceLogBroken, SourceUnreachable, TidegateError
from tidegate.model.change import LogPart
from tidegate.model.position import Position
from tidegate.model.schema import TableName
from tidegate.sources.postgres import PostgresSource
from tidegate.testing.proxy import Then, Watch
from tidegate.testing.servers import PostgresServer

pytestmark = long

RUN = "abcdef_t1r1"
SEED = 77
DEADLINE_S = 60.0
HEADER_BYTES = 5 + 25
"""The message's own, and that of a piece of the log."""


@dataclass
class Recorded:
    """A workload that is in the log, to be read again and again: nothing is ever acknowledged."""

    pair: Wired
    start: Position
    end: int
    changes: list[Any]
    kinds: list[str]
    """Of the stream's messages, up to the last one needed."""


class Stream:
    """The messages of a log's stream. A watch for the place `offset` bytes behind the end of message `number`, from 1;
    `kinds` is what passed: a keepalive, or what the piece of the log is."""

    def __init__(self, number: int = -1, offset: int = 0) -> None:
        self.number, self.offset = number, offset
        self.kinds: list[str] = []

    def __call__(self) -> Watch:
        held, copying, count = b"", False, 0

        def watch(data: bytes) -> int | None:
            nonlocal held, copying, count
            before, at = len(held), 0
            held += data
            while len(held) - at >= 5 and len(held) - at >= (size := _size(held, at)):
                if (place := self.inside(held, at, before, copying)) is not None:
                    return place
                if copying and held[at] == ord("d"):
                    log = held[at + 5] == ord("w")
                    self.kinds.append(chr(held[at + HEADER_BYTES]) if log else "k")
                    count += 1
                copying = copying or held[at] == ord("W")
                at += size
                if copying and count == self.number:
                    held = held[at:]
                    return at - before + self.offset
            held = held[at:]
            return None

        return watch

    def inside(self, held: bytes, at: int, before: int, copying: bool) -> int | None:
        """A place inside the message that begins here, which has just become whole."""
        return None


class Change(Stream):
    """A watch for the place `offset` bytes behind the start of change `number`, from 0; messages that are cut over two
    pieces are passed over."""

    def __init__(self, number: int, offset: int) -> None:
        super().__init__()
        self.change, self.offset = number, offset

    def inside(self, held: bytes, at: int, before: int, copying: bool) -> int | None:
        if not copying or held[at] != ord("d") or held[at + 5] != ord("w") or chr(held[at + HEADER_BYTES]) not in "IUD":
            return None
        self.change -= 1
        if self.change >= 0:
            return None
        if at < before:
            self.change = 0
            return None
        return at - before + self.offset


def _size(held: bytes, at: int) -> int:
    return 1 + int.from_bytes(held[at + 1 : at + 5], "big")


@pytest.fixture
def recorded(
    postgres: PostgresServer, database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Recorded]:
    monkeypatch.setattr(pgassembly, "PART_CHANGES_MAX", 3)  # so that positions lie inside transactions too
    monkeypatch.setattr(pgreplication, "SILENCE_MAX_S", 1.5)
    pair = Wired(postgres, database(), database(), seed=SEED)
    run = pair.source.execute
    run("create table a (id int primary key, n int, big text)")
    run("create table b (id int primary key, t text)")
    run("alter table a alter big set storage external")
    source = PostgresSource(pair.source_config)
    start = source.begin(RUN, [TableName("public", "a"), TableName("public", "b")])
    run("insert into a select i, i, repeat('x', 3000) from generate_series(1, 8) i")
    run("insert into b values (1, 'ä'), (2, null)")
    run("begin; update a set n = n + 1 where id < 4; delete from b where id = 1; update b set id = 7; commit")
    run("truncate b")
    run("alter table b add column more int")
    run("insert into b values (3, 'x', 1)")
    run("delete from a where id = 8")
    (row,) = pair.rows("select pg_current_wal_insert_lsn()::text")
    found = Recorded(pair, start, parse_lsn(row[0]), [], [])
    stream = Stream()
    rule = pair.to_source.when(pair.to_source.down, stream, Then.RESET)
    parts, failure = read(found, source, start)
    rule.times = 0
    assert failure is None
    found.changes, found.kinds = changes(parts), list(stream.kinds)
    assert len(found.changes) == 18
    yield found
    source.close()
    last = PostgresSource(pair.source_config)
    last.end(RUN)
    last.close()
    pair.close()


def read(recorded: Recorded, source: PostgresSource, start: Position) -> tuple[list[LogPart], TidegateError | None]:
    """The parts from a position to the end of the workload, or to what ended the reading."""
    parts: list[LogPart] = []
    until = time.monotonic() + DEADLINE_S
    try:
        log = source.log(RUN, start)
    except TidegateError as error:
        return parts, error
    try:
        while not parts or PgPosition.of(parts[-1].position).lsn < recorded.end:
            assert time.monotonic() < until, "neither the end of the log nor an error"
            parts += log.take(0.5)
    except TidegateError as error:
        return parts, error
    finally:
        log.close()
    return parts, None


def changes(parts: list[LogPart]) -> list[Any]:
    return [
        (part.transaction, index, str(change.table.name), change.table.names, change.op, change.old, change.new)
        for part in parts
        for index, change in enumerate(part.changes, part.first_index)
    ]


def read_with(recorded: Recorded, watch: Stream, then: Then) -> tuple[list[Any], TidegateError | None]:
    """Read with a fault, then go on from where that got to; everything that was read, and what the fault raised."""
    pair = recorded.pair
    source = PostgresSource(pair.source_config)
    rule = pair.to_source.when(pair.to_source.down, watch, then)
    parts, failure = read(recorded, source, recorded.start)
    rule.times = 0
    before = changes(parts)
    assert before == recorded.changes[: len(before)], "what arrived before the fault is as it was"
    if failure is not None:
        source.close()
        rest, again = read(recorded, source, parts[-1].position if parts else recorded.start)
        assert again is None, again
        parts += rest
    source.close()
    return changes(parts), failure


def test_reading_goes_on_exactly_after_a_cut_behind_any_message(recorded: Recorded) -> None:
    cut = 0
    for number in range(len(recorded.kinds) + 1):
        found, failure = read_with(recorded, Stream(number), Then.RESET)
        assert found == recorded.changes, f"cut behind message {number}"
        assert failure is None or isinstance(failure, SourceUnreachable)
        cut += failure is not None
    assert cut > 20
    print(cut, "cuts in", "".join(recorded.kinds))


def test_reading_goes_on_exactly_after_a_cut_inside_a_message(recorded: Recorded) -> None:
    for number in range(1, len(recorded.kinds), 6):
        found, _ = read_with(recorded, Stream(number, offset=7 + number), Then.RESET)
        assert found == recorded.changes, f"cut inside message {number + 1}"


# Bytes that say what a message is or how long: by how far behind the start of a message they are.
STRUCTURE = {
    "type": 0,
    "length, thousands": 3,
    "length, units": 4,
    "log or sign of life": 5,
    "kind of change": HEADER_BYTES,
}


@pytest.mark.parametrize("place", STRUCTURE)
def test_a_garbled_byte_of_the_streams_structure_is_noticed_and_read_again(recorded: Recorded, place: str) -> None:
    for number in (0, 5, 9):
        found, failure = read_with(recorded, Change(number, STRUCTURE[place]), Then.GARBLE)
        assert isinstance(failure, SourceUnreachable), f"{place} of change {number}"
        assert found == recorded.changes, f"{place} of change {number}"


def test_what_comes_garbled_again_in_the_same_way_is_the_servers(recorded: Recorded) -> None:
    pair = recorded.pair
    source = PostgresSource(pair.source_config)
    failures = []
    for _ in range(2):
        pair.to_source._orders.random.seed(SEED)  # the same bits
        pair.to_source.when(pair.to_source.down, Change(0, HEADER_BYTES), Then.GARBLE)
        failures.append(type(read(recorded, source, recorded.start)[1]))
        source.close()
    assert failures == [SourceUnreachable, SourceLogBroken]
