"""Parts and batches of one log: whichever way it is read, and however often it is begun again, the same arrives."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.connect import pgbatches
from tidegate.connect.lanes import Request
from tidegate.connect.pgassembly import Doubts, Stand
from tidegate.connect.pglanes import Lanes
from tidegate.connect.pgposition import PgPosition
from tidegate.connect.source import Gathering
from tidegate.decode import pgoutput
from tidegate.errors import SourceLogBroken, SourceUnreachable
from tidegate.model.change import LogPart
from tidegate.model.schema import Column, DataType, Kind, TableName, TableSchema
from unit import pgwire
from unit.arriving import MODES, Arrived, decoding

START = PgPosition(100)
KEYED = pgwire.relation(1, "public", "keyed", [("k", 25), ("v", 25)], key=["k"])
KEYED_WIDER = pgwire.relation(1, "public", "keyed", [("k", 25), ("v", 25), ("more", 25)], key=["k"])
LOGGED = pgwire.relation(2, "public", "logged", [("v", 25)], key=[])
OTHER = pgwire.relation(3, "public", "other", [("v", 25)], key=[])


def describe(relation: pgoutput.Relation) -> TableSchema:
    columns = tuple(Column(c.name, DataType(Kind.TEXT, "text")) for c in relation.columns)
    key = tuple(c.name for c in relation.columns if c.identity)
    return TableSchema(TableName(relation.schema, relation.name), columns, key, "postgres")


def framed(messages: list[bytes]) -> memoryview:
    return memoryview(b"".join(struct.pack(">I", len(message)) + message for message in messages))


@dataclass
class History:
    """A log, and what its tables hold in the end."""

    r: Random
    transactions: list[list[bytes]] = field(default_factory=list)
    rows: dict[str, str] = field(default_factory=dict)
    logged: list[str] = field(default_factory=list)

    def grow(self, count: int) -> History:
        for number in range(count):
            commit = 200 + 20 * number
            changes = [message for _ in range(self.r.choice((0, 1, 2, 7))) for message in self._change()]
            self.transactions.append(
                [pgwire.begin(commit, xid=7 + number), *changes, pgwire.commit(commit, commit + 10)]
            )
        return self

    def _change(self) -> list[bytes]:
        kind = self.r.choice(
            ("put", "put", "put", "move", "delete", "delete", "log", "log", "other", "again", "truncate")
        )
        key, value = str(self.r.randrange(6)), str(self.r.randrange(1000))
        if kind == "put":
            known = key in self.rows
            self.rows[key] = value
            return [pgwire.update(1, [key, value]) if known else pgwire.insert(1, [key, value])]
        if kind == "move" and self.rows and key not in self.rows:
            before = self.r.choice(sorted(self.rows))
            del self.rows[before]
            self.rows[key] = value
            return [pgwire.update(1, [key, value], key=[before, None])]
        if kind == "delete" and key in self.rows:
            del self.rows[key]
            return [pgwire.delete(1, key=[key, None])]
        if kind == "log":
            self.logged.append(value)
            return [pgwire.insert(2, [value])]
        if kind == "truncate" and not self.r.randrange(4):
            self.rows.clear()
            return [pgwire.truncate(1, 3)]
        return [{"other": pgwire.insert(3, [value]), "again": KEYED}.get(kind, LOGGED)]

    def messages(self, since: PgPosition) -> list[bytes]:
        """What the server sends from there."""
        ends = [210 + 20 * number for number in range(len(self.transactions))]
        coming = [t for end, t in zip(ends, self.transactions, strict=True) if end > since.lsn]
        return [KEYED, LOGGED, OTHER, *(message for transaction in coming for message in transaction)]


def test_a_batch_in_front_of_a_truncate_ends_in_front_of_it() -> None:
    inserted = pgwire.insert(1, ["a", ""])
    lanes = gathering(KEYED, OTHER, *transaction(200, inserted, pgwire.truncate(1, 3), inserted))
    before, truncate, after = items(lanes)
    assert (before.changes, before.position) == (1, PgPosition(100, 200, 1))
    assert (truncate.first_index, truncate.position, truncate.ends) == (1, PgPosition(100, 200, 3), False)
    assert (after.changes, after.position, after.ends) == (1, PgPosition(210), True)


@pytest.mark.parametrize("decoder", ["native", "python"])
@settings(max_examples=150)
@given(r=st.randoms(use_true_random=False))
def test_the_same_arrives_whichever_way_it_is_read(decoder: str, r: Random, request: pytest.FixtureRequest) -> None:
    decoding(decoder, request)
    history = History(r).grow(r.randint(1, 12))
    held = Arrived(START)
    for _ in range(6):
        _read(history, held, r, everything=False)
    _read(history, held, r, everything=True)
    assert held.rows == history.rows
    assert [value for _, value in held.logged] == history.logged
    places = [place for place, _ in held.logged]
    assert places == sorted(places)
    assert len(set(places)) == len(places)


def _read(history: History, held: Arrived, r: Random, *, everything: bool) -> None:
    """Begin where the target stands, and go on for a while: in gulps, now this way and now that."""
    lanes = Lanes(Stand(PgPosition.of(held.position), describe), Doubts())
    gathering = Gathering(MODES, r.choice((1, 3, 100)))
    messages = history.messages(PgPosition.of(held.position))
    while messages:
        size = r.randint(1, 8)
        gulp, messages = messages[:size], messages[size:]
        if not r.randrange(3):
            lanes.wanted = Request(gathering if r.randrange(2) else None)
        lanes.feed(framed(gulp))
        if not messages:
            lanes.idle(10_000 if everything else 0)
        for entry in lanes.made(all=bool(r.randrange(2)) or not messages):
            for item in entry.items:
                assert entry.gathered or isinstance(item, LogPart)
                held.take(item)
                if not everything and not r.randrange(12):
                    return


def gathering(*messages: bytes, most: int = 1000, start: PgPosition = START) -> Lanes:
    """Fed, and asked to gather before anything came."""
    lanes = Lanes(Stand(start, describe), Doubts())
    lanes.wanted = Request(Gathering(MODES, most))
    lanes.feed(framed(list(messages)))
    return lanes


def transaction(commit: int, *changes: bytes) -> list[bytes]:
    return [pgwire.begin(commit), *changes, pgwire.commit(commit, commit + 10)]


def items(lanes: Lanes, *, all: bool = True) -> list[Any]:
    return [item for entry in lanes.made(all=all) for item in entry.items]


def test_a_batch_that_is_full_comes_by_itself_and_others_when_they_are_wanted() -> None:
    changes = [pgwire.insert(1, [str(n), ""]) for n in range(5)]
    lanes = gathering(KEYED, *transaction(200, *changes[:2]), *transaction(220, *changes[2:4]), most=4)
    (batch,) = items(lanes, all=False)
    assert (batch.changes, batch.ended, batch.ends, batch.position) == (4, 2, True, PgPosition(230))
    lanes.feed(framed(transaction(240, changes[4])))
    assert items(lanes, all=False) == []
    (batch,) = items(lanes)
    assert (batch.changes, batch.position) == (1, PgPosition(250))


def test_a_batch_that_is_wanted_inside_a_transaction_comes_at_its_end() -> None:
    lanes = gathering(KEYED, *transaction(200, pgwire.insert(1, ["a", ""])), pgwire.begin(220))
    assert items(lanes) == []
    lanes.feed(
        framed([pgwire.insert(1, ["b", ""]), pgwire.commit(220, 230), *transaction(240, pgwire.insert(1, ["c", ""]))])
    )
    (batch,) = items(lanes, all=False)
    assert (batch.changes, batch.position) == (2, PgPosition(230))


def test_a_transaction_larger_than_batches_comes_in_pieces() -> None:
    changes = [pgwire.insert(1, [str(n), ""]) for n in range(10)]
    lanes = gathering(KEYED, *transaction(200, *changes), most=2)
    batches = items(lanes)
    assert [batch.changes for batch in batches] == [4, 4, 2]
    assert [batch.ends for batch in batches] == [False, False, True]
    assert [batch.position for batch in batches] == [PgPosition(100, 200, 4), PgPosition(100, 200, 8), PgPosition(210)]
    again = gathering(KEYED, *transaction(200, *changes), start=batches[0].position)
    (rest,) = items(again)
    assert (rest.changes, rest.position) == (6, PgPosition(210))


def test_a_large_value_makes_a_batch_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgbatches, "BATCH_BYTES_MAX", 1_000)
    lanes = gathering(KEYED, *transaction(200, pgwire.insert(1, ["a", "x" * 1_000])))
    assert [batch.changes for batch in items(lanes, all=False)] == [1]


def test_a_shape_is_told_with_the_first_batch_that_has_it() -> None:
    first, second = pgwire.insert(1, ["a", ""]), pgwire.insert(1, ["b", "", "m"])
    lanes = gathering(KEYED, OTHER, *transaction(200, first, KEYED, first, KEYED_WIDER, second))
    narrow, wide = items(lanes)
    assert [[table.name.name for table in batch.met] for batch in (narrow, wide)] == [["keyed", "other"], ["keyed"]]
    assert [len(batch.tables[0][0].columns) for batch in (narrow, wide)] == [2, 3]
    assert narrow.tables[0][0] is narrow.met[0]
    assert (narrow.ends, wide.ends) == (False, True)


def test_news_of_an_idle_server_come_with_what_is_gathered_before_them() -> None:
    lanes = gathering(KEYED, *transaction(200, pgwire.insert(1, ["a", ""])))
    lanes.idle(500)
    (batch,) = items(lanes)
    assert batch.position == PgPosition(500)
    lanes.idle(600)
    (part,) = items(lanes)
    assert (part.transaction, part.position) == (None, PgPosition(600))


def test_a_request_is_followed_between_two_transactions_and_said_so() -> None:
    lanes = gathering(KEYED, pgwire.begin(200), pgwire.insert(1, ["a", ""]))
    (gathers,) = lanes.made(all=True)
    assert (gathers.request, gathers.items) == (lanes.wanted, [])
    lanes.wanted = single = Request()
    assert lanes.made(all=True) == []
    lanes.feed(framed([pgwire.commit(200, 210), *transaction(220, pgwire.insert(1, ["b", ""]))]))
    batch, turned, part = lanes.made(all=False)
    assert (batch.gathered, turned.items, turned.request) == (True, [], single)
    assert [isinstance(entry.items[0], LogPart) for entry in (batch, part)] == [False, True]


def test_what_makes_no_sense_is_read_again_once() -> None:
    doubts = Doubts()
    broken = [KEYED, *transaction(200, pgwire.insert(1, ["a", ""])), pgwire.begin(220), b"?", pgwire.commit(220, 230)]
    for request in (Request(), Request(Gathering(MODES, 1))):
        for expected in (SourceUnreachable, SourceLogBroken):
            lanes = Lanes(Stand(START, describe), doubts)
            lanes.wanted = request
            with pytest.raises(expected):
                lanes.feed(framed(broken))
            assert len(items(lanes)) == 1, "what stands in front of it is made"
        doubts = Doubts()


def test_a_change_of_a_table_never_described_breaks_the_log() -> None:
    with pytest.raises(SourceUnreachable, match="relation 1"):
        gathering(*transaction(200, pgwire.insert(1, ["a", ""])))
